/** Refresh tokens: each is good once, whoever repeats a use in time gets the same successor, and anything later ends them all. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { send } from '../attacks/refusal.ts';
import type { Company, Visitor } from '../http/visitor.ts';
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

const OVER = [400, 'invalid_grant'];

let stage: Stage;
let app: App;
let company: Company & { readonly domain: string };
beforeAll(async () => {
  stage = await startStage();
  app = await stage.addApp('app');
  company = await stage.addCompany();
});
afterAll(() => stage.close());

const signedIn = () => stage.signedIn(company, `ada@${company.domain}`);
const refreshed = async ({ refresh_token: token }: Tokens, port?: number) =>
  tokensOf(await app.refresh(token, port));

/** As if this time had passed since every refresh token was used. */
const waitAfterUse = (time: string) =>
  stage.gateway.sql('UPDATE grant_tokens SET consumed_at = consumed_at - CAST($1 AS interval)', [time]);

describe('a refresh token', () => {
  it('P-11 has a successor that is another one and works, on either node', async () => {
    const first = await app.tokens(await signedIn());
    const second = await refreshed(first, stage.ports[1]);
    const third = await refreshed(second, stage.ports[0]);
    const all = [first, second, third].map((tokens) => tokens.refresh_token);
    expect(new Set(all).size).toBe(3);
    for (const tokens of [first, second, third]) expect(await app.userInfoStatus(tokens)).toBe(200);
  });

  it('P-12 has the same successor for who lost the answer, on either node', async () => {
    const first = await app.tokens(await signedIn());
    const second = await refreshed(first, stage.ports[0]);
    await waitAfterUse('5 seconds');
    const again = await refreshed(first, stage.ports[1]);
    expect(again.refresh_token).toBe(second.refresh_token);
    expect(again.access_token).not.toBe(second.access_token);
    await refreshed(again);
  });

  it('P-11 used 20 times at once on two nodes has one successor, and every answer works', async () => {
    const first = await app.tokens(await signedIn());
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => refreshed(first, stage.ports[index % 2])),
    );
    expect(new Set(answers.map((tokens) => tokens.refresh_token)).size).toBe(1);
    for (const tokens of answers) expect(await app.userInfoStatus(tokens)).toBe(200);
    for (const tokens of answers.slice(0, 1)) await refreshed(tokens);
  });

  it('P-10 used after the grace ends the whole family, access tokens too', async () => {
    const first = await app.tokens(await signedIn());
    const second = await refreshed(first);
    await waitAfterUse('11 seconds');
    expect(errorOf(await app.refresh(first.refresh_token))).toEqual(OVER);
    for (const tokens of [second, first]) await expectDead(stage, app, tokens);
  });

  it('P-10 ends its own family alone', async () => {
    const browser = await signedIn();
    const [first, other] = [await app.tokens(browser), await app.tokens(browser)];
    await refreshed(first);
    await waitAfterUse('11 seconds');
    expect(errorOf(await app.refresh(first.refresh_token))).toEqual(OVER);
    expect(await app.userInfoStatus(other)).toBe(200);
    await refreshed(other);
  });

  it('P-10 of two generations ago ends the family', async () => {
    const first = await app.tokens(await signedIn());
    const third = await refreshed(await refreshed(first));
    await waitAfterUse('11 seconds');
    expect(errorOf(await app.refresh(first.refresh_token))).toEqual(OVER);
    await expectDead(stage, app, third);
  });

  it('P-12 of two generations ago never makes a second successor', async () => {
    const first = await app.tokens(await signedIn());
    const second = await refreshed(first);
    await refreshed(second);
    expect((await refreshed(first)).refresh_token).toBe(second.refresh_token);
    const [row] = await stage.gateway.sql<{ count: number }>(
      `SELECT count(*)::integer AS count FROM grant_tokens WHERE kind = 'RefreshToken' AND consumed_at IS NULL
         AND grant_id = (SELECT grant_id FROM grant_tokens ORDER BY expires_at DESC, consumed_at LIMIT 1)`,
    );
    expect(row?.count).toBe(1);
  });

  it("P-10 is no other application's", async () => {
    const tokens = await app.tokens(await signedIn());
    const thief = await stage.addApp('thief');
    expect(errorOf(await thief.refresh(tokens.refresh_token))).toEqual(OVER);
    await refreshed(tokens);
  });

  it('P-13 never widens its scope', async () => {
    const tokens = await app.tokens(await signedIn());
    const more = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token };
    const answer = await app.token({ ...more, scope: 'openid email profile offline_access' });
    expect(errorOf(answer)).toEqual([400, 'invalid_scope']);
    await refreshed(tokens);
  });
});

