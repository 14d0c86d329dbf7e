/** A program asks for codes and polls (RFC 8628), on two nodes: what it is told, how often it may ask, and that it gets tokens once. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Visitor } from '../http/visitor.ts';
import {
  decide,
  Device,
  open,
  PKCE,
  pollError,
  VERIFIER,
  type Fields,
  type Started,
} from './device-scene.ts';
import { claimsOf, errorOf, startStage, tokensOf, type Stage } from './stage.ts';

let stage: Stage;
let device: Device;
let ada: Visitor;

beforeAll(async () => {
  stage = await startStage();
  device = await Device.registered(stage, 'terminal', { resources: ['https://api.vendor.example'] });
  const company = await stage.addCompany();
  ada = await stage.signedIn(company, `ada@${company.domain}`);
});
afterAll(() => stage.close());

/** As if this time had passed since every code was asked for and polled. */
async function wait(time: string): Promise<void> {
  await stage.gateway.sql(
    `UPDATE device_codes SET next_poll_at = next_poll_at - CAST($1 AS interval),
       created_at = created_at - CAST($1 AS interval), expires_at = expires_at - CAST($1 AS interval)`,
    [time],
  );
  await stage.gateway.sql(
    `UPDATE grant_tokens SET expires_at = expires_at - CAST($1 AS interval) WHERE kind = 'DeviceCode'`,
    [time],
  );
}

const stateOfAll = async () => {
  const rows = await stage.gateway.sql<{ text: string }>('SELECT d::text AS text FROM device_codes d');
  return rows.map(({ text }) => text).sort();
};

async function approved(fields: Fields = {}): Promise<Started> {
  const started = await device.start(fields);
  expect((await decide(ada, started, 'allow')).status).toBe(200);
  return started;
}

