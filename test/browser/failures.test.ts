/** What a person reads when it does not work, and how they get on from there. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { newestEventId } from '../support/test-database.ts';
import { describeInChromium } from './chromium.ts';
import { openScene, type Scene } from './scene.ts';
import { giveAddress, giveCredentials, seeHeading, signedInCookies, signIn, whoIsSignedIn } from './steps.ts';

interface Failure {
  readonly code: string;
  readonly reference: string;
  readonly email: string | null;
  readonly organization: string | null;
}

const REFERENCE = /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/;
const OVER = 'This sign-in has expired or was already used.';

describeInChromium('a sign-in that fails', (people) => {
  let scene: Scene;
  let aheadMs = 0;
  let before = '0';
  beforeAll(async () => {
    scene = await openScene(people, { now: () => Date.now() + aheadMs });
  });
  beforeEach(async () => {
    before = await newestEventId(scene.gateway.sql);
  });
  afterEach(() => {
    aheadMs = 0;
  });
  afterAll(() => scene.close());

  function failures(): Promise<Failure[]> {
    return scene.gateway.sql<Failure & Record<string, unknown>>(
      `SELECT a.code, a.reference, a.email, o.slug AS organization
       FROM audit_events a LEFT JOIN organizations o ON o.id = a.organization_id
       WHERE a.action = 'login.failed' AND a.id > $1 ORDER BY a.id`,
      [before],
    );
  }

  /** The page shows the reference of the one event of this kind, and nobody is signed in. */
  async function expectRefusal(page: Page, code: string): Promise<Failure> {
    const reference = await page.getByRole('main').locator('code').innerText();
    expect(reference).toMatch(REFERENCE);
    const [event, ...others] = await failures();
    expect(others).toEqual([]);
    expect(event).toMatchObject({ code, reference });
    expect(await signedInCookies(page, scene.gateway)).toEqual([]);
    expect(await whoIsSignedIn(page, scene.gateway)).toBeUndefined();
    if (event === undefined) throw new Error('there is no event');
    return event;
  }

  it('D-07 says at the field that no company has the address, and keeps what was typed', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login?return_to=%2Fsession`);
    await giveAddress(page, 'ada@elsewhere.example');
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.innerText()).toContain("We don't know a company for this address.");
    const field = page.getByLabel('Email address');
    expect(await field.inputValue()).toBe('ada@elsewhere.example');
    expect(await field.getAttribute('aria-invalid')).toBe('true');
    const describedBy = await field.getAttribute('aria-describedby');
    expect(await page.locator(`#${describedBy ?? ''}`).innerText()).toContain('Check the spelling');
    expect(await page.evaluate<string>('document.activeElement.id')).toBe('email');
    const event = await expectRefusal(page, 'unknown_domain');
    expect(event.organization).toBeNull();
    expect(await page.title()).toMatch(/^We don't know a company for this address/);
    // The right address goes on from here, to where the person was going.
    await giveAddress(page, 'ada@acme.example');
    await giveCredentials(page, 'ada@acme.example');
    await page.waitForURL(`${scene.gateway.url}/session`);
  });

  it('E-09 says that half an address is none, where the browser lets it through', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login`);
    await giveAddress(page, 'ada@acme');
    await page.getByText("This isn't an e-mail address.").waitFor();
    expect(await page.getByLabel('Email address').inputValue()).toBe('ada@acme');
    await expectRefusal(page, 'malformed_request');
  });

  it.each(['', 'ada', 'ada@'])('the browser itself does not send "%s"', async (text) => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login`);
    await giveAddress(page, text);
    expect(await page.locator('input:invalid').count()).toBe(1);
    expect(page.url()).toBe(`${scene.gateway.url}/login`);
    expect(await failures()).toEqual([]);
  });

  it('tells a person whose account is not set up, with the reference that the audit trail has', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login`);
    await giveAddress(page, 'nobody@acme.example');
    await giveCredentials(page, 'nobody@acme.example');
    await seeHeading(page, 'Your account has not been set up yet.');
    const event = await expectRefusal(page, 'user_not_provisioned');
    expect(event).toMatchObject({ email: 'nobody@acme.example', organization: 'acme' });
    expect(await scene.gateway.sql(`SELECT id FROM users WHERE email LIKE 'nobody@%'`)).toEqual([]);
    await page.getByRole('link', { name: 'Use another address' }).click();
    await giveAddress(page, 'ada@acme.example');
    await giveCredentials(page, 'ada@acme.example');
    await seeHeading(page, 'You are signed in');
  });

  it('tells the same by custom JWT', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login`);
    await giveAddress(page, 'nobody@brand.example');
    await giveCredentials(page, 'nobody@brand.example');
    await seeHeading(page, 'Your account has not been set up yet.');
    const event = await expectRefusal(page, 'user_not_provisioned');
    expect(event).toMatchObject({ email: 'nobody@brand.example', organization: 'brand' });
  });

  it('O-26 a callback that nobody started offers to start', async () => {
    const page = await people.enter();
    const { id } = scene.acme.connection;
    await page.goto(`${scene.gateway.url}/sso/oidc/${id}/callback?code=a-made-up-code&state=a-made-up-state`);
    await seeHeading(page, OVER);
    await expectRefusal(page, 'login_expired');
    await page.getByRole('link', { name: 'Start again' }).click();
    await giveAddress(page, 'ada@acme.example');
    await giveCredentials(page, 'ada@acme.example');
    await seeHeading(page, 'You are signed in');
  });

  it.each([
    ['connection', () => `/sso/oidc/${randomUUID()}/callback?code=made-up&state=made-up`, OVER],
    ['organization', () => '/sso/nowhere', "We don't know this company."],
    ['page', () => '/nowhere', 'There is nothing here.'],
  ])('an unknown %s gets a page with a way on', async (_title, path, heading) => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}${path()}`);
    await seeHeading(page, heading);
    await page.getByRole('link', { name: 'Start again' }).click();
    await seeHeading(page, 'Sign in');
  });

  it('a person who comes back after a quarter of an hour can start again', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login`);
    await giveAddress(page, 'alan@acme.example');
    await page.getByLabel('Password').waitFor();
    aheadMs = 15 * 60 * 1000;
    await giveCredentials(page, 'alan@acme.example');
    await seeHeading(page, OVER);
    await expectRefusal(page, 'login_expired');
    aheadMs = 0;
    await page.getByRole('link', { name: 'Start again' }).click();
    await giveAddress(page, 'alan@acme.example');
    await seeHeading(page, 'You are signed in');
  });

  it.each([
    ['O-02', 'ada@acme.example', '/callback?', 'login_expired'],
    ['J-27', 'grace@brand.example', '/authenticate?', 'token_replayed'],
  ])('%s a callback of %s that is opened once more changes nothing', async (_id, email, part, code) => {
    const page = await people.enter();
    const callback = page.waitForRequest((request) => request.url().includes(part));
    await signIn(page, scene.gateway, email);
    await page.goto((await callback).url());
    await seeHeading(page, OVER);
    expect(await failures()).toMatchObject([{ code }]);
    await page.getByRole('link', { name: 'Continue' }).click();
    await seeHeading(page, 'You are signed in');
    expect(await whoIsSignedIn(page, scene.gateway)).toBe(email);
  });

  it('O-07 W-01 W-02 shows nothing of what the provider wrote about its refusal', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login`);
    const asked = page.waitForRequest((request) => request.url().startsWith(`${scene.acme.issuer}/auth?`));
    await giveAddress(page, 'ada@acme.example');
    const { searchParams } = new URL((await asked).url());
    const callback = new URL(searchParams.get('redirect_uri') ?? '');
    callback.search = new URLSearchParams({
      error: 'access_denied',
      error_description: '<script>document.title="hacked"</script>Your account is locked, call +1 555 0100',
      state: searchParams.get('state') ?? '',
      iss: scene.acme.issuer,
    }).toString();
    await page.goto(callback.href);
    await seeHeading(page, 'The sign-in was cancelled, or refused by your company.');
    expect(await page.content()).not.toMatch(/hacked|locked|555/);
    await expectRefusal(page, 'access_denied');
    expect(await page.getByRole('link', { name: 'Start again' }).count()).toBe(1);
  });
});
