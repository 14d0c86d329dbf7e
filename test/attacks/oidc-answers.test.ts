/** What the provider's servers answer, or do not, once a browser is back: garbage, silence, and the wrong person. */
import { gzipSync } from 'node:zlib';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Answering, Bends } from './evil-provider.ts';
import { expectSignedIn, newEmail, openScene, type Scene } from './oidc-scene.ts';
import { expectRefusal } from './refusal.ts';

const PROVIDER = { status: 502, code: 'identity_provider_error' } as const;
const DENIED = { status: 403, code: 'email_not_allowed' } as const;
const INVALID = { status: 401, code: 'token_invalid' } as const;

const raw =
  (status: number, type: string, body: string | Buffer, headers: Record<string, string> = {}): Answering =>
  (_, response) => {
    response.writeHead(status, { 'content-type': type, ...headers }).end(body);
  };
const silent: Answering = () => undefined;
const broken: Answering = (_, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' }).write('{"access_');
  setTimeout(() => response.destroy(), 20);
};
const token = (instead: Answering): Bends => ({ instead: { token: instead } });
const userinfo = (claims: (good: Record<string, unknown>) => unknown): Bends => ({
  claims: ({ email: _email, email_verified: _verified, ...rest }) => rest,
  userinfo: claims,
});

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterEach(() => {
  scene.provider.straighten();
});
afterAll(() => scene.close());

describe('the token endpoint', () => {
  it.each<readonly [string, Bends]>([
    ['O-25 an error with status 200', { tokens: () => ({ error: 'server_error' }) }],
    ['O-25 HTML', token(raw(200, 'text/html', '<p>Sign in'))],
    ['O-25 HTML that says it is JSON', token(raw(200, 'application/json', '<p>Sign in'))],
    ['O-25 a token of type mac', { tokens: (good) => ({ ...good, token_type: 'mac' }) }],
    ['O-25 no ID token', { tokens: ({ id_token: _none, ...rest }) => rest }],
    ['O-25 an ID token that is a number', { tokens: (good) => ({ ...good, id_token: 1 }) }],
    ['O-25 an array', { tokens: (good) => [good] }],
    ['a wrong client secret', token(raw(401, 'application/json', '{"error":"invalid_client"}'))],
    ['status 500', token(raw(500, 'text/plain', 'no'))],
    ['F-10 a redirect', token(raw(302, 'text/plain', '', { location: 'http://127.0.0.1:9/' }))],
    ['F-14 300 KiB', token(raw(200, 'application/json', `{"a":"${'x'.repeat(300_000)}"}`))],
    [
      'F-15 a gzip bomb',
      token(
        raw(200, 'application/json', gzipSync(Buffer.alloc(20_000_000, 32)), { 'content-encoding': 'gzip' }),
      ),
    ],
    ['X-13 half an answer, then a reset', token(broken)],
    ['X-13 keys that are HTML', { instead: { jwks: raw(200, 'text/html', '<p>') } }],
  ])('that answers %s is an error of the provider', async (_what, bend) => {
    // Keys are fetched once for a connector, so what is wrong with them shows at a provider that nobody used yet.
    const company = await scene.addCompany(`answers${(count += 1)}`);
    const visitor = scene.visitor();
    const callback = await visitor.goToProvider(newEmail(`${company.organization.slug}.example`));
    company.provider.bend = bend;
    await expectRefusal(scene.gateway, () => visitor.send(callback), { ...PROVIDER, uses: 1 });
    expect(await visitor.session()).toBeUndefined();
  });
  let count = 0;

  it('a code that it does not take any more is a failed sign-in', async () => {
    await scene.refuses(token(raw(400, 'application/json', '{"error":"invalid_grant"}')), INVALID);
  });
});

describe('the address', () => {
  it.each<readonly [string, Bends]>([
    ['O-22 is nowhere', userinfo(({ email: _email, ...rest }) => rest)],
    ['is not verified', { claims: (good) => ({ ...good, email_verified: false }) }],
    ['is "false"ly verified', { claims: (good) => ({ ...good, email_verified: 'false' }) }],
    ['is verified by a number', { claims: (good) => ({ ...good, email_verified: 1 }) }],
    ['is not verified in userinfo', userinfo((good) => ({ ...good, email_verified: false }))],
    [
      'O-22 comes from userinfo and its flag from the ID token',
      {
        claims: ({ email: _email, ...rest }) => ({ ...rest, email_verified: true }),
        userinfo: ({ email_verified: _verified, ...rest }) => rest,
      },
    ],
    [
      'T-01 is of a domain that the organization does not have',
      { claims: (good) => ({ ...good, email: 'a@b.example' }) },
    ],
    ['T-15 is of a subdomain', { claims: (good) => ({ ...good, email: 'a@sub.acme.example' }) }],
    ['E-16 is of a look-alike', { claims: (good) => ({ ...good, email: 'a@\u0430cme.example' }) }],
    ['E-20 is of a longer name', { claims: (good) => ({ ...good, email: 'a@evilacme.example' }) }],
  ])('that %s is not let in', async (_what, bend) => {
    await scene.refuses(bend, DENIED);
  });

  it.each([
    ['E-01 empty', ''],
    ['E-01 null', null],
    ['E-01 a number', 5],
    ['E-01 an array', ['a@acme.example']],
    ['E-03 quoted', '"a@evil"@acme.example'],
    ['E-06 with a space', ' a@acme.example'],
    ['E-12 with a dotless i', 'adm\u0131n@acme.example'],
    ['E-18 of full width', 'a@\uff41cme.example'],
    ['E-19 with the root’s dot', 'a@acme.example.'],
    ['E-22 markup', '<img onerror=x>@acme.example'],
  ])('%s is no address', async (_what, email) => {
    await scene.refuses({ claims: (good) => ({ ...good, email }) }, INVALID);
  });

  it.each<readonly [string, Bends]>([
    ['only in userinfo', userinfo((good) => good)],
    ['without a word on its verification', { claims: ({ email_verified: _verified, ...rest }) => rest }],
    ['verified by a text', { claims: (good) => ({ ...good, email_verified: 'true' }) }],
    ['E-14 in capitals', { claims: (good) => ({ ...good, email: String(good['email']).toUpperCase() }) }],
  ])('%s lets its person in', async (_what, bend) => {
    await scene.admits(bend);
  });

  it('--email-claim names another claim', async () => {
    const company = await scene.addCompany('upn', { emailClaim: 'upn' });
    company.provider.bend = { claims: ({ email, ...rest }) => ({ ...rest, upn: email }) };
    const visitor = scene.visitor();
    expectSignedIn(await visitor.send(await visitor.goToProvider('ada@upn.example')));
    expect(await visitor.session()).toBe('ada@upn.example');
  });
});

describe('userinfo', () => {
  it.each<readonly [string, Bends, typeof INVALID | typeof PROVIDER]>([
    ['O-20 of somebody else', userinfo((good) => ({ ...good, sub: 'somebody-else' })), INVALID],
    ['O-20 an array', userinfo((good) => [good]), PROVIDER],
    [
      'O-20 HTML',
      { ...userinfo((good) => good), instead: { userinfo: raw(200, 'text/html', '<p>') } },
      PROVIDER,
    ],
    [
      'O-20 status 500',
      { ...userinfo((good) => good), instead: { userinfo: raw(500, 'text/plain', '') } },
      PROVIDER,
    ],
  ])('%s is refused', async (_what, bend, expected) => {
    await scene.refuses(bend, expected);
  });
});

describe('a provider that hangs', () => {
  it('X-12 W7 is given up in time, while another organization signs in', async () => {
    const other = await scene.addCompany('other');
    const visitor = scene.visitor();
    const callback = await visitor.goToProvider(newEmail());
    scene.provider.bend = token(silent);
    const startedAtMs = performance.now();
    const timeout = { status: 504, code: 'identity_provider_timeout', uses: 1 } as const;
    const waiting = visitor.send(callback);
    const another = scene.visitor();
    const elsewhere = newEmail(`${other.organization.slug}.example`);
    expectSignedIn(await another.send(await another.goToProvider(elsewhere)));
    const otherDone = performance.now() - startedAtMs < 4_000;
    const answer = await waiting;
    expect({ status: answer.status, otherDone }).toEqual({ status: timeout.status, otherDone: true });
    expect(JSON.parse(answer.body)).toMatchObject({ code: timeout.code });
  });

  it('X-12 is left alone when nobody waits any more: a second call has what the first one left of the time', async () => {
    const visitor = scene.visitor();
    const callback = await visitor.goToProvider(newEmail());
    const leftAlone = new Promise<'left alone'>((resolve) => {
      scene.provider.bend = {
        ...userinfo((good) => good),
        holdToken: () => sleep(3_000),
        instead: {
          userinfo(_request, response) {
            response.once('close', () => {
              resolve('left alone');
            });
          },
        },
      };
    });
    const started = visitor.send(callback);
    const tooLate = sleep(7_000, 'too late', { ref: false });
    expect(JSON.parse((await started).body)).toMatchObject({ code: 'identity_provider_timeout' });
    expect(await Promise.race([leftAlone, tooLate])).toBe('left alone');
  });

  it('X-11 answers nobody: the start says so, and the next one works when it is back', async () => {
    const company = await scene.addCompany('absent');
    company.provider.bend = { instead: { discovery: raw(503, 'text/plain', '') } };
    const visitor = scene.visitor();
    const email = 'ada@absent.example';
    await expectRefusal(scene.gateway, () => visitor.typeAddress(email), PROVIDER);
    company.provider.straighten();
    // That it failed is remembered for two seconds.
    const realNow = performance.now.bind(performance);
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => realNow() + 2_000);
    expectSignedIn(await visitor.send(await visitor.goToProvider(email)));
    clock.mockRestore();
  });

  it('K-04 is asked once for its description and its keys, however many start at once', async () => {
    const company = await scene.addCompany('herd');
    company.provider.straighten();
    const visitors = Array.from({ length: 20 }, () => scene.visitor());
    const callbacks = await Promise.all(
      visitors.map((visitor) => visitor.goToProvider(newEmail('herd.example'))),
    );
    const answers = await Promise.all(visitors.map((visitor, index) => visitor.send(callbacks[index] ?? '')));
    answers.forEach(expectSignedIn);
    expect(company.provider.calls.discovery).toBe(1);
    expect(company.provider.calls.token).toBe(20);
  });
});
