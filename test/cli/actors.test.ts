/** Every change by a command says in the audit trail who did it. Commands are found by their own help, so none can be forgotten. */
import { userInfo } from 'node:os';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { sealBatch } from '../../src/audit/seal-store.ts';
import { openDatabase } from '../../src/database/database.ts';
import { SecretBox } from '../../src/secret-box.ts';
import { startDnsServer, type DnsServer } from '../organizations/dns-server.ts';
import { newestEventId } from '../support/test-database.ts';
import { rsaKeyPair } from '../support/test-gateway.ts';
import { openOidcBench, type OidcBench } from './oidc-bench.ts';
import { keys, pemOf } from './two-nodes.ts';

/** Those that change nothing, and those whose changes are none of a sign-in's (`migrate` has its own table). */
const WITHOUT_EVENTS = new Set([
  'serve',
  'migrate',
  'doctor',
  'explain',
  ...['list', 'show', 'signposts'].map((verb) => `org ${verb}`),
  'domain list',
  ...['list', 'show', 'secret list'].map((verb) => `connection ${verb}`),
  'cutover status',
  ...['list', 'show'].flatMap((verb) => [`user ${verb}`, `app ${verb}`, `host ${verb}`]),
  'session list',
  'keys list',
  ...['list', 'verify', 'export'].map((verb) => `audit ${verb}`),
]);

let bench: OidcBench;
let dns: DnsServer;
let env: Record<string, string>;

beforeAll(async () => {
  bench = await openOidcBench();
  dns = await startDnsServer();
  env = {
    DNS_SERVERS: dns.address,
    REGION: 'eu',
    REGIONS: 'eu=http://localhost:3999,us=http://localhost:4999',
  };
});
afterAll(async () => {
  await bench.close();
  await dns.close();
});

/** Commands at the ends of the tree. */
async function leaves(path: readonly string[] = []): Promise<readonly string[]> {
  const { stdout } = await bench.cli.run([...path, '--help']);
  const [, commands] = stdout.split('\nCommands:\n');
  if (commands === undefined) return [path.join(' ')];
  const names = [...commands.matchAll(/^ {2}(\S+)/gm)].map(([, name = '']) => name);
  const found: string[] = [];
  for (const name of names.filter((one) => one !== 'help')) found.push(...(await leaves([...path, name])));
  return found;
}

const seen = new Set<string>();

/** Runs a command, which must leave events that name the account; those of others are none of its. */
async function changes(
  line: string,
  rest: readonly string[] = [],
  stdin = '',
): Promise<{ readonly id: string }> {
  const { query } = bench.testDatabase;
  const before = await newestEventId(query);
  const args = [...line.split(' '), ...rest];
  const made = await bench.cli.json<{ id: string }>(args, { stdin, env });
  const events = await query('SELECT action, actor FROM audit_events WHERE id > $1', [before]);
  expect([line, events]).not.toEqual([line, []]);
  for (const { action, actor } of events) expect([line, action, actor]).toEqual([line, action, ACTOR]);
  seen.add(line);
  return made;
}

const ACTOR = `cli:${userInfo().username}`;

async function changeOrganizations(): Promise<void> {
  for (const slug of ['acme', 'brand']) await changes('org add', [slug, '--name', slug]);
  for (const verb of ['disable', 'enable']) await changes(`org ${verb}`, ['acme']);
  await changes('domain add', ['acme', 'acme.example', '--verified']);
  const { txt_value: value } = (await changes('domain add', ['acme', 'later.example'])) as unknown as {
    txt_value: string;
  };
  dns.zones.set('_gatehouse.later.example', [value]);
  await changes('domain verify', ['later.example']);
  await changes('domain transfer', ['later.example', 'brand', '--verified']);
  await changes('domain remove', ['later.example']);
  await changes('user add', ['acme', 'ada@acme.example']);
  await changes('user import', ['acme', '-'], 'email,name\ngrace@acme.example,Grace\n');
  for (const verb of ['disable', 'enable', 'remove'])
    await changes(`user ${verb}`, ['acme', 'grace@acme.example']);
  const line = JSON.stringify({ slug: 'far', name: 'Far', region: 'us', domains: ['far.example'] });
  await changes('org import-signposts', ['-'], `${line}\n`);
  await changes('org region', ['brand', 'us']);
  await changes('org remove', ['brand']);
}

