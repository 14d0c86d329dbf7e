/** Applications hear that a session ended, whatever ended it (OpenID Connect Back-Channel Logout 1.0), until they have heard. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readAll } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { canonicalEmail } from '../../src/organizations/email-address.ts';
import { deleteOrganization } from '../../src/organizations/organization-store.ts';
import { revokeSession } from '../../src/sessions/session-store.ts';
import { requireUser, setUserEnabled } from '../../src/users/user-store.ts';
import { FROM_OUR_PAGE, type Company, type Visitor } from '../http/visitor.ts';
import { claimsOf, startStage, type App, type Stage, type Tokens } from './stage.ts';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const BYE = 'https://app.vendor.example/bye';

interface Heard {
  readonly path: string;
  readonly type: string | undefined;
  readonly form: URLSearchParams;
}

let stage: Stage;
let server: Server;
let heard: Heard[];
/** What the application answers. */
let status: number;
let uri: string;
let app: App;
let company: Company & { readonly domain: string };

beforeAll(async () => {
  server = createServer((request, response) => {
    void readAll(request).then((body) => {
      const { url: path = '', headers } = request;
      heard.push({ path, type: headers['content-type'], form: new URLSearchParams(body) });
      response.writeHead(status).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ended`;
  stage = await startStage();
  app = await stage.addApp('app', { backchannelLogoutUri: uri, postLogoutUris: [BYE] });
  company = await stage.addCompany();
});
afterAll(async () => {
  await stage.close();
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  heard = [];
  status = 200;
});

const signedIn = () => stage.signedIn(company, `ada@${company.domain}`);
const signOut = (browser: Visitor) => browser.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE });

/** Waits until the application has heard this often, and then a little for what should not come. */
async function untilHeard(count: number): Promise<void> {
  for (let tries = 0; heard.length < count && tries < 60; tries++) await sleep(50);
  await sleep(150);
  expect(heard).toHaveLength(count);
}

const notices = () => stage.gateway.sql<{ attempts: number }>('SELECT attempts FROM logout_notices');

/** Asserts that what was heard last is a good logout token for the session of these tokens. */
async function expectLogoutToken(tokens: Tokens, clientId = 'app'): Promise<void> {
  const last = heard.at(-1);
  if (last === undefined) throw new Error('nothing was heard');
  const { form, type, path } = last;
  expect([path, type]).toEqual(['/ended', expect.stringMatching(/^application\/x-www-form-urlencoded/)]);
  expect([...form.keys()]).toEqual(['logout_token']);
  const jwks = createRemoteJWKSet(new URL(`${stage.gateway.url}/oidc/jwks`));
  const { payload } = await jwtVerify(form.get('logout_token') ?? '', jwks, {
    issuer: `${stage.gateway.url}/oidc`,
    audience: clientId,
    typ: 'logout+jwt',
    algorithms: ['RS256'],
    requiredClaims: ['iat', 'exp', 'jti'],
  });
  const { sub, sid } = claimsOf(tokens);
  expect(sid).toEqual(expect.any(String));
  expect(payload).toMatchObject({ sub, sid, events: { [EVENT]: {} } });
  expect(payload).not.toHaveProperty('nonce');
  expect(Number(payload.exp) - Number(payload.iat)).toBeLessThanOrEqual(120);
}

interface Ending {
  readonly name: string;
  readonly end: (browser: Visitor, tokens: Tokens) => Promise<void>;
}

const ENDINGS: readonly Ending[] = [
  {
    name: 'the person signs out',
    async end(browser) {
      expect((await signOut(browser)).status).toBe(303);
    },
  },
  {
    name: 'an application signs the person out',
    async end(browser, tokens) {
      const query = new URLSearchParams({
        id_token_hint: tokens.id_token,
        post_logout_redirect_uri: BYE,
        state: 'on the way',
      });
      const answer = await browser.send(`/oidc/logout?${query.toString()}`, {
        headers: { accept: 'text/html' },
      });
      expect([answer.status, answer.headers.location]).toEqual([303, `${BYE}?state=on+the+way`]);
    },
  },
  {
    name: 'the session is revoked in another process',
    end: (_, tokens) => revokeSession(stage.gateway.database, String(claimsOf(tokens)['sid']), 'test'),
  },
  {
    name: 'the user is disabled',
    async end() {
      const address = canonicalEmail(`ada@${company.domain}`)?.address;
      if (address === undefined) throw new Error('not an address');
      const { database } = stage.gateway;
      const user = await requireUser(database, company.organization, { email: address });
      await setUserEnabled(database, user, false, 'test');
      await setUserEnabled(database, user, true, 'test');
    },
  },
  {
    name: 'somebody else signs in in the same browser',
    async end(browser) {
      expect((await browser.signIn(company, `grace@${company.domain}`)).status).toBe(303);
    },
  },
  {
    name: 'the person ends it from another browser',
    async end(_, tokens) {
      const session = String(claimsOf(tokens)['sid']);
      await endOwn(await signedIn(), { session });
    },
  },
  {
    name: 'the person signs out of the application alone',
    async end(browser, tokens) {
      await endOwn(browser, { session: String(claimsOf(tokens)['sid']), application: 'app' });
      expect(await browser.sessionStatus()).toBe(200);
    },
  },
];

async function endOwn(browser: Visitor, fields: Readonly<Record<string, string>>): Promise<void> {
  const answer = await browser.send('/sessions/end', {
    method: 'POST',
    headers: { ...FROM_OUR_PAGE, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(fields).toString(),
  });
  expect([answer.status, answer.headers.location]).toEqual([303, '/']);
}

describe('an application hears once when', () => {
  it.each(ENDINGS)('S-10 $name', async ({ end }) => {
    // Nobody has a session yet that another test left.
    company = await stage.addCompany();
    const browser = await signedIn();
    const tokens = await app.tokens(browser);
    await end(browser, tokens);
    await untilHeard(1);
    await expectLogoutToken(tokens);
    expect(await notices()).toEqual([]);
  });

  it('S-13 the organization is removed', async () => {
    const other = await stage.addCompany();
    const tokens = await app.tokens(await stage.signedIn(other, `ada@${other.domain}`));
    await deleteOrganization(stage.gateway.database, other.organization, 'test');
    await untilHeard(1);
    await expectLogoutToken(tokens);
  });
});

describe('only whom it concerns hears:', () => {
  it('S-10 no application without the URI, and none that the session was not used for', async () => {
    const deaf = await stage.addApp('deaf');
    await stage.addApp('elsewhere', { backchannelLogoutUri: `${uri}/elsewhere` });
    const browser = await signedIn();
    const tokens = await app.tokens(browser);
    expect(claimsOf(await deaf.tokens(browser))).not.toHaveProperty('sid');
    await signOut(browser);
    await untilHeard(1);
    await expectLogoutToken(tokens);
  });

  it('S-10 nobody of a session that gave nothing to an application', async () => {
    await signOut(await signedIn());
    await untilHeard(0);
    expect(await notices()).toEqual([]);
  });

  it('S-10 an application signed in to twice hears once, and every other one too', async () => {
    const es = await stage.addApp('also', { backchannelLogoutUri: uri });
    const browser = await signedIn();
    await app.tokens(browser);
    await app.tokens(browser);
    await es.tokens(browser);
    await signOut(browser);
    await untilHeard(2);
    const audiences = heard.map(({ form }) => claimsOf({ id_token: form.get('logout_token') ?? '' }).aud);
    expect(audiences.sort()).toEqual(['also', 'app']);
  });

  it('S-10 nobody when the same person signs in again', async () => {
    const browser = await signedIn();
    await app.tokens(browser);
    await browser.signIn(company, `ada@${company.domain}`);
    await untilHeard(0);
  });
});

describe('an application that does not take it', () => {
  /** Lets the next try come now. */
  async function tryAgain(): Promise<void> {
    await stage.gateway.sql('UPDATE logout_notices SET next_attempt_at = now()');
    // As the database says it to the nodes when a notice is written.
    await stage.gateway.sql(
      `SELECT pg_notify('gatehouse_changes', '{"table":"logout_notices","organizationId":null,"key":"app"}')`,
    );
  }

  const failures = () =>
    stage.gateway.sql<{ client_id: string; reason: string; outcome: string }>(
      `SELECT client_id, reason, outcome FROM audit_events WHERE action = 'application.logout_notice_failed'`,
    );

  it('S-10 is told again, by itself', async () => {
    status = 500;
    const browser = await signedIn();
    const tokens = await app.tokens(browser);
    await signOut(browser);
    await untilHeard(1);
    expect(await notices()).toEqual([{ attempts: 1 }]);
    status = 204;
    await stage.gateway.sql('UPDATE logout_notices SET next_attempt_at = now()');
    for (let tries = 0; heard.length < 2 && tries < 70; tries++) await sleep(100);
    expect(heard).toHaveLength(2);
    await expectLogoutToken(tokens);
    const ids = heard.map(({ form }) => claimsOf({ id_token: form.get('logout_token') ?? '' }).jti);
    expect(new Set(ids).size).toBe(2);
    await sleep(150);
    expect(await notices()).toEqual([]);
    expect(await failures()).toEqual([]);
  }, 20_000);

  it('S-10 waits longer before each next try', async () => {
    status = 500;
    const browser = await signedIn();
    await app.tokens(browser);
    await signOut(browser);
    await untilHeard(1);
    await tryAgain();
    await untilHeard(2);
    const [row] = await stage.gateway.sql<{ seconds: number }>(
      'SELECT extract(epoch FROM next_attempt_at - now())::float8 AS seconds FROM logout_notices',
    );
    expect(row?.seconds).toBeGreaterThan(7);
    expect(row?.seconds).toBeLessThan(11);
    await stage.gateway.sql('DELETE FROM logout_notices');
  });

  it('S-10 is given up after eight tries, which one event says', async () => {
    status = 500;
    const browser = await signedIn();
    await app.tokens(browser);
    await signOut(browser);
    for (let tries = 1; tries <= 8; tries++) {
      await untilHeard(tries);
      await tryAgain();
    }
    await untilHeard(8);
    expect(await notices()).toEqual([]);
    expect(await failures()).toEqual([
      { client_id: 'app', outcome: 'failure', reason: expect.stringMatching(/./) },
    ]);
  }, 20_000);

  it('S-10 does not hinder the person, nor other applications', async () => {
    const gone = await stage.addApp('gone', { backchannelLogoutUri: 'http://127.0.0.1:1/ended' });
    const browser = await signedIn();
    await gone.tokens(browser);
    const tokens = await app.tokens(browser);
    expect((await signOut(browser)).headers.location).toBe('/login?signed_out=1');
    await untilHeard(1);
    await expectLogoutToken(tokens);
  });
});
