/**
 * What is held in memory about tokens: userinfo's answers, and refresh tokens until they come back. Whatever ends them ends them on a
 * node that holds them, and a node that hears nothing asks the database.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { send } from '../attacks/refusal.ts';
import type { Company } from '../http/visitor.ts';
import {
  errorOf,
  SECRET,
  startStage,
  tokensOf,
  withinASecond,
  type App,
  type Stage,
  type Tokens,
} from './stage.ts';

let stage: Stage;
let app: App;
let company: Company & { readonly domain: string };
beforeAll(async () => {
  stage = await startStage();
  app = await stage.addApp('app');
  company = await stage.addCompany();
});
afterAll(() => stage.close());

const sql = (text: string, values: readonly unknown[] = []) => stage.gateway.sql(text, [...values]);
const userinfo = ({ access_token: token }: Tokens, headers = {}, port?: number) =>
  send(`${stage.gateway.url}/oidc/userinfo`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    ...(port === undefined ? {} : { port }),
  });

/** Tokens that every node holds: userinfo's answer both, the refresh token the first. */
async function heldTokens(person = 'ada'): Promise<Tokens> {
  const first = await app.tokens(await stage.signedIn(company, `${person}@${company.domain}`));
  const tokens = tokensOf(await app.refresh(first.refresh_token, stage.ports[0]));
  for (const port of [...stage.ports, ...stage.ports])
    expect(await app.userInfoStatus(tokens, port)).toBe(200);
  return tokens;
}

/** No row of it is left to be found: only memory can answer. */
async function withoutTable<Result>(work: () => Promise<Result>): Promise<Result> {
  await sql('ALTER TABLE grant_tokens RENAME TO elsewhere');
  try {
    return await work();
  } finally {
    await sql('ALTER TABLE elsewhere RENAME TO grant_tokens');
  }
}

describe('userinfo', () => {
  it('P-14 is the same answer from memory, and asks nothing', async () => {
    const tokens = await heldTokens();
    const before = await userinfo(tokens, { origin: stage.gateway.url });
    const [held, other] = await withoutTable(() =>
      Promise.all([userinfo(tokens), userinfo({ ...tokens, access_token: `${tokens.access_token}A` })]),
    );
    expect([held.status, other.status]).toEqual([200, 503]);
    expect(JSON.parse(held.body)).toMatchObject({ email: `ada@${company.domain}` });
    expect(held.headers['cache-control']).toBe('no-store');
    expect(held.headers['content-security-policy']).toBe(before.headers['content-security-policy']);
    expect(Object.keys(held.headers).sort()).toEqual(
      Object.keys((await userinfo(tokens, { 'x-unusual': '1' })).headers).sort(),
    );
  });

  it.each([
    ['P-14 its grant ended', 'UPDATE grants SET revoked_at = now()'],
    ['P-14 the token is gone', "DELETE FROM grant_tokens WHERE kind = 'AccessToken'"],
    ['P-14 the token is over', "UPDATE grant_tokens SET expires_at = now() WHERE kind = 'AccessToken'"],
    ['S-10 its session is over', 'UPDATE sessions SET expires_at = now()'],
    ['S-10 its session is gone', 'DELETE FROM sessions'],
  ])('%s: so is the answer on both nodes within a second', async (_, statement) => {
    const tokens = await heldTokens();
    await sql(statement);
    await withinASecond(async () => {
      for (const port of stage.ports) expect(await app.userInfoStatus(tokens, port)).toBe(401);
    });
  });

  it('P-14 tells what has changed of the person', async () => {
    const tokens = await heldTokens('grace');
    await sql("UPDATE users SET name = 'Rear Admiral' WHERE email = $1", [`grace@${company.domain}`]);
    await withinASecond(async () => {
      for (const port of stage.ports)
        expect(JSON.parse((await userinfo(tokens, {}, port)).body)).toMatchObject({ name: 'Rear Admiral' });
    });
  });

  it('P-16 a token that its application revokes is over at once on that node, and on the other', async () => {
    const tokens = await heldTokens();
    const { status } = await send(`${stage.gateway.url}/oidc/token/revocation`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        ...{ client_id: app.clientId, client_secret: SECRET },
        token: tokens.access_token,
      }).toString(),
    });
    expect(status).toBe(200);
    expect(await app.userInfoStatus(tokens)).toBe(401);
    await withinASecond(async () => {
      expect(await app.userInfoStatus(tokens, stage.ports[1])).toBe(401);
    });
  });

  it('P-14 is not answered from memory while nothing is heard of changes', async () => {
    const tokens = await heldTokens();
    await sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gatehouse-feed' AND datname = current_database()",
    );
    await sql('ALTER TABLE grants DISABLE TRIGGER notify_end');
    try {
      await sql('UPDATE grants SET revoked_at = now()');
    } finally {
      await sql('ALTER TABLE grants ENABLE TRIGGER notify_end');
    }
    await withinASecond(async () => {
      for (const port of stage.ports) expect(await app.userInfoStatus(tokens, port)).toBe(401);
    });
  });
});

