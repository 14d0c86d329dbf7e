/** What access tokens and ID tokens are good for, and until when. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import type { Browser } from '../../scripts/demo/browser.ts';
import {
  authorize,
  basic,
  claimsOf,
  codeFor,
  exchange,
  post,
  read,
  refresh,
  signedIn,
  tokensFor,
  userInfo,
  type Answer,
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

describe('userinfo', () => {
  const ask = async (headers: Readonly<Record<string, string>>, query = '') =>
    read(await fetch(`${scene.gateway.url}/oidc/userinfo${query}`, { headers }));

  it('tells what the scope allows', async () => {
    const { access_token: token } = await tokensFor(scene, ada, { scope: 'openid' });
    const { status, headers, body } = await userInfo(scene, token);
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(Object.keys(body).sort()).toEqual(
      ['amr', 'auth_time', 'org', 'sub'].filter((name) => name in body),
    );
    expect(body).toMatchObject({ org: { id: scene.acme.id, slug: 'acme' } });
  });

  it.each(['x', 'x'.repeat(43), 'a.b.c', ''])('refuses %p', async (token) => {
    const answer = await ask({ authorization: `Bearer ${token}` });
    expect([400, 401]).toContain(answer.status);
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer /);
  });

  it('refuses nothing, Basic and a cookie', async () => {
    for (const headers of [{}, basic(), { cookie: 'gatehouse_session=x' }]) {
      const answer = await ask(headers);
      expect([400, 401]).toContain(answer.status);
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer /);
    }
  });

  it('refuses a token in the query', async () => {
    const { access_token: token } = await tokensFor(scene, ada);
    scene.gateway.neverLogged(token);
    expect([400, 401]).toContain((await ask({}, `?access_token=${token}`)).status);
  });

  it('refuses a token that comes twice', async () => {
    const { access_token: token } = await tokensFor(scene, ada);
    const answer = await post(
      scene,
      'userinfo',
      { access_token: token },
      { authorization: `Bearer ${token}` },
    );
    expect(answer.status).toBe(400);
  });

  it('refuses one that was revoked', async () => {
    const { access_token: token } = await tokensFor(scene, ada);
    await post(scene, 'token/revocation', { token }, basic());
    expect((await userInfo(scene, token)).body).toMatchObject({ error: 'invalid_token' });
  });

  it('refuses one that is over, after five minutes', async () => {
    const { access_token: token, expires_in: seconds } = await tokensFor(scene, ada);
    expect(seconds).toBe(300);
    await scene.gateway.sql(
      `UPDATE grant_tokens SET expires_at = expires_at - interval '300 s' WHERE kind = 'AccessToken'`,
    );
    const answer = await userInfo(scene, token);
    expect(answer).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
  });

  it('refuses an ID token, a refresh token and a token for a resource', async () => {
    const tokens = await tokensFor(scene, ada, { resource: API });
    for (const token of [tokens.id_token, tokens.refresh_token, tokens.access_token]) {
      expect((await userInfo(scene, token)).status).toBe(401);
    }
  });
});

describe('revocation and introspection', () => {
  const introspect = async (token: string, headers = basic()) =>
    (await post(scene, 'token/introspection', { token }, headers)).body;

  it('P-16 revoking what another application holds does nothing, and says no more', async () => {
    const { access_token: access, refresh_token: token } = await tokensFor(scene, ada);
    const answers = [
      await post(scene, 'token/revocation', { token }, basic('other')),
      await post(scene, 'token/revocation', { token: access }, basic('other')),
      await post(scene, 'token/revocation', { token: 'x'.repeat(43) }, basic('other')),
      await post(scene, 'token/revocation', { token, client_id: 'public' }),
    ];
    expect(answers.map(({ status, body }) => [status, body['text']])).toEqual(answers.map(() => [200, '']));
    expect((await userInfo(scene, access)).status).toBe(200);
    expect((await refresh(scene, token)).status).toBe(200);
  });

  it('P-16 what another application holds is not active', async () => {
    const { access_token: access, refresh_token: token } = await tokensFor(scene, ada);
    for (const value of [access, token, 'x'.repeat(43)]) {
      expect(await introspect(value, basic('other'))).toEqual({ active: false });
    }
    expect(await introspect(access)).toMatchObject({
      active: true,
      client_id: 'app',
      iss: `${scene.gateway.url}/oidc`,
      sub: expect.any(String),
      token_type: 'Bearer',
    });
  });

  it('P-16 nobody asks or revokes without proving who it is', async () => {
    const { access_token: token } = await tokensFor(scene, ada);
    for (const path of ['token/revocation', 'token/introspection']) {
      expectError(await post(scene, path, { token }, basic('app', 'wrong')), 'invalid_client', 401);
    }
    expect(await introspect(token)).toMatchObject({ active: true });
  });

  it('what was revoked is not active, nor is what was given with it', async () => {
    const { access_token: access, refresh_token: token } = await tokensFor(scene, ada);
    expect((await post(scene, 'token/revocation', { token }, basic())).status).toBe(200);
    expect(await introspect(token)).toEqual({ active: false });
    expect(await introspect(access)).toEqual({ active: false });
    expectError(await refresh(scene, token), 'invalid_grant');
  });
});

describe('an access token for a resource', () => {
  it.each([
    ['app', 'RS256'],
    ['elliptic', 'ES256'],
  ])('of %s is a JWT (RFC 9068) that anybody verifies with the key set: %s', async (clientId, algorithm) => {
    const tokens = await tokensFor(scene, ada, { client_id: clientId, resource: API });
    const issuer = `${scene.gateway.url}/oidc`;
    const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
    const options = { issuer, audience: API, algorithms: [algorithm], typ: 'at+jwt' };
    const { payload } = await jwtVerify(tokens.access_token, keys, options);
    expect(payload).toMatchObject({
      client_id: clientId,
      sub: claimsOf(tokens.id_token)['sub'],
      jti: expect.any(String),
      scope: expect.stringContaining('openid'),
      org: { id: scene.acme.id, slug: 'acme' },
    });
    expect(Number(payload.exp) - Number(payload.iat)).toBe(300);
  });

  it('is one again after a refresh', async () => {
    const { refresh_token: token } = await tokensFor(scene, ada, { resource: API });
    const { body } = await refresh(scene, token, { resource: API });
    expect(claimsOf(String(body['access_token']))).toMatchObject({ aud: API });
  });

  it('that is not registered is refused where it is asked for', async () => {
    const { error } = await authorize(scene, ada, { resource: 'https://other.example' });
    expect(error).toBe('invalid_target');
    const code = await codeFor(scene, ada);
    expectError(await exchange(scene, code, { resource: 'https://other.example' }), 'invalid_target');
  });

  it('that another application has registered is refused', async () => {
    const parameters = { client_id: 'other', resource: API };
    expect(await authorize(scene, ada, parameters)).toMatchObject({ error: 'invalid_target' });
  });

  it('that was not asked for before is not gained with the code', async () => {
    expectError(await exchange(scene, await codeFor(scene, ada), { resource: API }), 'invalid_target');
  });
});

describe('ID tokens', () => {
  it.each([
    ['app', 'RS256'],
    ['elliptic', 'ES256'],
  ])('of %s are signed with %s by a key that is published', async (clientId, algorithm) => {
    const { id_token: token } = await tokensFor(scene, ada, { client_id: clientId, nonce: 'once' });
    const issuer = `${scene.gateway.url}/oidc`;
    const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
    const { payload } = await jwtVerify(token, keys, { issuer, audience: clientId, algorithms: [algorithm] });
    expect(decodeProtectedHeader(token).kid).toEqual(expect.any(String));
    expect(payload).toMatchObject({
      nonce: 'once',
      email: 'ada@acme.example',
      email_verified: true,
      org: { id: scene.acme.id, slug: 'acme' },
      auth_time: expect.any(Number),
    });
  });
});