describe('a request for codes', () => {
  it('P-20 gives codes of 256 and 34 bits, a page, a life and an interval', async () => {
    const started = await device.start();
    expect(started).toEqual({
      device_code: expect.stringMatching(/^[\w-]{43}$/),
      user_code: expect.stringMatching(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/),
      verification_uri: `${stage.gateway.url}/device`,
      verification_uri_complete: `${stage.gateway.url}/device?user_code=${started.user_code}`,
      expires_in: 300,
      interval: 5,
    });
  });

  it('is in discovery; the pages of the library are not there', async () => {
    const discovery = await ada.send('/oidc/.well-known/openid-configuration');
    expect(JSON.parse(discovery.body)).toMatchObject({
      device_authorization_endpoint: `${stage.gateway.url}/oidc/device/auth`,
      grant_types_supported: expect.arrayContaining(['urn:ietf:params:oauth:grant-type:device_code']),
    });
    for (const path of ['/oidc/device', '/oidc/device/some-id']) {
      expect((await ada.send(path)).status).toBe(404);
    }
  });

  it.each<[string, Fields, number, string]>([
    ['of the method plain', { ...PKCE, code_challenge_method: 'plain' }, 400, 'invalid_request'],
    ['without a method', { code_challenge: PKCE.code_challenge }, 400, 'invalid_request'],
    ['with a method alone', { code_challenge_method: 'S256' }, 400, 'invalid_request'],
    ['that is too short', { ...PKCE, code_challenge: 'short' }, 400, 'invalid_request'],
    ['that is no base64url', { ...PKCE, code_challenge: `${'a'.repeat(42)}=` }, 400, 'invalid_request'],
  ])('P-03 refuses a challenge %s', async (_what, fields, status, error) => {
    expect(errorOf(await device.ask(fields))).toEqual([status, error]);
  });

  it.each<[string, Fields, number, string]>([
    ['a prompt', { prompt: 'login' }, 400, 'invalid_request'],
    ['a max_age that nobody would enforce', { max_age: '0' }, 400, 'invalid_request'],
    ['an API that is not the application’s', { resource: 'https://other.example' }, 400, 'invalid_target'],
    ['more than it stores', { nonce: 'n'.repeat(5_000) }, 400, 'invalid_request'],
  ])('refuses %s', async (_what, fields, status, error) => {
    expect(errorOf(await device.ask(fields))).toEqual([status, error]);
  });

  it.each(['GET', 'HEAD', 'PUT', 'DELETE'])('is no other method: %s', async (method) => {
    const answer = await fetch(`${stage.gateway.url}/oidc/device/auth`, { method });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST, OPTIONS']);
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  it.each(['nonce', 'login_hint', 'organization', 'client_id', 'scope', 'unknown'])(
    'refuses U+0000 in %s, here and where browsers and tokens are asked for',
    async (name) => {
      const fields = { [name]: 'a\0b' };
      const started = await device.ask(fields);
      expect(errorOf(started)).toEqual([400, 'invalid_request']);
      expect(errorOf(await device.poll({ device_code: 'x' }, fields))).toEqual([400, 'invalid_request']);
      const query = new URLSearchParams({ client_id: 'terminal', response_type: 'code', ...fields });
      const page = await ada.send(`/oidc/auth?${query.toString()}`, { headers: { accept: 'text/html' } });
      expect(page.status).toBe(400);
      const levels = stage.gateway.logLines.map((line) => (JSON.parse(line) as { level: unknown }).level);
      expect(levels).not.toContain('error');
      expect(levels).not.toContain(50);
    },
  );

  it('is for public applications alone, and for those that there are', async () => {
    const confidential = await stage.addApp('portal');
    const asConfidential = new Device(stage, confidential.clientId);
    const secret = { client_secret: 'a secret of an application, long enough' };
    expect(errorOf(await asConfidential.ask(secret))).toEqual([400, 'invalid_request']);
    expect(errorOf(await asConfidential.ask())).toEqual([401, 'invalid_client']);
    expect(errorOf(await new Device(stage, 'nobody').ask())).toEqual([401, 'invalid_client']);
  });

  it('lets go of codes that ended an hour ago, and of no others', async () => {
    const old = await device.start();
    await stage.gateway.sql(`UPDATE device_codes SET expires_at = now() - interval '61 minutes'`);
    const recent = await device.start();
    await wait('10 minutes');
    await device.start();
    expect(pollError(await device.poll(old))).toBe('invalid_grant');
    expect(pollError(await device.poll(recent))).toBe('expired_token');
  });
});

describe('a poll', () => {
  it('P-24 waits until a person has approved on any node, then gives tokens once', async () => {
    const [one, other] = stage.ports;
    const started = await device.start({ nonce: 'a nonce' }, one);
    expect(pollError(await device.poll(started, {}, other))).toBe('authorization_pending');
    expect((await decide(ada, started, 'allow', other)).status).toBe(200);
    const tokens = tokensOf(await device.poll(started, {}, one));
    expect(claimsOf(tokens)).toMatchObject({
      aud: 'terminal',
      email: 'ada@company1.example',
      name: 'ada',
      org: { slug: 'company1' },
      amr: ['fed'],
      auth_time: expect.any(Number),
      nonce: 'a nonce',
    });
    expect(await device.userInfoStatus(tokens.access_token, other)).toBe(200);
    expect(pollError(await device.poll(started, {}, other))).toBe('invalid_grant');
    expect(await device.userInfoStatus(tokens.access_token, other)).toBe(200);
    const refreshed = tokensOf(await device.refresh(tokens.refresh_token, other));
    expect(claimsOf(refreshed)).toMatchObject({ sub: claimsOf(tokens).sub });
    expect(pollError(await device.poll(started))).toBe('invalid_grant');
  });

  it('names the session to an application that hears of its end', async () => {
    const backchannelLogoutUri = 'http://127.0.0.1:9/ended';
    const told = await Device.registered(stage, 'told-terminal', { backchannelLogoutUri });
    const started = await told.start();
    await decide(ada, started, 'allow');
    const { sid } = claimsOf(tokensOf(await told.poll(started)));
    const sessions = await stage.gateway.sql<{ id: string }>('SELECT id FROM sessions');
    expect(sessions.map(({ id }) => id)).toContain(sid);
  });

  it('gives an access token for an API of the application', async () => {
    const resource = 'https://api.vendor.example';
    const tokens = tokensOf(await device.poll(await approved({ resource })));
    expect(claimsOf({ id_token: tokens.access_token })).toMatchObject({
      aud: resource,
      client_id: 'terminal',
    });
  });

  it('P-24 that comes too soon is told to slow down, on any node, and each makes the interval longer', async () => {
    const [one, other] = stage.ports;
    const started = await device.start();
    expect(pollError(await device.poll(started, {}, one))).toBe('authorization_pending');
    expect(pollError(await device.poll(started, {}, other))).toBe('slow_down');
    await wait('7 seconds');
    expect(pollError(await device.poll(started, {}, one))).toBe('slow_down');
    await wait('11 seconds');
    expect(pollError(await device.poll(started, {}, other))).toBe('slow_down');
    await wait('20 seconds');
    expect(pollError(await device.poll(started, {}, one))).toBe('authorization_pending');
    await wait('16 seconds');
    expect(pollError(await device.poll(started, {}, one))).toBe('slow_down');
  });

  it('P-24 ten at once on two nodes: one is in time, and each of the others makes the interval longer', async () => {
    const started = await device.start();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => device.poll(started, {}, stage.ports[index % 2])),
    );
    const errors = answers.map(pollError).sort();
    expect(errors).toEqual(['authorization_pending', ...Array<string>(9).fill('slow_down')]);
    const rows = await stage.gateway.sql<{ seconds: number }>(
      `SELECT CAST(extract(epoch FROM poll_interval) AS float8) AS seconds FROM device_codes
       ORDER BY created_at DESC, expires_at DESC LIMIT 1`,
    );
    expect(rows).toEqual([{ seconds: 50 }]);
  });

  it('P-24 is never too soon once a person has decided', async () => {
    const [allowed, refused] = [await device.start(), await device.start()];
    for (const code of [allowed, refused]) await device.poll(code);
    await decide(ada, allowed, 'allow');
    await decide(ada, refused, 'deny');
    expect((await device.poll(allowed)).status).toBe(200);
    expect(pollError(await device.poll(refused))).toBe('access_denied');
  });

  it('P-26 ten at once on two nodes: one gets tokens, and they keep working', async () => {
    for (let round = 0; round < 3; round += 1) {
      const started = await approved();
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, index) => device.poll(started, {}, stage.ports[index % 2])),
      );
      const won = answers.filter(({ status }) => status === 200);
      expect(won).toHaveLength(1);
      const lost = answers.filter(({ status }) => status !== 200).map(pollError);
      expect(lost).toEqual(Array(9).fill('invalid_grant'));
      for (const answer of won) {
        const tokens = tokensOf(answer);
        for (const port of stage.ports)
          expect(await device.userInfoStatus(tokens.access_token, port)).toBe(200);
        expect((await device.refresh(tokens.refresh_token)).status).toBe(200);
      }
      const [row] = await stage.gateway.sql<{ count: number }>(
        `SELECT count(*)::integer FROM grant_tokens t
         WHERE kind = 'AccessToken' AND grant_id = (SELECT id FROM grants ORDER BY created_at DESC LIMIT 1)`,
      );
      // Of the one poll, and of the refresh.
      expect(row?.count).toBe(2);
    }
  });

  it('P-25 after the end says so, whether somebody approved or not; after a denial, that', async () => {
    const [open_, allowed, refused] = [await device.start(), await approved(), await device.start()];
    await decide(ada, refused, 'deny');
    await wait('301 seconds');
    expect(pollError(await device.poll(open_))).toBe('expired_token');
    expect(pollError(await device.poll(allowed))).toBe('expired_token');
    expect(pollError(await device.poll(refused))).toBe('access_denied');
    const late = await open(ada, open_);
    expect({ status: late.status, asks: late.body.includes('name="decision"') }).toEqual({
      status: 400,
      asks: false,
    });
  });

  it('P-27 of a code that nobody has, or that is another application’s, changes nothing', async () => {
    const other = await Device.registered(stage, 'other-terminal');
    const pending = await device.start();
    const allowed = await approved();
    const before = await stateOfAll();
    for (const code of [pending, allowed]) {
      expect(pollError(await other.poll(code))).toBe('invalid_grant');
      const similar = {
        device_code: `${code.device_code.slice(0, -1)}${code.device_code.endsWith('A') ? 'B' : 'A'}`,
      };
      expect(pollError(await device.poll(similar))).toBe('invalid_grant');
    }
    expect(await stateOfAll()).toEqual(before);
    expect(pollError(await device.poll(pending))).toBe('authorization_pending');
    expect((await device.poll(allowed)).status).toBe(200);
  });

  it('does not fill the audit trail, and is there in it once a person has decided', async () => {
    const [allowed, refused] = [await device.start(), await device.start()];
    const events = () =>
      stage.gateway.sql<{ action: string; outcome: string; code: string | null; email: string }>(
        `SELECT action, outcome, code, email FROM audit_events WHERE client_id = 'terminal' ORDER BY id`,
      );
    const before = await events();
    for (const code of [allowed, allowed, refused]) await device.poll(code);
    await decide(ada, allowed, 'allow');
    await decide(ada, refused, 'deny');
    await device.poll(refused);
    await device.poll(allowed);
    const email = 'ada@company1.example';
    expect((await events()).slice(before.length)).toEqual([
      { action: 'application.signed_in', outcome: 'success', code: null, email },
      { action: 'application.denied', outcome: 'failure', code: 'oauth:access_denied', email },
    ]);
  });
});

