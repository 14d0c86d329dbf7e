/** What a request for a token exchange may hold, and what it is answered with: parameters, scopes and resources. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import {
  APP,
  OPAQUE_TYPE,
  opaqueOptions,
  startBackEnd,
  startTokenScene,
  type BackEnd,
  type Exchanged,
  type TokenForm,
  type TokenScene,
} from './token-scene.ts';

let scene: TokenScene;
let backEnd: BackEnd;
beforeAll(async () => {
  [scene, backEnd] = await Promise.all([startTokenScene(), startBackEnd()]);
  await scene.command.json(['app', 'update', APP, '--resource', 'https://api.vendor.example/']);
  await scene.addConnection([...opaqueOptions(backEnd), '--create-users']);
});
beforeEach(() => {
  backEnd.says({ user: { id: 'somebody', fill_name: 'Somebody' } });
  backEnd.asked.length = 0;
});
afterAll(async () => {
  await Promise.all([scene.close(), backEnd.close()]);
});

let shown = 0;
const form = (more: TokenForm = {}): TokenForm => ({
  subject_token: `opaque-token-${++shown}`,
  subject_token_type: OPAQUE_TYPE,
  ...more,
});
const show = (more: TokenForm = {}): Promise<Exchanged> => scene.exchange(form(more));
const asked = (path: string, token: unknown): Promise<Response> =>
  fetch(`${scene.gateway.url}${path}`, { headers: { authorization: `Bearer ${String(token)}` } });

describe('a request', () => {
  it.each<readonly [string, TokenForm]>([
    ['without subject_token', { subject_token: undefined }],
    ['with an empty subject_token', { subject_token: '' }],
    ['without subject_token_type', { subject_token_type: undefined }],
    ['without organization', { organization: undefined }],
    ['with an empty organization', { organization: '' }],
    ...[
      'urn:ietf:params:oauth:token-type:access_token',
      'urn:ietf:params:oauth:token-type:jwt',
      'urn:ietf:params:oauth:token-type:saml2',
      'URN:GATEHOUSE:TOKEN-TYPE:OPAQUE',
      'opaque',
      '__proto__',
      'toString',
    ].map((type): readonly [string, TokenForm] => [`with the type ${type}`, { subject_token_type: type }]),
    ['with audience', { audience: 'somebody' }],
    ['with actor_token', { actor_token: 'somebody', actor_token_type: OPAQUE_TYPE }],
    ['with actor_token_type', { actor_token_type: OPAQUE_TYPE }],
    ['for a refresh token', { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }],
    ['with organization twice', { organization: ['acme', 'globex'] }],
    ['with organization twice alike', { organization: ['acme', 'acme'] }],
    ['with subject_token twice', { subject_token: ['first-token', 'second-token'] }],
    ['with external_id twice', { external_id: ['somebody', 'nobody'] }],
    ['with connection twice', { connection: ['a', 'b'] }],
    ['with scope twice', { scope: ['openid', 'email'] }],
    ['with nonce twice', { nonce: ['a', 'b'] }],
  ])('%s is malformed, and nobody is asked', async (_, more) => {
    const before = await scene.gateway.sql('SELECT FROM sessions');
    const { status, body } = await show(more);
    expect({ status, error: body['error'] }).toEqual({ status: 400, error: 'invalid_request' });
    expect(await scene.gateway.sql('SELECT FROM sessions')).toHaveLength(before.length);
    expect(backEnd.asked).toEqual([]);
  });

  it('for an access token, in so many words, is taken', async () => {
    expect(
      await show({ requested_token_type: 'urn:ietf:params:oauth:token-type:access_token' }),
    ).toMatchObject({
      status: 200,
    });
  });

  it.each([['unknown'], ['admin offline_access'], ['OPENID'], ['__proto__']])(
    'for the scope %s alone is refused',
    async (scope) => {
      expect(await show({ scope })).toMatchObject({ status: 400, body: { error: 'invalid_scope' } });
      expect(backEnd.asked).toEqual([]);
    },
  );

  it.each([
    ['email', 'email', undefined],
    ['openid', 'openid', 'ID token'],
    ['profile openid unknown', 'openid profile', 'ID token'],
  ])('for the scope %j gets %j', async (scope, granted, idToken) => {
    const { status, body } = await show({ scope });
    expect({ status, scope: body['scope'] }).toEqual({ status: 200, scope: granted });
    expect(typeof body['id_token']).toBe(idToken === undefined ? 'undefined' : 'string');
  });
});

describe('a resource', () => {
  const resource = 'https://api.vendor.example/';

  it('of the application’s gets a token that an API checks by itself, and that is refreshed', async () => {
    const { status, body } = await show({ resource, scope: 'openid email' });
    expect(status).toBe(200);
    const keys = createRemoteJWKSet(new URL(`${scene.gateway.url}/oidc/jwks`));
    const check = (token: unknown) =>
      jwtVerify(String(token), keys, {
        issuer: `${scene.gateway.url}/oidc`,
        audience: resource,
        typ: 'at+jwt',
      });
    const { payload } = await check(body['access_token']);
    expect(payload).toMatchObject({ client_id: APP, sub: decodeJwt(String(body['id_token'])).sub });
    const refresh = { grant_type: 'refresh_token', organization: undefined };
    const renewed = await scene.exchange({ ...refresh, refresh_token: String(body['refresh_token']) });
    expect(renewed.status).toBe(200);
    expect((await check(renewed.body['access_token'])).payload.sub).toBe(payload.sub);
  });

  it.each([
    'https://api.vendor.example',
    'https://other.vendor.example/',
    'not a URL',
    'https://api.vendor.example/#a',
  ])('%s is not one, and costs no token', async (other) => {
    const given = form({ resource: other });
    expect(await scene.exchange(given)).toMatchObject({ status: 400, body: { error: 'invalid_target' } });
    expect(backEnd.asked).toEqual([]);
    expect(await scene.exchange({ ...given, resource: undefined })).toMatchObject({ status: 200 });
  });

  it('of two at once is not one', async () => {
    const given = form({ resource: [resource, 'https://other.vendor.example/'] });
    const { status, body } = await scene.exchange(given);
    expect(status).toBe(400);
    expect(['invalid_target', 'invalid_request']).toContain(body['error']);
    expect(backEnd.asked).toEqual([]);
  });

  it('that is Gatehouse itself is not one; a token without any is good at /auth/verify', async () => {
    const { body } = await show();
    const verified = await asked('/auth/verify', body['access_token']);
    expect({ status: verified.status, slug: verified.headers.get('x-auth-request-organization') }).toEqual({
      status: 200,
      slug: 'acme',
    });
    expect((await asked('/auth/verify', body['refresh_token'])).status).toBe(401);
  });
});
