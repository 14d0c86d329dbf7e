/** Where a person lands, as Chromium reads the addresses; and the cookies that they carry there. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { freePort } from '../support/test-gateway.ts';
import { startLoopbackServer } from '../../scripts/demo/loopback-server.ts';
import { describeInChromium } from './chromium.ts';
import { openScene, type Scene } from './scene.ts';
import { giveAddress, giveCredentials, seeHeading, signIn, signOut, whoIsSignedIn } from './steps.ts';

const TEN_MINUTES = 600;
const TWELVE_HOURS = 12 * 3600;

/** Cases of what an attacker may put into `return_to`; HOST is a site of theirs. */
const HOSTILE_ADDRESSES: readonly (readonly [id: string, template: string])[] = [
  ['R-01', '//HOST/stolen'],
  ['R-01', '///HOST/stolen'],
  ['R-01', '/\\HOST/stolen'],
  ['R-01', '\\\\HOST/stolen'],
  ['R-02', '/\t/HOST/stolen'],
  ['R-02', ' //HOST/stolen'],
  ['R-02', '\n//HOST/stolen'],
  ['R-03', '/.//HOST/stolen'],
  ['R-03', '/..//HOST/stolen'],
  ['R-04', 'http:HOST/stolen'],
  ['R-04', 'http:/HOST/stolen'],
  ['R-05', 'http://localhost@HOST/stolen'],
  ['R-05', 'http://localhost%2f@HOST/stolen'],
  ['R-05', 'http://HOST#@localhost/stolen'],
  ['R-05', 'http://HOST?@localhost/stolen'],
  ['R-05', 'http://HOST\\@localhost/stolen'],
  ['R-06', 'http://HOST/stolen'],
  ['R-08', 'javascript:location="http://HOST/stolen"'],
  ['R-08', 'JaVaScRiPt:location="http://HOST/stolen"'],
  ['R-08', 'java\nscript:location="http://HOST/stolen"'],
  ['R-08', 'data:text/html,<script>location="http://HOST/stolen"</script>'],
  ['R-09', '/\r\nLocation: http://HOST/stolen'],
];

