/** What a hostile page may try with the browser of somebody who uses Gatehouse: forms, images and frames. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { describeInChromium } from './chromium.ts';
import { openScene, type Scene } from './scene.ts';
import { giveCredentials, seeHeading, signIn, signOut, whoIsSignedIn } from './steps.ts';

describeInChromium('pages of another site', (people) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await openScene(people);
  });
  afterAll(() => scene.close());

  async function sendForm(
    page: Page,
    target: string,
    fields: Readonly<Record<string, string>>,
  ): Promise<void> {
    const inputs = Object.entries(fields).map(
      ([name, value]) => `<input type="hidden" name="${name}" value="${value}">`,
    );
    const form = `<form method="post" action="${target}">${inputs.join('')}<button>Win a prize</button></form>`;
    await page.goto(scene.otherSite.addPage('/form', form));
    await page.getByRole('button', { name: 'Win a prize' }).click();
  }

  const failures = () => scene.gateway.sql(`SELECT code FROM audit_events WHERE action = 'login.failed'`);

  it('the button signs out: one event, no session, no cookie', async () => {
    const { gateway } = scene;
    const page = await people.enter();
    await signIn(page, gateway, 'ada@acme.example');
    const posted = page.waitForRequest(`${gateway.url}/logout`);
    await signOut(page);
    const headers = await (await posted).allHeaders();
    expect(headers).toMatchObject({ origin: gateway.url, 'sec-fetch-site': 'same-origin' });
    expect(await whoIsSignedIn(page, gateway)).toBeUndefined();
    expect(await page.context().cookies(gateway.url)).toEqual([]);
    expect(await gateway.sql('SELECT id FROM sessions')).toEqual([]);
    expect(await gateway.sql(`SELECT id FROM audit_events WHERE action = 'logout'`)).toHaveLength(1);
  });

  it('a form of another site signs nobody out', async () => {
    const page = await people.enter();
    await signIn(page, scene.gateway, 'ada@acme.example');
    await sendForm(page, `${scene.gateway.url}/logout`, {});
    await seeHeading(page, "This sign-in link isn't valid.");
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('ada@acme.example');
  });

  it('a form of another site that hides where it comes from signs nobody out', async () => {
    const page = await people.enter({ watch: 'none' });
    await signIn(page, scene.gateway, 'alan@acme.example');
    const form = `<form method="post" action="${scene.gateway.url}/logout"><button>Win a prize</button></form>`;
    const frame = `<iframe sandbox="allow-forms allow-top-navigation" srcdoc='${form}'></iframe>`;
    await page.goto(
      scene.otherSite.addPage('/hidden', `<meta name="referrer" content="no-referrer">${frame}`),
    );
    const answered = page.waitForResponse(`${scene.gateway.url}/logout`);
    await page.frameLocator('iframe').getByRole('button').click();
    expect((await answered).status()).toBe(400);
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('alan@acme.example');
  });

  it.each([
    ['an image', '<img alt="" src="TARGET">'],
    ['a frame', '<iframe src="TARGET"></iframe>'],
  ])('S-11 %s with the address of sign-out signs nobody out', async (_title, markup) => {
    const page = await people.enter({ watch: 'none' });
    await signIn(page, scene.gateway, 'ada@acme.example');
    const target = `${scene.gateway.url}/logout`;
    const earlier = scene.gateway.logLines.length;
    await page.goto(scene.otherSite.addPage('/image', markup.replace('TARGET', target)));
    // What the page gets to see of the answer is the browser's business; the gateway knows what it answered.
    const answered = () => scene.gateway.logLines.slice(earlier).find((line) => line.includes('"/logout"'));
    while (answered() === undefined) await page.waitForTimeout(20);
    expect(answered()).toContain('"status":405');
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('ada@acme.example');
  });

  it('S-11 a link to sign-out signs nobody out', async () => {
    const page = await people.enter();
    await signIn(page, scene.gateway, 'ada@acme.example');
    await page.goto(
      scene.otherSite.addPage('/link', `<a href="${scene.gateway.url}/logout">Win a prize</a>`),
    );
    await page.getByRole('link').click();
    await seeHeading(page, "This address can't be used like that.");
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('ada@acme.example');
  });

  it('W-04 nobody sees the e-mail page in a frame of another site', async () => {
    const page = await people.enter({ watch: 'none' });
    await page.goto(scene.otherSite.addPage('/frame', `<iframe src="${scene.gateway.url}/login"></iframe>`));
    expect(await page.frameLocator('iframe').getByLabel('Email address').count()).toBe(0);
  });

  it('S-03 a form that types an address for somebody still ends on the question', async () => {
    const page = await people.enter();
    await sendForm(page, `${scene.gateway.url}/login`, { email: 'grace@brand.example' });
    await giveCredentials(page, 'grace@brand.example');
    await seeHeading(page, /^Continue as grace/);
    expect(await whoIsSignedIn(page, scene.gateway)).toBeUndefined();
  });

  it('S-03 a form of another site cannot answer the question', async () => {
    const page = await people.enter();
    await page.goto(
      scene.otherSite.addPage('/entry', `<a href="${scene.gateway.url}/sso/brand">Sign in</a>`),
    );
    await page.getByRole('link').click();
    await giveCredentials(page, 'joan@brand.example');
    await seeHeading(page, /^Continue as joan/);
    const state = await page.locator('input[name="state"]').inputValue();
    const before = await failures();
    await sendForm(page, `${scene.gateway.url}/login/confirm`, { state, decision: 'allow' });
    await seeHeading(page, "This sign-in link isn't valid.");
    expect(await whoIsSignedIn(page, scene.gateway)).toBeUndefined();
    expect((await failures()).slice(before.length)).toEqual([{ code: 'malformed_request' }]);
  });

  it('J-37 a form of another site cannot bring a token to the callback', async () => {
    const page = await people.enter();
    await sendForm(page, scene.brand.callbackUrl, { token: 'eyJhbGciOiJub25lIn0.e30.' });
    await seeHeading(page, "This sign-in link isn't valid.");
    expect(await whoIsSignedIn(page, scene.gateway)).toBeUndefined();
  });
});
