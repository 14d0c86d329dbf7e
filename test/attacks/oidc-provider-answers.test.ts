/** Answers of a provider's endpoints that are none: each is refused, and the operator reads which endpoint it was and why. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { addOidcConnection } from '../../src/connections/register-connection.ts';
import { Refusal } from '../../src/errors.ts';
import { startEvilProvider, type Answering, type Bends } from './evil-provider.ts';
import { CLIENT_ID, CLIENT_SECRET, openScene, registrationParts, type Scene } from './oidc-scene.ts';

const PROVIDER = { status: 502, code: 'identity_provider_error' } as const;
const INVALID = { status: 401, code: 'token_invalid' } as const;
const AMBIGUOUS = 'is not a JSON object, or an ambiguous one';
const CHALLENGE = { 'www-authenticate': 'Basic realm="provider"' };

const json =
  (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Answering =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
  };
const token = (instead: Answering): Bends => ({ instead: { token: instead } });
const tokens = (changes: Readonly<Record<string, unknown>>): Bends => ({
  tokens: (good) => ({ ...good, ...changes }),
});
/** Userinfo is asked only where the ID token has no address. */
const userinfo = (bend: Bends): Bends => ({
  claims: ({ email: _email, email_verified: _verified, ...rest }) => rest,
  ...bend,
});
/** With a byte order mark. */
const marked = (good: unknown) => `\ufeff${JSON.stringify(good)}`;
/** With one of its members once more, in front. */
const repeating = (name: string, value: string) => (good: unknown) =>
  JSON.stringify(good).replace('{', `{${JSON.stringify({ [name]: value }).slice(1, -1)},`);

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterEach(() => {
  scene.provider.straighten();
});
afterAll(() => scene.close());

async function refusesWithReason(bend: Bends, reason: string, expected: typeof PROVIDER | typeof INVALID) {
  const { event } = await scene.refuses(bend, expected);
  expect(event?.reason).toBe(reason);
}

describe('the token endpoint', () => {
  it.each<readonly [string, Bends, string]>([
    [
      'O-25 an error with status 200',
      { tokens: () => ({ error: 'server_error' }) },
      'answered with status 200 and an error',
    ],
    [
      'O-25 an error beside the tokens',
      tokens({ error: 'invalid_grant' }),
      'answered with status 200 and an error',
    ],
    ['O-25 status 500', token(json(500, '{"error":"server_error"}')), 'answered with status 500'],
    ['O-25 status 503', token(json(503, '')), 'answered with status 503'],
    ['O-25 status 400 without an error', token(json(400, '{}')), 'answered with status 400'],
    ['O-25 status 401 without an error', token(json(401, '', CHALLENGE)), 'answered with status 401'],
    [
      'O-25 tokens as text/html',
      { types: { token: 'text/html; charset=utf-8' } },
      'answered with text/html; charset=utf-8 instead of JSON',
    ],
    [
      'O-25 tokens as text/plain',
      { types: { token: 'text/plain' } },
      'answered with text/plain instead of JSON',
    ],
    [
      'O-25 tokens as application/jsonp',
      { types: { token: 'application/jsonp' } },
      'answered with application/jsonp instead of JSON',
    ],
    ['O-25 tokens of no type', { types: { token: '' } }, 'answered with no content type instead of JSON'],
    [
      'O-25 a wrong client secret',
      token(json(401, '{"error":"invalid_client"}', CHALLENGE)),
      'answered invalid_client',
    ],
    ['O-25 no ID token', { tokens: ({ id_token: _none, ...rest }) => rest }, 'sent no id_token'],
    ['O-25 an ID token that is null', tokens({ id_token: null }), 'sent no id_token'],
    ['O-25 no access token', { tokens: ({ access_token: _none, ...rest }) => rest }, 'sent no access_token'],
    ['O-25 an access token that is a number', tokens({ access_token: 1 }), 'sent no access_token'],
  ])('%s is refused, and the operator knows it', async (_what, bend, reason) => {
    await refusesWithReason(bend, `the token endpoint ${reason}`, PROVIDER);
  });

  it.each<readonly [string, Bends]>([
    ['F-18 a byte order mark', { tokens: marked }],
    ['F-18 the ID token twice', { tokens: repeating('id_token', 'a.b.c') }],
    ['F-18 the access token twice', { tokens: repeating('access_token', 'a') }],
    ['O-25 an array', { tokens: (good) => [good] }],
    ['X-13 half of the answer', { tokens: (good) => JSON.stringify(good).slice(0, -10) }],
  ])('%s is ambiguous or no object', async (_what, bend) => {
    await refusesWithReason(bend, `the answer of the token endpoint ${AMBIGUOUS}`, PROVIDER);
  });

  it.each<readonly [string, Bends]>([
    ['mac', tokens({ token_type: 'mac' })],
    ['DPoP', tokens({ token_type: 'DPoP' })],
    ['null', tokens({ token_type: null })],
    ['a number', tokens({ token_type: 1 })],
    ['empty', tokens({ token_type: '' })],
    ['a list', tokens({ token_type: ['Bearer'] })],
    ['missing', { tokens: ({ token_type: _none, ...rest }) => rest }],
  ])('O-25 a token type that is %s is not Bearer', async (_what, bend) => {
    await refusesWithReason(bend, 'the token type is not Bearer', PROVIDER);
  });

  it('O-06 a code that it does not take is a failed sign-in, whatever challenge comes along', async () => {
    const bend = token(json(401, '{"error":"invalid_grant"}', CHALLENGE));
    await refusesWithReason(bend, 'the token endpoint answered invalid_grant', INVALID);
  });

  it.each<readonly [string, Bends]>([
    ['application/json;charset=utf-8', { types: { token: 'application/json;charset=utf-8' } }],
    ['Application/JSON', { types: { token: 'Application/JSON' } }],
    ['the token type BEARER', tokens({ token_type: 'BEARER' })],
    ['the token type bearer', tokens({ token_type: 'bearer' })],
    ['members that nobody knows', tokens({ scope: 'openid', not_before_policy: 0 })],
  ])('%s is as good', async (_what, bend) => {
    await scene.admits(bend);
  });
});