describe('with its session', () => {
  const moveSession = async (browser: Visitor, column: 'idle_expires_at' | 'expires_at') => {
    const { body } = await browser.send('/session');
    const { user } = JSON.parse(body) as { user: { id: string } };
    // The newest: other tests have sessions of the same person.
    await stage.gateway.sql(
      `UPDATE sessions SET ${column} = now() - interval '1 second'
       WHERE id = (SELECT id FROM sessions WHERE user_id = $1 ORDER BY authenticated_at DESC LIMIT 1)`,
      [user.id],
    );
    expect((await browser.send('/session')).status).toBe(401);
  };

  it("P-13 a refresh token outlives the browser's idle end", async () => {
    const browser = await signedIn();
    const tokens = await app.tokens(browser);
    await moveSession(browser, 'idle_expires_at');
    const back = await app.authorize(browser, { prompt: 'none' });
    expect(back.searchParams.get('error')).toBe('login_required');
    const next = await refreshed(tokens, stage.ports[1]);
    expect(await app.userInfoStatus(next)).toBe(200);
  });

  it("P-13 a refresh token does not outlive the session's absolute end", async () => {
    const browser = await signedIn();
    const tokens = await app.tokens(browser);
    await moveSession(browser, 'expires_at');
    await expectDead(stage, app, tokens);
  });
});

describe('while the database fails', () => {
  const UNAVAILABLE = [503, 'temporarily_unavailable'];

  /** Makes the next insertions of this kind fail as those of a full disk do, until the work is done. */
  async function whileNothingIsWritten<Result>(kind: string, work: () => Promise<Result>): Promise<Result> {
    const { sql } = stage.gateway;
    await sql(`
      CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$`);
    await sql(`CREATE TRIGGER fail BEFORE INSERT ON grant_tokens FOR EACH ROW
               WHEN (NEW.kind = '${kind}') EXECUTE FUNCTION fail()`);
    try {
      return await work();
    } finally {
      await sql('DROP TRIGGER fail ON grant_tokens');
      await sql('DROP FUNCTION fail');
    }
  }

  const usedTokens = () =>
    stage.gateway.sql('SELECT count(*) AS count FROM grant_tokens WHERE consumed_at IS NOT NULL');

  it('P-15 a refresh token is not used up where its successor cannot be written', async () => {
    const tokens = await app.tokens(await signedIn());
    const before = await usedTokens();
    const answer = await whileNothingIsWritten('RefreshToken', () => app.refresh(tokens.refresh_token));
    expect(errorOf(answer)).toEqual(UNAVAILABLE);
    expect(await usedTokens()).toEqual(before);
    await refreshed(tokens);
  });

  it('P-15 a refresh that got no further than its successor is repeated', async () => {
    const tokens = await app.tokens(await signedIn());
    const answer = await whileNothingIsWritten('AccessToken', () => app.refresh(tokens.refresh_token));
    expect(errorOf(answer)).toEqual(UNAVAILABLE);
    const next = await refreshed(tokens);
    expect(await app.userInfoStatus(next)).toBe(200);
    await refreshed(next);
  });

  it('P-15 a code whose tokens cannot be written is answered 503', async () => {
    const code = await app.code(await signedIn());
    const answer = await whileNothingIsWritten('AccessToken', () => app.exchange(code));
    expect(errorOf(answer)).toEqual(UNAVAILABLE);
  });

  it('P-16 a revocation that cannot be written is not said to be done, and a question is not answered', async () => {
    const tokens = await app.tokens(await signedIn());
    const ask = (path: string) =>
      send(`${stage.gateway.url}/oidc/token/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({
          ...{ client_id: app.clientId, client_secret: SECRET },
          token: tokens.refresh_token,
        }).toString(),
      });
    await stage.gateway.sql('ALTER TABLE grant_tokens RENAME TO elsewhere');
    try {
      for (const path of ['revocation', 'introspection']) {
        expect([path, ...errorOf(await ask(path))]).toEqual([path, ...UNAVAILABLE]);
      }
    } finally {
      await stage.gateway.sql('ALTER TABLE elsewhere RENAME TO grant_tokens');
    }
    expect((await ask('revocation')).status).toBe(200);
    expect(errorOf(await app.refresh(tokens.refresh_token))).toEqual([400, 'invalid_grant']);
  });
});
