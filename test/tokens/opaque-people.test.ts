/** Who an opaque token's person is here: once in a while each token, created or linked as the connection says, and managed by id. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { FailureCode } from '../../src/errors.ts';
import type { Organization } from '../../src/organizations/organization.ts';
import { expectRefusedAnswer, expectTokenRefusal } from './token-refusal.ts';
import {
  APP,
  OPAQUE_TYPE,
  startBackEnd,
  startTokenScene,
  until,
  type BackEnd,
  type Exchanged,
  type TokenScene,
} from './token-scene.ts';

let scene: TokenScene;
let backEnd: BackEnd;
let globex: Organization;
let secondPort: number;
let closeSecond: () => Promise<void>;
/** By what the connection may do with a person who is not known yet. */
let connections: Readonly<Record<'nothing' | 'create' | 'link' | 'both', string>>;
beforeAll(async () => {
  [scene, backEnd] = await Promise.all([startTokenScene(), startBackEnd()]);
  const second = await scene.gateway.startNode();
  secondPort = second.port;
  closeSecond = () => second.close();
  globex = await scene.gateway.addOrganization('globex');
  connections = {
    nothing: await connect([]),
    create: await connect(['--create-users']),
    link: await connect(['--link-existing']),
    both: await connect(['--create-users', '--link-existing']),
  };
});
afterAll(async () => {
  await closeSecond();
  await Promise.all([scene.close(), backEnd.close()]);
});

const connect = (options: readonly string[], slug = 'acme') =>
  scene.addConnection(
    [
      ...['opaque-token', '--verify-url', `${backEnd.origin}/verify?token={token}`, '--map', 'subject=id'],
      ...['email=email', 'name=name', '--application', APP, ...options],
    ],
    slug,
  );

let shown = 0;
const newToken = () => `opaque-token-${++shown}`;
type Mode = keyof typeof connections;
const show = (mode: Mode, subject_token = newToken(), port?: number): Promise<Exchanged> =>
  scene.exchange(
    { subject_token, subject_token_type: OPAQUE_TYPE, connection: connections[mode] },
    APP,
    port,
  );

async function expectRefused(
  mode: Mode,
  code: FailureCode,
  reason: string,
  token = newToken(),
): Promise<void> {
  await expectTokenRefusal(scene, () => show(mode, token), { code, reason, connectionId: connections[mode] });
}

const count = async (table: 'users' | 'sessions' | 'identities'): Promise<number> =>
  (await scene.gateway.sql(`SELECT FROM ${table}`)).length;

describe('Q-09 the same token', () => {
  const REPLAYED = ['token_replayed', 'the token was used before'] as const;
  beforeEach(() => {
    backEnd.says({ id: 'often', name: 'Often' });
  });

  it('signs in once in 60 seconds, and again after them', async () => {
    const token = newToken();
    const first = await scene.userOf(await show('create', token));
    await expectRefused('create', ...REPLAYED, token);
    const [use] = await scene.gateway.sql<{ left: number }>(
      `SELECT extract(epoch FROM expires_at - now())::float8 AS left FROM single_use_tokens
       WHERE purpose = 'opaque-token' ORDER BY expires_at DESC LIMIT 1`,
    );
    expect(use?.left).toBeGreaterThan(0);
    expect(use?.left).toBeLessThanOrEqual(60);
    await scene.gateway.sql(`UPDATE single_use_tokens SET expires_at = now() - interval '1 second'`);
    expect(await scene.userOf(await show('create', token))).toEqual(first);
    await expectRefused('create', ...REPLAYED, token);
  });

  it.each(['for the first time', 'after 60 seconds'])(
    'shown ten times at once on two nodes %s signs in once',
    async (when) => {
      const token = newToken();
      if (when === 'after 60 seconds') {
        await scene.userOf(await show('create', token));
        await scene.gateway.sql(`UPDATE single_use_tokens SET expires_at = now() - interval '1 second'`);
      }
      const before = await count('sessions');
      const ports = [scene.gateway.port, secondPort];
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, index) => show('create', token, ports[index % 2])),
      );
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
      for (const answer of answers) if (answer.status !== 200) expectRefusedAnswer(answer, 'token_replayed');
      expect(await count('sessions')).toBe(before + 1);
    },
  );

  it('is another one in another organization', async () => {
    const elsewhere = await connect(['--create-users'], 'globex');
    const token = newToken();
    const first = await scene.userOf(await show('create', token));
    const form = { subject_token: token, subject_token_type: OPAQUE_TYPE, organization: 'globex' };
    const second = await scene.userOf(await scene.exchange({ ...form, connection: elsewhere }));
    expect(second.id).not.toBe(first.id);
  });

  it('is not used up by a refusal', async () => {
    const token = newToken();
    backEnd.says({ id: 'unknown' });
    await expectRefused('nothing', 'user_not_provisioned', 'there is no such user', token);
    expect(await show('create', token)).toMatchObject({ status: 200 });
  });
});

