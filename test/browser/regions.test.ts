/** Two regions in a real browser, on two sites: what Chromium says of a form that it posts again, and what it remembers. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Page, Request } from 'playwright-core';
import { NAME, openRegions, type Regions } from '../regions/scene.ts';
import { describeInChromium } from './chromium.ts';
import { giveAddress, giveCredentials, seeHeading, whoIsSignedIn } from './steps.ts';

describeInChromium('signing in from another region', (people) => {
  let regions: Regions;
  beforeAll(async () => {
    regions = await openRegions();
  });
  afterAll(() => regions.close());

  /** Every request of the page to either region. */
  function watch(page: Page): readonly Request[] {
    const requests: Request[] = [];
    page.on('request', (request) => {
      const { origin } = new URL(request.url());
      if ([regions.eu.url, regions.us.url].includes(origin)) requests.push(request);
    });
    return requests;
  }

  it.each([
    ['acme.example', true],
    ['brand.example', true],
    ['brand.example', false],
  ])('an address at %s ends signed in at home, where it was going (script: %s)', async (domain, script) => {
    const email = `${NAME}@${domain}`;
    const page = await people.enter({ javaScriptEnabled: script });
    const requests = watch(page);
    await page.goto(`${regions.eu.url}/login?return_to=/%3Fx%3D1`);
    await giveAddress(page, email);
    await giveCredentials(page, email);
    // No page asks whether it was meant: the address was typed at another region's page, and that is ours.
    await seeHeading(page, 'You are signed in');
    expect(page.url()).toBe(`${regions.us.url}/?x=1`);
    expect(await whoIsSignedIn(page, regions.us)).toBe(email);
    expect(await whoIsSignedIn(page, regions.eu)).toBeUndefined();
    const again = requests.find((request) => request.url().includes('from_region'));
    const headers = await again?.allHeaders();
    expect(headers).toMatchObject({ referer: `${regions.eu.url}/`, 'sec-fetch-site': 'cross-site' });
    for (const request of requests) {
      expect(decodeURIComponent(request.url())).not.toContain(NAME);
      expect(request.headers()['referer'] ?? '').not.toContain(NAME);
    }
    const cookies = (await page.context().cookies(regions.eu.url)).filter(
      ({ domain }) => domain === 'localhost',
    );
    expect(cookies.filter(({ name }) => name.includes('gatehouse'))).toEqual([]);
    await regions.expectNothingKept();
  });

  it('S-03 asks a person whom a third site sent through another region', async () => {
    const page = await people.enter({ watch: 'none' });
    const requests = watch(page);
    await page.goto('data:text/html,<title>Third</title>');
    await page.setContent(
      `<form method="post" action="${regions.eu.url}/login"><input name="email" value="${NAME}@brand.example"><button>Go</button></form>`,
    );
    await page.getByRole('button', { name: 'Go' }).click();
    await giveCredentials(page, `${NAME}@brand.example`);
    await page.waitForURL(/\/login\/confirm/);
    const again = requests.find((request) => request.url().includes('from_region'));
    expect((await again?.allHeaders())?.['origin']).toBe('null');
  });
});
