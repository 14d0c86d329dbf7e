/** A person sees where they are signed in and what from there, and ends either; nobody else's is touched. */
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { findForm, visibleText } from '../../scripts/demo/html-form.ts';
import { expectRefusal, type Answer } from '../attacks/refusal.ts';
import { newestEventId } from '../support/test-database.ts';
import { FROM_OUR_PAGE, type Company, type Visitor } from '../http/visitor.ts';
import {
  errorOf,
  expectDead,
  SECRET,
  startStage,
  tokensOf,
  type App,
  type Stage,
  type Tokens,
} from './stage.ts';

const FORM = { ...FROM_OUR_PAGE, 'content-type': 'application/x-www-form-urlencoded' };

let stage: Stage;
let wiki: App;
let mail: App;
let acme: Company & { readonly domain: string };
let other: Company & { readonly domain: string };
/** Two browsers of one person. */
let here: Visitor;
let there: Visitor;
let grace: Visitor;
let stranger: Visitor;

beforeAll(async () => {
  stage = await startStage();
  [wiki, mail] = [await stage.addApp('wiki'), await stage.addApp('mail')];
  [acme, other] = [await stage.addCompany(), await stage.addCompany()];
});
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.gateway.sql('DELETE FROM sessions');
  here = await stage.signedIn(acme, `ada@${acme.domain}`);
  there = await stage.signedIn(acme, `ada@${acme.domain}`);
  grace = await stage.signedIn(acme, `grace@${acme.domain}`);
  stranger = await stage.signedIn(other, `ada@${other.domain}`);
});

const end = (browser: Visitor, fields: Readonly<Record<string, string>>, headers = {}): Promise<Answer> =>
  browser.send('/sessions/end', {
    method: 'POST',
    headers: { ...FORM, ...headers },
    body: new URLSearchParams(fields).toString(),
  });

const homeOf = async (browser: Visitor) => (await browser.send('/', { headers: FROM_OUR_PAGE })).body;

/** Ids of the sessions of a browser's person: the other one's, seen from this one. */
async function sessionElsewhere(browser: Visitor): Promise<string> {
  const form = findForm(await homeOf(browser), ['session']);
  return form?.values.get('session') ?? '';
}

/** The id of a browser's own session. */
async function ownSession(browser: Visitor): Promise<string> {
  const { body } = await browser.send('/session');
  const { user } = JSON.parse(body) as { user: { id: string } };
  const [row] = await stage.gateway.sql<{ id: string }>('SELECT id FROM sessions WHERE user_id = $1', [
    user.id,
  ]);
  return row?.id ?? '';
}

async function expectAlive(app: App, tokens: Tokens): Promise<void> {
  expect(await app.userInfoStatus(tokens)).toBe(200);
}

it('S-13 shows where a person is signed in, and what from there', async () => {
  await wiki.tokens(here);
  await mail.tokens(there);
  await wiki.tokens(grace);
  const text = visibleText(await homeOf(here));
  expect(text.match(/This browser/g)).toHaveLength(1);
  expect(text.match(/Another browser/g)).toHaveLength(1);
  expect(text.match(/wiki/g)).toHaveLength(1);
  expect(text.match(/mail Sign out/g)).toHaveLength(1);
});

it('S-13 shows nothing of it to who has one browser and no application', async () => {
  expect(await homeOf(grace)).not.toContain('/sessions/end');
});

it('S-13 signs another browser out, and what it was signed in to', async () => {
  const tokens = await wiki.tokens(there);
  const mine = await wiki.tokens(here);
  const answer = await end(here, { session: await sessionElsewhere(here) });
  expect([answer.status, answer.headers.location]).toEqual([303, '/']);
  for (const port of stage.ports) expect((await there.send('/session', { port })).status).toBe(401);
  expect(await here.sessionStatus()).toBe(200);
  await expectDead(stage, wiki, tokens);
  await expectAlive(wiki, mine);
});

it('S-13 signs out of one application alone, there alone', async () => {
  const [gone, kept] = [await wiki.tokens(there), await mail.tokens(there)];
  const mine = await wiki.tokens(here);
  const session = await sessionElsewhere(here);
  expect((await end(here, { session, application: 'wiki' })).status).toBe(303);
  await expectDead(stage, wiki, gone);
  await expectAlive(mail, kept);
  await expectAlive(wiki, mine);
  expect(await there.sessionStatus()).toBe(200);
});

it('S-13 signs out of an application that was signed in to twice', async () => {
  const both = [await wiki.tokens(there), await wiki.tokens(there)];
  await end(here, { session: await sessionElsewhere(here), application: 'wiki' });
  for (const tokens of both) await expectDead(stage, wiki, tokens);
});

it('S-13 ends a code that an application has not used yet', async () => {
  const code = await wiki.code(there);
  await end(here, { session: await sessionElsewhere(here), application: 'wiki' });
  expect(errorOf(await wiki.exchange(code))).toEqual([400, 'invalid_grant']);
});

