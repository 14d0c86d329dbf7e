/** What holds behind every reverse proxy; a file for each says which. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { decodeJwt } from 'jose';
import { withinASecond } from '../applications/stage.ts';
import { send } from '../attacks/refusal.ts';
import { dial, everythingFrom, requestText } from '../http/raw.ts';
import { proxiedScene, RESOURCE, Traveller, type ProxiedScene } from './proxied-scene.ts';
import { findProxy, type ProxyKind } from './reverse-proxy.ts';

const FORGED = {
  'x-auth-request-user': 'root',
  'x-auth-request-email': 'root@evil.example',
  'x-auth-request-organization': 'evil',
  'x-auth-request-token': 'forged',
  'x-auth-request-access-token': 'forged',
  'x-auth-request-groups': 'admins',
  'x-auth-request-roles': 'admin',
  'x-auth-request-name': 'Root',
  'x-auth-request-preferred-username': 'root',
  'x-auth-user': 'root',
  'x-auth-email': 'root@evil.example',
  'x-auth-uid': 'root',
  x_auth_request_user: 'root',
  'x.auth.request.user': 'root',
};

export function describeProtected(kind: ProxyKind): void {
  const program = findProxy(kind);
  if (program === undefined) {
    process.stderr.write(`Skipped "behind ${kind}": it is not installed.\n`);
    describe.skip(`behind ${kind} (it is not installed)`, () => {
      cases(kind, '');
    });
    return;
  }
  describe(`behind ${kind}`, () => {
    cases(kind, program);
  });
}

function cases(kind: ProxyKind, program: string): void {
  let scene: ProxiedScene;
  let ada: Traveller;
  const adaAtAcme = () => ({ company: scene.acme, email: 'ada@acme.example' });
  const last = () => scene.arrived.at(-1);

  beforeAll(async () => {
    scene = await proxiedScene(kind, program);
  });
  afterAll(() => scene.close());
  beforeEach(async () => {
    ada = new Traveller(scene);
    scene.arrived.length = 0;
    await scene.gateway.sql('DELETE FROM sessions');
  });

  it('nobody goes to sign in, and comes back to the page that was asked for', async () => {
    const page = `http://${scene.api}/documents/7?view=full&page=2&q=a%26b`;
    const shown = await ada.open(page, adaAtAcme());
    expect([shown.status, shown.at]).toEqual([200, page]);
    expect(JSON.parse(shown.body)).toMatchObject({
      email: 'ada@acme.example',
      organization: 'acme',
      authorizations: ['documents:read', 'documents:write'],
    });
    expect(scene.arrived.map(({ url }) => url)).toEqual(['/documents/7?view=full&page=2&q=a%26b']);
  });

  it('the API behind gets identity, token and access token, and no cookie of ours', async () => {
    ada.cookiesOf('api.localhost').set('theme', 'dark');
    ada.cookiesOf('api.localhost').set('zone', 'a=b');
    await ada.open(`http://${scene.api}/`, adaAtAcme());
    const { headers = {} } = last() ?? {};
    expect(headers['x-auth-request-email']).toBe('ada@acme.example');
    expect(headers['x-auth-request-organization']).toBe('acme');
    expect(decodeJwt(String(headers['x-auth-request-token']))).toMatchObject({
      aud: scene.api,
      sub: headers['x-auth-request-user'],
    });
    expect(decodeJwt(String(headers['x-auth-request-access-token']))).toMatchObject({ aud: RESOURCE });
    expect(headers.cookie).not.toContain('gatehouse');
    expect(headers.cookie).toContain('theme=dark');
    expect(headers.cookie).toContain('zone=a=b');
  });

  it.each([
    ['alone', (own: string) => own],
    ['first', (own: string) => `${own}; a=1; b=2`],
    ['last', (own: string) => `a=1; b=2; ${own}`],
    ['between', (own: string) => `a=1; ${own}; b=2`],
    ['with more of them', (own: string) => `__Host-gatehouse-host=z; a=1; ${own}; gatehouse-nonce-1=y; b=2`],
  ])('its cookie does not arrive, wherever it stands: %s', async (_, spelled) => {
    await ada.open(`http://${scene.api}/`, adaAtAcme());
    const [own] = [...ada.cookiesOf('api.localhost')]
      .filter(([name]) => name.includes('host'))
      .map((pair) => pair.join('='));
    const answer = await new Traveller(scene).request(`http://${scene.api}/`, {
      headers: { cookie: spelled(own ?? '') },
    });
    expect(answer.status).toBe(200);
    const cookie = last()?.headers.cookie ?? '';
    expect(cookie).not.toContain('gatehouse');
    expect(cookie.includes('a=1') && cookie.includes('b=2')).toBe(spelled('').includes('a=1'));
  });

  it('forged claims never arrive, with a session and without', async () => {
    await ada.open(`http://${scene.api}/`, adaAtAcme());
    scene.arrived.length = 0;
    expect((await ada.request(`http://${scene.api}/`, { headers: FORGED })).status).toBe(200);
    const { headers = {} } = last() ?? {};
    const claims = Object.entries(headers).filter(([name]) => /^x[-_]auth/i.test(name));
    expect(claims.map(([name]) => name).sort()).toEqual([
      'x-auth-request-access-token',
      'x-auth-request-email',
      'x-auth-request-organization',
      'x-auth-request-token',
      'x-auth-request-user',
    ]);
    expect(JSON.stringify(claims)).not.toMatch(/root|forged|evil|admin/);
    expect(headers).not.toHaveProperty('x.auth.request.user');
    scene.arrived.length = 0;
    const anonymous = await new Traveller(scene).request(`http://${scene.api}/`, { headers: FORGED });
    expect([anonymous.status, scene.arrived]).toEqual([302, []]);
  });

  it('H-02 what a browser says of hosts is not believed', async () => {
    await ada.open(`http://${scene.api}/`, adaAtAcme());
    for (const headers of [
      { 'x-forwarded-host': scene.shop },
      { 'x-forwarded-host': new URL(scene.gateway.url).host, 'x-forwarded-proto': 'https' },
      { forwarded: `host=${scene.shop}` },
    ]) {
      expect((await ada.request(`http://${scene.api}/`, { headers })).status).toBe(200);
      const sent = await new Traveller(scene).open(`http://${scene.api}/there`, adaAtAcme());
      expect(sent.at).toBe(`http://${scene.api}/there`);
    }
  });

  it("one host's cookie is worthless at another, and so is Gatehouse's", async () => {
    const somebody = new Traveller(scene);
    await somebody.open(`http://${scene.shop}/`, { company: scene.rival, email: 'ada@rival.example' });
    await ada.open(`http://${scene.api}/`, adaAtAcme());
    const stolen = [...ada.cookiesOf('api.localhost'), ...ada.cookiesOf('localhost')]
      .map((pair) => pair.join('='))
      .join('; ');
    scene.arrived.length = 0;
    const answer = await new Traveller(scene).request(`http://${scene.shop}/`, {
      headers: { cookie: stolen },
    });
    expect([answer.status, scene.arrived]).toEqual([302, []]);
  });

  it('a host of the same name at another port is another host, whatever a browser calls it', async () => {
    await ada.open(`http://${scene.api}/`, adaAtAcme());
    const cookies = [...ada.cookiesOf('api.localhost')].map((pair) => pair.join('=')).join('; ');
    scene.arrived.length = 0;
    const [, port = ''] = scene.office.split(':');
    for (const host of [scene.office, scene.api, 'api.localhost']) {
      const options = { port: Number(port), headers: { host, cookie: cookies, accept: 'text/html' } };
      const answer = await send(`http://${scene.office}/secret`, options);
      expect([host, answer.status >= 300, scene.arrived]).toEqual([host, true, []]);
    }
  });

  it('a host without a resource gets no access token, not even a word in its place', async () => {
    const email = 'ada@rival.example';
    await ada.open(`http://${scene.shop}/`, { company: scene.rival, email });
    const { headers = {} } = last() ?? {};
    expect(headers['x-auth-request-email']).toBe(email);
    expect(headers['x-auth-request-access-token'] ?? '').toBe('');
    expect(JSON.stringify(headers)).not.toContain('{http');
    expect(headers.host).toBe(scene.shop);
    expect(headers['x-forwarded-proto']).toBe('http');
  });

  it('WebSockets pass, for who is signed in alone', async () => {
    await ada.open(`http://${scene.shop}/`, { company: scene.rival, email: 'ada@rival.example' });
    const cookie = [...ada.cookiesOf('shop.localhost')].map((pair) => pair.join('=')).join('; ');
    const [, port = ''] = scene.shop.split(':');
    const upgrade = (...more: readonly string[]) =>
      requestText(
        ...['GET /live HTTP/1.1', `Host: ${scene.shop}`, 'Connection: Upgrade', 'Upgrade: websocket'],
        ...[
          'Sec-WebSocket-Version: 13',
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
          'Sec-Fetch-Mode: websocket',
          ...more,
        ],
      );
    scene.arrived.length = 0;
    const socket = await dial(Number(port));
    const said = everythingFrom(socket);
    socket.write(upgrade(`Cookie: ${cookie}`));
    expect((await said).toString()).toMatch(/^HTTP\/1\.1 101 [^]*hello$/);
    expect(last()?.headers['x-auth-request-email']).toBe('ada@rival.example');
    scene.arrived.length = 0;
    const stranger = await dial(Number(port));
    const refusal = everythingFrom(stranger);
    stranger.write(upgrade('Cookie: a=b'));
    setTimeout(() => stranger.end(), 500);
    expect((await refusal).toString()).toMatch(/^HTTP\/1\.1 401 /);
    expect(scene.arrived).toEqual([]);
  });

  it('a program with a bad token is refused, not sent to sign in', async () => {
    const headers = { authorization: 'Bearer expired.token.here', accept: 'application/json' };
    const answer = await new Traveller(scene).request(`http://${scene.api}/v1/x`, { headers });
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([
      401,
      'Bearer error="invalid_token"',
    ]);
    expect(scene.arrived).toEqual([]);
  });

  it('several tabs that begin at once all end at their page', async () => {
    const pages = [1, 2, 3].map((page) => `http://${scene.api}/documents/${page}`);
    const starts = await Promise.all(pages.map((page) => new Traveller(scene).request(page)));
    for (const line of starts.flatMap(({ headers }) => headers['set-cookie'] ?? [])) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      ada.cookiesOf('api.localhost').set(name, value);
    }
    for (const [index, { headers }] of starts.entries()) {
      const shown = await ada.open(headers.location ?? '', adaAtAcme());
      expect([shown.status, shown.at]).toEqual([200, pages[index]]);
    }
  });

  it("an application's own cookies are left to it, whatever is in them", async () => {
    await ada.open(`http://${scene.api}/`, adaAtAcme());
    const own = [...ada.cookiesOf('api.localhost')].filter(([name]) => name.includes('host'));
    const ours = ['session', 'host-8081', 'nonce-8082', 'login-a', 'login-b'].map(
      (name) => `gatehouse-${name}=x`,
    );
    const theirs = ['sid=42', 'ref=gatehouse-docs', 'my-gatehouse-pref=1'];
    const cookie = [...ours, ...own.map((pair) => pair.join('=')), ...theirs].join('; ');
    expect((await new Traveller(scene).request(`http://${scene.api}/`, { headers: { cookie } })).status).toBe(
      200,
    );
    const arrived = (last()?.headers.cookie ?? '').split(';').map((pair) => pair.trim());
    expect(arrived.filter((pair) => pair !== '')).toEqual(theirs);
  });

  it('while Gatehouse is away nobody passes, and everybody is told to try again', async () => {
    await ada.open(`http://${scene.api}/`, adaAtAcme());
    await scene.gateway.sql('ALTER TABLE sessions RENAME TO sessions_gone');
    try {
      await scene.gateway.sql('UPDATE hosts SET created_at = created_at');
      await withinASecond(async () => {
        expect((await ada.request(`http://${scene.api}/`)).status).toBeGreaterThanOrEqual(500);
      });
      scene.arrived.length = 0;
      await ada.request(`http://${scene.api}/`);
      expect(scene.arrived).toEqual([]);
    } finally {
      await scene.gateway.sql('ALTER TABLE sessions_gone RENAME TO sessions');
    }
  });

  it('a host for some organizations is closed to others', async () => {
    const shown = await ada.open(`http://${scene.shop}/`, adaAtAcme());
    expect([shown.status, scene.arrived]).toEqual([403, []]);
  });

  it('who is revoked is out within a second', async () => {
    await ada.open(`http://${scene.api}/`, adaAtAcme());
    for (const time of [1, 2, 3]) {
      expect([time, (await ada.request(`http://${scene.api}/`)).status]).toEqual([time, 200]);
    }
    await scene.gateway.sql('DELETE FROM sessions');
    await withinASecond(async () => {
      expect((await ada.request(`http://${scene.api}/`)).status).toBe(302);
    });
  });

  it('other methods and bodies arrive as they were, for who is signed in alone', async () => {
    await ada.open(`http://${scene.shop}/`, { company: scene.rival, email: 'ada@rival.example' });
    const options = { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x'.repeat(100_000) };
    expect((await ada.request(`http://${scene.shop}/orders?x=1`, options)).status).toBe(200);
    expect(last()).toMatchObject({ method: 'POST', url: '/orders?x=1' });
    scene.arrived.length = 0;
    expect((await new Traveller(scene).request(`http://${scene.shop}/orders`, options)).status).toBe(302);
    expect(scene.arrived).toEqual([]);
  });

  it('H-07 no spelling of a path leads around the question', async () => {
    for (const path of [
      '/.gatehouse/../',
      '/.gatehouse/%2e%2e/',
      '//',
      '/;x',
      '/.gatehouse/verify',
      '/auth/verify',
      '/.GATEHOUSE/start',
    ]) {
      await new Traveller(scene).request(`http://${scene.api}${path}`);
    }
    expect(scene.arrived).toEqual([]);
  });

  it('signing out of the host is offered there', async () => {
    await ada.open(`http://${scene.api}/`, adaAtAcme());
    expect((await ada.request(`http://${scene.api}/.gatehouse/sign-out`)).body).toContain(
      'action="/.gatehouse/sign-out"',
    );
    const headers = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/x-www-form-urlencoded' };
    expect(
      (await ada.request(`http://${scene.api}/.gatehouse/sign-out`, { method: 'POST', headers })).status,
    ).toBe(200);
    expect((await ada.request(`http://${scene.api}/`)).status).toBe(302);
  });
}
