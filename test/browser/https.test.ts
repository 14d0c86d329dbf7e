/** As in production: https under a name of its own, behind a proxy that ends TLS, with the cookies that only https allows. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { describeInChromium } from './chromium.ts';
import { openScene, type Scene } from './scene.ts';
import { giveCredentials, seeHeading, signIn, signOut } from './steps.ts';
import { startTlsFront, type TlsFront } from './tls-front.ts';

const HOST = 'login.vendor.example';

describeInChromium(
  'on https',
  (people) => {
    let scene: Scene;
    let front: TlsFront;
    beforeAll(async () => {
      front = await startTlsFront();
      scene = await openScene(people, {
        env: { PUBLIC_URL: `https://${HOST}:${front.port}`, ALLOW_PRIVATE_NETWORKS: 'true' },
      });
      front.passTo(scene.gateway.port);
    });
    afterAll(async () => {
      await scene.close();
      await front.close();
    });

    const enter = () => people.enter({ ignoreHTTPSErrors: true });
    const cookiesOf = (page: Page) => page.context().cookies(scene.gateway.url);
    const common = { domain: HOST, path: '/', secure: true, httpOnly: true, sameSite: 'Lax' };

    it.each(['ada@acme.example', 'grace@brand.example'])(
      'S-05 %s signs in and out with __Host- cookies alone',
      async (email) => {
        const page = await enter();
        const attempt = page.waitForResponse(
          (response) => response.request().method() === 'POST' && response.url().endsWith('/login'),
        );
        await signIn(page, scene.gateway, email);
        const setCookie = await (await attempt).headerValue('set-cookie');
        expect(setCookie).toMatch(
          /^__Host-gatehouse-login-[\w-]{16}=[^;\n]+; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
        );
        expect(page.url()).toBe(`${scene.gateway.url}/`);
        expect(await page.getByRole('main').innerText()).toContain(email);
        const cookies = await cookiesOf(page);
        expect(cookies).toMatchObject([{ ...common, name: '__Host-gatehouse-session' }]);
        await signOut(page);
        expect(await cookiesOf(page)).toEqual([]);
      },
    );

    it('asks the browser to stay on https', async () => {
      const page = await enter();
      const response = await page.goto(`${scene.gateway.url}/login`);
      const policy = await response?.headerValue('strict-transport-security');
      expect(Number(/^max-age=(\d+)/.exec(policy ?? '')?.[1])).toBeGreaterThanOrEqual(31_536_000);
    });

    it('S-06 takes no session from a cookie without the prefix', async () => {
      const page = await enter();
      await signIn(page, scene.gateway, 'alan@acme.example');
      const [session] = await cookiesOf(page);
      await page.context().clearCookies();
      const value = session?.value ?? '';
      const planted = { name: 'gatehouse-session', value, domain: '.vendor.example', path: '/' };
      await page.context().addCookies([planted]);
      await page.goto(scene.gateway.url);
      await seeHeading(page, 'Sign in');
    });

    it('asks after an entry link by custom JWT from a site of another name', async () => {
      const page = await enter();
      const target = `${scene.gateway.url}/sso/brand`;
      await page.goto(scene.otherSite.addPage('/portal', `<a href="${target}">Sign in to the product</a>`));
      await page.getByRole('link').click();
      await giveCredentials(page, 'joan@brand.example');
      await seeHeading(page, /^Continue as joan/);
      expect((await cookiesOf(page)).map(({ name }) => name.replace(/[\w-]{16}$/, ''))).toEqual([
        '__Host-gatehouse-login-',
        '__Host-gatehouse-confirm-',
      ]);
      await page.getByRole('button', { name: 'Continue' }).click();
      await seeHeading(page, 'You are signed in');
      expect((await cookiesOf(page)).map(({ name }) => name)).toEqual(['__Host-gatehouse-session']);
    });
  },
  [`--host-resolver-rules=MAP ${HOST} 127.0.0.1`],
);
