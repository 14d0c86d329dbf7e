/** Two client secrets at once, and keys that are forgotten at once: two nodes, a provider that changes its mind, and people who sign in meanwhile. */
import { text as readAll } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { requireConnection } from '../../src/connections/connection-store.ts';
import { addClientSecret } from '../../src/connections/register-client-secret.ts';
import { updateOidcConnection } from '../../src/connections/register-connection.ts';
import { clientSecretOf, type Bends } from '../attacks/evil-provider.ts';
import { signingKey } from '../attacks/evil-tokens.ts';
import { CLIENT_SECRET, newEmail, registrationParts } from '../attacks/oidc-scene.ts';
import type { Answer } from '../attacks/refusal.ts';
import { CommandLine } from '../cli/command-line.ts';
import {
  eventsOf,
  goodAnswer,
  openFollowScene,
  sendJson,
  until,
  type FollowScene,
} from '../sessions/follow-scene.ts';

const NEWER = 'the newer secret: ü%+&"$';

interface Shown {
  readonly revision: number;
  readonly client_secrets: readonly { readonly id: string; readonly refused_at: string | null }[];
}

let scene: FollowScene;
let cli: CommandLine;

beforeAll(async () => {
  scene = await openFollowScene();
  scene.gateway.neverLogged(NEWER);
  cli = new CommandLine({
    DATABASE_URL: scene.gateway.databaseUrl,
    PUBLIC_URL: scene.gateway.url,
    SECRET_KEY: String(scene.gateway.config.secretKeys?.[0]?.toString('base64')),
  });
});
afterAll(() => scene.close());

const id = () => scene.company.connection.id;
const show = () => cli.json<Shown>(['connection', 'show', id()]);

async function oidc() {
  const connection = await requireConnection(scene.gateway.database, id());
  if (connection.kind !== 'oidc') throw new Error('this is another kind');
  return connection;
}

/** The connection has the old secret and the newer one, in a revision of which nobody has heard anything. */
beforeEach(async () => {
  scene.provider.straighten();
  const parts = registrationParts(scene.gateway);
  await updateOidcConnection(parts, await oidc(), { clientSecret: CLIENT_SECRET });
  await addClientSecret(parts, await oidc(), { secret: NEWER, expiresAt: undefined });
  await scene.update({});
});

const bendOf = (bend: Bends): Bends => ({ tokens: (good) => ({ ...good, refresh_token: 'given' }), ...bend });

const refusing =
  (secrets: readonly string[], status: number, body: string): NonNullable<Bends['refusesSecret']> =>
  (secret) =>
    secrets.includes(secret) ? { status, body } : undefined;
const INVALID_CLIENT = JSON.stringify({ error: 'invalid_client' });

/** Signs somebody new in at a node; the answer to the callback. */
async function signIn(port = scene.gateway.port): Promise<Answer> {
  const visitor = scene.visitor();
  return visitor.send(await visitor.goToProvider(newEmail('follow.example')), { port });
}

/** Client secrets that the token endpoint was sent since the last look, oldest first. */
function sent(): readonly string[] {
  return scene.provider.tokenRequests
    .splice(0)
    .map(({ authorization, form }) => clientSecretOf({ headers: { authorization } } as never, form));
}

const refusalsIn = (lines: readonly string[]) =>
  lines.filter((line) => line.includes('refuses a client secret'));

