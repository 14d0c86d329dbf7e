/** `keys reencrypt`: everything that is stored is sealed with a new key while nodes run, and nobody notices; and what a lost key breaks. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { startGateway, type Gateway } from '../../src/gateway.ts';
import { sealedColumns } from '../../src/keys/sealed-columns.ts';
import { openLog } from '../../src/log.ts';
import { keyIdOf, parseSecretKeys, SecretBox } from '../../src/secret-box.ts';
import { tokensOf } from '../applications/stage.ts';
import { signInAt } from '../attacks/oidc-scene.ts';
import { CommandLine } from '../cli/command-line.ts';
import { openFollowScene, until, type FollowScene, type Person } from '../sessions/follow-scene.ts';

const [OLD, NEW, OTHER] = [21, 22, 23].map((fill) => Buffer.alloc(32, fill).toString('base64')) as [
  string,
  string,
  string,
];
const boxOf = (keys: string) => new SecretBox(parseSecretKeys(keys) ?? []);
const [OLD_ID, NEW_ID, OTHER_ID] = [OLD, NEW, OTHER].map((key) => boxOf(key).currentKeyId);

interface Shown {
  readonly dry_run: boolean;
  readonly first_key: string;
  readonly resealed: readonly { readonly key_id: string; readonly count: number }[];
  readonly current: number;
  readonly left: number;
  readonly lost: readonly {
    readonly purpose: string;
    readonly subject: string;
    readonly organization: string | null;
    readonly key_id: string;
    readonly count: number;
    readonly next_step: string;
  }[];
}

let scene: FollowScene;
let cli: CommandLine;
let person: Person;
const nodes: Gateway[] = [];

beforeAll(async () => {
  // The first step of a rotation: every node has the new key, and none seals with it.
  scene = await openFollowScene({ env: { SECRET_KEY: `${OLD},${NEW}` } });
  cli = new CommandLine({ DATABASE_URL: scene.gateway.databaseUrl, PUBLIC_URL: scene.gateway.url });
  person = await scene.signIn();
});
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.close();
});
afterAll(() => scene.close());

const sql: FollowScene['gateway']['sql'] = (text, values) => scene.gateway.sql(text, values);
const run = async (secretKey: string, ...options: string[]) => {
  const outcome = await cli.run(['keys', 'reencrypt', '--json', ...options], {
    env: { SECRET_KEY: secretKey },
  });
  return { ...outcome, shown: JSON.parse(outcome.stdout) as Shown };
};
const sum = ({ resealed }: Shown) => resealed.reduce((total, { count }) => total + count, 0);

/** Ids of the keys that sealed what the database holds. */
async function keyIds(): Promise<readonly string[]> {
  const rows = await sql<{ sealed: string | null }>(
    `SELECT sealed_secret AS sealed FROM connections UNION ALL SELECT jsonb_path_query(client_secrets, '$[*].sealed') #>> '{}' FROM connections
     UNION ALL SELECT jsonb_path_query(sealed_secrets, '$[*].sealed') #>> '{}' FROM applications UNION ALL SELECT sealed_jwk FROM signing_keys
     UNION ALL SELECT sealed_id_token FROM sessions UNION ALL SELECT sealed_refresh_token FROM sessions
     UNION ALL SELECT sealed_tokens FROM host_sessions UNION ALL SELECT sealed FROM audit_heads UNION ALL SELECT sealed FROM audit_sealing`,
  );
  return rows.flatMap(({ sealed }) => (sealed === null ? [] : [keyIdOf(sealed)]));
}

/** Another node of the scene, with these keys. */
async function startWith(secretKey: string, lines: string[] = []): Promise<Gateway> {
  const secretKeys = parseSecretKeys(secretKey);
  const log = openLog('info', { write: (line) => lines.push(line) });
  const node = await startGateway({ ...scene.gateway.config, port: 0, secretKeys }, { log });
  nodes.push(node);
  return node;
}

