/** `connection key` and `connection update` of a custom JWT. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { CommandLine } from './command-line.ts';

function pemPair() {
  return generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

interface Shown {
  readonly id: string;
  readonly keys: readonly { readonly id: string }[];
  readonly [member: string]: unknown;
}

const pair = pemPair();
let folder: string;
let testDatabase: TestDatabase;
let cli: CommandLine;
let organizations = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-test-'));
  testDatabase = await createTestDatabase();
  cli = new CommandLine({ DATABASE_URL: testDatabase.url });
});
afterAll(async () => {
  await testDatabase.drop();
  await rm(folder, { recursive: true });
});

async function add(): Promise<Shown> {
  organizations += 1;
  const slug = `org-${organizations}`;
  await cli.json(['org', 'add', slug, '--name', slug]);
  const login = ['--login-url', 'http://127.0.0.1:1/login', '--public-key-file', '-'];
  return cli.json<Shown>(['connection', 'add', slug, 'jwt-callback', ...login], { stdin: pair.publicKey });
}

describe('keys of a connection', () => {
  const key = (verb: 'add' | 'remove', id: string, ...rest: string[]) => [
    'connection',
    'key',
    verb,
    id,
    ...rest,
  ];

  it('J-35 are added beside each other, and taken away but for the last', async () => {
    const { id, keys } = await add();
    const second = await cli.json<Shown>(key('add', id, '-'), { stdin: pemPair().publicKey });
    expect(second.keys.map((item) => item.id)).toEqual([keys[0]?.id, expect.any(String)]);
    const first = String(keys[0]?.id);
    await cli.refused(key('remove', id, first), /no longer accepted\. Nothing was done: add --yes/);
    const left = await cli.json<Shown>(key('remove', id, first));
    expect(left.keys).toEqual(second.keys.slice(1));
    await cli.refused(key('remove', id, first, '--yes'), `The connection has no key ${first}.`);
    await cli.refused(key('remove', id, String(left.keys[0]?.id), '--yes'), /^This is the only key/);
  });

  it('takes from a file too, not the same one twice, and not without end', async () => {
    const { id } = await add();
    const file = join(folder, 'next.pem');
    await writeFile(file, pemPair().publicKey);
    expect((await cli.json<Shown>(key('add', id, file))).keys).toHaveLength(2);
    await cli.refused(key('add', id, file), 'The connection has this key already.');
    for (const count of [3, 4]) {
      expect((await cli.json<Shown>(key('add', id, '-'), { stdin: pemPair().publicKey })).keys).toHaveLength(
        count,
      );
    }
    await cli.refused(key('add', id, '-'), /has 4 keys already/, { stdin: pemPair().publicKey });
  });

  it('refuses a private key, and one given in the place of a file', async () => {
    const { id, keys } = await add();
    const line = await cli.refused(key('add', id, '-'), /^This is a private key/, { stdin: pair.privateKey });
    expect(line).not.toContain(pair.privateKey.split('\n')[2]);
    // What begins with hyphens is taken for an option: wrong usage, and as silent about what was given.
    const told = await cli.misused(key('add', id, pair.privateKey), /unknown option/);
    for (const part of pair.privateKey.trim().split('\n')) expect(told).not.toContain(part);
    expect((await cli.json<Shown>(['connection', 'show', id])).keys).toEqual(keys);
  });
});

describe('connection update of a custom JWT', () => {
  it('changes what is given and keeps the keys', async () => {
    const before = await add();
    const update = ['connection', 'update', before.id];
    expect(await cli.json([...update, '--issuer', 'https://i.example'])).toEqual({
      ...before,
      issuer: 'https://i.example',
      revision: 2,
    });
    await cli.refused([...update, '--login-url', 'ftp://127.0.0.1/'], /--login-url must be/);
    await cli.misused([...update, '--client-id', 'x'], /--client-id/);
  });

  it('takes back that an issuer or an audience is required', async () => {
    const { id } = await add();
    const update = (value: string) =>
      cli.json(['connection', 'update', id, '--issuer', value, '--audience', value]);
    expect(await update('given')).toMatchObject({ issuer: 'given', audience: 'given' });
    expect(await update('')).toMatchObject({ issuer: null, audience: null });
  });

  it('takes another public key, as the contract of update says', async () => {
    const before = await add();
    const file = join(folder, 'other.pem');
    await writeFile(file, pemPair().publicKey);
    const after = await cli.json<Shown>(['connection', 'update', before.id, '--public-key-file', file]);
    expect(after.keys.map(({ id }) => id)).not.toEqual(before.keys.map(({ id }) => id));
  });
});
