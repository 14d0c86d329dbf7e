/**
 * Whatever ends a session ends what applications got from it, at once and on every node; nothing that is allowed again brings
 * it back. Signing in again as the same person ends nothing.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  deleteApplication,
  requireApplication,
  setApplicationEnabled,
} from '../../src/applications/application-store.ts';
import { changeApplication } from '../../src/applications/register-application.ts';
import { deleteConnection, setConnectionStatus } from '../../src/connections/connection-state-store.ts';
import { canonicalEmail } from '../../src/organizations/email-address.ts';
import { deleteOrganization, setOrganizationEnabled } from '../../src/organizations/organization-store.ts';
import { listSessions, revokeSession } from '../../src/sessions/session-store.ts';
import { deleteUser, requireUser, setUserEnabled } from '../../src/users/user-store.ts';
import { FROM_OUR_PAGE, type Company, type Visitor } from '../http/visitor.ts';
import {
  type App,
  claimsOf,
  errorOf,
  expectDead,
  startStage,
  tokensOf,
  withinASecond,
  type Stage,
  type Tokens,
} from './stage.ts';

/** Somebody who is signed in to an application, and a code that it has not used yet. */
interface World {
  readonly company: Company & { readonly domain: string };
  readonly browser: Visitor;
  readonly app: App;
  readonly tokens: Tokens;
  readonly code: string;
}

let stage: Stage;
let worlds = 0;
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage.close());

async function newWorld(): Promise<World> {
  worlds += 1;
  const company = await stage.addCompany();
  const app = await stage.addApp(`app-${worlds}`, { organizationIds: [company.organization.id] });
  const browser = await stage.signedIn(company, `ada@${company.domain}`);
  const tokens = await app.tokens(browser);
  // Whatever a node keeps in memory it has now.
  for (const port of stage.ports) expect(await app.userInfoStatus(tokens, port)).toBe(200);
  return { company, browser, app, tokens, code: await app.code(browser) };
}

const database = () => stage.gateway.database;

async function userOf({ company: { organization, domain } }: World) {
  const address = canonicalEmail(`ada@${domain}`)?.address;
  if (address === undefined) throw new Error('not an address');
  return requireUser(database(), organization, { email: address });
}

const applicationOf = ({ app }: World) => requireApplication(database(), app.clientId);

async function switchUser(world: World, enabled: boolean): Promise<void> {
  await setUserEnabled(database(), await userOf(world), enabled, 'test');
}
const switchOrganization = ({ company: { organization } }: World, enabled: boolean) =>
  setOrganizationEnabled(database(), { ...organization, enabled: !enabled }, enabled, 'test');
const switchConnection = ({ company: { connection } }: World, enabled: boolean) =>
  setConnectionStatus(
    database(),
    { ...connection, status: enabled ? 'disabled' : 'active' },
    enabled ? 'active' : 'disabled',
    'test',
  );
async function switchApplication(world: World, enabled: boolean): Promise<void> {
  await setApplicationEnabled(database(), await applicationOf(world), enabled, 'test');
}
async function limitTo(world: World, organization: { readonly id: string }): Promise<void> {
  await changeApplication(stage.parts, await applicationOf(world), { organizationIds: [organization.id] });
}

interface Case {
  readonly name: string;
  readonly end: (world: World) => Promise<void>;
  /** Brings back what was ended. */
  readonly undo?: (world: World) => Promise<void>;
  /** Answer to a code or a refresh token. */
  readonly answer?: readonly [number, string];
  /** Answer to `prompt=none`; without one there is a page. */
  readonly silently?: string | undefined;
}

const NO_SUCH_APPLICATION = { answer: [401, 'invalid_client'], silently: undefined } as const;