describeInChromium('after signing in', (people) => {
  let scene: Scene;
  let application: Awaited<ReturnType<typeof startLoopbackServer>>;
  /** What the application was told of where its visitors come from. */
  const referrers: (string | undefined)[] = [];

  beforeAll(async () => {
    application = await startLoopbackServer('127.0.0.1', await freePort());
    application.server.on('request', (request, response) => {
      referrers.push(request.headers.referer);
      response
        .setHeader('content-type', 'text/html')
        .end('<html lang="en"><link rel="icon" href="data:,"><title>App</title><h1>The application</h1>');
    });
    scene = await openScene(people, { env: { RETURN_TO_ORIGINS: application.origin } });
  });
  afterAll(async () => {
    await scene.close();
    await application.close();
  });

  it.each([
    ['from the e-mail page', '/login', 'ada@acme.example'],
    ['from an entry link', '/sso/acme', 'alan@acme.example'],
    ['from the e-mail page by custom JWT', '/login', 'grace@brand.example'],
    ['from an entry link by custom JWT', '/sso/brand', 'joan@brand.example'],
  ])('lands on the page that was asked for, %s', async (_title, path, email) => {
    const { url } = scene.gateway;
    const page = await people.enter();
    await page.goto(`${url}${path}?return_to=${encodeURIComponent('/session?from=a%20link#part')}`);
    if (path === '/login') await giveAddress(page, email);
    await giveCredentials(page, email);
    await page.waitForURL(`${url}/session?from=a%20link#part`);
    expect(await page.locator('body').innerText()).toContain(email);
  });

  it('W-09 lands at an application of the vendor, which learns nothing from the Referer', async () => {
    const page = await people.enter();
    const target = `${application.origin}/orders?month=11`;
    await page.goto(`${scene.gateway.url}/login?return_to=${encodeURIComponent(target)}`);
    await giveAddress(page, 'ada@acme.example');
    await giveCredentials(page, 'ada@acme.example');
    await seeHeading(page, 'The application');
    expect(page.url()).toBe(target);
    for (const referrer of referrers) expect(referrer ?? '').not.toMatch(/[?&](?:token|code|state)=/);
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('ada@acme.example');
  });

  it('R-01 to R-09 never lands elsewhere, however the address is spelled', async () => {
    const { gateway, otherSite } = scene;
    const page = await people.enter();
    await signIn(page, gateway, 'ada@acme.example');
    for (const [id, template] of HOSTILE_ADDRESSES) {
      const target = template.replace('HOST', new URL(otherSite.url).host);
      // Whoever is signed in at the company is back at once.
      await page.goto(`${gateway.url}/sso/acme?return_to=${encodeURIComponent(target)}`);
      await seeHeading(page, 'You are signed in');
      expect({ id, template, landedAt: page.url(), stolen: otherSite.visits }).toEqual({
        id,
        template,
        landedAt: `${gateway.url}/`,
        stolen: [],
      });
    }
    const succeeded = await gateway.sql(`SELECT id FROM audit_events WHERE action = 'login.succeeded'`);
    expect(succeeded.length).toBeGreaterThan(HOSTILE_ADDRESSES.length);
  });

  it('R-10 lands on an address that is as long as one may be', async () => {
    const { url } = scene.gateway;
    const page = await people.enter();
    const target = `/session?filter=${'x'.repeat(1_000)}`;
    await page.goto(`${url}/login?return_to=${encodeURIComponent(target)}`);
    await giveAddress(page, 'ada@acme.example');
    await giveCredentials(page, 'ada@acme.example');
    await page.waitForURL(`${url}${target}`);
  });

  it('R-10 S-05 signs in although seven links asked for an address that grows as it is written', async () => {
    const { url } = scene.gateway;
    const page = await people.enter();
    for (let round = 0; round < 7; round += 1) {
      await page.goto(`${url}/sso/acme?return_to=${encodeURIComponent(`/${'"'.repeat(850)}`)}`);
      await page.getByLabel('Password').waitFor();
    }
    const cookies = await page.context().cookies(url);
    expect(cookies.length).toBeLessThanOrEqual(5);
    expect(cookies.reduce((sum, { name, value }) => sum + name.length + value.length, 0)).toBeLessThan(
      10_000,
    );
    await signIn(page, scene.gateway, 'ada@acme.example');
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('ada@acme.example');
  });

  it('S-05 has an attempt in one cookie that is over with it, and then the session alone', async () => {
    const { gateway } = scene;
    const page = await people.enter();
    const cookies = () => page.context().cookies(gateway.url);
    const nowSeconds = Date.now() / 1000;
    await page.goto(`${gateway.url}/login`);
    expect(await cookies()).toEqual([]);
    await giveAddress(page, 'ada@acme.example');
    await page.getByLabel('Password').waitFor();
    const common = { domain: 'localhost', path: '/', httpOnly: true, secure: false, sameSite: 'Lax' };
    const [attempt, ...others] = await cookies();
    expect(others).toEqual([]);
    expect(attempt).toMatchObject(common);
    expect(attempt?.name).toMatch(/^gatehouse-login-[\w-]{16}$/);
    expect((attempt?.expires ?? 0) - nowSeconds).toBeLessThan(TEN_MINUTES + 60);
    expect(attempt?.value.length).toBeLessThan(2_000);

    await giveCredentials(page, 'ada@acme.example');
    await seeHeading(page, 'You are signed in');
    const [session, ...further] = await cookies();
    expect(further).toEqual([]);
    expect(session).toMatchObject({ ...common, name: 'gatehouse-session' });
    // At least 128 bits that say nothing.
    expect(session?.value).toMatch(/^[\w-]{22,86}$/);
    expect(Math.abs((session?.expires ?? 0) - nowSeconds - TWELVE_HOURS)).toBeLessThan(60);
    expect(await page.evaluate<string>('document.cookie')).toBe('');
    await signOut(page);
    expect(await cookies()).toEqual([]);
  });

  it('S-01 gives the session a new secret at every sign-in, whatever the browser had', async () => {
    const { gateway } = scene;
    const page = await people.enter();
    const planted = 'A'.repeat(43);
    await page.context().addCookies([{ name: 'gatehouse-session', value: planted, url: gateway.url }]);
    const secrets = [planted];
    for (const email of ['rosa@brand.example', 'ada@acme.example']) {
      await signIn(page, gateway, email);
      const cookies = await page.context().cookies(gateway.url);
      expect(cookies).toHaveLength(1);
      secrets.push(cookies[0]?.value ?? '');
    }
    expect(new Set(secrets).size).toBe(3);
  });
});
