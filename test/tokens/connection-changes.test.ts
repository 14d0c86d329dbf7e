/** Connections that take tokens, as an operator changes them: what is given takes the place of the whole, and counts at once. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  APP,
  APP_SECRET,
  AUDIENCE,
  ID_TOKEN_TYPE,
  idTokenOptions,
  OPAQUE_TYPE,
  opaqueOptions,
  startBackEnd,
  startIssuer,
  startTokenScene,
  until,
  type BackEnd,
  type Issuer,
  type TokenScene,
} from './token-scene.ts';

let scene: TokenScene;
let issuer: Issuer;
let backEnd: BackEnd;
beforeAll(async () => {
  [scene, issuer, backEnd] = await Promise.all([startTokenScene(), startIssuer(), startBackEnd()]);
  await scene.gateway.addUser(scene.acme, 'ada@acme.example', 'Ada');
});
afterAll(async () => {
  await Promise.all([scene.close(), issuer.close(), backEnd.close()]);
});

let sent = 0;
const byIdToken = async (connection: string, external_id: string, client = APP) =>
  scene.exchange(
    {
      subject_token: await issuer.idToken({ sub: 'ada-1', email: 'ada@acme.example', jti: String(++sent) }),
      subject_token_type: ID_TOKEN_TYPE,
      external_id,
      connection,
    },
    client,
  );
const byOpaqueToken = (connection: string, client = APP) =>
  scene.exchange(
    { subject_token: `opaque-token-${++sent}`, subject_token_type: OPAQUE_TYPE, connection },
    client,
  );

const shownOf = (id: string) => scene.command.json(['connection', 'show', id]);

/** What every connection has; nobody is sent to one that takes tokens. */
const COMMON = {
  label: null,
  people: `tokens of ${APP}`,
  routes: { addresses: [], domains: [], everybody: false },
  tests: { checks: null, sign_in: null },
};

describe('an ID token connection', () => {
  let id: string;
  beforeAll(async () => {
    id = await scene.addConnection(idTokenOptions(issuer));
  });

  it('is shown whole', async () => {
    expect(await shownOf(id)).toEqual({
      id,
      organization: 'acme',
      kind: 'id-token',
      ...COMMON,
      status: 'active',
      revision: 1,
      created_at: expect.any(String),
      last_failure: expect.anything(),
      last_success: null,
      health: { state: 'answering', since: null, reason: null, nodes: 0 },
      jwks_uri: issuer.jwksUri,
      issuer: issuer.origin,
      audience: AUDIENCE,
      match: 'sub',
      trust_email: false,
      applications: [APP],
      token_endpoint: `${scene.gateway.url}/oidc/token`,
      subject_token_type: ID_TOKEN_TYPE,
    });
    expect(await scene.command.json(['connection', 'list', 'acme'])).toContainEqual(
      expect.objectContaining({ id }),
    );
  });

  it('changes what is given, and is obeyed', async () => {
    expect(await byIdToken(id, 'ada-1')).toMatchObject({ status: 200 });
    const before = await shownOf(id);
    const changed = await scene.command.json(['connection', 'update', id, '--match', 'email']);
    expect(changed).toEqual({
      ...before,
      match: 'email',
      revision: 2,
      last_failure: changed['last_failure'],
    });
    await until(
      ({ status }) => status === 200,
      () => byIdToken(id, 'ada@acme.example'),
    );
    expect(await byIdToken(id, 'ada-1')).toMatchObject({ status: 400, body: { code: 'email_not_allowed' } });
    await scene.command.json(['connection', 'update', id, '--audience', 'another']);
    await until(
      ({ body }) => body['code'] === 'token_invalid',
      () => byIdToken(id, 'ada@acme.example'),
    );
    await scene.command.json(['connection', 'update', id, '--audience', AUDIENCE, '--match', 'sub']);
    await until(
      ({ status }) => status === 200,
      () => byIdToken(id, 'ada-1'),
    );
  });

  it('has a list of applications that is replaced whole', async () => {
    await scene.command.json(['connection', 'update', id, '--application', 'other']);
    expect((await shownOf(id))['applications']).toEqual(['other']);
    await until(
      ({ status }) => status === 200,
      () => byIdToken(id, 'ada-1', 'other'),
    );
    expect(await byIdToken(id, 'ada-1')).toMatchObject({
      status: 400,
      body: { code: 'unknown_organization' },
    });
    await scene.command.json(['connection', 'update', id, '--application', APP, 'other', APP]);
    expect((await shownOf(id))['applications']).toEqual([APP, 'other']);
  });

  it('is as it was after an update that is refused', async () => {
    const before = { ...(await shownOf(id)), last_failure: null };
    const refused = (args: readonly string[]) =>
      scene.command.refused(['connection', 'update', id, ...args], /./);
    await refused(['--jwks-uri', 'http://127.0.0.1:9/jwks']);
    await refused(['--jwks-uri', `${backEnd.origin}/nothing`]);
    await refused(['--issuer', ' ']);
    await refused(['--audience', '']);
    await refused(['--application', 'unknown-application']);
    for (const args of [
      ['--verify-url', 'https://x.example/{token}'],
      ['--match', 'either'],
      ['--create-users'],
      [],
    ]) {
      await scene.command.misused(['connection', 'update', id, ...args], /./);
    }
    expect({ ...(await shownOf(id)), last_failure: null }).toEqual(before);
  });
});

