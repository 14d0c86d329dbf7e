/** `--follow-provider`: what is taken, what is shown, and whose option it is. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { pemOf, keys } from './two-nodes.ts';
import type { CommandLine } from './command-line.ts';
import { openOidcBench, type OidcBench } from './oidc-bench.ts';

let bench: OidcBench;
let cli: CommandLine;

beforeAll(async () => {
  bench = await openOidcBench();
  ({ cli } = bench);
});
afterAll(() => bench.close());

describe('--follow-provider', () => {
  it.each([
    ['1m', '1m'],
    ['60s', '1m'],
    ['15m', '15m'],
    ['90m', '90m'],
    ['24h', '1d'],
    ['1d', '1d'],
  ])('%s is taken, and shown as %s', async (given, shown) => {
    const added = await bench.addConnection('--follow-provider', given);
    expect(added).toMatchObject({ follow_provider: shown, follow_consent: 'auto' });
    const { stdout } = await cli.run(['connection', 'show', added.id]);
    expect(stdout).toMatch(new RegExp(`^follow provider +${shown}$`, 'm'));
  });

  it('is changed, and taken back, and everything else stays', async () => {
    const before = await bench.addConnection();
    const update = (...args: string[]) => cli.json(['connection', 'update', before.id, ...args]);
    const followed = { follow_provider: '15m', follow_consent: 'yes' };
    expect(await update('--follow-provider', '15m', '--follow-consent', 'yes')).toEqual({
      ...before,
      ...followed,
      revision: 2,
    });
    expect(await update('--client-id', 'other')).toMatchObject(followed);
    expect(await update('--follow-provider', 'no')).toMatchObject({
      follow_provider: null,
      follow_consent: null,
    });
  });

  it.each(['59s', '0m', '25h', '2d', '15', 'yes', '', '-15m', '1.5h'])(
    '"%s" is wrong usage',
    async (given) => {
      const { id } = await bench.addConnection();
      await cli.misused(['connection', 'update', id, `--follow-provider=${given}`], /between 1m and 24h/);
      const slug = await bench.newOrganization();
      await cli.misused(bench.addArgs(slug, '-', `--follow-provider=${given}`), /between 1m and 24h/);
    },
  );

  it.each([
    ['--follow-provider', '15m'],
    ['--follow-consent', 'yes'],
  ])('%s is no option of custom JWT', async (...option) => {
    const slug = await bench.newOrganization();
    const add = ['connection', 'add', slug, 'jwt-callback', '--login-url', 'http://127.0.0.1:1/'];
    const args = [...add, '--public-key-file', '-'];
    await cli.misused([...args, ...option], new RegExp(option[0]), { stdin: pemOf(keys) });
    const { id } = await cli.json<{ id: string }>(args, { stdin: pemOf(keys) });
    await cli.misused(['connection', 'update', id, ...option], new RegExp(option[0]));
  });

  it('is explained', async () => {
    const { organization } = await bench.addConnection('--follow-provider', '15m');
    const slug = String(organization);
    await cli.json(['domain', 'add', slug, `${slug}.example`, '--verified']);
    await cli.json(['user', 'add', slug, `ada@${slug}.example`]);
    const { stdout } = await cli.run(['explain', `ada@${slug}.example`]);
    expect(stdout).toMatch(/asked every 15m whether it still stands by the person/);
  });
});
