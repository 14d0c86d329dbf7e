/** `connection secret` and dates of client secrets, as an operator types them; what is stored of that; and files that others can read. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { requireConnection } from '../../src/connections/connection-store.ts';
import { openSecrets } from '../../src/connections/client-secret.ts';
import { secretPlace } from '../../src/connections/connection.ts';
import { openDatabase } from '../../src/database/database.ts';
import { openSecretBox } from '../../src/secret-box.ts';
import { SECRET_KEY, type CommandLine } from '../cli/command-line.ts';
import { openOidcBench, SECRET, type OidcBench } from '../cli/oidc-bench.ts';
import { keys, pemOf } from '../cli/two-nodes.ts';
import { startOpenIdStub } from '../tenants/openid-stub.ts';

const NEWER = 'the newer secret: ü%+&"$';

interface ShownSecret {
  readonly id: string;
  readonly added_at: string | null;
  readonly expires_at: string | null;
  readonly refused_at: string | null;
}

let bench: OidcBench;
let cli: CommandLine;

beforeAll(async () => {
  bench = await openOidcBench();
  ({ cli } = bench);
});
afterAll(() => bench.close());

const secret = (verb: 'add' | 'list' | 'remove', id: string, ...rest: string[]) => [
  ...['connection', 'secret', verb, id],
  ...(verb === 'add' ? ['--client-secret-file', '-'] : []),
  ...rest,
];
const list = (id: string) => cli.json<readonly ShownSecret[]>(secret('list', id));

/** The secrets as the server would use them, in the order in which it would try them. */
async function opened(id: string): Promise<readonly string[]> {
  const database = await openDatabase({ databaseUrl: bench.testDatabase.url, dataDir: '' });
  const connection = await requireConnection(database, id).finally(() => database.close());
  const box = openSecretBox({ secretKeys: [Buffer.from(SECRET_KEY, 'base64')], dataDir: '' });
  return openSecrets(box, secretPlace(connection), connection.sealedSecrets).map((one) => one.secret);
}

describe('connection secret', () => {
  it('adds a second one, lists both, and takes the first away; sign-ins under way go on', async () => {
    const { id } = await bench.addConnection('--client-secret-expires', '2027-01-31');
    const [first] = await list(id);
    expect(first).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}$/),
      added_at: expect.any(String),
      expires_at: '2027-01-31T00:00:00.000Z',
      refused_at: null,
    });
    const added = await cli.json(secret('add', id, '--expires', '2028-02-29T12:30:00+02:00'), {
      stdin: NEWER,
    });
    expect(added).toEqual({
      ...{ connection: id, id: expect.any(String), added_at: expect.any(String) },
      ...{ expires_at: '2028-02-29T10:30:00.000Z', refused_at: null },
    });
    expect((await list(id)).map((one) => one.id)).toEqual([first?.id, added['id']]);
    expect(await opened(id)).toEqual([SECRET, NEWER]);
    // Where the release before this one looks.
    expect(await bench.storedSecret(id)).toBe(SECRET);
    const shown = await cli.json(['connection', 'show', id]);
    expect(shown).toMatchObject({ revision: 2, client_secrets: await list(id) });
    const [row] = await bench.testDatabase.query('SELECT login_revision FROM connections WHERE id = $1', [
      id,
    ]);
    expect(row).toEqual({ login_revision: 1 });
    await cli.refused(secret('remove', id, String(first?.id)), /is forgotten\. Nothing was done: add --yes/);
    expect(await cli.json(secret('remove', id, String(first?.id)))).toEqual({ removed: first?.id });
    expect(await opened(id)).toEqual([NEWER]);
    expect(await bench.storedSecret(id)).toBe(NEWER);
    const events = await bench.testDatabase.query(
      `SELECT action, reason, actor FROM audit_events WHERE connection_id = $1 ORDER BY id`,
      [id],
    );
    expect(events.slice(1)).toEqual([
      { action: 'connection.secret_added', reason: added['id'], actor: expect.stringMatching(/^cli/) },
      { action: 'connection.secret_removed', reason: first?.id, actor: expect.stringMatching(/^cli/) },
    ]);
  });

  it('has two at most, none twice, and one at least', async () => {
    const { id } = await bench.addConnection();
    const [first] = await list(id);
    await cli.refused(secret('add', id), 'The connection has this client secret already.', { stdin: SECRET });
    await cli.refused(
      secret('remove', id, String(first?.id), '--yes'),
      /^This is the only client secret\. Add/,
    );
    await cli.refused(
      secret('remove', id, 'ffffffff', '--yes'),
      /^The connection has no client secret ffffffff/,
    );
    await cli.json(secret('add', id), { stdin: NEWER });
    await cli.refused(secret('add', id), /has 2 client secrets already\. Remove/, { stdin: 'a third' });
    await cli.misused(['connection', 'secret', 'add', id], /client-secret-file/);
  });

  it('is for OpenID Connect', async () => {
    const slug = await bench.newOrganization();
    const add = ['connection', 'add', slug, 'jwt-callback', '--login-url', 'http://127.0.0.1:1/'];
    const { id } = await cli.json<{ id: string }>([...add, '--public-key-file', '-'], { stdin: pemOf(keys) });
    await cli.refused(secret('add', id), /of the kind jwt-callback has no client secret/, { stdin: NEWER });
    await cli.refused(secret('list', id), /has no client secret/);
    await cli.refused(secret('remove', id, 'ffffffff', '--yes'), /has no client secret/);
    await cli.misused(
      ['connection', 'update', id, '--client-secret-expires', '2027-01-01'],
      /--client-secret-expires/,
    );
  });

  it('A-06 is printed nowhere, nor stored as it is', async () => {
    const { id } = await bench.addConnection();
    await cli.json(secret('add', id), { stdin: NEWER });
    for (const args of [
      secret('list', id),
      ['connection', 'show', id],
      ['audit', 'list'],
      ['doctor', '--offline'],
    ]) {
      for (const json of [[], ['--json']]) {
        const { stdout, stderr } = await cli.run([...args, ...json]);
        for (const text of [stdout, stderr]) expect(text).not.toMatch(/correct horse|the newer secret/);
      }
    }
    const [row] = await bench.testDatabase.query('SELECT * FROM connections WHERE id = $1', [id]);
    expect(JSON.stringify(row)).not.toMatch(/correct horse|the newer secret/);
  });
});

