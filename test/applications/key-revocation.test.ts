/** a signing key that was stolen is revoked, and what it signed counts nowhere any more. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet } from 'jose';
import { send } from '../attacks/refusal.ts';
import { CommandLine, SECRET_KEY } from '../cli/command-line.ts';
import { BEHIND_PROXY, Guest, registerHost } from '../hosts/guest.ts';
import { startStage, tokensOf, withinASecond, type Stage } from './stage.ts';

const WIKI = 'wiki.vendor.example';

interface ShownKey {
  readonly id: string;
  readonly state: string;
}

describe('X-25 keys revoke', () => {
  let stage: Stage;
  let cli: CommandLine;
  let idToken: string;
  let accessToken: string;

  beforeAll(async () => {
    stage = await startStage({ env: { SECRET_KEY, ...BEHIND_PROXY } });
    cli = new CommandLine({ DATABASE_URL: stage.gateway.databaseUrl, PUBLIC_URL: stage.gateway.url });
    await registerHost(stage.gateway, WIKI);
    const app = await stage.addApp('app', { resources: [`https://${WIKI}`] });
    const company = await stage.addCompany();
    const browser = await stage.signedIn(company, `ada@${company.domain}`);
    const code = await app.code(browser, { resource: `https://${WIKI}` });
    ({ id_token: idToken, access_token: accessToken } = tokensOf(await app.exchange(code)));
  });
  afterAll(() => stage.close());

  const list = () => cli.json<ShownKey[]>(['keys', 'list']);
  const idsOf = (keys: readonly ShownKey[], state: string) =>
    keys.filter((key) => key.state === state).map(({ id }) => id);

  async function isVerifiedAt(port: number): Promise<boolean> {
    const { body } = await send(`${stage.gateway.url}/oidc/jwks`, { port });
    const keys = createLocalJWKSet(JSON.parse(body) as JSONWebKeySet);
    const verified = jwtVerify(idToken, keys, { audience: 'app' });
    return verified.then(
      () => true,
      (error: unknown) => {
        if (error instanceof errors.JWKSNoMatchingKey) return false;
        throw error;
      },
    );
  }

  const bearerStatus = async (port: number) => {
    const headers = { authorization: `Bearer ${accessToken}`, accept: 'application/json' };
    return (await new Guest(stage.gateway).ask(WIKI, '/auth/verify', { headers, port })).status;
  };

  const everywhere = async <Result>(ask: (port: number) => Promise<Result>) =>
    Promise.all(stage.ports.map(ask));

  it('takes no key that signs, is about to, or is none; and nothing is done then', async () => {
    const [before] = [await list()];
    const [signing = ''] = idsOf(before, 'signing');
    await cli.refused(['keys', 'revoke', signing, '--yes'], /signs, or is about to.*keys rotate --after 0s/);
    const rotated = await cli.json<ShownKey[]>(['keys', 'rotate', '--after', '1h']);
    const [next = ''] = idsOf(rotated, 'next');
    await cli.refused(['keys', 'revoke', next, '--yes'], /about to/);
    await cli.refused(['keys', 'revoke', 'nobodys', '--yes'], /No key nobodys is published.*keys list/);
    await cli.refused(['keys', 'revoke', signing], /Nothing was done: add --yes/);
    expect(await list()).toEqual(rotated);
  });

  it('asks for keys that do not sign any more, and all or none of those that are named', async () => {
    const [next = ''] = idsOf(await list(), 'next');
    await cli.json(['keys', 'rotate', '--after', '0s']);
    const keys = await list();
    // It never signs, whatever it was stolen for.
    expect(keys.map(({ id }) => id)).not.toContain(next);
    expect(idsOf(keys, 'next')).toEqual([]);
    const [old = ''] = idsOf(keys, 'published');
    await cli.refused(['keys', 'revoke', old, idsOf(keys, 'signing')[0] ?? '', '--yes'], /signs/);
    expect(await list()).toEqual(keys);
    // A rotation alone leaves what was signed before as good as it was.
    expect(await everywhere(isVerifiedAt)).toEqual([true, true]);
    expect(await everywhere(bearerStatus)).toEqual([200, 200]);
  });

  it('makes worthless what they signed, within a second on every node, and says who did it', async () => {
    const old = idsOf(await list(), 'published');
    const left = await cli.json<ShownKey[]>(['keys', 'revoke', ...old]);
    expect(left.map(({ state }) => state)).not.toContain('published');
    await withinASecond(async () => {
      expect(await everywhere(isVerifiedAt)).toEqual([false, false]);
      expect(await everywhere(bearerStatus)).toEqual([401, 401]);
    });
    const events = await stage.gateway.sql<{ reason: string; actor: string }>(
      `SELECT reason, actor FROM audit_events WHERE action = 'signing_key.revoked' ORDER BY id`,
    );
    expect(events.map(({ reason }) => reason.split(' ')[1])).toEqual(old);
    for (const { actor } of events) expect(actor).toMatch(/^cli:/);
  });
});