async function changeConnections(): Promise<void> {
  const oidc = [
    'oidc',
    '--discovery-url',
    bench.provider.issuer,
    '--client-id',
    'c',
    '--client-secret-file',
    '-',
  ];
  const old = await changes('connection add', ['acme', ...oidc], 'a secret');
  const secret = await changes('connection secret add', [old.id, '--client-secret-file', '-'], 'another');
  await changes('connection secret remove', [old.id, secret.id]);
  await changes('connection update', [old.id, '--label', 'Works']);
  for (const verb of ['test', 'flush', 'retire', 'disable', 'enable'])
    await changes(`connection ${verb}`, [old.id]);
  const draft = await changes('connection add', ['acme', ...oidc, '--draft'], 'a secret');
  await changes('connection activate', [draft.id, '--force']);
  const jwt = ['jwt-callback', '--login-url', 'http://127.0.0.1:1/', '--public-key-file', '-'];
  const callback = await changes('connection add', ['acme', ...jwt], pemOf(keys));
  const key = await changes('connection key add', [callback.id, '-'], pemOf(rsaKeyPair()));
  const [added] = (key as unknown as { keys: { id: string }[] }).keys.slice(-1);
  await changes('connection key remove', [callback.id, String(added?.id)]);
  await changes('connection route', [callback.id, '--address', 'eve@acme.example']);
  await changes('connection unroute', [callback.id, '--address', 'eve@acme.example']);
  await changes('cutover start', ['acme', '--from', old.id, '--to', draft.id]);
  for (const verb of ['include', 'exclude', 'forget'])
    await changes(`cutover ${verb}`, ['acme', 'ada@acme.example']);
  await changes('cutover share', ['acme', '20']);
  await changes('cutover rollback', ['acme']);
  await changes('cutover start', ['acme', '--from', old.id, '--to', draft.id]);
  await changes('cutover finish', ['acme']);
  await changes('connection remove', [callback.id]);
  await changes('break-glass', ['acme', 'ada@acme.example', '--reason', 'gone']);
  const [session] = await bench.testDatabase.query<{ id: string }>(
    `INSERT INTO sessions (secret_digest, organization_id, user_id, connection_id, idle_expires_at, expires_at)
     SELECT '\\x00', u.organization_id, u.id, $1, now() + '1h', now() + '1h' FROM users u RETURNING id`,
    [draft.id],
  );
  await changes('session revoke', [String(session?.id)]);
}

async function changeTheRest(): Promise<void> {
  await changes('app add', ['portal', '--redirect-uri', 'https://portal.example/callback']);
  await changes('app update', ['portal', '--redirect-uri', 'https://portal.example/other']);
  for (const verb of ['disable', 'enable', 'remove']) await changes(`app ${verb}`, ['portal']);
  await changes('host add', ['wiki.example']);
  await changes('host remove', ['wiki.example']);
  await changes('keys rotate', ['--after', '0s']);
  await changes('keys rotate', ['--after', '0s']);
  const published = await bench.cli.json<readonly { id: string; state: string }[]>(['keys', 'list']);
  await changes('keys revoke', [published.find(({ state }) => state === 'published')?.id ?? '']);
  await changes('keys reencrypt');
  await changes('restored');
  // What another key sealed is what there is to vouch for.
  const database = await openDatabase({ databaseUrl: bench.testDatabase.url, dataDir: '' });
  await sealBatch(database, new SecretBox([Buffer.alloc(32, 1)]), { after: undefined, most: 500 });
  await database.close();
  await changes('audit reseal');
}

it('W-12 every command that changes something says who did it', async () => {
  await changeOrganizations();
  await changeConnections();
  await changeTheRest();
  expect([...seen, ...WITHOUT_EVENTS].sort()).toEqual([...(await leaves())].sort());
});

it('says on whose word root did it by sudo, and believes nobody else', async () => {
  const actorOf = async (name: string) => {
    const before = await newestEventId(bench.testDatabase.query);
    await bench.cli.run(['org', 'disable', 'acme', '--yes'], { env: { SUDO_USER: name } });
    const [event] = await bench.testDatabase.query('SELECT actor FROM audit_events WHERE id > $1', [before]);
    await bench.cli.run(['org', 'enable', 'acme']);
    return event?.['actor'];
  };
  const isRoot = process.getuid?.() === 0;
  expect(await actorOf('ada')).toBe(isRoot ? `${ACTOR} (sudo: ada)` : ACTOR);
  for (const name of ['', 'ada) (sudo: eve', 'a\nb', '-x', 'x'.repeat(65)])
    expect(await actorOf(name)).toBe(ACTOR);
});
