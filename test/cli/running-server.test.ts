/** Commands beside two running nodes: each change is obeyed by both within a second, and nobody restarts anything. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { startOpenIdStub, type OpenIdStub } from '../tenants/openid-stub.ts';
import { expectRefusal } from '../tenants/refusal.ts';
import { Visitor } from '../tenants/visitor.ts';
import { CommandLine, SECRET_KEY } from './command-line.ts';

const keys = rsaKeyPair();
const newKeys = rsaKeyPair();
const pemOf = ({ publicKey }: typeof keys) => publicKey.export({ type: 'spki', format: 'pem' }).toString();

let gateway: TestGateway;
let secondNode: Awaited<ReturnType<TestGateway['startNode']>>;
let provider: OpenIdStub;
let cli: CommandLine;
let nodes: readonly number[];
let organizations = 0;
let markers = 0;
/** The organization of the test, and its one user. */
let slug: string;
let email: string;

beforeAll(async () => {
  gateway = await startTestGateway({ env: { SECRET_KEY } });
  secondNode = await gateway.startNode();
  nodes = [gateway.port, secondNode.port];
  provider = await startOpenIdStub();
  cli = new CommandLine({ DATABASE_URL: gateway.databaseUrl, PUBLIC_URL: gateway.url });
});
afterAll(async () => {
  await provider.close();
  await secondNode.close();
  await gateway.close();
});
beforeEach(async () => {
  organizations += 1;
  slug = `org-${organizations}`;
  email = `ada@${slug}.example`;
  await cli.json(['org', 'add', slug, '--name', slug]);
  await cli.json(['domain', 'add', slug, `${slug}.example`, '--verified']);
  await cli.json(['user', 'add', slug, email]);
});

interface Added {
  readonly id: string;
  readonly keys: readonly { readonly id: string }[];
}

const addJwtCallback = () =>
  cli.json<Added>(
    [
      'connection',
      'add',
      slug,
      'jwt-callback',
      '--login-url',
      'http://127.0.0.1:1/',
      '--public-key-file',
      '-',
    ],
    { stdin: pemOf(keys) },
  );

const addOidc = () =>
  cli.json<Added>(
    [
      ...['connection', 'add', slug, 'oidc', '--discovery-url', provider.issuer],
      ...['--client-id', 'gatehouse', '--client-secret-file', '-'],
    ],
    { stdin: 'first secret' },
  );

/** Asks every node again and again until it answers so; a second after a command it must. */
async function obeyed(status: number, ask: (visitor: Visitor) => Promise<{ status: number }>): Promise<void> {
  const deadline = performance.now() + 1_000;
  for (const port of nodes) {
    for (;;) {
      const answer = await ask(new Visitor(port));
      if (answer.status === status) break;
      if (performance.now() > deadline) expect({ port, status: answer.status }).toEqual({ port, status });
      await sleep(20);
    }
  }
}

/** Changes are heard in the order of their commits: who obeys a later one has heard those before it. */
async function heardByAll(): Promise<void> {
  markers += 1;
  await cli.json(['domain', 'add', slug, `marker-${markers}.${slug}.example`, '--verified']);
  await obeyed(200, asked(`ada@marker-${markers}.${slug}.example`));
}

const asked = (address: string) => (visitor: Visitor) => visitor.typeAddress(address);
const entryLink = (visitor: Visitor) => visitor.request(`/sso/${slug}`);

/** Every node has answered for this organization, and so may hold it in memory. */
async function warmUp(status: number): Promise<void> {
  for (const port of nodes) {
    expect((await asked(email)(new Visitor(port))).status).toBe(status);
    await entryLink(new Visitor(port));
  }
}

async function signIn(port = gateway.port, key = keys.privateKey): Promise<Visitor> {
  const visitor = new Visitor(port);
  const answer = await visitor.request(await visitor.startWithJwt(email, key));
  expect({ status: answer.status, body: answer.body }).toEqual({ status: 303, body: '' });
  return visitor;
}

