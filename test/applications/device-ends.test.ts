/** Who may not sign in any more gets nothing by a device code, whether they were stopped before they approved it or after. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { requireApplication, setApplicationEnabled } from '../../src/applications/application-store.ts';
import { changeApplication } from '../../src/applications/register-application.ts';
import { setConnectionStatus } from '../../src/connections/connection-state-store.ts';
import { canonicalEmail } from '../../src/organizations/email-address.ts';
import { setOrganizationEnabled } from '../../src/organizations/organization-store.ts';
import { listSessions, revokeSession } from '../../src/sessions/session-store.ts';
import { deleteUser, requireUser, setUserEnabled } from '../../src/users/user-store.ts';
import { FROM_OUR_PAGE, type Company, type Visitor } from '../http/visitor.ts';
import { decide, Device, formOf, open, pollError, submit, type Started } from './device-scene.ts';
import { startStage, withinASecond, type Stage } from './stage.ts';

/** Somebody who is signed in, and a program that has asked. */
interface World {
  readonly company: Company & { readonly domain: string };
  readonly browser: Visitor;
  readonly device: Device;
  readonly started: Started;
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
  const organizationIds = [company.organization.id];
  const device = await Device.registered(stage, `terminal-${worlds}`, { organizationIds });
  const browser = await stage.signedIn(company, `ada@${company.domain}`);
  // Whatever a node keeps in memory it has now.
  const [one, other] = stage.ports;
  const started = await device.start({}, one);
  expect(pollError(await device.poll(started, {}, other))).toBe('authorization_pending');
  return { company, browser, device, started };
}

const database = () => stage.gateway.database;
const applicationOf = ({ device }: World) => requireApplication(database(), device.clientId);

async function userOf({ company: { organization, domain } }: World) {
  const address = canonicalEmail(`ada@${domain}`)?.address;
  if (address === undefined) throw new Error('not an address');
  return requireUser(database(), organization, { email: address });
}

interface Case {
  readonly name: string;
  readonly end: (world: World) => Promise<unknown>;
  /** Brings back what was ended. */
  readonly undo?: (world: World) => Promise<unknown>;
  /** What the page answers to somebody who has not decided yet. */
  readonly page: number;
  readonly poll: string;
}

const SIGN_IN_FIRST = { page: 303, poll: 'access_denied' };

const CASES: readonly Case[] = [
  {
    name: 'S-12 the user is disabled',
    end: async (world) => setUserEnabled(database(), await userOf(world), false, 'test'),
    undo: async (world) => setUserEnabled(database(), await userOf(world), true, 'test'),
    ...SIGN_IN_FIRST,
  },
  {
    name: 'S-13 the user is removed',
    end: async (world) => deleteUser(database(), await userOf(world), 'test'),
    ...SIGN_IN_FIRST,
  },
  {
    name: 'S-13 the organization is disabled',
    end: ({ company: { organization } }) => setOrganizationEnabled(database(), organization, false, 'test'),
    undo: ({ company: { organization } }) =>
      setOrganizationEnabled(database(), { ...organization, enabled: false }, true, 'test'),
    ...SIGN_IN_FIRST,
  },
  {
    name: 'S-13 the connection is disabled',
    end: ({ company: { connection } }) => setConnectionStatus(database(), connection, 'disabled', 'test'),
    undo: ({ company: { connection } }) =>
      setConnectionStatus(database(), { ...connection, status: 'disabled' }, 'active', 'test'),
    ...SIGN_IN_FIRST,
  },
  {
    name: 'P-14 the application is disabled',
    end: async (world) => setApplicationEnabled(database(), await applicationOf(world), false, 'test'),
    page: 404,
    poll: 'invalid_client',
  },
  {
    name: 'P-29 the application is no longer for the organization',
    end: async (world) => {
      const organizationIds = [(await stage.addCompany()).organization.id];
      await changeApplication(stage.parts, await applicationOf(world), { organizationIds });
    },
    page: 403,
    poll: 'access_denied',
  },
  {
    name: 'S-13 the session is revoked',
    end: async ({ company }) => {
      const [session] = await listSessions(database(), { organizationId: company.organization.id });
      await revokeSession(database(), session?.id ?? '', 'test');
    },
    ...SIGN_IN_FIRST,
  },
  {
    name: 'S-09 the session has ended',
    end: ({ company }) =>
      stage.gateway.sql('UPDATE sessions SET expires_at = now() WHERE organization_id = $1', [
        company.organization.id,
      ]),
    ...SIGN_IN_FIRST,
  },
  {
    name: 'S-10 the person signs out',
    end: ({ browser }) => browser.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE }),
    ...SIGN_IN_FIRST,
  },
];

const decisionOf = async ({ started }: World) => {
  const rows = await stage.gateway.sql<{ decision: string | null }>(
    `SELECT decision FROM device_codes WHERE user_code_digest = sha256(convert_to('UserCode ' || $1, 'UTF8'))`,
    [started.user_code.replace('-', '')],
  );
  return rows[0]?.decision;
};

describe('before anybody approved:', () => {
  it.each(CASES)('$name: nobody can any more, on either node', async ({ end, page, poll }) => {
    const world = await newWorld();
    const { browser, device, started } = world;
    const form = formOf(await open(browser, started));
    await end(world);
    await withinASecond(async () => {
      for (const port of stage.ports) {
        expect((await open(browser, started, { port })).status).toBe(page);
        for (const decision of ['allow', 'deny']) {
          expect((await submit(browser, { ...form, decision }, { port })).status).not.toBe(200);
        }
      }
    });
    expect(await decisionOf(world)).toBeNull();
    await stage.gateway.sql('UPDATE device_codes SET next_poll_at = now()');
    expect(pollError(await device.poll(started))).toBe(
      poll === 'invalid_client' ? poll : 'authorization_pending',
    );
  });
});

describe('after it was approved:', () => {
  it.each(CASES)(
    '$name: the program gets nothing, on either node, nor when it is allowed again',
    async ({ end, undo, poll }) => {
      const world = await newWorld();
      const { browser, device, started } = world;
      expect((await decide(browser, started, 'allow')).status).toBe(200);
      await end(world);
      await withinASecond(async () => {
        for (const port of stage.ports) expect(pollError(await device.poll(started, {}, port))).toBe(poll);
      });
      if (undo === undefined) return;
      await undo(world);
      expect(pollError(await device.poll(started))).toBe(poll);
    },
  );
});
