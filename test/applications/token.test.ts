/** What the token endpoint gives for a code or a refresh token, and to whom; and what an access token is good for. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser } from '../../scripts/demo/browser.ts';
import {
  authorize,
  basic,
  codeFor,
  exchange,
  NO_PKCE,
  PKCE,
  post,
  read,
  refresh,
  signedIn,
  tokensFor,
  userInfo,
  VERIFIER,
  type Answer,
  type Parameters,
} from './relying-party.ts';
import { REDIRECT_URI, startScene, type Scene } from './scene.ts';

const API = 'https://api.vendor.example';
const ELSEWHERE = 'https://app.vendor.example/other';

let scene: Scene;
let ada: Browser;
beforeAll(async () => {
  scene = await startScene();
  await scene.addApp('app', { resources: [API], redirectUris: [REDIRECT_URI, ELSEWHERE] });
  await scene.addApp('other');
  await scene.addApp('public', { isPublic: true });
  await scene.addApp('elliptic', { resources: [API], signingAlgorithm: 'ES256' });
  ada = await signedIn(scene);
});
afterAll(() => scene.close());

function expectError({ status, headers, body }: Answer, error: string, expectedStatus = 400): void {
  expect({ status, error: body['error'] }).toEqual({ status: expectedStatus, error });
  expect(headers.get('content-type')).toMatch(/^application\/json/);
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('set-cookie')).toBeNull();
  // What only an operator is to know stays in the trail.
  const known = ['error', 'error_description', 'scope'];
  expect(Object.keys(body).filter((name) => !known.includes(name))).toEqual([]);
}

const NOBODY = { client_id: 'public' };

describe('PKCE at the token endpoint', () => {
  it.each<[string, Parameters]>([
    ['no verifier', { code_verifier: undefined }],
    ['a wrong verifier', { code_verifier: `${VERIFIER}x` }],
    ['the challenge itself', { code_verifier: PKCE.code_challenge }],
  ])('P-03 %s, of a public and of a confidential application', async (_what, parameters) => {
    const ofPublic = await codeFor(scene, ada, { client_id: 'public' });
    expectError(await exchange(scene, ofPublic, { ...NOBODY, ...parameters }, {}), 'invalid_grant');
    expectError(await exchange(scene, await codeFor(scene, ada), parameters), 'invalid_grant');
  });

  it.each(['short', 'x'.repeat(129), `${VERIFIER} `])('P-03 no verifier at all: %p', async (verifier) => {
    const answer = await exchange(scene, await codeFor(scene, ada), { code_verifier: verifier });
    expect(answer.body['error']).toMatch(/^invalid_(grant|request)$/);
    expect(answer.status).toBe(400);
  });

  it('P-03 a verifier where there was no challenge', async () => {
    const answer = await authorize(scene, ada, NO_PKCE);
    // Refused here, or at the token endpoint: what must not be is a downgrade.
    if (answer['code'] === undefined) expect(answer).toMatchObject({ error: 'invalid_request' });
    else expectError(await exchange(scene, answer['code']), 'invalid_grant');
  });

  it('P-03 the right verifier: tokens', async () => {
    const code = await codeFor(scene, ada, { client_id: 'public' });
    const { status, body } = await exchange(scene, code, NOBODY, {});
    expect({ status, type: body['token_type'] }).toEqual({ status: 200, type: 'Bearer' });
  });
});

describe('a code', () => {
  it.each([0, 30])('P-04 that is used again %p seconds later ends what it gave', async (seconds) => {
    const code = await codeFor(scene, ada);
    const { body: tokens } = await exchange(scene, code);
    await scene.gateway.sql(
      `UPDATE grant_tokens SET consumed_at = consumed_at - make_interval(secs => $1)
       WHERE consumed_at IS NOT NULL`,
      [seconds],
    );
    expect((await userInfo(scene, String(tokens['access_token']))).status).toBe(200);
    expectError(await exchange(scene, code), 'invalid_grant');
    expectError(await refresh(scene, String(tokens['refresh_token'])), 'invalid_grant');
    expect((await userInfo(scene, String(tokens['access_token']))).status).toBe(401);
  });

  it('P-04 that is used again ends nothing else', async () => {
    const others = await tokensFor(scene, ada);
    const code = await codeFor(scene, ada);
    await exchange(scene, code);
    expectError(await exchange(scene, code), 'invalid_grant');
    expect((await userInfo(scene, others.access_token)).status).toBe(200);
  });

  it('P-06 is of no use to another application, and stays what it is', async () => {
    const code = await codeFor(scene, ada);
    expectError(await exchange(scene, code, {}, basic('other')), 'invalid_grant');
    expectError(await exchange(scene, code, NOBODY, {}), 'invalid_grant');
    expect((await exchange(scene, code)).status).toBe(200);
  });

  it.each<[string, Parameters]>([
    ['another that is registered', { redirect_uri: ELSEWHERE }],
    ['one that is not', { redirect_uri: 'https://evil.example' }],
    ['a longer one', { redirect_uri: `${REDIRECT_URI}/` }],
  ])('P-07 with another redirect URI: %s', async (_what, parameters) => {
    expectError(await exchange(scene, await codeFor(scene, ada), parameters), 'invalid_grant');
  });

  it('P-07 with none', async () => {
    const answer = await exchange(scene, await codeFor(scene, ada), { redirect_uri: undefined });
    expect({ status: answer.status, error: answer.body['error'] }).toEqual({
      status: 400,
      error: expect.stringMatching(/^invalid_(grant|request)$/),
    });
  });

  it('is good for a minute', async () => {
    const code = await codeFor(scene, ada);
    const [row] = await scene.gateway.sql<{ seconds: number }>(
      `SELECT extract(epoch FROM max(expires_at) - now())::int AS seconds
       FROM grant_tokens WHERE kind = 'AuthorizationCode'`,
    );
    expect(row?.seconds).toBeLessThanOrEqual(60);
    await scene.gateway.sql(`UPDATE grant_tokens SET expires_at = now() WHERE kind = 'AuthorizationCode'`);
    expectError(await exchange(scene, code), 'invalid_grant');
  });
});

describe('a refresh token', () => {
  it('P-06 is of no use to another application', async () => {
    const { refresh_token: token } = await tokensFor(scene, ada);
    expectError(await refresh(scene, token, {}, basic('other')), 'invalid_grant');
    expectError(await refresh(scene, token, NOBODY, {}), 'invalid_grant');
    expect((await refresh(scene, token)).status).toBe(200);
  });

  it('P-13 does not gain a scope', async () => {
    const { refresh_token: token } = await tokensFor(scene, ada, { scope: 'openid email' });
    expectError(await refresh(scene, token, { scope: 'openid email profile' }), 'invalid_scope');
  });

  it('P-13 may lose one, for that access token', async () => {
    const { refresh_token: token } = await tokensFor(scene, ada, { scope: 'openid email profile' });
    const { body } = await refresh(scene, token, { scope: 'openid' });
    expect(body).toMatchObject({ scope: 'openid' });
    const answer = await userInfo(scene, String(body['access_token']));
    expect(answer.body).not.toHaveProperty('email');
  });

  it('P-13 does not gain a resource', async () => {
    const { refresh_token: token } = await tokensFor(scene, ada);
    expectError(await refresh(scene, token, { resource: 'https://evil.example' }), 'invalid_target');
  });
});

describe('requests that are none', () => {
  it.each([
    'password',
    'client_credentials',
    'implicit',
    'urn:ietf:params:oauth:grant-type:jwt-bearer',
    'urn:openid:params:grant-type:ciba',
    'toString',
  ])('grant_type %p', async (grantType) => {
    const answer = await post(scene, 'token', { grant_type: grantType, scope: 'openid' }, basic());
    expect(answer.status).toBe(400);
    expect(answer.body['error']).toMatch(/^(unsupported_grant_type|unauthorized_client)$/);
  });

  it('no grant_type, no code, no body', async () => {
    expectError(await post(scene, 'token', { code: 'x' }, basic()), 'invalid_request');
    expectError(await post(scene, 'token', { grant_type: 'authorization_code' }, basic()), 'invalid_request');
    expectError(await post(scene, 'token', {}, basic()), 'invalid_request');
  });

  it.each(['code', 'redirect_uri', 'grant_type', 'code_verifier', 'client_id'])('%s twice', async (name) => {
    const code = await codeFor(scene, ada);
    const form = new URLSearchParams({
      grant_type: 'authorization_code',
      code,
      redirect_uri: REDIRECT_URI,
      code_verifier: VERIFIER,
      client_id: 'app',
    });
    form.append(name, form.get(name) ?? '');
    expectError(await post(scene, 'token', form, basic()), 'invalid_request');
  });

  it('parameters in the query are not read', async () => {
    const query = new URLSearchParams({
      grant_type: 'authorization_code',
      code: await codeFor(scene, ada),
      redirect_uri: REDIRECT_URI,
      code_verifier: VERIFIER,
    });
    expectError(await post(scene, `token?${query.toString()}`, {}, basic()), 'invalid_request');
  });

  it('JSON is not read', async () => {
    const headers = { ...basic(), 'content-type': 'application/json' };
    const body = JSON.stringify({ grant_type: 'authorization_code', code: 'x', redirect_uri: REDIRECT_URI });
    const answer = await read(
      await fetch(`${scene.gateway.url}/oidc/token`, { method: 'POST', headers, body }),
    );
    expectError(answer, 'invalid_request');
  });

  it('a body that is too large', async () => {
    const answer = await post(scene, 'token', { code: 'x'.repeat(2_000_000) }, basic()).catch(
      () => undefined,
    );
    expect(answer?.status ?? 413).toBeGreaterThanOrEqual(400);
    expect(answer?.status ?? 413).toBeLessThan(500);
  });

  it.each(['GET', 'PUT', 'DELETE'])('%s', async (method) => {
    const response = await fetch(`${scene.gateway.url}/oidc/token`, { method });
    expect(response.status).toBeGreaterThanOrEqual(404);
    expect(response.status).toBeLessThanOrEqual(405);
  });
});
