/** Applications behind a reverse proxy, in a real browser: one sign-in, a cookie of each host's own, and the way out. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { registerHost } from '../hosts/guest.ts';
import { findProxy, startReverseProxy, type ReverseProxy } from '../proxies/reverse-proxy.ts';
import { startLoopbackServer } from '../../scripts/demo/loopback-server.ts';
import { freePort } from '../support/test-gateway.ts';
import { describeInChromium } from './chromium.ts';
import { openScene, type Scene } from './scene.ts';
import { giveAddress, giveCredentials, seeHeading, signOut } from './steps.ts';

const kind = findProxy('caddy') === undefined ? 'nginx' : 'caddy';
const program = findProxy(kind);

if (program === undefined) {
  describe.skip('behind a reverse proxy (none is installed)', () => {
    it.todo('signs in');
  });
} else {
  describeInChromium('behind a reverse proxy', (people) => {
    let scene: Scene;
    let application: Awaited<ReturnType<typeof startLoopbackServer>>;
    let proxy: ReverseProxy;
    let wiki: string;
    let shop: string;

    beforeAll(async () => {
      application = await startLoopbackServer('127.0.0.1', 0);
      application.server.on('request', ({ url, headers }, response) => {
        const who = String(headers['x-auth-request-email']);
        response
          .setHeader('content-type', 'text/html')
          .end(
            `<html lang="en"><link rel="icon" href="data:,"><title>App</title><h1>${who} at ${String(url)}</h1>`,
          );
      });
      scene = await openScene(people, { env: { TRUST_PROXY: '127.0.0.0/8' } });
      const port = await freePort();
      [wiki, shop] = [`wiki.localhost:${port}`, `shop.localhost:${port}`];
      const appPort = Number(new URL(application.origin).port);
      for (const host of [wiki, shop]) await registerHost(scene.gateway, host);
      proxy = await startReverseProxy(kind, program, {
        gatewayPort: scene.gateway.port,
        hosts: [wiki, shop].map((host) => ({ host, appPort })),
      });
    });
    afterAll(async () => {
      await proxy.close();
      await scene.close();
      await application.close();
    });

    it('signs in once, and opens every host with a cookie that is its own', async () => {
      const page = await people.enter();
      await page.goto(`http://${wiki}/pages/7?a=b%20c`);
      await giveAddress(page, 'ada@acme.example');
      await giveCredentials(page, 'ada@acme.example');
      await seeHeading(page, 'ada@acme.example at /pages/7?a=b%20c');
      expect(page.url()).toBe(`http://${wiki}/pages/7?a=b%20c`);
      await page.goto(`http://${shop}/`);
      await seeHeading(page, 'ada@acme.example at /');
      const cookies = (await page.context().cookies()).filter(({ domain }) => domain !== '127.0.0.1');
      const held = cookies.map(({ name, domain, httpOnly, sameSite, path }) => ({
        name,
        domain,
        httpOnly,
        sameSite,
        path,
      }));
      const safe = { httpOnly: true, sameSite: 'Lax', path: '/' };
      const suffix = wiki.split(':')[1] ?? '';
      expect(held).toHaveLength(3);
      expect(held).toEqual(
        expect.arrayContaining([
          { name: 'gatehouse-session', domain: 'localhost', ...safe },
          { name: `gatehouse-host-${suffix}`, domain: 'wiki.localhost', ...safe },
          { name: `gatehouse-host-${suffix}`, domain: 'shop.localhost', ...safe },
        ]),
      );
    });

    it('signs out of one host alone', async () => {
      const page = await people.enter();
      await page.goto(`http://${wiki}/`);
      await giveAddress(page, 'ada@acme.example');
      await giveCredentials(page, 'ada@acme.example');
      await seeHeading(page, 'ada@acme.example at /');
      await page.goto(`http://${wiki}/.gatehouse/sign-out`);
      await page.getByRole('button', { name: 'Sign out' }).click();
      await seeHeading(page, `You are signed out of ${wiki}`);
      await page.getByRole('link', { name: 'Sign in again' }).click();
      await seeHeading(page, 'ada@acme.example at /');
      await page.goto(`${scene.gateway.url}/`);
      await signOut(page);
      await page.goto(`http://${wiki}/`);
      await page.waitForURL(/\/login\?return_to=/);
    });
  });
}