describe('a program that sent a challenge', () => {
  it.each<[string, Fields]>([
    ['no verifier', {}],
    ['an empty one', { code_verifier: '' }],
    ['another one', { code_verifier: `${VERIFIER.slice(0, -1)}_` }],
    ['the challenge itself', { code_verifier: PKCE.code_challenge }],
    ['one that is too short', { code_verifier: 'short' }],
  ])('P-03 is refused with %s at every poll, and nothing changes', async (_what, fields) => {
    const pending = await device.start(PKCE);
    const allowed = await approved(PKCE);
    const before = await stateOfAll();
    for (const code of [pending, allowed])
      expect(pollError(await device.poll(code, fields))).toBe('invalid_grant');
    expect(await stateOfAll()).toEqual(before);
    const good = { code_verifier: VERIFIER };
    expect(pollError(await device.poll(pending, good))).toBe('authorization_pending');
    expect((await device.poll(allowed, good)).status).toBe(200);
  });

  it('P-03 a verifier without a challenge fits nothing', async () => {
    const started = await approved();
    expect(pollError(await device.poll(started, { code_verifier: VERIFIER }))).toBe('invalid_grant');
    expect((await device.poll(started)).status).toBe(200);
  });
});

describe('what is stored', () => {
  it('P-27 is digests: no code and no token can be read', async () => {
    const started = await approved(PKCE);
    const tokens = tokensOf(await device.poll(started, { code_verifier: VERIFIER }));
    const pending = await device.start();
    const rows = await stage.gateway.sql<{ text: string }>(
      `SELECT t::text AS text FROM grant_tokens t UNION ALL SELECT g::text FROM grants g
       UNION ALL SELECT d::text FROM device_codes d UNION ALL SELECT e::text FROM audit_events e`,
    );
    const text = rows.map((row) => row.text).join('\n');
    for (const { device_code: code, user_code: userCode } of [started, pending]) {
      for (const value of [code, userCode, userCode.replace('-', '')]) expect(text).not.toContain(value);
    }
    for (const value of [tokens.access_token, tokens.refresh_token]) expect(text).not.toContain(value);
    expect(text).not.toContain(ada.cookie('device').value);
  });
});
