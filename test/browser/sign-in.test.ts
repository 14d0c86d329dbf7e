/** The main job in a real browser: both protocols by typing into the real pages, with and without mouse or script. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { DEMO_PASSWORD } from '../../scripts/demo/people.ts';
import { addAnotherWay } from './choice.ts';
import { describeInChromium } from './chromium.ts';
import { openScene, type Scene } from './scene.ts';
import { giveAddress, giveCredentials, seeHeading, signIn, signOut, whoIsSignedIn } from './steps.ts';

describeInChromium('signing in', (people) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await openScene(people);
  });
  afterAll(() => scene.close());

  /** Everything that the back button of this tab could lead to. */
  async function historyOf(page: Page): Promise<readonly string[]> {
    const session = await page.context().newCDPSession(page);
    const { entries } = await session.send('Page.getNavigationHistory');
    return entries.map(({ url }) => url);
  }

  /** As a person presses it: pages kept in memory come back without a request. */
  async function pressBack(page: Page): Promise<void> {
    const shown = page.waitForEvent('framenavigated');
    await page.evaluate('history.back()');
    await shown;
    await page.waitForLoadState();
  }

  it('signs in by OpenID Connect, with the mouse', async () => {
    const { url } = scene.gateway;
    const page = await people.enter();
    await page.goto(url);
    expect(page.url()).toBe(`${url}/login`);
    await giveAddress(page, 'ada@acme.example');
    await page.getByLabel('Password').fill(DEMO_PASSWORD);
    expect(new URL(page.url()).origin).toBe(scene.acme.issuer);
    expect(await page.getByLabel('Work e-mail').inputValue()).toBe('ada@acme.example');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await seeHeading(page, 'You are signed in');
    expect(page.url()).toBe(`${url}/`);
    for (const shown of ['Ada', 'ada@acme.example', 'acme', 'Until']) {
      expect(await page.getByRole('main').getByText(shown, { exact: true }).count()).toBe(1);
    }
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('ada@acme.example');
  });

  it('signs in by custom JWT and out again with the keyboard alone', async () => {
    const { url } = scene.gateway;
    const page = await people.enter();
    const { keyboard } = page;
    const focus = () => page.evaluate<string>('document.activeElement.textContent.trim()');
    await page.goto(`${url}/login`);
    // The field has the focus by itself, though not at once.
    await page.locator('#email:focus').waitFor();
    await keyboard.type('grace@brand.example');
    await keyboard.press('Enter');
    await page.waitForURL(/callback_url=/);
    await page.locator('#email:focus').waitFor();
    await keyboard.type('grace@brand.example');
    await keyboard.press('Tab');
    await keyboard.type(DEMO_PASSWORD);
    await keyboard.press('Enter');
    await seeHeading(page, 'You are signed in');
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('grace@brand.example');
    await keyboard.press('Tab');
    expect(await focus()).toBe('Sign out');
    expect(await page.evaluate<string>('getComputedStyle(document.activeElement).outlineStyle')).toBe(
      'solid',
    );
    await keyboard.press('Enter');
    await page.getByText('You are signed out.').waitFor();
    expect(await whoIsSignedIn(page, scene.gateway)).toBeUndefined();
  });

  it.each(['ada@acme.example', 'joan@brand.example'])('%s needs no JavaScript', async (email) => {
    const page = await people.enter({ javaScriptEnabled: false });
    await signIn(page, scene.gateway, email);
    expect(await whoIsSignedIn(page, scene.gateway)).toBe(email);
    await signOut(page);
    expect(await whoIsSignedIn(page, scene.gateway)).toBeUndefined();
  });

  it.each(['ada@acme.example', 'rosa@brand.example'])(
    'W-09 leaves no token, code or state of %s in address bar, history or Referer',
    async (email) => {
      const { url } = scene.gateway;
      const page = await people.enter();
      const referrers: (string | undefined)[] = [];
      page.on('request', (request) => referrers.push(request.headers()['referer']));
      await signIn(page, scene.gateway, email);
      expect(page.url()).toBe(`${url}/`);
      const history = await historyOf(page);
      expect(history).toContain(`${url}/login`);
      for (const text of [...history, ...referrers]) {
        expect(text ?? '').not.toMatch(/[?&#](?:token|code|state|nonce|id_token|access_token)=|eyJ/);
      }
      // Gatehouse says that people come from it, never from which of its pages.
      const ours = referrers.filter((text) => text?.startsWith(url));
      expect(new Set(ours)).toEqual(new Set([`${url}/`]));
    },
  );

  it('S-10 shows no signed-in page to the back button after signing out', async () => {
    const page = await people.enter();
    await signIn(page, scene.gateway, 'rosa@brand.example');
    await signOut(page);
    await pressBack(page);
    expect(page.url()).toBe(`${scene.gateway.url}/login`);
    expect(await page.content()).not.toContain('rosa@brand.example');
    expect(await page.getByRole('heading', { name: 'Sign in' }).count()).toBe(1);
  });

  it('shows a second tab the way out after signing out in the first', async () => {
    const page = await people.enter();
    await signIn(page, scene.gateway, 'alan@acme.example');
    const second = await page.context().newPage();
    await second.goto(scene.gateway.url);
    await seeHeading(second, 'You are signed in');
    await signOut(page);
    await second.getByRole('button', { name: 'Sign out' }).click();
    await second.getByText('You are signed out.').waitFor();
    expect(await whoIsSignedIn(page, scene.gateway)).toBeUndefined();
  });

  it('is silent for somebody who is still signed in at the company', async () => {
    const page = await people.enter();
    await signIn(page, scene.gateway, 'ada@acme.example');
    await page.context().clearCookies({ domain: 'localhost' });
    await page.goto(scene.gateway.url);
    await giveAddress(page, 'ada@acme.example');
    await seeHeading(page, 'You are signed in');
  });

  it('keeps three people who sign in at once themselves', async () => {
    const emails = ['ada@acme.example', 'alan@acme.example', 'ruth@brand.example'];
    const pages = await Promise.all(emails.map(() => people.enter()));
    await Promise.all(pages.map((page) => page.goto(`${scene.gateway.url}/login`)));
    await Promise.all(pages.map((page, index) => giveAddress(page, emails[index] ?? '')));
    await Promise.all(pages.map((page, index) => giveCredentials(page, emails[index] ?? '')));
    await Promise.all(pages.map((page) => seeHeading(page, 'You are signed in')));
    expect(await Promise.all(pages.map((page) => whoIsSignedIn(page, scene.gateway)))).toEqual(emails);
    for (const [index, page] of pages.entries()) {
      const text = await page.getByRole('main').innerText();
      expect(emails.filter((email) => text.includes(email))).toEqual([emails[index]]);
    }
  });

  it('O-30 S-02 finishes two tabs of one browser, and the later sign-in ends the earlier session', async () => {
    const { gateway } = scene;
    await gateway.sql('DELETE FROM sessions');
    const first = await people.enter();
    const second = await first.context().newPage();
    await first.goto(`${gateway.url}/login`);
    await second.goto(`${gateway.url}/login`);
    await giveAddress(first, 'ada@acme.example');
    await giveAddress(second, 'grace@brand.example');
    await giveCredentials(first, 'ada@acme.example');
    await seeHeading(first, 'You are signed in');
    expect(await whoIsSignedIn(first, gateway)).toBe('ada@acme.example');
    await giveCredentials(second, 'grace@brand.example');
    await seeHeading(second, 'You are signed in');
    expect(await whoIsSignedIn(first, gateway)).toBe('grace@brand.example');
    expect(await gateway.sql('SELECT id FROM sessions')).toHaveLength(1);
  });

  it('accepts an address as people type it: capitals and blanks around it', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login`);
    await giveAddress(page, '  ADA@Acme.Example ');
    await page.getByLabel('Password').waitFor();
    expect(new URL(page.url()).origin).toBe(scene.acme.issuer);
    expect(await page.getByLabel('Work e-mail').inputValue()).toBe('ada@acme.example');
  });

  it('offers a hinted address and asks for nothing until the person continues', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login?login_hint=ada%40acme.example`);
    expect(await page.getByLabel('Email address').inputValue()).toBe('ada@acme.example');
    expect(await page.context().cookies(scene.gateway.url)).toEqual([]);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByLabel('Password').waitFor();
    expect(new URL(page.url()).origin).toBe(scene.acme.issuer);
  });

  it('has a person with several ways choose one, with the keyboard alone or without a script, and signs them in by it', async () => {
    const { url } = scene.gateway;
    await addAnotherWay(scene.gateway, scene.brand.organization);
    for (const javaScriptEnabled of [true, false]) {
      const page = await people.enter({ javaScriptEnabled });
      const { keyboard } = page;
      await page.goto(`${url}/login`);
      await giveAddress(page, 'ruth@brand.example');
      await seeHeading(page, 'How do you want to sign in?');
      expect(page.url()).toBe(`${url}/login`);
      const first = page.getByRole('button').first();
      expect(await first.textContent()).toContain(new URL(scene.brand.loginUrl).host);
      if (javaScriptEnabled) {
        await keyboard.press('Tab');
        expect(await page.evaluate<string>('document.activeElement.textContent')).toBe(
          await first.textContent(),
        );
        await keyboard.press('Enter');
      } else await first.click();
      await giveCredentials(page, 'ruth@brand.example');
      await seeHeading(page, 'You are signed in');
      expect(await whoIsSignedIn(page, scene.gateway)).toBe('ruth@brand.example');
    }
  });
});
