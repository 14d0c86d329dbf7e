/**
 * Group E once more, by every way that an address comes in: typed, as a hint, vouched for by each kind of connection, by a command and
 * in a file. What one of them refuses, all refuse; what one of them takes for the same account, all do.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { rsaKeyPair } from '../support/test-gateway.ts';
import {
  ID_TOKEN_TYPE,
  idTokenOptions,
  OPAQUE_TYPE,
  startBackEnd,
  startIssuer,
  startTokenScene,
  APP,
  type BackEnd,
  type Issuer,
  type TokenScene,
} from '../tokens/token-scene.ts';
import { startOpenIdStub, type OpenIdStub } from './openid-stub.ts';
import { customJwt, problemOf, Visitor } from './visitor.ts';

const keys = rsaKeyPair();

let scene: TokenScene;
let provider: OpenIdStub;
let issuer: Issuer;
let backEnd: BackEnd;
let subjects = 0;

beforeAll(async () => {
  [scene, provider, issuer, backEnd] = await Promise.all([
    startTokenScene(),
    startOpenIdStub(),
    startIssuer(),
    startBackEnd(),
  ]);
  const { gateway } = scene;
  // Everybody of a proved domain would become a user, so that whatever gets through is seen.
  await gateway.sql(`UPDATE organizations SET provisioning = 'just-in-time'`);
  await scene.addConnection(idTokenOptions(issuer));
  await scene.addConnection([
    ...['opaque-token', '--verify-url', `${backEnd.origin}/verify?token={token}`, '--application', APP],
    ...['--map', 'subject=id', '--map', 'email=email', '--create-users', '--link-existing'],
  ]);
  const oidc = await gateway.addOrganization('oidc', { provisioning: 'just-in-time' });
  await gateway.addOidc(oidc, { discoveryUrl: provider.issuer });
  const jwt = await gateway.addOrganization('jwt', { provisioning: 'just-in-time' });
  await gateway.addJwtCallback(jwt, { publicKey: keys.publicKey });
});
afterAll(async () => {
  await Promise.all([provider.close(), issuer.close(), backEnd.close()]);
  await scene.close();
});

const visitor = () => new Visitor(scene.gateway.port);

/** How each way in answers an address: 200 or 303, or the code of the refusal. */
const WAYS: Readonly<Record<string, { readonly domain: string; come(email: unknown): Promise<string> }>> = {
  'by OpenID Connect': {
    domain: 'oidc.example',
    async come(email) {
      const person = visitor();
      provider.person = { sub: `subject-${++subjects}`, email: email as string };
      const answer = await person.request(await person.startAtOpenId('somebody@oidc.example'));
      return answer.status === 303 ? 'in' : (problemOf(answer).code ?? '');
    },
  },
  'by a custom JWT': {
    domain: 'jwt.example',
    async come(email) {
      const person = visitor();
      const callback = await person.startWithJwt('somebody@jwt.example', keys.privateKey);
      callback.searchParams.set('token', customJwt(keys.privateKey, email as string));
      const answer = await person.request(callback);
      // Another address than was typed is asked about before it is signed in.
      return answer.status === 303 ? 'in' : (problemOf(answer).code ?? '');
    },
  },
  'by an ID token': {
    domain: 'acme.example',
    async come(email) {
      const sub = `subject-${++subjects}`;
      const subject_token = await issuer.idToken({ sub, email });
      const answer = await scene.exchange({
        subject_token,
        subject_token_type: ID_TOKEN_TYPE,
        external_id: sub,
      });
      return answer.status === 200 ? 'in' : String(answer.body['code']);
    },
  },
  'by an opaque token': {
    domain: 'acme.example',
    async come(email) {
      const id = `subject-${++subjects}`;
      backEnd.says({ id, email });
      const subject_token = `opaque-token-${id}`;
      const answer = await scene.exchange({ subject_token, subject_token_type: OPAQUE_TYPE });
      return answer.status === 200 ? 'in' : String(answer.body['code']);
    },
  },
  typed: {
    domain: 'oidc.example',
    async come(email) {
      const answer = await visitor().typeAddress(email as string);
      return answer.status === 200 ? 'in' : (problemOf(answer).code ?? '');
    },
  },
  'as a hint': {
    domain: 'oidc.example',
    async come(email) {
      const query = new URLSearchParams({ login_hint: email as string });
      const answer = await visitor().request(`/sso/oidc?${query.toString()}`);
      const to = new URL(answer.headers.get('location') ?? '');
      return to.searchParams.has('login_hint') ? 'in' : 'ignored';
    },
  },
  'by a command': {
    domain: 'acme.example',
    async come(email) {
      const { status } = await scene.command.run(['user', 'add', 'acme', '--', email as string]);
      return status === 0 ? 'in' : 'refused';
    },
  },
};

