/** S-04: each of our cookies is good for one thing. Whatever is put in another's place is as good as nothing. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startOpenIdProvider, type OpenIdProvider } from '../../scripts/demo/openid-provider.ts';
import { expectRefusal, send } from '../attacks/refusal.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';

const FROM_ELSEWHERE = { accept: 'text/html', 'sec-fetch-site': 'cross-site' };
const NOT_SIGNED_IN = { status: 401, code: 'not_signed_in', isRecorded: false } as const;
const EXPIRED = { status: 400, code: 'login_expired' } as const;

describe('our cookies', () => {
  let gateway: TestGateway;
  let acme: Company;
  let provider: OpenIdProvider;
  let oidcCallback: string;
  /** Everything of ours that has ever been in a cookie or might be taken for one. */
  const values: Record<string, string> = {};
  const names: Record<string, string> = {};
  const ids = { waiting: '', fresh: '', oidc: '' };
  let oidcState = '';

  beforeAll(async () => {
    gateway = await startTestGateway();
    acme = await addCompany(gateway, 'acme');
    const other = await gateway.addOrganization('other');
    provider = await startOpenIdProvider({
      companyName: 'Other',
      people: [],
      client: { id: 'gatehouse', secret: 'a client secret', redirectUris: [] },
    });
    const oidc = await gateway.addOidc(other, { discoveryUrl: provider.issuer });
    oidcCallback = `/sso/oidc/${oidc.id}/callback`;
    await collect();
  });
  afterAll(async () => {
    await provider.close();
    await gateway.close();
  });

  /** A session, an attempt that waits for a yes, one that was just started, and one at an OpenID Provider. */
  async function collect(): Promise<void> {
    const person = new Visitor(gateway);
    await person.signIn(acme, 'ada@acme.example');
    keep('session', person, 'session');

    const waiting = new Visitor(gateway);
    await waiting.send('/sso/acme', { headers: FROM_ELSEWHERE });
    const asked = await waiting.comeBack(acme, 'ada@acme.example');
    ids.waiting = new URL(asked.headers.location ?? '', gateway.url).searchParams.get('attempt') ?? '';
    keep('waiting attempt', waiting, 'login-');
    keep('confirmation', waiting, 'confirm-');

    const fresh = new Visitor(gateway);
    await fresh.start('ada@acme.example');
    keep('fresh attempt', fresh, 'login-');
    ids.fresh = names['fresh attempt']?.split('login-')[1] ?? '';

    const away = new Visitor(gateway);
    const started = await away.send('/sso/other', { headers: FROM_OUR_PAGE });
    oidcState = new URL(started.headers.location ?? '').searchParams.get('state') ?? '';
    keep('attempt at a provider', away, 'login-');
    ids.oidc = names['attempt at a provider']?.split('login-')[1] ?? '';

    const [row] = await gateway.sql<{ id: string; digest: string; sealed: string }>(
      `SELECT s.id, encode(s.secret_digest, 'base64') AS digest,
              (SELECT sealed_secret FROM connections WHERE sealed_secret IS NOT NULL) AS sealed
       FROM sessions s`,
    );
    values['id of the session'] = row?.id ?? '';
    values['digest of the session'] = (row?.digest ?? '')
      .replaceAll('+', '-')
      .replaceAll('/', '_')
      .replace('=', '');
    values['sealed client secret'] = row?.sealed ?? '';
    values['state'] = oidcState;
    values['id of an attempt'] = ids.fresh;
  }

  function keep(what: string, visitor: Visitor, part: string): void {
    const { name, value } = visitor.cookie(part);
    names[what] = name;
    values[what] = value;
    gateway.neverLogged(value);
  }

  const nameOf = (what: string) => names[what] ?? '';
  const valueOf = (what: string) => values[what] ?? '';
  const jar = (...pairs: readonly (readonly [name: string, value: string])[]) =>
    pairs.map(([name, value]) => `${name}=${value}`).join('; ');

  const OTHERS = [
    ...['session', 'waiting attempt', 'confirmation', 'fresh attempt', 'attempt at a provider'],
    ...['id of the session', 'digest of the session', 'sealed client secret', 'state', 'id of an attempt'],
  ];
  const othersThan = (what: string) => OTHERS.filter((other) => other !== what);

  const look = (cookie: string) => send(`${gateway.url}/session`, { headers: { cookie } });
  const sayYes = (cookie: string, state: string) =>
    send(`${gateway.url}/login/confirm`, {
      method: 'POST',
      headers: {
        cookie,
        'sec-fetch-site': 'same-origin',
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams({ state, decision: 'allow' }).toString(),
    });
  const comeBack = (cookie: string) =>
    send(`${gateway.url}${oidcCallback}?code=x&state=${oidcState}`, { headers: { cookie } });

  it('(are what these tests take them for)', async () => {
    for (const what of OTHERS)
      expect({ what, length: valueOf(what).length }).toEqual({ what, length: expect.any(Number) });
    expect(OTHERS.every((what) => valueOf(what).length > 10)).toBe(true);
    expect(new Set(Object.values(values)).size).toBe(OTHERS.length);
    expect((await look(jar([nameOf('session'), valueOf('session')]))).status).toBe(200);
  });

  it.each(othersThan('session'))('the %s is no session', async (other) => {
    await expectRefusal(gateway, () => look(jar([nameOf('session'), valueOf(other)])), NOT_SIGNED_IN);
  });

  it.each(othersThan('confirmation'))('the %s is no confirmation', async (other) => {
    const cookie = jar(
      [nameOf('waiting attempt'), valueOf('waiting attempt')],
      [nameOf('confirmation'), valueOf(other)],
    );
    await expectRefusal(gateway, () => sayYes(cookie, ids.waiting), EXPIRED);
  });

  it.each(othersThan('waiting attempt'))('the %s is not the attempt that waits', async (other) => {
    const cookie = jar(
      [nameOf('waiting attempt'), valueOf(other)],
      [nameOf('confirmation'), valueOf('confirmation')],
    );
    await expectRefusal(gateway, () => sayYes(cookie, ids.waiting), EXPIRED);
  });

  it.each(othersThan('attempt at a provider'))('the %s is not the attempt at a provider', async (other) => {
    const cookie = jar([nameOf('attempt at a provider'), valueOf(other)]);
    await expectRefusal(gateway, () => comeBack(cookie), EXPIRED);
  });

  it.each(['fresh attempt', 'attempt at a provider'])(
    'the confirmation of one attempt is none of the %s',
    async (other) => {
      const id = other === 'fresh attempt' ? ids.fresh : ids.oidc;
      const cookie = jar(
        [nameOf(other), valueOf(other)],
        [nameOf('waiting attempt'), valueOf('waiting attempt')],
        [nameOf('confirmation').replace(ids.waiting, id), valueOf('confirmation')],
      );
      await expectRefusal(gateway, () => sayYes(cookie, id), EXPIRED);
    },
  );

  it('an attempt under the name of another is neither', async () => {
    const cookie = jar(
      [nameOf('waiting attempt'), valueOf('attempt at a provider')],
      [nameOf('attempt at a provider'), valueOf('waiting attempt')],
      [nameOf('confirmation'), valueOf('confirmation')],
    );
    await expectRefusal(gateway, () => comeBack(cookie), EXPIRED);
    await expectRefusal(gateway, () => sayYes(cookie, ids.waiting), EXPIRED);
    await expectRefusal(gateway, () => sayYes(cookie, ids.oidc), EXPIRED);
  });

  it.each([
    ['', 'no name'],
    ['__proto__', 'a member of every object'],
    ['%00', 'a NUL'],
    ['*', 'a wildcard'],
  ])('an answer for the attempt %j waits for nobody', async (state) => {
    const cookie = jar(
      [nameOf('waiting attempt'), valueOf('waiting attempt')],
      [nameOf('confirmation'), valueOf('confirmation')],
    );
    await expectRefusal(gateway, () => sayYes(cookie, state), EXPIRED);
  });

  it('sealed with the key of another gateway, none is any good', async () => {
    const stranger = await startTestGateway({ env: { SECRET_KEY: Buffer.alloc(32, 9).toString('base64') } });
    const foreign = await addCompany(stranger, 'acme');
    const visitor = new Visitor(stranger);
    await visitor.send('/sso/acme', { headers: FROM_ELSEWHERE });
    await visitor.comeBack(foreign, 'ada@acme.example');
    const cookie = jar(...visitor.cookies);
    const id = visitor.cookie('login-').name.split('login-')[1] ?? '';
    await expectRefusal(gateway, () => sayYes(cookie, id), EXPIRED);
    await stranger.close();
  });

  it('and in their own places all of them work', async () => {
    const cookie = jar(
      [nameOf('waiting attempt'), valueOf('waiting attempt')],
      [nameOf('confirmation'), valueOf('confirmation')],
    );
    expect((await sayYes(cookie, ids.waiting)).status).toBe(303);
    const away = await comeBack(jar([nameOf('attempt at a provider'), valueOf('attempt at a provider')]));
    // The provider knows no such code, but the attempt was found.
    expect(JSON.parse(away.body)).toMatchObject({ code: expect.not.stringMatching('login_expired') });
  });
});