/** The session is over on every node. */
async function signedOutEverywhere(visitor: Visitor): Promise<void> {
  const deadline = performance.now() + 1_000;
  for (const port of nodes) {
    visitor.goTo(port);
    while ((await visitor.session()).status !== 401) expect(performance.now()).toBeLessThan(deadline);
    expect((await visitor.request('/auth/verify')).status).toBe(401);
  }
}

describe('a way in', () => {
  it('opens when a connection is added to an organization that had none', async () => {
    await warmUp(404);
    await addJwtCallback();
    await obeyed(200, asked(email));
    await obeyed(303, entryLink);
    await signIn(secondNode.port);
  });

  it('opens for an organization that was unknown when it was asked for', async () => {
    const later = `later-${slug}`;
    await obeyed(404, asked(`ada@${later}.example`));
    await cli.json(['org', 'add', later, '--name', later]);
    await cli.json(['domain', 'add', later, `${later}.example`, '--verified']);
    await cli.json(
      [
        'connection',
        'add',
        later,
        'jwt-callback',
        '--login-url',
        'http://127.0.0.1:1/',
        '--public-key-file',
        '-',
      ],
      { stdin: pemOf(keys) },
    );
    await obeyed(200, asked(`ada@${later}.example`));
  });

  it('opens and closes with a domain', async () => {
    await addJwtCallback();
    const other = `ada@other-${slug}.example`;
    await obeyed(404, asked(other));
    await cli.json(['domain', 'add', slug, `other-${slug}.example`]);
    await obeyed(404, asked(other));
    await cli.json(['domain', 'add', slug, `other-${slug}.example`, '--verified']);
    await obeyed(200, asked(other));
    await cli.json(['domain', 'remove', `other-${slug}.example`]);
    await obeyed(404, asked(other));
    await obeyed(200, asked(email));
  });

  it('moves with a domain to another organization', async () => {
    await addJwtCallback();
    await warmUp(200);
    const heir = `heir-${slug}`;
    await cli.json(['org', 'add', heir, '--name', heir]);
    await cli.json(['domain', 'remove', `${slug}.example`]);
    await cli.json(['domain', 'add', heir, `${slug}.example`, '--verified']);
    await obeyed(404, asked(email));
  });

  it.each([
    ['connection', 'connection_disabled'],
    ['organization', 'organization_disabled'],
  ])('closes with a disabled %s, for sign-ins under way too, and opens again', async (what, code) => {
    const { id } = await addJwtCallback();
    const { id: organizationId } = await cli.json<{ id: string }>(['org', 'show', slug]);
    const command = what === 'connection' ? ['connection', 'disable', id] : ['org', 'disable', slug];
    const signedIn = await signIn();
    const underWay = new Visitor(secondNode.port);
    const callback = await underWay.startWithJwt(email, keys.privateKey);
    await cli.json(command);
    await obeyed(404, asked(email));
    await obeyed(404, entryLink);
    await signedOutEverywhere(signedIn);
    await expectRefusal(gateway, underWay, () => underWay.request(callback), {
      status: 403,
      code,
      organizationId,
    });
    await cli.json(command.with(1, 'enable'));
    await obeyed(200, asked(email));
    expect((await signedIn.session()).status).toBe(401);
    await signIn(secondNode.port);
  });

  it('closes with a removed connection, and its users stay', async () => {
    const { id } = await addJwtCallback();
    const signedIn = await signIn();
    await cli.json(['connection', 'remove', id]);
    await obeyed(404, asked(email));
    await signedOutEverywhere(signedIn);
    expect(await cli.json<unknown[]>(['user', 'list', slug])).toHaveLength(1);
  });

  it('closes with a removed organization', async () => {
    await addJwtCallback();
    const signedIn = await signIn();
    await cli.json(['org', 'remove', slug]);
    await obeyed(404, asked(email));
    await obeyed(404, entryLink);
    await signedOutEverywhere(signedIn);
  });
});