describe('a refresh token that a node holds', () => {
  const OVER = [400, 'invalid_grant'];

  it.each([
    ['P-10 whose grant ended', 'UPDATE grants SET revoked_at = now()'],
    ['P-13 whose session is over', 'UPDATE sessions SET expires_at = now()'],
    ['P-13 that is over', "UPDATE grant_tokens SET expires_at = now() WHERE kind = 'RefreshToken'"],
    ['P-13 that is gone', "DELETE FROM grant_tokens WHERE kind = 'RefreshToken'"],
    ['S-12 whose user is disabled', 'UPDATE users SET disabled_at = now()'],
  ])('%s is refused at once, by the database', async (name, statement) => {
    const tokens = await heldTokens();
    // Nobody is told: what is held is held on.
    await sql(
      'SET session_replication_role = replica; ' + statement + '; SET session_replication_role = DEFAULT',
    );
    expect(errorOf(await app.refresh(tokens.refresh_token, stage.ports[0]))).toEqual(OVER);
    if (name.includes('disabled')) await sql('UPDATE users SET disabled_at = NULL');
    const replayed = await sql('SELECT FROM grants WHERE replayed_at IS NOT NULL');
    expect(replayed).toEqual([]);
  });

  it('P-12 has the successor that another node gave it, and P-10 ends the family where that is too long ago', async () => {
    const held = await heldTokens();
    const elsewhere = tokensOf(await app.refresh(held.refresh_token, stage.ports[1]));
    const again = tokensOf(await app.refresh(held.refresh_token, stage.ports[0]));
    expect(again.refresh_token).toBe(elsewhere.refresh_token);

    const later = await heldTokens();
    await app.refresh(later.refresh_token, stage.ports[1]);
    await sql("UPDATE grant_tokens SET consumed_at = consumed_at - interval '11 seconds'");
    expect(errorOf(await app.refresh(later.refresh_token, stage.ports[0]))).toEqual(OVER);
    expect(await app.userInfoStatus(later, stage.ports[0])).toBe(401);
  });

  it('P-13 names the person as they are now', async () => {
    const tokens = await heldTokens('grace');
    await sql("UPDATE users SET name = 'Amazing' WHERE email = $1", [`grace@${company.domain}`]);
    await withinASecond(async () => {
      expect(JSON.parse((await userinfo(tokens)).body)).toMatchObject({ name: 'Amazing' });
    });
    const { id_token: idToken } = tokensOf(await app.refresh(tokens.refresh_token, stage.ports[0]));
    const claims: unknown = JSON.parse(Buffer.from(idToken.split('.')[1] ?? '', 'base64url').toString());
    expect(claims).toMatchObject({ name: 'Amazing' });
  });

  it('P-11 many at once share a statement, and each gets its own', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => heldTokens()));
    const next = await Promise.all(all.map(({ refresh_token: token }) => app.refresh(token)));
    const successors = next.map((answer) => tokensOf(answer).refresh_token);
    expect(new Set(successors).size).toBe(8);
    for (const answer of next) expect(await app.userInfoStatus(tokensOf(answer))).toBe(200);
  });

  it('P-11 somebody who holds one row holds up nobody else', async () => {
    const [mine, others] = [await heldTokens(), await heldTokens('grace')];
    const done: string[] = [];
    await stage.gateway.database.transaction(async (db) => {
      await db.raw(
        `SELECT FROM grants WHERE id IN (SELECT g.id FROM grants g JOIN sessions s ON s.id = g.session_id
           JOIN users u ON u.id = s.user_id WHERE u.email = ?) FOR UPDATE`,
        [`ada@${company.domain}`],
      );
      const waiting = app.refresh(mine.refresh_token).then((answer) => {
        done.push('mine');
        return answer;
      });
      tokensOf(await app.refresh(others.refresh_token));
      done.push('others');
      void waiting;
    });
    expect(done[0]).toBe('others');
  });
});
