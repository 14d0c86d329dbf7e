/** `connection update`, `disable`, `enable` and `remove` for OpenID Connect: what changes, what stays, and where the secret goes. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../support/test-gateway.ts';
import { startOpenIdStub } from '../tenants/openid-stub.ts';
import type { CommandLine } from './command-line.ts';
import { openOidcBench, SECRET, type OidcBench, type Shown } from './oidc-bench.ts';

let bench: OidcBench;
let cli: CommandLine;

beforeAll(async () => {
  bench = await openOidcBench();
  ({ cli } = bench);
});
afterAll(() => bench.close());

describe('connection update of OpenID Connect', () => {
  it('changes what is given and keeps the rest, the secret too', async () => {
    const before = await bench.addConnection('--email-claim', 'mail');
    expect(await cli.json(['connection', 'update', before.id, '--client-id', 'other'])).toEqual({
      ...before,
      client_id: 'other',
      revision: 2,
    });
    expect(await bench.storedSecret(before.id)).toBe(SECRET);
    await cli.json(['connection', 'update', before.id, '--client-secret-file', '-'], { stdin: 'newer\n' });
    expect(await bench.storedSecret(before.id)).toBe('newer');
  });

  it('asks for the secret where somebody sits at the terminal', async () => {
    const { id } = await bench.addConnection();
    const args = ['connection', 'update', id, '--client-secret-file', '-'];
    const { status, stderr } = await cli.run(args, { types: 'typed\n' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: 'Type or paste the secret, then Ctrl-D:\n' });
    expect(await bench.storedSecret(id)).toBe('typed');
  });

  it('asks the provider again and changes nothing where it does not answer', async () => {
    const before = await bench.addConnection();
    const silent = `http://127.0.0.1:${await freePort()}`;
    await cli.refused(['connection', 'update', before.id, '--discovery-url', silent], /ECONNREFUSED/);
    expect(await cli.json(['connection', 'show', before.id])).toEqual(before);
  });

  it('sends a stored secret to no new place', async () => {
    const before = await bench.addConnection();
    const moved = await startOpenIdStub();
    try {
      const args = ['connection', 'update', before.id, '--discovery-url', moved.issuer];
      await cli.refused(args, /Give the client secret again with --client-secret-file/);
      expect(await cli.json(['connection', 'show', before.id])).toEqual(before);
      expect(moved.secrets).toEqual([]);
      const after = await cli.json([...args, '--client-secret-file', '-'], { stdin: 'given again' });
      expect(after).toMatchObject({ issuer: moved.issuer, revision: 2 });
    } finally {
      await moved.close();
    }
  });

  it('refuses what only the other kind has', async () => {
    const { id } = await bench.addConnection();
    await cli.misused(['connection', 'update', id, '--login-url', 'http://127.0.0.1'], /--login-url/);
    await cli.refused(['connection', 'key', 'add', id, '-'], /has no keys/, { stdin: 'PEM' });
    await cli.refused(['connection', 'key', 'remove', id, 'key', '--yes'], /has no keys/);
  });

  it('A-16 of two changes at once loses none without saying so', async () => {
    const { id } = await bench.addConnection();
    const outcomes = await Promise.all([
      cli.run(['connection', 'update', id, '--client-id', 'one', '--json']),
      cli.run(['connection', 'update', id, '--scope', 'openid other', '--json']),
    ]);
    const done = outcomes.filter(({ status }) => status === 0).length;
    const shown = await cli.json<Shown>(['connection', 'show', id]);
    expect(shown.revision).toBe(1 + done);
    for (const { status, stderr } of outcomes) {
      if (status !== 0) expect(stderr).toMatch(/changed by somebody else at the same time/);
    }
    if (done === 2) expect(shown).toMatchObject({ client_id: 'one', scope: 'openid other' });
  });
});

describe('connection disable, enable, remove', () => {
  it('asks, then does', async () => {
    const { id, organization } = await bench.addConnection();
    for (const verb of ['disable', 'remove']) {
      await cli.refused(['connection', verb, id], /signs out everybody .*Nothing was done: add --yes/);
    }
    expect(await cli.json(['connection', 'disable', id])).toHaveProperty('status', 'disabled');
    expect(await cli.json(['connection', 'enable', id])).toHaveProperty('status', 'active');
    expect((await cli.run(['connection', 'list', String(organization)])).stdout).toMatch(
      /^ID +KIND +STATUS +WHO\n/,
    );
    await cli.refused(['connection', 'remove', id, '--yes'], /only connection .*--last/);
    expect(await cli.json(['connection', 'remove', id, '--last'])).toEqual({ removed: id });
    await cli.refused(['connection', 'show', id], /^There is no connection .*connection list/);
    expect(await cli.json(['connection', 'list', String(organization)])).toEqual([]);
  });
});

it('A-06 prints the secret nowhere: not in a list, not in the audit trail, not in the database', async () => {
  const { id, organization } = await bench.addConnection();
  for (const args of [
    ['connection', 'show', id],
    ['connection', 'list', String(organization)],
    ['audit', 'list'],
  ]) {
    for (const json of [[], ['--json']]) {
      expect((await cli.run([...args, ...json])).stdout).not.toContain(SECRET);
    }
  }
  const [row] = await bench.testDatabase.query('SELECT * FROM connections WHERE id = $1', [id]);
  expect(JSON.stringify(row)).not.toContain(SECRET);
});