it('knows every column of the schema that holds something sealed', async () => {
  const rows = await sql<{ name: string }>(
    `SELECT table_name || '.' || column_name AS name FROM information_schema.columns
     WHERE table_schema = current_schema() AND column_name ~ 'sealed|secrets$' ORDER BY 1`,
  );
  const known = Object.values(sealedColumns).flatMap((columns) =>
    columns.flatMap((column) =>
      ('column' in column ? [column.column] : column.columns.map(({ name }) => name)).map(
        (name) => `${column.table}.${name}`,
      ),
    ),
  );
  expect(rows.map(({ name }) => name)).toEqual(known.sort());
});

describe('while nodes run', () => {
  it('counts first, seals anew, is harmless twice and at once, and says when the old key may go', async () => {
    // A host's tokens, of which there would be another test's worth of proxies.
    await sql(`INSERT INTO hosts (name) VALUES ('wiki.vendor.example')`);
    const digest = randomBytes(32);
    const place = `wiki.vendor.example/${digest.toString('base64url')}`;
    await sql(
      `INSERT INTO host_sessions (secret_digest, ticket_digest, host, organization_id, session_id, sealed_tokens)
       VALUES ($1, $1, 'wiki.vendor.example', $2, $3, $4)`,
      [digest, scene.company.organization.id, person.id, boxOf(OLD).seal('host-tokens', place, '{}')],
    );
    expect(new Set(await keyIds())).toEqual(new Set([OLD_ID]));
    const counted = await run(`${NEW},${OLD}`, '--dry-run');
    expect(counted).toMatchObject({ status: 0, shown: { dry_run: true, current: 0, left: 0, lost: [] } });
    expect(counted.shown.resealed).toEqual([{ key_id: OLD_ID, count: expect.any(Number) }]);
    expect(new Set(await keyIds())).toEqual(new Set([OLD_ID]));

    const [one, other] = await Promise.all([run(`${NEW},${OLD}`), run(`${NEW},${OLD}`)]);
    expect([one.status, other.status]).toEqual([0, 0]);
    // What a node or the other command wrote at the same moment is left to it.
    const left = one.shown.left + other.shown.left;
    expect(sum(one.shown) + sum(other.shown) + left).toBeGreaterThanOrEqual(sum(counted.shown));
    const opened = (await sql<{ sealed: string }>('SELECT sealed_tokens AS sealed FROM host_sessions'))[0];
    expect(boxOf(NEW).open('host-tokens', place, opened?.sealed ?? '')).toBe('{}');

    await until('sealed anew, audit events that came meanwhile included', async () => {
      const { shown } = await run(`${NEW},${OLD}`);
      return sum(shown) === 0 ? true : undefined;
    });
    // The nodes seal the event of each run, with the first of their keys.
    const stdout = await until('all of it', async () => {
      const outcome = await cli.run(['keys', 'reencrypt'], { env: { SECRET_KEY: `${NEW},${OLD}` } });
      expect(outcome.status).toBe(0);
      return outcome.stdout.includes('can be taken out') ? outcome.stdout : undefined;
    });
    expect(stdout).toContain(`sealed with ${String(NEW_ID)}, the first key, already`);
    expect(stdout).toMatch(/for a day, .* can be taken out of SECRET_KEY/);
    const events = await sql(`SELECT reason, actor FROM audit_events WHERE action = 'secrets.reencrypted'`);
    expect(events[0]).toEqual({
      reason: `with the key ${String(NEW_ID)}`,
      actor: expect.stringMatching(/^cli/),
    });
  });

  it('waits for nobody who holds a row: that value is left alone', async () => {
    await scene.gateway.database.transaction(async (db) => {
      await db('audit_heads').forUpdate().select('chain');
      const { status, shown } = await run(`${OLD},${NEW}`);
      expect(status).toBe(0);
      expect(shown.left).toBeGreaterThanOrEqual(1);
    });
    expect((await run(`${NEW},${OLD}`)).status).toBe(0);
  });

  it('everything goes on: at the nodes that ran, and at one that has the new key alone', async () => {
    const fresh = await startWith(NEW);
    let { refresh_token: token } = person.tokens;
    for (const port of [...scene.ports, fresh.port]) {
      expect((await person.visitor.send('/session', { port })).status).toBe(200);
      const tokens = tokensOf(await scene.app.refresh(token, port));
      token = tokens.refresh_token;
    }
    // The provider is asked with the client secret and the refresh token, whichever node does it.
    const after = await scene.check(person.id);
    expect(after?.check_failures).toBe(0);
    expect(scene.shown.at(-1)).toBe(person.refreshToken);
    scene.provider.bend = { tokens: (good) => ({ ...good, refresh_token: 'of another' }) };
    const again = scene.visitor();
    const callback = await signInAt(await again.start('another@follow.example', { port: fresh.port }));
    expect((await again.send(callback, { port: fresh.port })).status).toBe(303);
  });

  it('a refresh token that is being shown to its provider is left alone until that is over', async () => {
    const busy = await scene.signIn();
    await run(`${NEW},${OLD}`);
    const before = await scene.stored(busy.id);
    // As takeDueSessions leaves it, for whoever asks the provider.
    await sql(
      `UPDATE sessions SET next_check_at = now() + interval '90 seconds', sealed_refresh_token = $2 WHERE id = $1`,
      [busy.id, await resealed(String(before?.sealed_refresh_token), busy.id)],
    );
    const { shown, status } = await run(`${NEW},${OLD}`);
    expect(status).toBe(0);
    expect(shown.left).toBeGreaterThanOrEqual(1);
    expect(keyIdOf(String((await scene.stored(busy.id))?.sealed_refresh_token))).toBe(OLD_ID);
    const { stdout } = await cli.run(['keys', 'reencrypt'], { env: { SECRET_KEY: `${NEW},${OLD}` } });
    expect(stdout).toMatch(/\d values were in use and left alone\. Run it again in two minutes\./);
    await sql(`UPDATE sessions SET next_check_at = now() + interval '15 minutes' WHERE id = $1`, [busy.id]);
    await run(`${NEW},${OLD}`);
    expect(keyIdOf(String((await scene.stored(busy.id))?.sealed_refresh_token))).toBe(NEW_ID);
  });

  async function resealed(sealed: string, id: string): Promise<string> {
    const [row] = await sql<{ secret_digest: Buffer }>('SELECT secret_digest FROM sessions WHERE id = $1', [
      id,
    ]);
    const { organization, connection } = scene.company;
    const place = `${organization.id}/${connection.id}/${String(row?.secret_digest.toString('hex'))}`;
    const token = boxOf(`${NEW},${OLD}`).open('refresh-token', place, sealed);
    return boxOf(OLD).seal('refresh-token', place, String(token));
  }

  it('a client secret keeps its name, and what its provider said of it', async () => {
    const { id } = scene.company.connection;
    const env = { SECRET_KEY: `${OLD},${NEW}` };
    const list = () =>
      cli.json<{ id: string; refused_at: string | null }[]>(['connection', 'secret', 'list', id]);
    await cli.json(['connection', 'secret', 'add', id, '--client-secret-file', '-'], {
      env,
      stdin: 'another',
    });
    const before = await list();
    await sql(
      `INSERT INTO refused_client_secrets (connection_id, revision, secret_id) SELECT id, revision, $2 FROM connections WHERE id = $1`,
      [id, before[1]?.id],
    );
    expect(sum((await run(`${NEW},${OLD}`)).shown)).toBeGreaterThan(0);
    const [stored] = await sql('SELECT sealed_secret, client_secrets FROM connections WHERE id = $1', [id]);
    expect(JSON.stringify(stored)).not.toContain(OLD_ID);
    const after = await list();
    expect(after.map((secret) => secret.id)).toEqual(before.map((secret) => secret.id));
    expect(after[1]?.refused_at).not.toBeNull();
    await cli.json(['connection', 'secret', 'remove', id, String(before[1]?.id)], { env });
    expect((await list()).map((secret) => secret.id)).toEqual([before[0]?.id]);
  });

  it('the doctor names values that an old key sealed, and says how to get rid of it', async () => {
    const findings = async (secretKey: string) =>
      JSON.parse(
        (await cli.run(['doctor', '--offline', '--json'], { env: { SECRET_KEY: secretKey } })).stdout,
      ) as { findings: { kind: string; subject: string; severity: string; next_step: string }[] };
    const old = (await findings(`${OTHER},${NEW},${OLD}`)).findings.filter(
      ({ kind }) => kind === 'key_outdated',
    );
    expect(old.find(({ subject }) => subject === NEW_ID)).toMatchObject({
      severity: 'notice',
      next_step: expect.stringContaining('keys reencrypt'),
    });
    const lost = (await findings(OTHER)).findings.filter(({ kind }) => kind === 'key_lost');
    expect(lost).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          subject: scene.company.connection.id,
          severity: 'critical',
          organization: 'follow',
        }),
        expect.objectContaining({ subject: 'app', severity: 'critical' }),
        expect.objectContaining({ subject: 'sessions', severity: 'warning' }),
      ]),
    );
  });
});