const CASES: readonly Case[] = [
  {
    name: 'S-12 the user is disabled',
    end: (world) => switchUser(world, false),
    undo: (world) => switchUser(world, true),
  },
  {
    name: 'S-13 the user is removed',
    end: async (world) => deleteUser(database(), await userOf(world), 'test'),
  },
  {
    name: 'S-13 the organization is disabled',
    end: (world) => switchOrganization(world, false),
    undo: (world) => switchOrganization(world, true),
  },
  {
    name: 'S-13 the organization is removed',
    end: ({ company }) => deleteOrganization(database(), company.organization, 'test'),
  },
  {
    name: 'S-13 the connection is disabled',
    end: (world) => switchConnection(world, false),
    undo: (world) => switchConnection(world, true),
  },
  {
    name: 'S-13 the connection is removed',
    end: ({ company }) => deleteConnection(database(), company.connection, { mayBeLast: true }, 'test'),
  },
  {
    name: 'P-14 the application is disabled',
    end: (world) => switchApplication(world, false),
    undo: (world) => switchApplication(world, true),
    ...NO_SUCH_APPLICATION,
  },
  {
    name: 'P-14 the application is removed',
    end: async (world) => deleteApplication(database(), await applicationOf(world), 'test'),
    ...NO_SUCH_APPLICATION,
  },
  {
    name: 'P-14 the application is no longer for the organization',
    end: async (world) => limitTo(world, (await stage.addCompany()).organization),
    undo: (world) => limitTo(world, world.company.organization),
    silently: 'access_denied',
  },
  {
    name: 'S-13 the session is revoked',
    end: async ({ company }) => {
      const [session] = await listSessions(database(), { organizationId: company.organization.id });
      await revokeSession(database(), session?.id ?? '', 'test');
    },
  },
  {
    name: 'S-10 the person signs out',
    end: async ({ browser }) => {
      const { status } = await browser.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE });
      expect(status).toBe(303);
    },
  },
];

async function expectOver({ app, tokens, code }: World, answer: readonly [number, string]): Promise<void> {
  for (const port of stage.ports) {
    expect(errorOf(await app.refresh(tokens.refresh_token, port))).toEqual(answer);
    expect(errorOf(await app.exchange(code, port))).toEqual(answer);
    expect(await app.userInfoStatus(tokens, port)).toBe(401);
  }
}

async function expectSilently({ app, browser }: World, error: string | undefined): Promise<void> {
  for (const port of stage.ports) {
    const back = await app.authorize(browser, { prompt: 'none' }, port);
    if (error === undefined) expect(back.href).toBe('http://nowhere.invalid/400');
    else expect(back.searchParams.get('error')).toBe(error);
  }
}

describe('everything is over on both nodes within a second when', () => {
  it.each(CASES)('$name', async (one) => {
    const { answer = [400, 'invalid_grant'] } = one;
    const world = await newWorld();
    await one.end(world);
    await withinASecond(async () => {
      await expectOver(world, answer);
      await expectSilently(world, 'silently' in one ? one.silently : 'login_required');
    });
  });

  it('S-02 somebody else signs in in the same browser', async () => {
    const world = await newWorld();
    const { app, browser, company, tokens } = world;
    expect((await browser.signIn(company, `grace@${company.domain}`)).status).toBe(303);
    await withinASecond(() => expectOver(world, [400, 'invalid_grant']));
    const others = claimsOf(await app.tokens(browser));
    expect(others['email']).toBe(`grace@${company.domain}`);
    expect(others.sub).not.toBe(claimsOf(tokens).sub);
  });
});

describe('nothing is back when it is allowed again:', () => {
  it.each(CASES.filter(({ undo }) => undo !== undefined))('$name', async ({ end, undo }) => {
    const world = await newWorld();
    await end(world);
    await undo?.(world);
    // By then every node knows the application again.
    await withinASecond(async () => {
      for (const port of stage.ports) {
        const answer = errorOf(await world.app.refresh(world.tokens.refresh_token, port));
        expect(answer).toEqual([400, 'invalid_grant']);
      }
    });
    await expectOver(world, [400, 'invalid_grant']);
  });

  it.each(['user', 'organization', 'connection'])('S-12 the session of a disabled %s', async (what) => {
    const world = await newWorld();
    const one = CASES.find(({ name }) => name.endsWith(`the ${what} is disabled`));
    await one?.end(world);
    await one?.undo?.(world);
    await withinASecond(() => expectSilently(world, 'login_required'));
    expect(await world.browser.sessionStatus()).toBe(401);
  });
});