describe('somebody who is not known yet', () => {
  it.each<readonly [Mode, string | undefined]>([
    ['nothing', undefined],
    ['link', undefined],
    ['nothing', 'new@acme.example'],
    ['link', 'new@acme.example'],
  ])('is refused where the connection may %s (address: %s)', async (mode, email) => {
    backEnd.says({ id: 'new', email });
    await expectRefused(mode, 'user_not_provisioned', 'there is no such user');
  });

  it.each(['create', 'both'] as const)('becomes a user where it may %s', async (mode) => {
    backEnd.says({ id: `made-${mode}`, email: `Made.${mode}@ACME.example`, name: 'Made' });
    const user = await scene.userOf(await show(mode));
    expect(user).toEqual({ id: expect.any(String), email: `made.${mode}@acme.example`, name: 'Made' });
    expect(await scene.userOf(await show(mode))).toEqual(user);
    const events = await scene.gateway.sql(
      'SELECT action, client_id FROM audit_events WHERE user_id = $1 ORDER BY id',
      [user.id],
    );
    expect(events).toEqual([
      { action: 'user.added', client_id: APP },
      { action: 'login.succeeded', client_id: APP },
      { action: 'application.signed_in', client_id: APP },
      { action: 'login.succeeded', client_id: APP },
      { action: 'application.signed_in', client_id: APP },
    ]);
  });

  it('is somebody who was there before only where the connection may link', async () => {
    const grace = await scene.gateway.addUser(scene.acme, 'grace@acme.example', 'Grace');
    backEnd.says({ id: 'grace-1', email: 'grace@acme.example', name: 'Somebody' });
    const reason =
      'there is a user of this address, and the connection may not link people to users (--link-existing)';
    for (const mode of ['nothing', 'create'] as const) await expectRefused(mode, 'email_not_allowed', reason);
    for (const mode of ['link', 'both'] as const) {
      expect(await scene.userOf(await show(mode))).toEqual({
        id: grace.id,
        email: 'grace@acme.example',
        name: 'Grace',
      });
    }
    backEnd.says({ id: 'grace-2', email: 'grace@acme.example' });
    const conflict = 'identity conflict: the user of this address signs in here with another subject';
    for (const mode of ['link', 'both'] as const) await expectRefused(mode, 'email_not_allowed', conflict);
  });

  it('is two people, where two connections call them alike', async () => {
    const another = await connect(['--create-users']);
    backEnd.says({ id: 'same' });
    const first = await scene.userOf(await show('create'));
    const form = { subject_token: newToken(), subject_token_type: OPAQUE_TYPE, connection: another };
    expect((await scene.userOf(await scene.exchange(form))).id).not.toBe(first.id);
  });

  it.each([undefined, 'twice@acme.example'])(
    'is one user, however many come first at once (address: %s)',
    async (email) => {
      backEnd.says({ id: `twice ${email ?? ''}`, email });
      const before = await count('users');
      const ports = [scene.gateway.port, secondPort];
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, index) => show('create', newToken(), ports[index % 2])),
      );
      const users = await Promise.all(answers.map((answer) => scene.userOf(answer)));
      expect(new Set(users.map(({ id }) => id)).size).toBe(1);
      expect(await count('users')).toBe(before + 1);
    },
  );
});