describe('connection update', () => {
  it('F-13 puts one secret in the place of both, and sends neither of them to a new place', async () => {
    const { id } = await bench.addConnection();
    await cli.json(secret('add', id), { stdin: NEWER });
    const moved = await startOpenIdStub();
    try {
      const args = ['connection', 'update', id, '--discovery-url', moved.issuer];
      await cli.refused(args, /Give the client secret again with --client-secret-file/);
      expect(await opened(id)).toEqual([SECRET, NEWER]);
      await cli.json([...args, '--client-secret-file', '-', '--client-secret-expires', '2027-05-01'], {
        stdin: 'given again',
      });
      expect(await opened(id)).toEqual(['given again']);
      expect(await list(id)).toEqual([expect.objectContaining({ expires_at: '2027-05-01T00:00:00.000Z' })]);
    } finally {
      await moved.close();
    }
  });

  it('gives the only secret a date, takes it back, and asks which one where there are two', async () => {
    const { id } = await bench.addConnection();
    const update = ['connection', 'update', id, '--client-secret-expires'];
    const [before] = await list(id);
    await cli.json([...update, '2027-05-01']);
    expect(await list(id)).toEqual([{ ...before, expires_at: '2027-05-01T00:00:00.000Z' }]);
    await cli.json([...update, 'never']);
    expect(await list(id)).toEqual([before]);
    await cli.json(secret('add', id), { stdin: NEWER });
    await cli.refused([...update, '2027-05-01'], /has two client secrets.*Remove the one/);
  });

  it.each([
    'tomorrow',
    '2027-02-30',
    '2027-13-01',
    '2027-1-1',
    '2027-01-01T25:00:00Z',
    '2027-01-01T00:00:00',
    '',
  ])('"%s" is no date', async (given) => {
    const { id } = await bench.addConnection();
    await cli.misused(['connection', 'update', id, `--client-secret-expires=${given}`], /a date is expected/);
    await cli.misused(secret('add', id, `--expires=${given}`), /a date is expected/);
  });

  it('of the release before counts alone: what was beside another first secret is gone', async () => {
    const { id, organization } = await bench.addConnection();
    await cli.json(secret('add', id), { stdin: NEWER });
    const [row] = await bench.testDatabase.query<{ organization_id: string }>(
      'SELECT organization_id FROM connections WHERE id = $1',
      [id],
    );
    const box = openSecretBox({ secretKeys: [Buffer.from(SECRET_KEY, 'base64')], dataDir: '' });
    const place = secretPlace({ organizationId: String(row?.organization_id), id });
    await bench.testDatabase.query('UPDATE connections SET sealed_secret = $2 WHERE id = $1', [
      id,
      box.seal('client-secret', place, 'of before'),
    ]);
    expect(await opened(id)).toEqual(['of before']);
    expect(await list(id)).toEqual([
      { id: expect.any(String), added_at: null, expires_at: null, refused_at: null },
    ]);
    expect((await cli.run(['connection', 'list', String(organization)])).status).toBe(0);
  });
});

describe('A-13 a file with a secret', () => {
  it.each([
    [
      0o644,
      'secret.txt',
      /^Everybody on this machine can read .*secret\.txt\. Keep it to yourself: chmod 600 \S+\/secret\.txt\n$/,
    ],
    [
      0o640,
      'its own.txt',
      /^Its group can read .*its own\.txt\. Keep it to yourself: chmod 600 '.*\/its own\.txt'\n$/,
    ],
    [0o600, 'mine.txt', /^$/],
    [0o400, 'read only.txt', /^$/],
  ])('of mode %o is taken, with a warning where others can read it', async (mode, name, warning) => {
    const file = join(bench.folder, name);
    await writeFile(file, NEWER);
    await chmod(file, mode);
    const { id } = await bench.addConnection();
    const args = ['connection', 'secret', 'add', id, '--client-secret-file', file];
    const { status, stderr, stdout } = await cli.run(args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringMatching(warning) });
    expect(stderr + stdout).not.toContain(NEWER);
    expect(await opened(id)).toEqual([SECRET, NEWER]);
  });

  it('is not asked for in an argument, which is not repeated', async () => {
    const { id } = await bench.addConnection();
    const given = [...secret('add', id), `--client-secret=${NEWER}`];
    expect(await cli.misused(given, /unknown option/)).not.toContain('newer');
  });
});