describe('X-26 a lost key', () => {
  it('is named with what it sealed and what to do, and the rest is sealed anew all the same', async () => {
    const other = await scene.addOther('lost');
    const box = boxOf(OTHER);
    const place = `${other.company.organization.id}/${other.company.connection.id}`;
    await sql('UPDATE connections SET sealed_secret = $2 WHERE id = $1', [
      other.company.connection.id,
      box.seal('client-secret', place, 'lost'),
    ]);
    const { status, shown, stderr } = await run(`${NEW},${OLD}`);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^No key of SECRET_KEY opens 1 of the values\. Put the key that sealed them at its end[^\n]*\n$/,
    );
    expect(shown.lost).toEqual([
      {
        purpose: 'client-secret',
        table: 'connections',
        subject: other.company.connection.id,
        organization: 'lost',
        key_id: OTHER_ID,
        count: 1,
        next_step: `gatehouse connection update ${other.company.connection.id} --client-secret-file <file>`,
      },
    ]);
    const { stdout } = await cli.run(['keys', 'reencrypt'], { env: { SECRET_KEY: `${NEW},${OLD}` } });
    expect(stdout).toMatch(
      /NO KEY OPENS +OF +ORGANIZATION +SEALED BY +VALUES +WHAT TO DO\nclient-secret +\S+ +lost/,
    );
    expect(stdout).not.toContain('can be taken out');

    // Its people are refused, and why is in the audit trail; nobody else is.
    const visitor = scene.visitor();
    const answer = await visitor.typeAddress('ada@lost.example');
    expect(answer.status).toBe(502);
    const [event] = await sql(
      `SELECT code, reason FROM audit_events WHERE connection_id = $1 AND action = 'login.failed'`,
      [other.company.connection.id],
    );
    expect(event).toEqual({
      code: 'identity_provider_error',
      reason: expect.stringMatching(/^no key of SECRET_KEY opens the client secret; .*connection update/),
    });
    expect(answer.body).not.toMatch(/SECRET_KEY|secret/);
    expect((await scene.visitor().start('ada@follow.example')).origin).toBe(scene.provider.issuer);
    // The next step that it named helps.
    await cli.json(['connection', 'update', other.company.connection.id, '--client-secret-file', '-'], {
      env: { SECRET_KEY: `${NEW},${OLD}`, ALLOW_PRIVATE_NETWORKS: 'true' },
      stdin: 'a new one',
    });
    expect((await run(`${NEW},${OLD}`)).shown.lost).toEqual([]);
    await until('heard', async () => {
      const { status } = await scene.visitor().typeAddress('ada@lost.example');
      return status === 200 ? true : undefined;
    });
  });

  it('of an application: it is told to come again, as nobody knows whether it is who it says', async () => {
    const lines: string[] = [];
    const [row] = await sql<{ sealed_secrets: { sealed: string }[] }>(
      `SELECT sealed_secrets FROM applications`,
    );
    const lost = row?.sealed_secrets.map((secret) => ({
      ...secret,
      sealed: boxOf(OTHER).seal('application-secret', 'application/app', 'x'),
    }));
    await sql('UPDATE applications SET sealed_secrets = $1', [JSON.stringify(lost)]);
    const node = await startWith(`${NEW},${OLD}`, lines);
    const answer = await scene.app.refresh(person.tokens.refresh_token, node.port);
    expect(answer.status).toBe(503);
    expect(answer.body).not.toContain('SECRET_KEY');
    expect(lines.some((line) => line.includes('opens the secret of the application'))).toBe(true);
    expect((await person.visitor.send('/session', { port: node.port })).status).toBe(200);
    await sql('UPDATE applications SET sealed_secrets = $1', [JSON.stringify(row?.sealed_secrets)]);
  });
});