describe('an address', () => {
  const NOT_PROVED = ['email_not_allowed', "the organization has not proved the address's domain"] as const;

  it.each([
    ['T-02 of nobody', 'victim@nobody.example'],
    ['T-01 of another organization', 'victim@globex.example'],
    ['T-03 that a user here has, at a domain that is not proved', 'guest@guests.example'],
  ])('%s is refused, whatever the connection may do', async (_, email) => {
    if (email.startsWith('guest')) await scene.gateway.addUser(scene.acme, email);
    else await scene.gateway.addUser(globex, `victim-${++shown}@globex.example`);
    backEnd.says({ id: 'stranger', email });
    for (const mode of ['nothing', 'create', 'link', 'both'] as const)
      await expectRefused(mode, ...NOT_PROVED);
  });

  it('T-09 whose domain loses its proof is refused until it is proved again', async () => {
    await scene.command.json(['domain', 'add', 'acme', 'second.example', '--verified']);
    backEnd.says({ id: 'second', email: 'ada@second.example' });
    const user = await scene.userOf(await show('create'));
    await scene.command.json(['domain', 'remove', 'second.example', '--yes']);
    await expectRefused('create', ...NOT_PROVED);
    await scene.command.json(['domain', 'add', 'globex', 'second.example', '--verified']);
    await expectRefused('create', ...NOT_PROVED);
    await scene.command.json(['domain', 'remove', 'second.example', '--yes']);
    await scene.command.json(['domain', 'add', 'acme', 'second.example', '--verified']);
    expect(await scene.userOf(await show('create'))).toEqual(user);
  });

  it('may come later, and go again, for one and the same person', async () => {
    backEnd.says({ id: 'late' });
    const user = await scene.userOf(await show('create'));
    backEnd.says({ id: 'late', email: 'late@acme.example' });
    expect(await scene.userOf(await show('create'))).toEqual({ ...user, email: 'late@acme.example' });
    backEnd.says({ id: 'late' });
    expect(await scene.userOf(await show('create'))).toEqual({ ...user, email: 'late@acme.example' });
    const taken = await scene.gateway.addUser(scene.acme, 'taken@acme.example');
    backEnd.says({ id: 'late', email: taken.email });
    await expectRefused(
      'create',
      'email_not_allowed',
      'the person has a new address, and another user has it',
    );
  });
});

describe('a person without an address', () => {
  it('is shown, disabled, enabled and removed by their id', async () => {
    backEnd.says({ id: 2345, name: 'Simon Davis' });
    const exchanged = await show('create');
    const { id } = await scene.userOf(exchanged);
    const { command } = scene;
    expect(await command.json(['user', 'show', 'acme', id])).toMatchObject({
      id,
      email: null,
      name: 'Simon Davis',
      enabled: true,
    });
    expect(await command.json(['user', 'list', 'acme'])).toContainEqual(
      expect.objectContaining({ id, email: null }),
    );
    expect(await command.json(['session', 'list', 'acme', id])).toEqual([
      expect.objectContaining({ user: { id, email: null } }),
    ]);
    expect((await command.run(['session', 'list', 'acme', id])).stdout).toContain('Simon Davis');
    await command.json(['user', 'disable', 'acme', id, '--yes']);
    await until(
      ({ status }) => status === 401,
      () => scene.session(exchanged),
    );
    await expectRefused('create', 'user_disabled', 'the user is disabled');
    await command.json(['user', 'enable', 'acme', id]);
    expect((await scene.userOf(await show('create'))).id).toBe(id);
    expect(await command.json(['user', 'remove', 'acme', id, '--yes'])).toEqual({ removed: id });
    expect(await scene.gateway.sql('SELECT FROM sessions WHERE user_id = $1', [id])).toEqual([]);
    const again = await scene.userOf(await show('create'));
    expect(again.id).not.toBe(id);
  });

  it('is not found by an id in another organization', async () => {
    backEnd.says({ id: 'ours' });
    const { id } = await scene.userOf(await show('create'));
    for (const verb of ['show', 'enable', 'disable', 'remove']) {
      const yes = verb === 'show' ? [] : ['--yes'];
      await scene.command.refused(['user', verb, 'globex', id, ...yes], /globex has no user/);
    }
    expect(await scene.command.json(['session', 'list', 'globex', id])).toEqual([]);
  });

  it('is called by what the back end calls them, where it can be shown', async () => {
    for (const [index, name] of ['<b>', '\u202eevil', 'x'.repeat(201), '', 7, null, ['a'], {}].entries()) {
      backEnd.says({ id: `named-${index}`, name });
      expect((await scene.userOf(await show('create'))).name).toBe(index === 0 ? '<b>' : `named-${index}`);
    }
  });
});
