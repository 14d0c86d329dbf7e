/** The vendor's own name, logo and support link on the pages, and where they must not be asked for. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { startLoopbackServer } from '../../scripts/demo/loopback-server.ts';
import { describeInChromium } from './chromium.ts';
import { openScene, type Scene } from './scene.ts';
import { giveAddress, giveCredentials, seeHeading, signIn } from './steps.ts';

const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 60" width="400" height="60">
<rect width="60" height="60" rx="12" fill="#0b6e4f"/><text x="75" y="44" font-family="sans-serif" font-size="40">Northwind</text></svg>`;

describeInChromium('the vendor on the pages', (people) => {
  let scene: Scene;
  let assets: Awaited<ReturnType<typeof startLoopbackServer>>;
  const asked: { readonly path: string | undefined; readonly referrer: string | undefined }[] = [];

  beforeAll(async () => {
    assets = await startLoopbackServer('127.0.0.1', 0);
    assets.server.on('request', (request, response) => {
      asked.push({ path: request.url, referrer: request.headers.referer });
      response.writeHead(200, { 'content-type': 'image/svg+xml' }).end(LOGO);
    });
    scene = await openScene(people, {
      env: {
        BRAND_NAME: 'Northwind <Traders> & Sons',
        BRAND_LOGO_URL: `${assets.origin}/logo.svg`,
        SUPPORT_URL: 'mailto:help@northwind.example',
      },
    });
  });
  afterAll(async () => {
    await scene.close();
    await assets.close();
  });

  const logoWidth = (page: Page) =>
    page.evaluate<number>(`document.querySelector('.logo')?.naturalWidth ?? 0`);

  it.each(['light', 'dark'] as const)('are shown before and after signing in, in %s', async (colorScheme) => {
    const page = await people.enter({ watch: 'none', colorScheme, viewport: { width: 320, height: 640 } });
    const problems: string[] = [];
    page.on('console', (message) => problems.push(message.text()));
    await page.goto(`${scene.gateway.url}/login`);
    expect(await logoWidth(page)).toBe(400);
    expect(await page.getByRole('img', { name: 'Northwind <Traders> & Sons' }).count()).toBe(1);
    expect(await page.title()).toBe('Sign in · Northwind <Traders> & Sons');
    expect(await page.getByRole('link', { name: 'Contact support' }).getAttribute('href')).toBe(
      'mailto:help@northwind.example',
    );
    await signIn(page, scene.gateway, 'ada@acme.example');
    expect(await logoWidth(page)).toBe(400);
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBe(320);
    expect(problems).toEqual([]);
    expect(asked.every(({ path, referrer }) => path === '/logo.svg' && referrer === undefined)).toBe(true);
  });

  it('W-10 pages whose address had a token ask no other host for anything', async () => {
    const page = await people.enter();
    const { url } = scene.gateway;
    const earlier = asked.length;
    await page.goto(`${url}/sso/oidc/${scene.acme.connection.id}/callback?code=made-up&state=made-up`);
    await seeHeading(page, /expired/);
    await page.goto(`${scene.brand.callbackUrl}?token=made-up`);
    await seeHeading(page, "This sign-in link isn't valid.");
    await page.goto(scene.otherSite.addPage('/portal', `<a href="${url}/sso/brand">Sign in</a>`));
    await page.getByRole('link').click();
    await giveCredentials(page, 'grace@brand.example');
    await seeHeading(page, /^Continue as grace/);
    expect(await page.getByText('Northwind <Traders> & Sons').count()).toBe(1);
    expect(asked).toHaveLength(earlier);
  });

  it('a refusal after the provider shows the name without the logo', async () => {
    const page = await people.enter({ watch: 'none' });
    await page.goto(`${scene.gateway.url}/login`);
    await giveAddress(page, 'nobody@acme.example');
    const earlier = asked.length;
    await giveCredentials(page, 'nobody@acme.example');
    await seeHeading(page, 'Your account has not been set up yet.');
    expect(await page.getByText('Northwind <Traders> & Sons').count()).toBe(1);
    expect(asked).toHaveLength(earlier);
  });
});