/** What no way in may take, with the ids of the cases; `@D` is the domain of the way. */
const BAD: readonly (readonly [id: string, email: unknown])[] = [
  ...[null, '', 7, true, ['ada@D'], { email: 'ada@D' }].map((email) => ['E-01', email] as const),
  ...['D', 'a@evil.example@D', '@D', 'ada@'].map((email) => ['E-02', email] as const),
  ['E-03', '"ada@evil.example"@D'],
  ...['<ada@D>', 'Ada <ada@D>', 'ada(x)@D', 'ada@D,b@D', 'ada@D;b@D'].map(
    (email) => ['E-04', email] as const,
  ),
  ...['ada\u0000@D', 'ada\r\n@D', 'a\tda@D', 'ada@D\n', 'ada\u0085@D'].map(
    (email) => ['E-05', email] as const,
  ),
  ...[' ada@D', 'ada@D ', 'a da@D', 'ada\u00a0@D'].map((email) => ['E-06', email] as const),
  ['E-07', '=?utf-8?q?ada?=@D'],
  ...['ada%evil.example@D', 'evil.example!ada@D', '@evil.example:ada@D'].map(
    (email) => ['E-08', email] as const,
  ),
  ...['ada@[127.0.0.1]', 'ada@127.0.0.1', 'ada@localhost', 'ada@single'].map(
    (email) => ['E-09', email] as const,
  ),
  ...['a\u200bda@D', 'ada@\u202eD', 'ada\u00ad@D'].map((email) => ['E-10', email] as const),
  ['E-11', 'ad\ud800a@D'],
  ['E-16', 'ada@\u0430D'],
  ...['adm\u0130n@D', 'adm\u0131n@D', '\u212aelvin@D', '\u017fam@D', '\ufb01@D'].map(
    (email) => ['E-12', email] as const,
  ),
  ...['\u00e9ve@D', 'e\u0301ve@D'].map((email) => ['E-13', email] as const),
  ...['a@evilD', 'a@D.evil.example', 'a@sub.D'].map((email) => ['E-20', email] as const),
  ...['ada@D.', 'ada@.D', 'ada@a_b.D', `ada@${'a'.repeat(64)}.D`].map((email) => ['E-19', email] as const),
  ...['ada@\uff41.D', 'ada\uff20D'].map((email) => ['E-18', email] as const),
  ['E-21', `${'a'.repeat(65)}@D`],
  ['E-22', '<img src=x onerror=alert(1)>@D'],
];

const at = (domain: string, email: unknown): unknown =>
  JSON.parse(JSON.stringify(email).replaceAll('D', domain)) as unknown;

/** Addresses at domains of others. */
const GUESTS: ReadonlySet<string> = new Set(['E-16', 'E-20']);
const IN_WORDS = ['as a hint', 'by a command'];

/** Whether it can come so, and must not. */
function comesBy(name: string, id: string, email: unknown): boolean {
  // A back end that has no address of somebody names them by the subject alone.
  if (name === 'by an opaque token' && (email === null || email === '')) return false;
  // Who types a thing types a text; operators may add guests of other domains, and a connection may not vouch for them.
  return !IN_WORDS.includes(name) || (typeof email === 'string' && !GUESTS.has(id));
}

const accounts = async () =>
  (await scene.gateway.sql('SELECT email FROM users ORDER BY email')).map(({ email }) => email);

describe('a bad address', () => {
  it.each(Object.keys(WAYS))(
    'E-01 to E-13 E-16 E-18 to E-22 is nobody, and makes nobody, %s',
    async (name) => {
      const way = WAYS[name];
      if (way === undefined) throw new Error('no such way');
      const before = await accounts();
      for (const [id, email] of BAD.filter(([one, text]) => comesBy(name, one, text))) {
        const answer = await way.come(at(way.domain, email));
        expect({ id, email, answer }).toEqual({ id, email, answer: expect.not.stringMatching(/^in$/) });
      }
      expect(await accounts()).toEqual(before);
    },
  );
});

it('E-02 to E-13 E-18 E-19 E-21 E-22 is nobody, and makes nobody, in a file', async () => {
  const before = await accounts();
  const texts = BAD.filter(([id, email]) => typeof email === 'string' && email !== '' && !GUESTS.has(id));
  const rows = texts.map(([, email]) => `"${String(at('acme.example', email)).replaceAll('"', '""')}",x`);
  const { status, stdout } = await scene.command.run(['user', 'import', 'acme', '-', '--json'], {
    stdin: `email,name\n${rows.join('\n')}\n`,
  });
  expect(status).toBe(1);
  const report = JSON.parse(stdout) as { rows: number; added: number; refused: unknown[] };
  expect({ ...report, refused: report.refused.length }).toMatchObject({
    ...{ rows: texts.length, added: 0, refused: texts.length },
  });
  expect(await accounts()).toEqual(before);
});

describe('one account', () => {
  const vouched = ['by OpenID Connect', 'by an ID token', 'by an opaque token'] as const;
  it.each(vouched)('E-14 E-15 E-24 %s: capitals are the same, tags and dots are others', async (name) => {
    const way = WAYS[name];
    if (way === undefined) throw new Error('no such way');
    const { domain } = way;
    const local = `p${vouched.indexOf(name)}`;
    const all = [local, `${local}+tag`, `${local}.x`, `__proto__${local}`, `constructor${local}`];
    for (const each of all) expect(await way.come(`${each}@${domain}`)).toBe('in');
    // Another subject with the same address is a conflict, so it was found to be the same.
    expect(await way.come(`${local.toUpperCase()}@${domain.toUpperCase()}`)).toBe('email_not_allowed');
    const made = (await accounts()).filter((email) => String(email).includes(local));
    expect([...made].sort()).toEqual(all.map((each) => `${each}@${domain}`).sort());
  });
});
