/** What a browser has at a host ends with whatever it rests on, within a second and on every node, though it is answered from memory. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setConnectionStatus } from '../../src/connections/connection-state-store.ts';
import { deleteHost, requireHost } from '../../src/hosts/host-store.ts';
import { canonicalEmail } from '../../src/organizations/email-address.ts';
import { setOrganizationEnabled } from '../../src/organizations/organization-store.ts';
import { requireUser, setUserEnabled } from '../../src/users/user-store.ts';
import { withinASecond } from '../applications/stage.ts';
import { addCompany, FROM_OUR_PAGE, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { BEHIND_PROXY, registerHost, signedInGuest, type Guest } from './guest.ts';

const WIKI = 'wiki.vendor.example';
const RESOURCE = 'https://api.vendor.example/';

let gateway: TestGateway;
let second: { readonly port: number; close(): Promise<void> };
let companies = 0;
let acme: Company;
let guest: Guest;
let bystander: Guest;

beforeAll(async () => {
  gateway = await startTestGateway({ env: BEHIND_PROXY });
  second = await gateway.startNode();
});
afterAll(async () => {
  await second.close();
  await gateway.close();
});
beforeEach(async () => {
  await gateway.sql('DELETE FROM hosts');
  await registerHost(gateway, WIKI, { resource: RESOURCE });
  companies += 1;
  acme = await addCompany(gateway, `company${companies}`, { people: ['ada', 'grace'] });
  const other = await addCompany(gateway, `other${companies}`);
  guest = await signedInGuest(gateway, acme, `ada@company${companies}.example`);
  bystander = await signedInGuest(gateway, other, `ada@other${companies}.example`);
  for (const one of [guest, bystander]) {
    await one.open(WIKI);
    // Twice: what is asked again is answered from memory.
    for (const port of [...ports(), ...ports()]) expect((await one.verify(WIKI, port)).status).toBe(200);
  }
});

const ports = () => [gateway.port, second.port];

const statuses = async (one: Guest) => [
  ...(await Promise.all(ports().map(async (port) => (await one.verify(WIKI, port)).status))),
  (await one.home.send('/auth/verify')).status,
];

async function expectOut(atHome = 401): Promise<void> {
  await withinASecond(async () => {
    expect(await statuses(guest)).toEqual([401, 401, atHome]);
  });
  expect(await statuses(bystander)).toEqual([200, 200, 200]);
}

const actor = 'test';

describe('a browser at a host is out when', () => {
  it('S-12 its user is disabled', async () => {
    const address = canonicalEmail(`ada@company${companies}.example`)?.address;
    if (address === undefined) throw new Error('not an address');
    await setUserEnabled(
      gateway.database,
      await requireUser(gateway.database, acme.organization, { email: address }),
      false,
      actor,
    );
    await expectOut();
  });

  it('S-13 its organization is disabled', async () => {
    await setOrganizationEnabled(gateway.database, acme.organization, false, actor);
    await expectOut();
  });

  it('S-13 its connection is disabled', async () => {
    await setConnectionStatus(gateway.database, acme.connection, 'disabled', actor);
    await expectOut();
  });

  it('its person signs out at Gatehouse', async () => {
    await guest.home.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE });
    // At once on the node that was asked: no other has to tell it.
    expect((await guest.verify(WIKI)).status).toBe(401);
    await expectOut();
  });

  it('its session is revoked', async () => {
    await gateway.sql('DELETE FROM sessions WHERE organization_id = $1', [acme.organization.id]);
    await expectOut();
  });

  it.each(['expires_at', 'idle_expires_at'])('S-09 its session is over by %s', async (column) => {
    await gateway.sql(`UPDATE sessions SET ${column} = now() WHERE organization_id = $1`, [
      acme.organization.id,
    ]);
    await expectOut();
  });

  it('its person signs out of the host alone', async () => {
    const page = await guest.ask(WIKI, '/.gatehouse/sign-out');
    expect([page.status, page.body.includes(WIKI)]).toEqual([200, true]);
    const { name, value } = guest.at(WIKI).cookie('host');
    const done = await guest.ask(WIKI, '/.gatehouse/sign-out', {
      method: 'POST',
      headers: { ...FROM_OUR_PAGE, 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect([done.status, guest.at(WIKI).cookies.size]).toEqual([200, 0]);
    guest.at(WIKI).cookies.set(name, value);
    expect((await guest.verify(WIKI)).status).toBe(401);
    await expectOut(200);
  });

  it('S-11 but not when another site sends that form, or asks for the page', async () => {
    const headers = { 'sec-fetch-site': 'cross-site', 'content-type': 'application/x-www-form-urlencoded' };
    expect((await guest.ask(WIKI, '/.gatehouse/sign-out', { method: 'POST', headers })).status).toBe(400);
    await guest.ask(WIKI, '/.gatehouse/sign-out');
    expect(await statuses(guest)).toEqual([200, 200, 200]);
  });

  it('the host is removed, and stays out when it is added again', async () => {
    await deleteHost(gateway.database, await requireHost(gateway.database, WIKI), actor);
    await withinASecond(async () => {
      expect(await statuses(guest)).toEqual([401, 401, 200]);
    });
    await registerHost(gateway, WIKI);
    expect(await statuses(guest)).toEqual([401, 401, 200]);
  });

  it('nothing that memory rests on can be known: then the database is asked', async () => {
    await gateway.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gatehouse-feed' AND datname = current_database()",
    );
    await gateway.sql('DELETE FROM sessions WHERE organization_id = $1', [acme.organization.id]);
    await expectOut();
  });
});

describe('the access token of a host', () => {
  const access = async (port = gateway.port) =>
    String((await guest.verify(WIKI, port)).headers['x-auth-request-access-token']);
  /** As if the tokens were about to end; the change that makes every node look again is one of the host. */
  const makeDue = async () => {
    await gateway.sql('UPDATE host_sessions SET renew_at = now()');
    await gateway.sql('UPDATE hosts SET created_at = created_at');
    await withinASecond(async () => {
      const { rows } = await gateway.database.run((db) =>
        db.raw<{ rows: { due: boolean }[] }>('SELECT bool_or(renew_at <= now()) AS due FROM host_sessions'),
      );
      expect(rows).toEqual([{ due: true }]);
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
  };

  it('is renewed before it ends, once, however many ask on both nodes', async () => {
    const first = await access();
    await makeDue();
    const renewed = await Promise.all(Array.from({ length: 20 }, (_, index) => access(ports()[index % 2])));
    expect(new Set(renewed).size).toBe(1);
    expect(renewed[0]).not.toBe(first);
    expect(await access()).toBe(renewed[0]);
  });

  it('is not issued any more once the session has ended, even to who asked before', async () => {
    await makeDue();
    let asked: ReturnType<Guest['verify']> | undefined;
    await gateway.database.transaction(async (db) => {
      await db.raw('DELETE FROM sessions WHERE organization_id = ?', [acme.organization.id]);
      asked = guest.verify(WIKI);
      // Until it waits for the row.
      await new Promise((resolve) => setTimeout(resolve, 300));
    });
    expect((await asked)?.status).toBe(401);
  });

  it('ends where its refresh token cannot be read: the browser signs in again', async () => {
    await gateway.sql("UPDATE host_sessions SET sealed_tokens = 'x.y', renew_at = now()");
    await gateway.sql('UPDATE hosts SET created_at = created_at');
    await withinASecond(async () => {
      expect((await guest.verify(WIKI)).status).toBe(401);
    });
    await guest.open(WIKI);
    expect((await guest.verify(WIKI)).status).toBe(200);
  });
});

it('S-09 use at a host keeps the session from being idle', async () => {
  await gateway.sql("UPDATE sessions SET idle_expires_at = now() + interval '1 minute'");
  await withinASecond(async () => {
    expect((await guest.verify(WIKI)).status).toBe(200);
    const [row] = await gateway.sql<{ left: boolean }>(
      "SELECT bool_and(idle_expires_at > now() + interval '1 hour') AS left FROM sessions WHERE organization_id = $1",
      [acme.organization.id],
    );
    expect(row?.left).toBe(true);
  });
});