describe('a user', () => {
  it('gets in once added, not while disabled, and again when enabled', async () => {
    await addJwtCallback();
    const { id: organizationId } = await cli.json<{ id: string }>(['org', 'show', slug]);
    const signedIn = await signIn();
    const refusal = async (status: number, code: string, address: string): Promise<void> => {
      for (const port of nodes) {
        const visitor = new Visitor(port);
        const callback = await visitor.startWithJwt(address, keys.privateKey);
        await expectRefusal(gateway, visitor, () => visitor.request(callback), {
          status,
          code,
          organizationId,
        });
      }
    };
    await cli.json(['user', 'disable', slug, email]);
    await signedOutEverywhere(signedIn);
    await refusal(403, 'user_disabled', email);
    await cli.json(['user', 'enable', slug, email]);
    const again = await signIn(secondNode.port);
    await cli.json(['user', 'remove', slug, email]);
    await signedOutEverywhere(again);
    await refusal(403, 'user_not_provisioned', email);
    await cli.json(['user', 'add', slug, email]);
    await signIn();
  });

  it('loses the session that is revoked, and no other', async () => {
    await addJwtCallback();
    const [first, second] = [await signIn(), await signIn(secondNode.port)];
    const sessions = await cli.json<{ id: string; user: { email: string } }[]>([
      'session',
      'list',
      slug,
      email,
    ]);
    expect(sessions.map(({ user }) => user.email)).toEqual([email, email]);
    await cli.refused(['session', 'revoke', String(sessions[1]?.id)], /Nothing was done: add --yes/);
    expect(await cli.json(['session', 'revoke', String(sessions[1]?.id)])).toEqual({
      revoked: sessions[1]?.id,
    });
    await signedOutEverywhere(first);
    expect((await second.session()).email).toBe(email);
    await cli.refused(['session', 'revoke', String(sessions[1]?.id), '--yes'], /It may have ended already/);
    expect(await cli.json<unknown[]>(['session', 'list', slug])).toHaveLength(1);
  });
});

describe('a key', () => {
  it('J-35 is good from when it is added until it is removed, beside another; sign-ins under way go on', async () => {
    const { id, keys: stored } = await addJwtCallback();
    const underWay = new Visitor(secondNode.port);
    const callback = await underWay.startWithJwt(email, keys.privateKey);
    const early = new Visitor(gateway.port);
    const tooEarly = await early.startWithJwt(email, newKeys.privateKey);
    await expectRefusal(gateway, early, () => early.request(tooEarly), {
      status: 401,
      code: 'token_invalid',
    });
    await cli.json(['connection', 'key', 'add', id, '-'], { stdin: pemOf(newKeys) });
    await heardByAll();
    expect((await underWay.request(callback)).status).toBe(303);
    for (const port of nodes) {
      await signIn(port, newKeys.privateKey);
      await signIn(port, keys.privateKey);
    }
    const late = new Visitor(secondNode.port);
    const tooLate = await late.startWithJwt(email, keys.privateKey);
    await cli.json(['connection', 'key', 'remove', id, String(stored[0]?.id)]);
    await heardByAll();
    await expectRefusal(gateway, late, () => late.request(tooLate), { status: 401, code: 'token_invalid' });
    for (const port of nodes) await signIn(port, newKeys.privateKey);
  });
});

describe('an OpenID Connect connection', () => {
  it('takes its new secret at once; sign-ins under way have to start again', async () => {
    const { id } = await addOidc();
    gateway.neverLogged('first secret', 'second secret');
    provider.person = { sub: 'ada', email };
    for (const port of nodes) {
      const visitor = new Visitor(port);
      expect((await visitor.request(await visitor.startAtOpenId(email))).status).toBe(303);
    }
    const underWay = new Visitor(secondNode.port);
    const callback = await underWay.startAtOpenId(email);
    await cli.json(['connection', 'update', id, '--client-secret-file', '-'], { stdin: 'second secret' });
    await expectRefusal(gateway, underWay, () => underWay.request(callback), {
      status: 403,
      code: 'connection_disabled',
      reason: /changed after the sign-in started/,
    });
    await heardByAll();
    for (const port of nodes) {
      const visitor = new Visitor(port);
      expect((await visitor.request(await visitor.startAtOpenId(email))).status).toBe(303);
    }
    expect(provider.secrets.slice(-2)).toEqual(['second secret', 'second secret']);
  });
});
