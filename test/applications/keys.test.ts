/** Keys that sign: made once by whichever node needs them first, and changed while everything runs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, type JSONWebKeySet } from 'jose';
import { parseSecretKeys } from '../../src/secret-box.ts';
import { startGateway, type Gateway } from '../../src/gateway.ts';
import { openLog } from '../../src/log.ts';
import { send } from '../attacks/refusal.ts';
import { CommandLine, SECRET_KEY } from '../cli/command-line.ts';
import { newestEventId } from '../support/test-database.ts';
import { startTestGateway } from '../support/test-gateway.ts';
import { startStage, tokensOf, withinASecond, type App, type Stage, type Tokens } from './stage.ts';

const OTHER_SECRET_KEY = Buffer.alloc(32, 11).toString('base64');

interface ShownKey {
  readonly id: string;
  readonly algorithm: string;
  readonly state: string;
  readonly created_at: string;
  readonly signs_from: string;
  readonly published_until: string | null;
}

async function jwksOf(url: string, port: number): Promise<JSONWebKeySet> {
  const { status, body } = await send(`${url}/oidc/jwks`, { port });
  expect(status).toBe(200);
  return JSON.parse(body) as JSONWebKeySet;
}

const idsOf = ({ keys }: JSONWebKeySet) => keys.map(({ kid }) => String(kid)).sort();
const kidOf = ({ id_token: token }: Tokens) => decodeProtectedHeader(token).kid;

it('X-25 keys are made once, at the first use, by two nodes that are asked at once', async () => {
  const gateway = await startTestGateway({ env: { SECRET_KEY } });
  const node = await gateway.startNode();
  const cli = new CommandLine({ DATABASE_URL: gateway.databaseUrl, PUBLIC_URL: gateway.url });
  expect(await cli.json(['keys', 'list'])).toEqual([]);
  expect((await cli.run(['keys', 'list'])).stdout).toContain('There are no keys yet');
  const ports = Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? gateway.port : node.port));
  const answers = await Promise.all(ports.map((port) => jwksOf(gateway.url, port)));
  const keys = await cli.json<ShownKey[]>(['keys', 'list']);
  expect(keys.map(({ algorithm, state }) => [algorithm, state])).toEqual([
    ['RS256', 'signing'],
    ['ES256', 'signing'],
  ]);
  for (const answer of answers) expect(idsOf(answer)).toEqual(keys.map(({ id }) => id).sort());
  await node.close();
  await gateway.close();
});

describe('in service', () => {
  let stage: Stage;
  let cli: CommandLine;
  let app: App;
  let tokens: Tokens;
  beforeAll(async () => {
    stage = await startStage({ env: { SECRET_KEY } });
    cli = new CommandLine({ DATABASE_URL: stage.gateway.databaseUrl, PUBLIC_URL: stage.gateway.url });
    app = await stage.addApp('app');
    const company = await stage.addCompany();
    tokens = await app.tokens(await stage.signedIn(company, `ada@${company.domain}`));
  });
  afterAll(() => stage.close());

  const list = () => cli.json<ShownKey[]>(['keys', 'list']);
  const signing = async () =>
    (await list()).find(({ algorithm, state }) => algorithm === 'RS256' && state === 'signing')?.id;
  const refreshed = async (port: number) => {
    tokens = tokensOf(await app.refresh(tokens.refresh_token, port));
    return tokens;
  };

  it('X-25 publishes nothing private', async () => {
    const { keys } = await jwksOf(stage.gateway.url, stage.gateway.port);
    for (const key of keys) {
      for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) expect(key).not.toHaveProperty(member);
      expect(key).toMatchObject({ use: 'sig', kid: expect.any(String), alg: expect.any(String) });
    }
  });

  it('X-25 a new key is published at once and signs later, on both nodes without a restart', async () => {
    const old = await signing();
    const signedBefore = tokens;
    const shown = await cli.json<ShownKey[]>(['keys', 'rotate', '--after', '3s']);
    expect(shown.map(({ algorithm, state }) => `${algorithm} ${state}`).sort()).toEqual([
      'ES256 next',
      'ES256 signing',
      'RS256 next',
      'RS256 signing',
    ]);
    const next = shown.find(({ algorithm, state }) => algorithm === 'RS256' && state === 'next');
    const signsFrom = Date.parse(next?.signs_from ?? '');
    await withinASecond(async () => {
      for (const port of stage.ports) {
        expect(idsOf(await jwksOf(stage.gateway.url, port))).toEqual(shown.map(({ id }) => id).sort());
      }
    });
    for (const port of stage.ports) expect(kidOf(await refreshed(port))).toBe(old);
    expect(Date.now()).toBeLessThan(signsFrom);
    await sleep(signsFrom - Date.now() + 200);
    for (const port of stage.ports) {
      expect(kidOf(await refreshed(port))).toBe(next?.id);
      const keys = createLocalJWKSet(await jwksOf(stage.gateway.url, port));
      for (const { id_token: token } of [signedBefore, tokens]) {
        await jwtVerify(token, keys, { issuer: `${stage.gateway.url}/oidc`, audience: 'app' });
      }
    }
  });

  it('X-25 the list says what each key does, and until when', async () => {
    const keys = await list();
    expect(keys.map(({ algorithm, state }) => `${algorithm} ${state}`)).toEqual([
      'RS256 signing',
      'ES256 signing',
      'RS256 published',
      'ES256 published',
    ]);
    for (const { state, published_until: until, signs_from: from } of keys) {
      if (state === 'signing') expect(until).toBeNull();
      // As long as anything that it signed may come back.
      else expect(Date.parse(String(until)) - Date.now()).toBeGreaterThan(12 * 3_600_000);
      expect(Date.parse(from)).toBeLessThan(Date.now());
    }
    const { stdout } = await cli.run(['keys', 'list']);
    for (const { id } of keys) expect(stdout).toContain(id);
  });

  it('X-25 a key that nothing needs any more is no longer published', async () => {
    const old = (await list()).filter(({ state }) => state === 'published').map(({ id }) => id);
    await stage.gateway.sql('UPDATE signing_keys SET retires_at = now() WHERE kid = ANY($1)', [old]);
    await withinASecond(async () => {
      for (const port of stage.ports) {
        const ids = idsOf(await jwksOf(stage.gateway.url, port));
        expect(ids.filter((id) => old.includes(id))).toEqual([]);
      }
    });
  });

  it('X-25 a rotation at once signs with new keys within a second', async () => {
    const [before] = [await signing()];
    await cli.json(['keys', 'rotate', '--after', '0s']);
    const now = await signing();
    expect(now).not.toBe(before);
    await withinASecond(async () => {
      for (const port of stage.ports) expect(kidOf(await refreshed(port))).toBe(now);
    });
  });

  it('X-25 two rotations at once leave one key of each kind signing', async () => {
    await Promise.all([1, 2].map(() => cli.json(['keys', 'rotate', '--after', '0s'])));
    const states = (await list()).filter(({ state }) => state === 'signing');
    expect(states.map(({ algorithm }) => algorithm).sort()).toEqual(['ES256', 'RS256']);
    await withinASecond(async () => {
      const sets = await Promise.all(stage.ports.map((port) => jwksOf(stage.gateway.url, port)));
      expect(new Set(sets.map((set) => idsOf(set).join(' '))).size).toBe(1);
    });
  });

  it.each(['soon', '10', '-1s', '1w', '400d', ''])('X-25 refuses to rotate after "%s"', async (after) => {
    const before = await list();
    await cli.misused(['keys', 'rotate', '--yes', `--after=${after}`], /a number and a unit/);
    expect(await list()).toEqual(before);
  });

  it('X-25 asks before it rotates', async () => {
    await cli.refused(['keys', 'rotate'], /add --yes/);
    const before = await list();
    expect((await cli.run(['keys', 'rotate'], { types: 'no\n' })).status).toBe(1);
    expect(await list()).toEqual(before);
  });

  it('X-25 writes down that keys were added, and by whom', async () => {
    const before = await newestEventId(stage.gateway.sql);
    await cli.json(['keys', 'rotate', '--after', '1h']);
    const events = await stage.gateway.sql(
      'SELECT action, actor, reason FROM audit_events WHERE id > $1 ORDER BY reason',
      [before],
    );
    expect(events).toEqual(
      ['ES256', 'RS256'].map((algorithm) => ({
        action: 'signing_key.added',
        actor: expect.stringMatching(/^cli/),
        reason: expect.stringMatching(new RegExp(`^${algorithm} `)),
      })),
    );
  });

  describe('and another SECRET_KEY', () => {
    const lines: string[] = [];
    async function startWith(secretKey: string): Promise<Gateway> {
      const secretKeys = parseSecretKeys(secretKey);
      const log = openLog('info', { write: (line) => lines.push(line) });
      return startGateway({ ...stage.gateway.config, port: 0, secretKeys }, { log });
    }
    const ask = (path: string, port: number) => send(`${stage.gateway.url}${path}`, { port });

    it('X-25 that does not open the keys: unavailable for applications, and for nobody else', async () => {
      const node = await startWith(OTHER_SECRET_KEY);
      for (const path of ['/oidc/jwks', '/oidc/.well-known/openid-configuration', app.request()]) {
        const answer = await ask(path, node.port);
        expect([path, answer.status]).toEqual([path, 503]);
        expect(answer.body).not.toMatch(/SECRET_KEY|decrypt/);
        expect(answer.headers['retry-after']).toBeDefined();
      }
      expect((await app.refresh(tokens.refresh_token, node.port)).status).toBe(503);
      expect((await ask('/login', node.port)).status).toBe(200);
      expect((await ask('/session', node.port)).status).toBe(401);
      expect((await ask('/health/live', node.port)).status).toBe(200);
      expect(lines.some((line) => line.includes('SECRET_KEY'))).toBe(true);
      await node.close();
      // Nothing was made anew beside keys that cannot be read, and nothing was used up.
      await refreshed(stage.gateway.port);
    });

    it('X-25 beside the old one: both nodes sign', async () => {
      const node = await startWith(`${OTHER_SECRET_KEY},${SECRET_KEY}`);
      const kid = kidOf(await refreshed(stage.gateway.port));
      expect(kidOf(await refreshed(node.port))).toBe(kid);
      expect(kidOf(await refreshed(stage.gateway.port))).toBe(kid);
      await node.close();
    });

    it('P-12 beside the old one: a repeated refresh gets a successor that works', async () => {
      const node = await startWith(`${OTHER_SECRET_KEY},${SECRET_KEY}`);
      const { refresh_token: token } = await refreshed(stage.gateway.port);
      tokensOf(await app.refresh(token, stage.gateway.port));
      const again = tokensOf(await app.refresh(token, node.port));
      await node.close();
      tokensOf(await app.refresh(again.refresh_token, stage.gateway.port));
    });
  });
});