describe('userinfo', () => {
  it.each<readonly [string, Bends, string]>([
    ['O-20 status 500', { instead: { userinfo: json(500, '{}') } }, 'userinfo answered with status 500'],
    [
      'O-20 status 401 with a challenge',
      {
        instead: {
          userinfo: json(401, '{"error":"invalid_token"}', {
            'www-authenticate': 'Bearer error="invalid_token"',
          }),
        },
      },
      'userinfo answered with status 401',
    ],
    [
      'O-20 text/html',
      { types: { userinfo: 'text/html' } },
      'userinfo answered with text/html instead of JSON',
    ],
    [
      'O-20 a signed answer that nobody asked for',
      { types: { userinfo: 'application/jwt' }, userinfo: () => 'a.b.c' },
      'userinfo answered with application/jwt instead of JSON',
    ],
    [
      'F-18 the address twice',
      { userinfo: repeating('email', 'other@acme.example') },
      `the answer of userinfo ${AMBIGUOUS}`,
    ],
    ['F-18 a byte order mark', { userinfo: marked }, `the answer of userinfo ${AMBIGUOUS}`],
    ['O-20 an array', { userinfo: (good) => [good] }, `the answer of userinfo ${AMBIGUOUS}`],
  ])('%s is refused, and the operator knows it', async (_what, bend, reason) => {
    await refusesWithReason(userinfo(bend), reason, PROVIDER);
  });

  it('application/json;charset=utf-8 is as good', async () => {
    await scene.admits(userinfo({ types: { userinfo: 'application/json;charset=utf-8' } }));
  });
});

describe('discovery', () => {
  /** Registers a provider that answers so; why that was refused. */
  async function registrationRefusal(bend: Bends): Promise<unknown> {
    const provider = await startEvilProvider();
    provider.bend = bend;
    const organization = await scene.gateway.addOrganization(`registration${(count += 1)}`);
    const registration = { discoveryUrl: provider.issuer, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET };
    try {
      return await addOidcConnection(registrationParts(scene.gateway), organization, registration).catch(
        (error: unknown) => error,
      );
    } finally {
      await provider.close();
    }
  }
  let count = 0;

  it.each<readonly [string, Bends, string]>([
    [
      'F-18 as text/html',
      { types: { discovery: 'text/html' } },
      'discovery answered with text/html instead of JSON',
    ],
    [
      'F-18 of no type',
      { types: { discovery: '' } },
      'discovery answered with no content type instead of JSON',
    ],
    ['with status 404', { instead: { discovery: json(404, '{}') } }, 'discovery answered with status 404'],
    ['F-18 with a byte order mark', { discovery: marked }, `the answer of discovery ${AMBIGUOUS}`],
    [
      'F-18 with two issuers',
      { discovery: repeating('issuer', 'https://idp.example') },
      `the answer of discovery ${AMBIGUOUS}`,
    ],
  ])('%s is refused where the connection is added', async (_what, bend, reason) => {
    const refusal = await registrationRefusal(bend);
    expect(refusal).toBeInstanceOf(Refusal);
    expect((refusal as Refusal).message).toBe(`The provider cannot be used: ${reason}.`);
  });
});
