/** How an application proves who it is: secrets, two of them during a rotation, and assertions with a key. */
import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SignJWT, UnsecuredJWT } from 'jose';
import { findApplication } from '../../src/applications/application-store.ts';
import type { Browser } from '../../scripts/demo/browser.ts';
import { CommandLine } from '../cli/command-line.ts';
import { exchange as exchangeBytes, requestText } from '../http/raw.ts';
import {
  basic,
  codeFor,
  exchange,
  post,
  refusalsOf,
  signedIn,
  type Answer,
  type Parameters,
} from './relying-party.ts';
import { APP_SECRET, REDIRECT_URI, startScene, type Scene } from './scene.ts';

let scene: Scene;
let ada: Browser;
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pemOf = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();
beforeAll(async () => {
  scene = await startScene();
  scene.gateway.neverLogged(APP_SECRET);
  await scene.addApp('app');
  await scene.addApp('public', { isPublic: true });
  await scene.addApp('keyed', { publicKey: pemOf(publicKey) });
  ada = await signedIn(scene);
});
afterAll(() => scene.close());

/** A code that is good, so that nothing but the proof is wrong. */
const redeem = async (clientId: string, parameters: Parameters, headers = {}) =>
  exchange(scene, await codeFor(scene, ada, { client_id: clientId }), parameters, headers);

function expectRefused({ status, body, headers }: Answer): void {
  expect({ status, error: body['error'] }).toEqual({ status: 401, error: 'invalid_client' });
  expect(headers.get('cache-control')).toBe('no-store');
  expect(JSON.stringify(body)).not.toMatch(/secret|signature|jti|exp\b/i);
}

describe('secrets', () => {
  it('by Basic and in the body are the same', async () => {
    expect((await redeem('app', {}, basic())).status).toBe(200);
    const inBody = { client_id: 'app', client_secret: APP_SECRET };
    expect((await redeem('app', inBody)).status).toBe(200);
  });

  it.each(['wrong', `${APP_SECRET} `, APP_SECRET.toUpperCase(), 'is not kept here', 'x'.repeat(5_000)])(
    'P-08 a wrong secret: %p',
    async (secret) => {
      const code = await codeFor(scene, ada);
      const answers: Answer[] = [];
      const refusals = await refusalsOf(scene, async () => {
        answers.push(await exchange(scene, code, {}, basic('app', secret)));
        answers.push(await exchange(scene, code, { client_id: 'app', client_secret: secret }, {}));
      });
      answers.forEach(expectRefused);
      expect(answers[0]?.headers.get('www-authenticate')).toMatch(/^Basic /);
      expect(refusals.map(({ code: reason, client_id: id }) => [reason, id])).toEqual([
        ['oauth:invalid_client', 'app'],
        ['oauth:invalid_client', 'app'],
      ]);
      expect((await exchange(scene, code)).status).toBe(200);
    },
  );

  it('P-08 none at all, of an application that has one', async () => {
    expectRefused(await redeem('app', { client_id: 'app' }));
  });

  it('P-08 one, of an application that has none', async () => {
    expectRefused(await redeem('public', {}, basic('public')));
    expectRefused(await redeem('keyed', {}, basic('keyed')));
  });

  it.each(['absent', 'APP', "app'--", '__proto__', 'x'.repeat(3_000)])(
    'P-08 an application that there is not: %p',
    async (clientId) => {
      expectRefused(await redeem('app', {}, basic(clientId)));
    },
  );

  // Cases.md has 401 for it; RFC 6749 section 5.2 names this very case under `invalid_request`.
  it('P-08 both Basic and in the body', async () => {
    const { status, body } = await redeem('app', { client_id: 'app', client_secret: APP_SECRET }, basic());
    expect([`${status} ${String(body['error'])}`]).toEqual([
      expect.stringMatching(/^(400 invalid_request|401 invalid_client)$/),
    ]);
  });

  it('P-08 Basic for one application, the body for another', async () => {
    const { status, body } = await redeem('app', { client_id: 'public' }, basic());
    expect({ status, error: body['error'] }).toEqual({ status: 400, error: 'invalid_request' });
  });

  it.each(['Basic', 'Basic !', 'Basic YXBw', 'Basic OnNlY3JldA==', 'Bearer x', 'Digest x'])(
    'P-08 a header that is none: %p',
    async (authorization) => {
      const { status } = await redeem('app', {}, { authorization });
      expect([400, 401]).toContain(status);
    },
  );

  it('with characters that mean something are good, by Basic and in the body', async () => {
    const secret = 'a b+c%20d:e&f=g?h/i"j~k<l>m@n,o;p';
    scene.gateway.neverLogged(secret);
    await scene.addApp('a.b_c~d-e', { secret });
    const byBasic = await redeem('a.b_c~d-e', {}, basic('a.b_c~d-e', secret));
    const inBody = await redeem('a.b_c~d-e', { client_id: 'a.b_c~d-e', client_secret: secret });
    expect([byBasic.status, inBody.status]).toEqual([200, 200]);
  });

  it('P-08 guesses are slowed down', async () => {
    const limited = await startScene({ env: { RATE_LIMITS: 'on' } });
    await limited.addApp('app');
    const form = { grant_type: 'authorization_code', code: 'x', redirect_uri: REDIRECT_URI };
    const statuses = new Set<number>();
    for (let guesses = 0; guesses < 300 && !statuses.has(429); guesses += 20) {
      const some = Array.from({ length: 20 }, (_, index) => basic('app', `guess ${guesses + index}`));
      const answers = await Promise.all(some.map((headers) => post(limited, 'token', form, headers)));
      for (const { status } of answers) statuses.add(status);
    }
    await limited.close();
    expect([...statuses].sort()).toEqual([401, 429]);
  });
});

