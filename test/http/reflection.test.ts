/**
 * Group W: what somebody else wrote, wherever it comes out again: escaped in pages, encoded in headers, absent from the log.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startOpenIdProvider, type OpenIdProvider } from '../../scripts/demo/openid-provider.ts';
import { send, type Answer } from '../attacks/refusal.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { exchange } from './raw.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from './visitor.ts';

/** In everything hostile that these tests send, so that it is found wherever it comes out. */
const MARK = 'zqx';
const HOSTILE = [
  `<script>alert('${MARK}')</script>`,
  `"><img src=x onerror=alert(${MARK})>`,
  `' onfocus=${MARK} autofocus x='`,
  `</title></style><svg/onload=${MARK}>`,
  `javascript:alert('${MARK}')`,
  `${MARK}\r\nSet-Cookie: ${MARK}=1\r\n\r\n<b>`,
  `${MARK}\u001b[2J\u001b]0;${MARK}\u0007`,
  `${MARK}\u0000\u0008\u007f`,
  `\u202e${MARK}\u2066\u200b\ufeff`,
  `${MARK}\u2028\u2029\u0085`,
  `{"level":"error","msg":"${MARK}"}\n{"level":"error","msg":"${MARK}"}`,
  `\${jndi:ldap://${MARK}.example/a}`,
  `{{7*7}}${MARK}<%= 7*7 %>`,
  `&lt;b&gt;${MARK}&#60;`,
];