describe('a client secret that is refused', () => {
  it.each([
    [401, INVALID_CLIENT],
    [400, INVALID_CLIENT],
    [401, JSON.stringify({ error: 'unauthorized_client' })],
    [401, JSON.stringify({ error: 'access_denied', error_description: 'Unauthorized' })],
    [401, '<h1>Unauthorized</h1>'],
  ])(
    'with status %i and %s: the other one is tried with the same code, and then first',
    async (status, body) => {
      scene.provider.bend = bendOf({ refusesSecret: refusing([CLIENT_SECRET], status, body) });
      expect((await signIn()).status).toBe(303);
      expect(new Set(scene.provider.tokenRequests.map(({ form }) => form.get('code'))).size).toBe(1);
      expect(sent()).toEqual([CLIENT_SECRET, NEWER]);
      expect((await signIn()).status).toBe(303);
      expect(sent()).toEqual([NEWER]);
    },
  );

  it('is told of: once in the audit trail for both nodes, in the log, and in connection show', async () => {
    const before = (await eventsOf(scene, 'connection.secret_refused')).length;
    const loggedBefore = refusalsIn(scene.gateway.logLines).length;
    scene.provider.bend = bendOf({ refusesSecret: refusing([CLIENT_SECRET], 401, INVALID_CLIENT) });
    for (const port of scene.ports) expect((await signIn(port)).status).toBe(303);
    expect(sent()).toEqual([CLIENT_SECRET, NEWER, CLIENT_SECRET, NEWER]);
    const [old] = (await show()).client_secrets;
    const shown = await until('told', async () => {
      const now = await show();
      return now.client_secrets[0]?.refused_at === null ? undefined : now;
    });
    expect(shown.client_secrets).toEqual([
      expect.objectContaining({ id: old?.id, refused_at: expect.any(String) }),
      expect.objectContaining({ refused_at: null }),
    ]);
    const events = await eventsOf(scene, 'connection.secret_refused');
    expect(events.slice(before)).toEqual([
      { code: 'oauth:invalid_client', reason: `the provider refused the client secret ${String(old?.id)}` },
    ]);
    const logged = refusalsIn(scene.gateway.logLines).slice(loggedBefore);
    expect(logged.map((line) => JSON.parse(line) as object)).toEqual([
      expect.objectContaining({ level: 'warn', connectionId: id(), secretId: old?.id }),
      expect.objectContaining({ level: 'warn', connectionId: id(), secretId: old?.id }),
    ]);
    const { stdout } = await cli.run(['connection', 'show', id()]);
    expect(stdout).toMatch(new RegExp(`^client secrets +${String(old?.id)}, refused since 2`, 'm'));
  });

  it('and the other one as well: the sign-in fails with the provider’s words', async () => {
    scene.provider.bend = bendOf({ refusesSecret: refusing([CLIENT_SECRET, NEWER], 401, INVALID_CLIENT) });
    expect((await signIn()).status).toBe(502);
    expect(sent()).toEqual([CLIENT_SECRET, NEWER]);
    const [event] = (await eventsOf(scene, 'login.failed')).slice(-1);
    expect(event).toEqual({
      code: 'identity_provider_error',
      reason: 'the token endpoint answered invalid_client',
    });
    await until('told of both', async () =>
      (await show()).client_secrets.every(({ refused_at: at }) => at !== null) ? true : undefined,
    );
    // What is taken again is no longer refused.
    scene.provider.bend = bendOf({});
    expect((await signIn()).status).toBe(303);
    await until('taken back', async () =>
      (await show()).client_secrets[0]?.refused_at === null ? true : undefined,
    );
  });

  it('costs no second deadline: who does not answer to the other one is not waited for longer', async () => {
    scene.provider.bend = bendOf({
      refusesSecret: refusing([CLIENT_SECRET], 401, INVALID_CLIENT),
      holdToken: () => new Promise(() => undefined),
    });
    const startedAtMs = performance.now();
    expect((await signIn()).status).toBe(504);
    expect(performance.now() - startedAtMs).toBeLessThan(6_000);
    expect(sent()).toEqual([CLIENT_SECRET, NEWER]);
  });

  it('is no reason to send a code again that was refused itself', async () => {
    const body = JSON.stringify({ error: 'invalid_grant' });
    scene.provider.bend = bendOf({ refusesSecret: refusing([CLIENT_SECRET], 400, body) });
    expect((await signIn()).status).toBe(401);
    expect(sent()).toEqual([CLIENT_SECRET]);
  });

  it('ends nobody’s session: a refresh token is shown again with the other one', async () => {
    const person = await scene.signIn();
    const shownWith: string[] = [];
    // This node, or the other, starts again with the first secret.
    await scene.update({});
    scene.provider.bend = {
      instead: {
        token: async (request, response) => {
          const form = new URLSearchParams(await readAll(request));
          shownWith.push(clientSecretOf(request, form));
          if (shownWith.at(-1) === CLIENT_SECRET) sendJson(response, 401, INVALID_CLIENT);
          else sendJson(response, 200, goodAnswer({ refresh_token: 'the next one' }));
        },
      },
    };
    scene.provider.secrets.push('the next one');
    expect(await scene.check(person.id)).toMatchObject({ check_failures: 0 });
    expect(shownWith).toEqual([CLIENT_SECRET, NEWER]);
    await scene.expectStatus(person.visitor, 200);
  });
});

it('K-07 connection flush: a key that the provider took away is gone on every node at once', async () => {
  const [good] = scene.provider.keys;
  const stolen = signingKey();
  if (good === undefined) throw new Error('the provider has no key');
  scene.provider.keys = [good, stolen];
  const withStolen = bendOf({
    header: (header) => ({ ...header, kid: stolen.kid }),
    signWith: stolen.privateKey,
  });
  scene.provider.bend = withStolen;
  for (const port of scene.ports) expect((await signIn(port)).status).toBe(303);
  scene.provider.keys = [good];
  // Without it the key would serve for minutes.
  expect((await signIn()).status).toBe(303);
  const before = await show();
  const underWay = scene.visitor();
  const callback = await underWay.goToProvider(newEmail('follow.example'));
  const flushed = await cli.json<Shown>(['connection', 'flush', id()]);
  expect(flushed.revision).toBe(before.revision + 1);
  for (const port of scene.ports) {
    await until('refused', async () => ((await signIn(port)).status === 401 ? true : undefined), 1);
  }
  const reasons = (await eventsOf(scene, 'login.failed')).slice(-1);
  expect(reasons).toEqual([{ code: 'token_invalid', reason: expect.stringMatching(/keys of the provider/) }]);
  expect(await eventsOf(scene, 'connection.flushed')).toHaveLength(1);
  // A sign-in that was under way goes on, with the keys of now.
  scene.provider.bend = bendOf({});
  expect((await underWay.send(callback)).status).toBe(303);
});
