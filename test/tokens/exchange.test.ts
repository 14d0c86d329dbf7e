/** What a token from outside is exchanged for, and what that is good for. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { decodeJwt } from 'jose';
import {
  APP,
  ID_TOKEN_TYPE,
  idTokenOptions,
  OPAQUE_TYPE,
  opaqueOptions,
  startBackEnd,
  startIssuer,
  startTokenScene,
  type BackEnd,
  type Exchanged,
  type Issuer,
  type TokenScene,
} from './token-scene.ts';

/** As published, spelling and all. */
const PUBLISHED = { user: { id: 2345, login: 'simon371', fill_name: 'Simon Davis' } };

let scene: TokenScene;
let issuer: Issuer;
let backEnd: BackEnd;
beforeAll(async () => {
  [scene, issuer, backEnd] = await Promise.all([startTokenScene(), startIssuer(), startBackEnd()]);
  await scene.gateway.addUser(scene.acme, 'ada@acme.example', 'Ada');
  await scene.addConnection(idTokenOptions(issuer));
  await scene.addConnection([...opaqueOptions(backEnd), '--create-users']);
});
afterAll(async () => {
  await Promise.all([scene.close(), issuer.close(), backEnd.close()]);
});

let sent = 0;
const byIdToken = async (more: Readonly<Record<string, string>> = {}): Promise<Exchanged> =>
  scene.exchange({
    subject_token: await issuer.idToken({ sub: 'ada-1', email: 'ada@acme.example', jti: String(++sent) }),
    subject_token_type: ID_TOKEN_TYPE,
    external_id: 'ada-1',
    ...more,
  });
const byOpaqueToken = (more: Readonly<Record<string, string>> = {}): Promise<Exchanged> => {
  backEnd.says(PUBLISHED);
  return scene.exchange({ subject_token: `opaque-${++sent}`, subject_token_type: OPAQUE_TYPE, ...more });
};

const asked = async (path: string, { body }: Exchanged): Promise<Response> =>
  fetch(`${scene.gateway.url}${path}`, {
    headers: { authorization: `Bearer ${String(body['access_token'])}` },
  });

describe.each([
  ['an ID token', byIdToken, { email: 'ada@acme.example', name: 'Ada' }],
  ['an opaque token', byOpaqueToken, { email: null, name: 'Simon Davis' }],
])('%s', (_, exchange, person) => {
  it('is exchanged for an access and a refresh token', async () => {
    const { status, headers, body } = await exchange();
    expect({ status, ...body }).toEqual({
      status: 200,
      access_token: expect.any(String),
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: 300,
      scope: 'openid email profile',
      refresh_token: expect.any(String),
    });
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('set-cookie')).toBeNull();
  });

  it('gives a session that is good at /session, userinfo and /auth/verify', async () => {
    const exchanged = await exchange();
    const session = await asked('/session', exchanged);
    expect(session.status).toBe(200);
    const { user } = (await session.json()) as { user: { id: string } };
    expect(user).toEqual({ id: expect.any(String), ...person });
    const claims = (await (await asked('/oidc/userinfo', exchanged)).json()) as Record<string, unknown>;
    expect(claims).toMatchObject({ sub: user.id, name: person.name, org: { slug: 'acme' } });
    expect(claims['email']).toBe(person.email ?? undefined);
    const verified = await asked('/auth/verify', exchanged);
    expect(verified.status).toBe(200);
    expect(verified.headers.get('x-auth-request-user')).toBe(user.id);
    expect(verified.headers.get('x-auth-request-email')).toBe(person.email);
    expect(verified.headers.get('x-auth-request-organization')).toBe('acme');
  });

  it('gives an ID token to who asks for openid, and it names the session', async () => {
    const { body } = await exchange({ scope: 'openid email' });
    const claims = decodeJwt(String(body['id_token']));
    expect(claims).toMatchObject({ aud: APP, iss: `${scene.gateway.url}/oidc`, org: { slug: 'acme' } });
    expect(claims['email']).toBe(person.email ?? undefined);
    expect(claims['name']).toBeUndefined();
    const rows = await scene.gateway.sql('SELECT user_id FROM sessions WHERE id = $1', [claims['sid']]);
    expect(rows).toEqual([{ user_id: claims.sub }]);
  });

  it('signs the same user in the second time', async () => {
    const ids = await Promise.all(
      [await exchange(), await exchange()].map(async (one) => {
        const { user } = (await (await asked('/session', one)).json()) as { user: { id: string } };
        return user.id;
      }),
    );
    expect(new Set(ids).size).toBe(1);
  });

  it('gives a refresh token that rotates, and ends with the session', async () => {
    const { body } = await exchange();
    const refresh = (token: unknown) =>
      scene.exchange({ grant_type: 'refresh_token', refresh_token: String(token), organization: undefined });
    const renewed = await refresh(body['refresh_token']);
    expect(renewed).toMatchObject({ status: 200, body: { access_token: expect.any(String) } });
    expect(renewed.body['refresh_token']).not.toBe(body['refresh_token']);
    const session = decodeJwt(String((await exchange({ scope: 'openid' })).body['id_token']))['sid'];
    expect(session).toEqual(expect.any(String));
    await scene.gateway.sql('DELETE FROM sessions');
    expect(await refresh(renewed.body['refresh_token'])).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    });
    expect((await asked('/session', renewed)).status).toBe(401);
  });
});

it('W-12 is not refused while that cannot be written down, and is afterwards', async () => {
  const stranger = () => byIdToken({ external_id: 'somebody-else' });
  await scene.gateway.sql('ALTER TABLE audit_events RENAME TO elsewhere');
  const unwritten = await stranger().finally(() =>
    scene.gateway.sql('ALTER TABLE elsewhere RENAME TO audit_events'),
  );
  expect([unwritten.status, unwritten.body['error'], unwritten.headers.get('retry-after')]).toEqual([
    503,
    'temporarily_unavailable',
    '2',
  ]);
  expect((await stranger()).status).toBe(400);
});