it.each([
  ['of the same organization', () => grace],
  ['of another organization', () => stranger],
])("S-13 ends nothing of a person's %s", async (_, whose) => {
  const victim = whose();
  const tokens = await wiki.tokens(victim);
  const session = await ownSession(victim);
  const before = await stage.gateway.sql('SELECT id FROM audit_events');
  for (const fields of [{ session }, { session, application: 'wiki' }]) {
    const answer = await end(here, fields);
    // As for a session that has ended meanwhile: nobody learns that it is there.
    expect([answer.status, answer.headers.location]).toEqual([303, '/']);
  }
  expect(await victim.sessionStatus()).toBe(200);
  await expectAlive(wiki, tokens);
  tokensOf(await wiki.refresh(tokens.refresh_token));
  expect(await stage.gateway.sql('SELECT id FROM audit_events')).toEqual(before);
});

it.each([
  ['a refresh token', async (tokens: Tokens) => wiki.refresh(tokens.refresh_token)],
  ['a code', async (_: Tokens, code: string) => wiki.exchange(code)],
])('P-10 tells the person, and the audit trail, that %s was used twice', async (_, useAgain) => {
  const code = await wiki.code(there);
  const tokens = tokensOf(await wiki.exchange(code));
  tokensOf(await wiki.refresh(tokens.refresh_token));
  expect(visibleText(await homeOf(here))).not.toContain('used twice');
  await stage.gateway.sql("UPDATE grant_tokens SET consumed_at = consumed_at - interval '11 seconds'");
  const before = await newestEventId(stage.gateway.sql);
  expect(errorOf(await useAgain(tokens, code))).toEqual([400, 'invalid_grant']);
  for (const browser of [here, there]) {
    expect(
      visibleText(await homeOf(browser)).match(/wiki was signed out of here by Gatehouse/g),
    ).toHaveLength(1);
  }
  expect(visibleText(await homeOf(grace))).not.toContain('used twice');
  const events = await stage.gateway.sql(
    "SELECT client_id, organization_id FROM audit_events WHERE action = 'application.token_reused' AND user_id IS NOT NULL AND id > $1",
    [before],
  );
  expect(events).toEqual([{ client_id: 'wiki', organization_id: acme.organization.id }]);
});

it('P-10 says nothing of a token that the application revoked itself', async () => {
  const tokens = await wiki.tokens(there);
  const body = new URLSearchParams({
    client_id: 'wiki',
    client_secret: SECRET,
    token: tokens.refresh_token,
  }).toString();
  const answer = await there.send('/oidc/token/revocation', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body,
  });
  expect(answer.status).toBe(200);
  await expectDead(stage, wiki, tokens);
  expect(visibleText(await homeOf(here))).not.toContain('used twice');
});

it('S-13 writes down who ended what', async () => {
  await wiki.tokens(there);
  const session = await sessionElsewhere(here);
  const before = await newestEventId(stage.gateway.sql);
  await end(here, { session, application: 'wiki' });
  await end(here, { session });
  const events = await stage.gateway.sql(
    'SELECT action, client_id FROM audit_events WHERE id > $1 ORDER BY id',
    [before],
  );
  expect(events).toEqual([
    { action: 'application.signed_out', client_id: 'wiki' },
    { action: 'logout', client_id: null },
  ]);
});

it.each([
  ['another site', { 'sec-fetch-site': 'cross-site' }],
  ['a neighbour of our host', { 'sec-fetch-site': 'same-site' }],
])('S-11 does nothing when %s sends the form', async (_, headers) => {
  const tokens = await wiki.tokens(there);
  const session = await sessionElsewhere(here);
  for (const fields of [{ session }, { session, application: 'wiki' }]) {
    await expectRefusal(stage.gateway, () => end(here, fields, headers), {
      status: 400,
      code: 'malformed_request',
    });
  }
  expect(await there.sessionStatus()).toBe(200);
  await expectAlive(wiki, tokens);
});

it('S-11 does nothing when another origin sends it, by a browser that says no more', async () => {
  const session = await sessionElsewhere(here);
  const answer = await here.send('/sessions/end', {
    method: 'POST',
    headers: { origin: 'https://evil.example', 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ session }).toString(),
  });
  expect(answer.status).toBe(400);
  expect(await there.sessionStatus()).toBe(200);
});

it('S-11 does nothing by GET, and nothing without a session', async () => {
  const session = await sessionElsewhere(here);
  expect((await here.send(`/sessions/end?session=${session}`)).status).toBe(405);
  here.cookies.clear();
  expect((await end(here, { session })).status).toBe(401);
  expect(await there.sessionStatus()).toBe(200);
});

it.each([
  ['no session', {}],
  ['something that is no id', { session: "' OR true --" }],
  ['an empty id', { session: '' }],
])('S-07 refuses a form with %s', async (_, fields) => {
  expect((await end(here, fields)).status).toBe(400);
});
