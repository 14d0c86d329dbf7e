/** Who may ask for a token exchange, and for whom: the application, the organization, the connection. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { Organization } from '../../src/organizations/organization.ts';
import { expectTokenRefusal } from './token-refusal.ts';
import {
  APP,
  APP_SECRET,
  basic,
  ID_TOKEN_TYPE,
  idTokenOptions,
  OPAQUE_TYPE,
  opaqueOptions,
  startBackEnd,
  startIssuer,
  startTokenScene,
  until,
  type BackEnd,
  type Exchanged,
  type Issuer,
  type TokenForm,
  type TokenScene,
} from './token-scene.ts';

let scene: TokenScene;
let backEnd: BackEnd;
let issuer: Issuer;
let globex: Organization;
let connectionId: string;
let globexConnection: string;
beforeAll(async () => {
  [scene, backEnd, issuer] = await Promise.all([startTokenScene(), startBackEnd(), startIssuer()]);
  globex = await scene.gateway.addOrganization('globex');
  const { command } = scene;
  const callback = ['--redirect-uri', 'https://app.vendor.example/callback'];
  await command.json(['app', 'add', 'spa', '--public', ...callback]);
  await command.json(['app', 'add', 'limited', '--secret-file', '-', ...callback], { stdin: APP_SECRET });
  const options = [...opaqueOptions(backEnd), 'spa', 'limited', '--create-users'];
  connectionId = await scene.addConnection(options);
  globexConnection = await scene.addConnection(options, 'globex');
  // A connection that names an application for others is not taken, so the limit comes after it.
  await command.json(['app', 'update', 'limited', '--organization', 'globex']);
});
beforeEach(() => {
  backEnd.says({ user: { id: 'somebody', fill_name: 'Somebody' } });
  backEnd.asked.length = 0;
});
afterAll(async () => {
  await Promise.all([scene.close(), backEnd.close(), issuer.close()]);
});

let shown = 0;
const form = (more: TokenForm = {}): TokenForm => ({
  subject_token: `opaque-token-${++shown}`,
  subject_token_type: OPAQUE_TYPE,
  ...more,
});
const show = (more: TokenForm = {}, client?: string): Promise<Exchanged> =>
  scene.exchange(form(more), client);

describe('an application', () => {
  it('that the connection names may ask', async () => {
    for (const client of [APP, 'spa']) {
      const answer =
        client === 'spa'
          ? await scene.exchangeAs(undefined, form({ client_id: 'spa' }))
          : await show({}, client);
      expect(answer).toMatchObject({ status: 200, body: { refresh_token: expect.any(String) } });
    }
    expect(await show({ organization: 'globex' }, 'limited')).toMatchObject({ status: 200 });
  });

  it('that it does not name is told that there is none, and nobody is asked', async () => {
    await expectTokenRefusal(scene, () => show({}, 'other'), {
      code: 'unknown_organization',
      reason: 'no opaque-token connection of it names the application',
      connectionId: null,
      clientId: 'other',
    });
    await expectTokenRefusal(scene, () => show({ connection: connectionId }, 'other'), {
      code: 'unknown_organization',
      reason: 'no opaque-token connection of it names the application',
      connectionId: null,
      clientId: 'other',
    });
    expect(backEnd.asked).toEqual([]);
  });

  it('that is for other organizations is refused, and nobody is asked', async () => {
    await expectTokenRefusal(scene, () => show({}, 'limited'), {
      code: 'application_not_allowed',
      reason: 'the application is not for the people of this organization',
      connectionId,
      clientId: 'limited',
    });
    expect(backEnd.asked).toEqual([]);
  });

  it.each<readonly [string, () => string | undefined, TokenForm]>([
    ['with a wrong secret', () => basic(APP, 'not the secret of this application'), {}],
    ['with another one’s name', () => basic('nobody'), {}],
    ['with its name alone', () => undefined, { client_id: APP }],
    [
      'with a wrong secret in the body',
      () => undefined,
      { client_id: APP, client_secret: 'not the secret of it' },
    ],
    ['that is public and says a secret', () => basic('spa'), {}],
  ])('%s is not known, and nobody is asked', async (_, authorization, more) => {
    const { status, body } = await scene.exchangeAs(authorization(), form(more));
    expect({ status, error: body['error'] }).toEqual({ status: 401, error: 'invalid_client' });
    expect(backEnd.asked).toEqual([]);
  });

  it.each<readonly [string, () => string | undefined, TokenForm]>([
    ['that does not say who it is', () => undefined, {}],
    ['with an empty secret', () => basic(APP, ''), {}],
    ['with a token in the place of its secret', () => 'Bearer something', { client_id: APP }],
    ['with two ways to prove itself', () => basic(APP), { client_id: APP, client_secret: APP_SECRET }],
  ])('%s is malformed, and nobody is asked', async (_, authorization, more) => {
    const { status, body } = await scene.exchangeAs(authorization(), form(more));
    expect({ status, error: body['error'] }).toEqual({ status: 400, error: 'invalid_request' });
    expect(backEnd.asked).toEqual([]);
  });

  it('that is disabled is not known, until it is enabled', async () => {
    await scene.command.json(['app', 'disable', APP, '--yes']);
    const refused = await until(({ status }) => status !== 200, show);
    expect(refused).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
    await scene.command.json(['app', 'enable', APP]);
    await until(({ status }) => status === 200, show);
  });
});

describe('an organization', () => {
  it.each([
    'nobody',
    '../acme',
    'ACME',
    ' acme',
    'acme ',
    'acme\u200b',
    '__proto__',
    'acme/globex',
    "acme'--",
    'x'.repeat(500),
  ])('called %j is not known', async (organization) => {
    await expectTokenRefusal(scene, () => show({ organization }), {
      code: 'unknown_organization',
      reason: 'nobody has it',
      organizationId: null,
      connectionId: null,
    });
    expect(backEnd.asked).toEqual([]);
  });

  it('that is disabled looks unknown, until it is enabled', async () => {
    await scene.command.json(['org', 'disable', 'acme', '--yes']);
    await until(({ body }) => body['code'] === 'unknown_organization', show);
    backEnd.asked.length = 0;
    await expectTokenRefusal(scene, () => show(), {
      code: 'unknown_organization',
      reason: 'the organization is disabled',
      connectionId: null,
    });
    expect(backEnd.asked).toEqual([]);
    await scene.command.json(['org', 'enable', 'acme']);
    await until(({ status }) => status === 200, show);
  });
});

describe('a connection', () => {
  it.each<readonly [string, () => string]>([
    ['of another organization', () => globexConnection],
    ['that does not exist', () => '00000000-0000-4000-8000-000000000000'],
    ['in capitals', () => connectionId.toUpperCase()],
    ['by something else than its id', () => 'opaque-token'],
    ['by what every object has', () => '__proto__'],
  ])('%s is none of this organization’s', async (_, connection) => {
    await expectTokenRefusal(scene, () => show({ connection: connection() }), {
      code: 'unknown_organization',
      reason: 'no opaque-token connection of it names the application',
      connectionId: null,
    });
    expect(backEnd.asked).toEqual([]);
  });

  it('of another organization is that one’s, in that organization', async () => {
    const answer = await show({ connection: globexConnection, organization: 'globex', scope: 'openid' });
    expect(decodeJwt(String(answer.body['id_token']))['org']).toEqual({ id: globex.id, slug: 'globex' });
  });

  it('of another kind is none', async () => {
    const form = { subject_token_type: ID_TOKEN_TYPE, external_id: 'somebody', connection: connectionId };
    await expectTokenRefusal(scene, () => show(form), {
      code: 'unknown_organization',
      reason: 'no id-token connection of it names the application',
      connectionId: null,
    });
  });

  it('that is disabled says so, until it is enabled', async () => {
    await scene.command.json(['connection', 'disable', connectionId, '--yes']);
    await until(({ body }) => body['code'] === 'connection_disabled', show);
    backEnd.asked.length = 0;
    await expectTokenRefusal(scene, () => show(), {
      code: 'connection_disabled',
      reason: 'the connection is disabled',
      connectionId: null,
    });
    expect(backEnd.asked).toEqual([]);
    await scene.command.json(['connection', 'enable', connectionId]);
    await until(({ status }) => status === 200, show);
  });

  it('has to be named where two fit', async () => {
    const twin = await scene.addConnection([...opaqueOptions(backEnd), '--create-users']);
    backEnd.asked.length = 0;
    await expectTokenRefusal(scene, () => show(), {
      code: 'malformed_request',
      reason: 'several connections of the organization fit: the application has to name one',
      connectionId: null,
    });
    expect(backEnd.asked).toEqual([]);
    for (const connection of [twin, connectionId])
      expect(await show({ connection })).toMatchObject({ status: 200 });
    // The other one does not fit this application.
    expect(await scene.exchangeAs(undefined, form({ client_id: 'spa' }))).toMatchObject({ status: 200 });
    await scene.command.json(['connection', 'disable', twin, '--yes']);
    await until(({ status }) => status === 200, show);
    await scene.command.json(['connection', 'remove', twin, '--yes']);
  });

  it('of the other kind beside it does not make two', async () => {
    const other = await scene.addConnection(idTokenOptions(issuer));
    expect(await show()).toMatchObject({ status: 200 });
    await scene.command.json(['connection', 'remove', other, '--yes']);
  });
});

it('the command line says what is wrong with the trail of a refusal', async () => {
  backEnd.says({});
  const { body } = await show();
  const [event] = await scene.command.json<readonly Record<string, unknown>[]>([
    ...['audit', 'list', '--reference', String(body['reference'])],
  ]);
  expect(event).toMatchObject({ code: 'token_invalid', organization: 'acme', application: APP });
  const document = await scene.command.json(['connection', 'show', connectionId]);
  expect(document['last_failure']).toMatchObject({ reference: body['reference'] });
});