describe('a secret that takes the place of another', () => {
  it('is good beside it, until the old one is retired', async () => {
    const { gateway } = scene;
    await scene.addApp('rotating');
    const cli = new CommandLine({
      DATABASE_URL: gateway.databaseUrl,
      PUBLIC_URL: gateway.url,
      SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
    });
    const works = async (secret: string) => {
      const { status } = await redeem('rotating', {}, basic('rotating', secret));
      return status === 200;
    };
    const fresh = 'another secret, as long as it has to be';
    const newest = 'a third secret, as long as it has to be';
    gateway.neverLogged(fresh, newest);
    const update = (...options: string[]) =>
      cli.json<{ secrets: unknown[] }>(['app', 'update', 'rotating', ...options], { stdin: `${fresh}\n` });

    expect((await update('--secret-file', '-')).secrets).toHaveLength(2);
    expect([await works(APP_SECRET), await works(fresh)]).toEqual([true, true]);
    expect((await update('--retire-old-secret')).secrets).toHaveLength(1);
    expect([await works(APP_SECRET), await works(fresh)]).toEqual([false, true]);
    await cli.json(['app', 'update', 'rotating', '--secret-file', '-'], { stdin: newest });
    await cli.json(['app', 'update', 'rotating', '--secret-file', '-'], { stdin: APP_SECRET });
    expect([await works(APP_SECRET), await works(newest), await works(fresh)]).toEqual([true, true, false]);
    expect((await findApplication(gateway.database, 'rotating'))?.sealedSecrets).toHaveLength(2);
  });
});

