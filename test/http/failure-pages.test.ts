/** What a person reads when something failed: one sentence, one next step, one reference, and nothing from inside. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setConnectionStatus } from '../../src/connections/connection-state-store.ts';
import type { FailureCode } from '../../src/errors.ts';
import { eventsAfter, expectRefusal, send, type Answer } from '../attacks/refusal.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from './visitor.ts';

const LOGO = 'https://cdn.vendor.example/logo.svg?v=1';
const FORM = 'application/x-www-form-urlencoded';
const CALLBACK = '/v3/api/user/sso/acme.example/authenticate';
const UNSIGNED = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.e30.${'A'.repeat(342)}`;
/** Failures of a request rather than of a sign-in; the audit trail has none of these. */
const UNRECORDED = new Set<FailureCode>([
  'not_found',
  'method_not_allowed',
  'not_signed_in',
  'internal_error',
]);

const INVALID_LINK = 'This sign-in link isn&#39;t valid.';
const AGAIN = ['Start again'];
const ANOTHER = ['Use another address'];

describe('a failure page', () => {
  let gateway: TestGateway;
  let acme: Company;
  let clockIsBroken = false;

  beforeAll(async () => {
    gateway = await startTestGateway({
      env: { BRAND_NAME: 'Northwind', BRAND_LOGO_URL: LOGO, SUPPORT_URL: 'mailto:help@vendor.example' },
      now: () => {
        if (clockIsBroken) throw new RangeError('hunter2 broke in /srv/gatehouse/clock.ts');
        return Date.now();
      },
    });
    acme = await addCompany(gateway, 'acme');
  });
  afterAll(() => gateway.close());

  const get = (path: string) => send(`${gateway.url}${path}`, { headers: { accept: 'text/html' } });
  const post = (path: string, body: string, type = FORM) =>
    send(`${gateway.url}${path}`, {
      method: 'POST',
      headers: { ...FROM_OUR_PAGE, 'content-type': type },
      body,
    });
  /** Starts with one address and comes back with a token for another, or for the same. */
  const comeBack = async (email: string) => {
    const visitor = new Visitor(gateway);
    await visitor.start('ada@acme.example');
    return visitor.comeBack(acme, email);
  };

  /** Addresses that a page links to, loads, or sends a form to. */
  const targetsOf = (page: string) =>
    [...page.matchAll(/(?:href|src|action)="([^"]*)"/g)].map(([, target]) => target ?? '');

  function expectPage(answer: Answer, sentence: string, actions: readonly string[]): void {
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(answer.body).toContain(`<h1>${sentence}</h1>`);
    expect(answer.body).toContain(`${sentence.replace(/\.$/, '')} · Northwind</title>`);
    const links = [...answer.body.matchAll(/<a class="button[^"]*" href="[^"]*">([^<]*)<\/a>/g)];
    expect(links.map(([, label]) => label)).toEqual(actions);
    expect(answer.body).toContain('Contact support');
    expect(answer.body).not.toMatch(/<script|javascript:|style="/i);
    expect(answer.body).not.toContain(UNSIGNED);
  }

  it.each<readonly [string, () => Promise<Answer>, number, FailureCode, string, readonly string[]]>([
    ['a link that is none', () => get('/sso/%'), 400, 'malformed_request', INVALID_LINK, AGAIN],
    ['a callback without a token', () => get(CALLBACK), 400, 'malformed_request', INVALID_LINK, AGAIN],
    [
      'a form that is too large',
      () => post('/logout', 'a'.repeat(17_000)),
      413,
      'payload_too_large',
      INVALID_LINK,
      AGAIN,
    ],
    [
      'a body of another type',
      () => post('/login/confirm', '<x/>', 'text/xml'),
      415,
      'unsupported_media_type',
      INVALID_LINK,
      AGAIN,
    ],
    [
      'a sign-in that is over',
      () => get('/login/confirm?attempt=x'),
      400,
      'login_expired',
      'This sign-in has expired or was already used.',
      [...AGAIN, 'Continue'],
    ],
    [
      'a token of nobody',
      () => get(`${CALLBACK}?token=${UNSIGNED}`),
      401,
      'token_invalid',
      'We couldn&#39;t sign you in.',
      AGAIN,
    ],
    [
      'a person without an account',
      () => comeBack('nobody@acme.example'),
      403,
      'user_not_provisioned',
      'Your account has not been set up yet.',
      ANOTHER,
    ],
    [
      'an address of another domain',
      () => comeBack('ada@acme.example.evil.example'),
      403,
      'email_not_allowed',
      'Your account may not sign in here.',
      ANOTHER,
    ],
    [
      'a company that nobody knows',
      () => get('/sso/nobody'),
      404,
      'unknown_organization',
      'We don&#39;t know this company.',
      AGAIN,
    ],
    ['a place that is not there', () => get('/nowhere'), 404, 'not_found', 'There is nothing here.', AGAIN],
    [
      'a method that is not there',
      () => get('/logout'),
      405,
      'method_not_allowed',
      'This address can&#39;t be used like that.',
      ['Go to the beginning'],
    ],
    [
      'somebody who is not signed in',
      () => get('/session'),
      401,
      'not_signed_in',
      'You are not signed in.',
      AGAIN,
    ],
  ])(
    'W-05 for %s says what happened and what to do',
    async (_, attack, ...[status, code, sentence, actions]) => {
      const isRecorded = !UNRECORDED.has(code);
      const { answer, reference } = await expectRefusal(gateway, attack, { status, code, isRecorded });
      expectPage(answer, sentence, actions);
      expect(answer.body).toContain(`<code>${reference}</code>`);
      const lines = gateway.logLines.filter((line) => line.includes(reference));
      expect(lines).toHaveLength(1);
      expect(JSON.parse(lines[0] ?? '{}')).toMatchObject({ reference, code });
    },
  );

  it.each<readonly [string, string, number, FailureCode, string]>([
    ['what is no address', 'ada', 400, 'malformed_request', 'This isn&#39;t an e-mail address.'],
    [
      'an address that nobody knows',
      'ada@nobody.example',
      404,
      'unknown_domain',
      'We don&#39;t know a company for this address.',
    ],
  ])(
    'for %s is the sign-in page, with what was typed and what is wrong beside the field',
    async (_, typed, ...[status, code, sentence]) => {
      const attack = () => post('/login', new URLSearchParams({ email: typed, return_to: '/x' }).toString());
      const { answer, reference } = await expectRefusal(gateway, attack, { status, code });
      expect(answer.body).toContain(`<p class="sentence">${sentence}</p>`);
      expect(answer.body).toContain(`value="${typed}"`);
      expect(answer.body).toContain('name="return_to" value="/x"');
      expect(answer.body).toContain(`<code>${reference}</code>`);
      expect(answer.body).toContain('aria-invalid="true"');
    },
  );

  it('for a connection that was turned off meanwhile says to start again, with the same address', async () => {
    const late = await addCompany(gateway, 'late');
    const visitor = new Visitor(gateway);
    await visitor.start('ada@late.example');
    await setConnectionStatus(gateway.database, late.connection, 'disabled', 'test');
    const answer = await visitor.comeBack(late, 'ada@late.example');
    expect(answer.status).toBe(403);
    expectPage(answer, 'Your company&#39;s sign-in was changed or turned off.', AGAIN);
  });

  it('X-29 for a fault of our own says nothing of it, and the log nothing of what was broken', async () => {
    clockIsBroken = true;
    const attack = () => get('/sso/acme');
    const refused = { status: 500, code: 'internal_error', isRecorded: false } as const;
    const page = await expectRefusal(gateway, attack, refused);
    const problem = await expectRefusal(gateway, () => send(`${gateway.url}/sso/acme`), refused);
    clockIsBroken = false;
    expectPage(page.answer, 'Sign-in is unavailable for a moment. Nothing was lost.', AGAIN);
    expect(page.answer.body + problem.answer.body).not.toMatch(/hunter2|clock|Range/);
    const [line = ''] = gateway.logLines.filter((one) => one.includes(page.reference));
    expect(JSON.parse(line)).toMatchObject({
      level: 'error',
      code: 'internal_error',
      error: expect.stringMatching(/RangeError/),
    });
    expect(line).not.toContain('hunter2');
    expect((await get('/sso/acme')).status).toBe(303);
  });

  it('W-09 W-10 of a callback asks no other host for anything, and every page asks for nothing but the logo', async () => {
    const answers = [
      await get('/login'),
      await get('/nowhere'),
      await get(CALLBACK),
      await get(`${CALLBACK}?token=${UNSIGNED}`),
      await get('/break-glass/a-link-that-is-over'),
      await get('/sso/test/a-link-that-is-over'),
    ];
    const loaded = answers.map(({ body }) => targetsOf(body).filter((target) => /^https?:/.test(target)));
    expect(loaded).toEqual([[LOGO], [LOGO], [], [], [], []]);
    for (const { headers } of answers) {
      expect(String(headers['content-security-policy']).split(';')).toContain(
        "img-src 'self' https://cdn.vendor.example",
      );
    }
  });

  it.each([
    '/login?error=Your+account+is+locked,+call+%2B1',
    '/login?signed_out=Your+account+is+locked,+call+%2B1',
    '/login?message=Your+account+is+locked,+call+%2B1&title=locked&error_description=locked',
    '/nowhere/Your+account+is+locked,+call+%2B1',
    '/sso/locked?error=access_denied&error_description=Your+account+is+locked,+call+%2B1',
    '/login/confirm?attempt=Your+account+is+locked,+call+%2B1',
    `${CALLBACK}?error=Your+account+is+locked,+call+%2B1&message=locked`,
  ])('W-02 says nothing that a link wants it to say: %s', async (path) => {
    expect((await get(path)).body).not.toMatch(/locked|call \+1/);
    expect((await send(`${gateway.url}${path}`)).body).not.toMatch(/locked|call \+1/);
  });

  it('is one audit event a failure, each with a reference of its own', async () => {
    const [{ id } = { id: '0' }] = await gateway.sql<{ id: string }>(
      'SELECT max(id)::text AS id FROM audit_events',
    );
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(`${gateway.url}/sso/nobody`)));
    const references = answers.map(({ body }) => (JSON.parse(body) as { reference: string }).reference);
    expect(new Set(references).size).toBe(20);
    const events = await eventsAfter(gateway, id);
    expect(events.map(({ reference }) => reference).sort()).toEqual([...references].sort());
  });
});