describe('an opaque token connection', () => {
  let id: string;
  beforeAll(async () => {
    backEnd.says({ user: { id: 'o-1', fill_name: 'Olive' }, id: 'o-2', active: true });
    id = await scene.addConnection([...opaqueOptions(backEnd), '--create-users', '--require', 'active=true']);
  });

  it('is shown whole', async () => {
    expect(await shownOf(id)).toEqual({
      id,
      organization: 'acme',
      kind: 'opaque-token',
      ...COMMON,
      status: 'active',
      revision: 1,
      created_at: expect.any(String),
      last_failure: expect.anything(),
      last_success: null,
      health: { state: 'answering', since: null, reason: null, nodes: 0 },
      verify_url: `${backEnd.origin}/user/verify?token={token}`,
      verify_method: 'GET',
      token_in: 'url',
      map: { subject: 'user.id', login: 'user.login', name: 'user.fill_name' },
      require: { active: true },
      create_users: true,
      link_existing: false,
      applications: [APP],
      token_endpoint: `${scene.gateway.url}/oidc/token`,
      subject_token_type: OPAQUE_TYPE,
    });
  });

  it('has a mapping and requirements that are replaced whole', async () => {
    expect(await byOpaqueToken(id)).toMatchObject({ status: 200 });
    await scene.command.json(['connection', 'update', id, '--map', 'subject=id']);
    await scene.command.json(['connection', 'update', id, '--require', 'user.fill_name="Olive"']);
    expect(await shownOf(id)).toMatchObject({
      map: { subject: 'id' },
      require: { 'user.fill_name': 'Olive' },
    });
    expect((await shownOf(id))['map']).toEqual({ subject: 'id' });
    backEnd.says({ user: { fill_name: 'Olive' }, id: 'o-2' });
    await until(
      ({ status }) => status === 200,
      () => byOpaqueToken(id),
    );
    const users = await scene.command.json<readonly { readonly name: string }[]>(['user', 'list', 'acme']);
    expect(users.map(({ name }) => name)).toEqual(expect.arrayContaining(['Olive', 'o-2']));
  });

  it('can be moved to another place of the token, with the template that fits', async () => {
    await scene.command.refused(
      ['connection', 'update', id, '--token-in', 'bearer'],
      /must not hold \{token\}/,
    );
    await scene.command.refused(
      ['connection', 'update', id, '--verify-url', `${backEnd.origin}/verify`],
      /must hold \{token\} once/,
    );
    await scene.command.json([
      'connection',
      'update',
      id,
      '--token-in',
      'json:token',
      '--verify-url',
      `${backEnd.origin}/verify`,
      '--verify-method',
      'POST',
    ]);
    expect(await shownOf(id)).toMatchObject({ token_in: 'json:token', verify_method: 'POST' });
    backEnd.asked.length = 0;
    await until(
      () => backEnd.asked.includes('POST /verify'),
      () => byOpaqueToken(id),
    );
  });

  it('may be told not to create people any more', async () => {
    await scene.command.json(['connection', 'update', id, '--no-create-users']);
    backEnd.says({ user: { fill_name: 'Olive' }, id: 'o-3' });
    await until(
      ({ body }) => body['code'] === 'user_not_provisioned',
      () => byOpaqueToken(id),
    );
    expect(await shownOf(id)).toMatchObject({ create_users: false, link_existing: false });
  });
});

describe('an application that is removed', () => {
  it('and registered again inherits nothing', async () => {
    const callback = ['--redirect-uri', 'https://app.vendor.example/callback', '--secret-file', '-'];
    const stdin = APP_SECRET;
    await scene.command.json(['app', 'add', 'brief', ...callback], { stdin });
    const [both, alone] = [
      await scene.addConnection([...opaqueOptions(backEnd), 'brief', '--create-users']),
      await scene.addConnection([...opaqueOptions(backEnd).slice(0, -1), 'brief', APP, '--create-users']),
    ];
    backEnd.says({ user: { id: 'brief' } });
    const exchanged = await byOpaqueToken(both, 'brief');
    expect(exchanged).toMatchObject({ status: 200 });
    await scene.command.json(['app', 'remove', 'brief', '--yes']);
    expect(await byOpaqueToken(both, 'brief')).toMatchObject({ status: 401 });
    for (const id of [both, alone]) expect((await shownOf(id))['applications']).toEqual([APP]);
    await scene.command.json(['app', 'add', 'brief', ...callback], { stdin });
    for (const id of [both, alone]) {
      const again = await until(
        ({ status }) => status !== 401,
        () => byOpaqueToken(id, 'brief'),
      );
      expect(again).toMatchObject({ status: 400, body: { code: 'unknown_organization' } });
      expect(await byOpaqueToken(id)).toMatchObject({ status: 200 });
    }
    const refresh = { grant_type: 'refresh_token', refresh_token: String(exchanged.body['refresh_token']) };
    expect(await scene.exchange({ ...refresh, organization: undefined }, 'brief')).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    });
    const session = await fetch(`${scene.gateway.url}/session`, {
      headers: { authorization: `Bearer ${String(exchanged.body['access_token'])}` },
    });
    expect(session.status).toBe(401);
  });

  it('can leave a connection that nobody may use', async () => {
    const callback = ['--redirect-uri', 'https://app.vendor.example/callback', '--secret-file', '-'];
    await scene.command.json(['app', 'add', 'only', ...callback], { stdin: APP_SECRET });
    const id = String(
      (
        await scene.command.json([
          'connection',
          'add',
          'acme',
          ...idTokenOptions(issuer).slice(0, -1),
          'only',
        ])
      )['id'],
    );
    await scene.command.json(['app', 'remove', 'only', '--yes']);
    expect(await shownOf(id)).toMatchObject({ applications: [], status: 'active' });
    expect((await scene.command.run(['connection', 'show', id])).status).toBe(0);
    await scene.command.json(['connection', 'update', id, '--application', APP]);
    await until(
      ({ status }) => status === 200,
      () => byIdToken(id, 'ada-1'),
    );
  });
});
