/**
 * Links and forms of other sites, as only a real browser tells them apart: the entry link in a company's portal, a token
 * that nobody here asked for, and what a hostile page may try with somebody who is signed in.
 */
import { sign } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { describeInChromium } from './chromium.ts';
import { openScene, type Scene } from './scene.ts';
import { giveCredentials, seeHeading, signedInCookies, signIn, whoIsSignedIn } from './steps.ts';

describeInChromium('links from another site', (people) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await openScene(people);
  });
  afterAll(() => scene.close());

  /** Opens a page of the other site and follows the one link on it. */
  async function followLink(page: Page, target: string): Promise<void> {
    await page.goto(scene.otherSite.addPage('/portal', `<a href="${target}">Sign in to the product</a>`));
    await page.getByRole('link').click();
  }

  /** Like the token of Brand's identity provider, but made for nobody's request. */
  function makeToken(email: string): string {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { exp: Math.floor(Date.now() / 1000) + 300, email };
    const signed = `${part({ typ: 'JWT', alg: 'RS256' })}.${part(claims)}`;
    const signature = sign('RSA-SHA256', Buffer.from(signed), scene.brand.privateKey);
    return `${signed}.${signature.toString('base64url')}`;
  }

  async function expectNobody(page: Page): Promise<void> {
    expect(await whoIsSignedIn(page, scene.gateway)).toBeUndefined();
    expect(await signedInCookies(page, scene.gateway)).toEqual([]);
  }

  it('an entry link goes straight through by OpenID Connect', async () => {
    const page = await people.enter();
    await followLink(page, `${scene.gateway.url}/sso/acme`);
    await giveCredentials(page, 'ada@acme.example');
    await seeHeading(page, 'You are signed in');
    expect(page.url()).toBe(`${scene.gateway.url}/`);
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('ada@acme.example');
  });

  it('an entry link opens in a new tab as well', async () => {
    const page = await people.enter();
    const target = `${scene.gateway.url}/sso/acme?login_hint=alan%40acme.example`;
    await page.goto(
      scene.otherSite.addPage('/tab', `<a href="${target}" target="_blank" rel="noopener">Sign in</a>`),
    );
    const opened = page.context().waitForEvent('page');
    await page.getByRole('link').click();
    const tab = await opened;
    expect(await tab.getByLabel('Work e-mail').inputValue()).toBe('alan@acme.example');
    await giveCredentials(tab, 'alan@acme.example');
    await seeHeading(tab, 'You are signed in');
  });

  it('an entry link by custom JWT names the person and asks; Continue signs in', async () => {
    const page = await people.enter();
    await followLink(page, `${scene.gateway.url}/sso/brand`);
    await giveCredentials(page, 'grace@brand.example');
    await seeHeading(page, /^Continue as grace@brand\.example\?$/);
    expect(page.url()).not.toContain('token=');
    await expectNobody(page);
    await page.getByRole('button', { name: 'Continue' }).click();
    await seeHeading(page, 'You are signed in');
    expect(page.url()).toBe(`${scene.gateway.url}/`);
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('grace@brand.example');
  });

  it('"Use another address" leads to the e-mail page, and the question is over', async () => {
    const page = await people.enter();
    await followLink(page, `${scene.gateway.url}/sso/brand`);
    await giveCredentials(page, 'joan@brand.example');
    await seeHeading(page, /^Continue as joan/);
    const question = page.url();
    await page.getByRole('button', { name: 'Use another address' }).click();
    await seeHeading(page, 'Sign in');
    expect(page.url()).toBe(`${scene.gateway.url}/login`);
    await expectNobody(page);
    expect(await page.context().cookies(scene.gateway.url)).toEqual([]);
    await page.goto(question);
    await seeHeading(page, 'This sign-in has expired or was already used.');
  });

  it('an address that was typed into the address bar by a person needs no question', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/sso/brand`);
    await giveCredentials(page, 'rosa@brand.example');
    await seeHeading(page, 'You are signed in');
  });

  it('asks when the company names another address than was typed', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login`);
    await page.getByLabel('Email address').fill('joan@brand.example');
    await page.keyboard.press('Enter');
    await giveCredentials(page, 'ruth@brand.example');
    await seeHeading(page, /^Continue as ruth@brand\.example\?$/);
    const text = await page.getByRole('main').innerText();
    expect(text).toContain('You typed joan@brand.example; your company says you are ruth@brand.example.');
    await expectNobody(page);
  });

  it('asks after a sign-in that began at the identity provider itself', async () => {
    const page = await people.enter();
    const callback = encodeURIComponent(scene.brand.callbackUrl);
    await followLink(page, `${scene.brand.loginUrl}?callback_url=${callback}`);
    await giveCredentials(page, 'rosa@brand.example');
    await seeHeading(page, /^Continue as rosa/);
    await expectNobody(page);
    await page.getByRole('button', { name: 'Continue' }).click();
    await seeHeading(page, 'You are signed in');
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('rosa@brand.example');
  });

  it("S-03 a link with somebody else's token signs nobody in as them", async () => {
    const page = await people.enter();
    await followLink(page, `${scene.brand.callbackUrl}?token=${makeToken('joan@brand.example')}`);
    await page.getByLabel('Work e-mail').waitFor();
    expect(page.url().startsWith(scene.brand.loginUrl)).toBe(true);
    await expectNobody(page);
    await giveCredentials(page, 'ruth@brand.example');
    await seeHeading(page, /^Continue as ruth/);
    await page.getByRole('button', { name: 'Continue' }).click();
    await seeHeading(page, 'You are signed in');
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('ruth@brand.example');
  });

  it("S-03 a link with somebody else's token leaves a signed-in person who they are", async () => {
    const page = await people.enter();
    await signIn(page, scene.gateway, 'ada@acme.example');
    await followLink(page, `${scene.brand.callbackUrl}?token=${makeToken('joan@brand.example')}`);
    await page.getByLabel('Work e-mail').waitFor();
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('ada@acme.example');
  });

  it.each([
    ['a link that is looked ahead of', '<link rel="prefetch" href="TARGET">'],
    [
      'a speculation rule',
      '<script type="speculationrules">{"prefetch":[{"urls":["TARGET"],"eagerness":"immediate"}]}</script>',
    ],
  ])('S-18 J-38 %s uses nothing up, and the click afterwards works', async (_title, hint) => {
    const page = await people.enter({ watch: 'none' });
    const target = `${scene.gateway.url}/sso/acme`;
    const lookedAhead = scene.gateway.logLines.length;
    const body = `${hint.replace('TARGET', target)}<a href="${target}">Sign in to the product</a>`;
    await page.goto(scene.otherSite.addPage('/ahead', body));
    const isAsked = () =>
      scene.gateway.logLines.slice(lookedAhead).some((line) => line.includes('"/sso/:organization"'));
    while (!isAsked()) await page.waitForTimeout(20);
    expect(await page.context().cookies(scene.gateway.url)).toEqual([]);
    await page.getByRole('link').click();
    await giveCredentials(page, 'alan@acme.example');
    await seeHeading(page, 'You are signed in');
  });
});