describe('private_key_jwt', () => {
  const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
  const endpoint = () => `${scene.gateway.url}/oidc/token`;
  const good = () => ({ iss: 'keyed', sub: 'keyed', aud: endpoint(), jti: randomUUID() });
  const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;
  const sign = (claims: Record<string, unknown>, { key = privateKey, exp = inSeconds(60) } = {}) =>
    new SignJWT({ exp, ...claims }).setProtectedHeader({ alg: 'ES256' }).sign(key);
  const redeemWith = (assertion: string, more: Parameters = {}) =>
    redeem('keyed', { client_assertion_type: ASSERTION, client_assertion: assertion, ...more });

  it('a good assertion, for the endpoint or for the issuer', async () => {
    for (const aud of [endpoint(), `${scene.gateway.url}/oidc`]) {
      expect((await redeemWith(await sign({ ...good(), aud }))).status).toBe(200);
    }
  });

  it('P-08 an assertion that was used', async () => {
    const assertion = await sign(good());
    scene.gateway.neverLogged(assertion);
    expect((await redeemWith(assertion)).status).toBe(200);
    expectRefused(await redeemWith(assertion));
  });

  it('P-08 one in 10 requests at once is used once', async () => {
    const assertion = await sign(good());
    const codes: string[] = [];
    while (codes.length < 10) codes.push(await codeFor(scene, ada, { client_id: 'keyed' }));
    const proof = { client_assertion_type: ASSERTION, client_assertion: assertion };
    const answers = await Promise.all(codes.map((code) => exchange(scene, code, proof, {})));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    answers.filter(({ status }) => status !== 200).forEach(expectRefused);
  });

  it.each<[string, () => Record<string, unknown>]>([
    ['another audience', () => ({ aud: 'https://evil.example' })],
    ['no audience', () => ({ aud: undefined })],
    ['the token endpoint elsewhere', () => ({ aud: 'https://evil.example/oidc/token' })],
    ['another issuer', () => ({ iss: 'app' })],
    ['no jti', () => ({ jti: undefined })],
    ['over', () => ({ exp: inSeconds(-120) })],
    ['no end', () => ({ exp: undefined })],
    ['not good yet', () => ({ nbf: inSeconds(600) })],
  ])('P-08 %s', async (_what, change) => {
    expectRefused(await redeemWith(await sign({ ...good(), ...change() })));
  });

  it('P-08 the key of somebody else', async () => {
    const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expectRefused(await redeemWith(await sign(good(), { key })));
  });

  it('P-08 alg none, and HS256 with the public key', async () => {
    const none = new UnsecuredJWT({ ...good(), exp: inSeconds(60) }).encode();
    expectRefused(await redeemWith(none));
    const secret = new TextEncoder().encode(pemOf(publicKey));
    const confused = new SignJWT({ ...good(), exp: inSeconds(60) }).setProtectedHeader({ alg: 'HS256' });
    expectRefused(await redeemWith(await confused.sign(secret)));
  });

  it('P-08 of another application: its assertion is not for this code, nor for this client_id', async () => {
    await scene.addApp('keyed2', { publicKey: pemOf(publicKey) });
    const assertion = await sign({ ...good(), iss: 'keyed2', sub: 'keyed2' });
    expect((await redeemWith(assertion)).body).toMatchObject({ error: 'invalid_grant' });
    const other = await sign({ ...good(), iss: 'keyed2', sub: 'keyed2' });
    expect((await redeemWith(other, { client_id: 'keyed' })).status).toBe(400);
  });

  it('P-08 for an audience that only the request itself names', async () => {
    // What an application signed for another server, whose name comes as the Host here.
    const assertion = await sign({ ...good(), aud: 'http://evil.example/oidc/token' });
    const body = new URLSearchParams({
      grant_type: 'authorization_code',
      code: await codeFor(scene, ada, { client_id: 'keyed' }),
      redirect_uri: REDIRECT_URI,
      client_assertion_type: ASSERTION,
      client_assertion: assertion,
    }).toString();
    for (const target of ['/oidc/token', 'http://evil.example/oidc/token']) {
      const head = requestText(
        `POST ${target} HTTP/1.1`,
        'Host: evil.example',
        'Content-Type: application/x-www-form-urlencoded',
        `Content-Length: ${body.length}`,
      );
      const [answer] = await exchangeBytes(scene.gateway.port, head + body);
      const { error } = JSON.parse(answer?.body ?? '{}') as { error?: string };
      expect({ target, error }).toEqual({ target, error: 'invalid_client' });
    }
  });

  it('refreshes, revokes and introspects too', async () => {
    const proof = async () => ({ client_assertion_type: ASSERTION, client_assertion: await sign(good()) });
    const tokens = await exchange(
      scene,
      await codeFor(scene, ada, { client_id: 'keyed' }),
      await proof(),
      {},
    );
    const token = String(tokens.body['refresh_token']);
    const refreshed = await post(
      scene,
      'token',
      { grant_type: 'refresh_token', refresh_token: token, ...(await proof()) },
      {},
    );
    expect(refreshed.status).toBe(200);
    const access = String(refreshed.body['access_token']);
    const seen = await post(scene, 'token/introspection', { token: access, ...(await proof()) });
    expect(seen.body).toMatchObject({ active: true });
    const form = { token: access, ...(await proof()) };
    expect((await post(scene, 'token/revocation', form)).status).toBe(200);
    const gone = await post(scene, 'token/introspection', { token: access, ...(await proof()) });
    expect(gone.body).toEqual({ active: false });
  });
});