/** Markup of ours is known; whatever else opens a tag, or an attribute of a tag, was let in. */
function expectNoMarkup({ body, headers }: Answer): void {
  const tags = body.replaceAll(/<style>[^]*?<\/style>/g, '').replaceAll(/"[^"]*"/g, '""');
  expect(tags).not.toMatch(/<(script|img|svg|b|iframe)\b|<%|<\/style>/i);
  expect(tags).not.toMatch(/<[^>]*\son[a-z]+\s*=/i);
  // What was let in between tags is text; in an attribute it would have ended at its first quote.
  expect(tags).not.toMatch(/<[^>]*['`]/);
  expect(body).not.toMatch(/(href|src|action)="\s*(javascript|data|vbscript):/i);
  expect(JSON.stringify(headers)).not.toMatch(/set-cookie":\s*\["zqx|\bzqx=1/);
}

describe('what somebody else wrote', () => {
  let gateway: TestGateway;
  let acme: Company;
  let provider: OpenIdProvider;
  let oidcCallback: string;

  beforeAll(async () => {
    gateway = await startTestGateway();
    acme = await addCompany(gateway, 'acme');
    const other = await gateway.addOrganization('other');
    provider = await startOpenIdProvider({
      companyName: 'Other',
      people: [],
      client: { id: 'gatehouse', secret: 'a client secret', redirectUris: [] },
    });
    oidcCallback = `/sso/oidc/${(await gateway.addOidc(other, { discoveryUrl: provider.issuer })).id}/callback`;
  });
  afterAll(async () => {
    await provider.close();
    await gateway.close();
  });

  const BOTH = ['text/html', 'application/json'];
  const encoded = (text: string) => encodeURIComponent(text).replaceAll("'", '%27');

  it.each(HOSTILE)('W-01 W-03 H-13 is harmless in every part of a request: %j', async (text) => {
    const value = encoded(text);
    const paths = [
      `/login?login_hint=${value}&return_to=${value}&signed_out=${value}&${value}=${value}`,
      `/login?return_to=/${value}&login_hint=a`,
      `/login?return_to=/?a=${text.replaceAll(/[^!-~]|[&#]/g, '')}`,
      `/sso/${value}?return_to=${value}&login_hint=${value}`,
      `/sso/acme?return_to=/${value}&login_hint=${value}`,
      `/sso/oidc/${value}/callback?code=${value}&state=${value}&error=${value}`,
      `${acme.callbackPath}?token=${value}&error=${value}`,
      `/v3/api/user/sso/${value}/authenticate?token=a.b.c`,
      `/login/confirm?attempt=${value}`,
      `/auth/verify?redirect=true&return_to=${value}`,
      `/nowhere/${value}?${value}`,
    ];
    for (const accept of BOTH) {
      for (const path of paths) {
        const answer = await send(`${gateway.url}${path}`, { headers: { accept } });
        expect(answer.status).toBeLessThan(500);
        expectNoMarkup(answer);
        if (accept === 'application/json' && answer.status >= 400) expect(answer.body).not.toContain(MARK);
        const { location = '' } = answer.headers;
        expect(location).toMatch(/^[\x21-\x7e]*$/);
      }
      const form = new URLSearchParams({ email: text, return_to: text, state: text, decision: text });
      for (const path of ['/login', '/login/confirm']) {
        const answer = await send(`${gateway.url}${path}`, {
          method: 'POST',
          headers: {
            accept,
            'content-type': 'application/x-www-form-urlencoded',
            'sec-fetch-site': 'same-origin',
          },
          body: form.toString(),
        });
        expect([400, 404]).toContain(answer.status);
        expectNoMarkup(answer);
      }
    }
  });

  it.each(HOSTILE)('W-01 is harmless in what a header says: %j', async (text) => {
    const value = Buffer.from(text.replaceAll(/[\r\n\0]/g, ' '))
      .toString('latin1')
      .replaceAll(/[^\x20-\x7e\x80-\xff]/g, '.');
    const names = [
      'User-Agent',
      'Referer',
      'Origin',
      'Accept-Language',
      'X-Forwarded-Host',
      'X-Forwarded-For',
      'Cookie',
      'Accept',
      'Authorization',
      'X-Request-Id',
      'Traceparent',
    ];
    const lines = names.map((name) => `${name}: ${value}`).join('\r\n');
    for (const path of ['/login', '/nowhere', '/sso/nobody', '/session', '/auth/verify?redirect=true']) {
      const [answer] = await exchange(
        gateway.port,
        Buffer.from(
          `GET ${path} HTTP/1.1\r\nHost: ${MARK}.example\r\n${lines}\r\nConnection: close\r\n\r\n`,
          'latin1',
        ),
      );
      expect(answer?.status).toBeLessThan(500);
      expect(`${answer?.head ?? ''}${answer?.body ?? ''}`).not.toContain(MARK);
    }
  });

  it.each(HOSTILE)('W-01 W-02 is harmless in what a provider says: %j', async (text) => {
    for (const accept of BOTH) {
      for (const error of ['access_denied', encoded(text)]) {
        const visitor = new Visitor(gateway);
        const started = await visitor.send('/sso/other', { headers: FROM_OUR_PAGE });
        const state = new URL(started.headers.location ?? '').searchParams.get('state') ?? '';
        const query = `state=${state}&error=${error}&error_description=${encoded(text)}&error_uri=${encoded(text)}`;
        const answer = await visitor.send(`${oidcCallback}?${query}`, { headers: { accept } });
        expect([400, 401, 403, 502]).toContain(answer.status);
        expect(answer.body).not.toContain(MARK);
      }
    }
  });

  it.each(HOSTILE.filter((text) => !text.includes('\0')))(
    'W-01 is harmless as the name of a person and of an organization: %j',
    async (text) => {
      await gateway.sql('UPDATE organizations SET name = $1', [text]);
      await gateway.sql('UPDATE users SET name = $1', [text]);
      const visitor = new Visitor(gateway);
      await visitor.signIn(acme, 'ada@acme.example');
      expectNoMarkup(await visitor.send('/', { headers: FROM_OUR_PAGE }));
      const session = await visitor.send('/session', { headers: { accept: 'text/html' } });
      expect(session.headers['content-type']).toBe('application/json; charset=utf-8');
      expect(JSON.parse(session.body)).toMatchObject({ user: { name: text }, organization: { name: text } });
      const verified = await visitor.send('/auth/verify');
      expect(verified.status).toBe(200);
      expect(JSON.stringify(verified.headers)).not.toContain(MARK);

      const asked = new Visitor(gateway);
      await asked.send('/sso/acme', { headers: { 'sec-fetch-site': 'cross-site', accept: 'text/html' } });
      const { location = '' } = (await asked.comeBack(acme, 'ada@acme.example')).headers;
      expect(location).toMatch(/^\/login\/confirm\?attempt=[\w-]+$/);
      const page = await asked.send(location, { headers: FROM_OUR_PAGE });
      expect(page.status).toBe(200);
      expectNoMarkup(page);
    },
  );

  it('W-09 of a token is in nothing that follows it', async () => {
    const visitor = new Visitor(gateway);
    await visitor.start('ada@acme.example', '/after');
    const token = acme.token('ada@acme.example');
    const answer = await visitor.send(`${acme.callbackPath}?token=${token}`, { headers: FROM_OUR_PAGE });
    expect([answer.status, answer.headers.location, answer.body]).toEqual([303, '/after', '']);
    expect(answer.headers['referrer-policy']).toMatch(/^(strict-origin|no-referrer)$/);
    expect(answer.headers['cache-control']).toBe('no-store');
    const again = await visitor.send(`${acme.callbackPath}?token=${token}`, { headers: FROM_OUR_PAGE });
    expect(again.status).toBe(400);
    expect(JSON.stringify(again)).not.toContain(token.slice(0, 40));
  });

  it('W-07 W-09 is in no line of the log, whose lines are short and are JSON', () => {
    expect(gateway.logLines.length).toBeGreaterThan(500);
    for (const line of gateway.logLines) {
      expect(line.endsWith('\n') && line.indexOf('\n') === line.length - 1).toBe(true);
      expect(line.slice(0, -1)).not.toMatch(/\p{Cc}|\u2028|\u2029|\u202e/u);
      expect(line.length).toBeLessThan(4_096);
      expect(line).not.toContain(MARK);
      expect(line).not.toMatch(/[?&](token|state|code)=|ada@|Cookie|Mozilla/i);
      expect(typeof JSON.parse(line)).toBe('object');
    }
  });

  it('W-07 is in the audit trail without controls, and short', async () => {
    const rows = await gateway.sql<{ text: string }>(
      `SELECT concat_ws('|', action, code, reason, reference, email, actor) AS text FROM audit_events`,
    );
    expect(rows.length).toBeGreaterThan(200);
    for (const { text } of rows) {
      expect(text.length).toBeLessThan(1_024);
      expect(text).not.toMatch(/\p{Cc}|\u202e|\u2028|<script|jndi/u);
    }
  });
});