describe('signing in again as the same person', () => {
  let app: App;
  let company: World['company'];
  beforeAll(async () => {
    // An application that wants to hear of ends is told the name of the session.
    app = await stage.addApp('told', { backchannelLogoutUri: 'http://127.0.0.1:9/ended' });
    company = await stage.addCompany();
  });

  /** Follows `prompt=login` through a sign-in to the tokens at its end. */
  async function signInAgain(browser: Visitor): Promise<Tokens> {
    const login = await app.authorize(browser, { prompt: 'login' });
    expect(login.pathname).toBe('/login');
    const returnTo = login.searchParams.get('return_to') ?? '';
    const answer = await browser.signIn(company, `ada@${company.domain}`, returnTo);
    expect(answer.headers.location).toBe(returnTo);
    const { headers } = await browser.send(returnTo, { headers: { accept: 'text/html' } });
    const code = new URL(headers.location ?? 'none:').searchParams.get('code') ?? '';
    return tokensOf(await app.exchange(code));
  }

  async function signedInAnHourAgo(): Promise<{ readonly browser: Visitor; readonly tokens: Tokens }> {
    const browser = await stage.signedIn(company, `ada@${company.domain}`);
    await stage.gateway.sql(
      `UPDATE sessions SET authenticated_at = authenticated_at - interval '1 hour' WHERE organization_id = $1`,
      [company.organization.id],
    );
    return { browser, tokens: await app.tokens(browser) };
  }

  it('P-13 keeps the session and what applications got, and renews the time', async () => {
    const { browser, tokens } = await signedInAnHourAgo();
    const again = await signInAgain(browser);
    const [before, after] = [claimsOf(tokens), claimsOf(again)];
    expect(before['sid']).toEqual(expect.any(String));
    expect(after['sid']).toBe(before['sid']);
    expect(after.sub).toBe(before.sub);
    expect(Number(after['auth_time']) - Number(before['auth_time'])).toBeGreaterThanOrEqual(3_600);
    for (const port of stage.ports) expect(await app.userInfoStatus(tokens, port)).toBe(200);
    tokensOf(await app.refresh(tokens.refresh_token));
    const sessions = await listSessions(database(), { organizationId: company.organization.id });
    expect(sessions.filter(({ id }) => id === before['sid'])).toHaveLength(1);
  });

  it('S-01 changes the secret: the old cookie is nobody', async () => {
    const { browser } = await signedInAnHourAgo();
    const { name, value } = browser.cookie('session');
    await signInAgain(browser);
    expect(browser.cookie('session').value).not.toBe(value);
    expect(await browser.sessionStatus()).toBe(200);
    browser.cookies.set(name, value);
    for (const port of stage.ports) expect((await browser.send('/session', { port })).status).toBe(401);
    const back = await app.authorize(browser, { prompt: 'none' });
    expect(back.searchParams.get('error')).toBe('login_required');
  });

  it("P-13 after the browser's idle end goes on with the same session", async () => {
    const { browser, tokens } = await signedInAnHourAgo();
    await stage.gateway.sql(
      `UPDATE sessions SET idle_expires_at = now() - interval '1 second' WHERE organization_id = $1`,
      [company.organization.id],
    );
    expect((await app.authorize(browser, { prompt: 'none' })).searchParams.get('error')).toBe(
      'login_required',
    );
    const answer = await browser.signIn(company, `ada@${company.domain}`);
    expect(answer.status).toBe(303);
    expect(claimsOf(await app.tokens(browser))['sid']).toBe(claimsOf(tokens)['sid']);
    tokensOf(await app.refresh(tokens.refresh_token));
  });

  it('S-02 in another browser leaves the first alone', async () => {
    const { browser, tokens } = await signedInAnHourAgo();
    const other = await stage.signedIn(company, `ada@${company.domain}`);
    await other.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE });
    expect(await browser.sessionStatus()).toBe(200);
    tokensOf(await app.refresh(tokens.refresh_token));
  });

  it('P-10 a family that was revoked stays so', async () => {
    const { browser, tokens } = await signedInAnHourAgo();
    await stage.gateway.sql('UPDATE grants SET revoked_at = now() WHERE client_id = $1', [app.clientId]);
    await signInAgain(browser);
    await expectDead(stage, app, tokens);
  });
});
