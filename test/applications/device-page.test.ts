/** The person's side of device authorization: one browser may decide, it is told what about, and nothing is decided by accident. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Answer } from '../attacks/refusal.ts';
import { FROM_OUR_PAGE, Visitor } from '../http/visitor.ts';
import { visibleText } from '../../scripts/demo/html-form.ts';
import { decide, Device, expectUntouched, formOf, open, pollError, submit } from './device-scene.ts';
import { claimsOf, startStage, tokensOf, type Stage } from './stage.ts';

let stage: Stage;
let device: Device;
let company: Awaited<ReturnType<Stage['addCompany']>>;
let ada: Visitor;

beforeAll(async () => {
  stage = await startStage({ env: { TRUST_PROXY: '1' } });
  device = await Device.registered(stage, 'terminal');
  company = await stage.addCompany();
  ada = await stage.signedIn(company, `ada@${company.domain}`);
});
afterAll(() => stage.close());

const textOf = ({ body }: Answer) => visibleText(body);
const problemOf = ({ status, headers, body }: Answer) => ({
  status,
  type: headers['content-type'],
  code: (JSON.parse(body) as { code?: string }).code,
});
const PROBLEM = 'application/problem+json; charset=utf-8';

describe('the page for codes', () => {
  it('has one field, needs nobody signed in, and gives the cookie that codes are claimed with', async () => {
    const visitor = new Visitor(stage.gateway);
    const page = await visitor.send('/device', { headers: { accept: 'text/html' } });
    expect(page.status).toBe(200);
    expect([...visitor.cookies.keys()]).toEqual(['gatehouse-device']);
    expect(page.headers['cache-control']).toBe('no-store');
    expect(page.body).toMatch(/<form method="post" action="\/device">/);
    expect(page.body).toMatch(/<input[^>]* name="user_code"/);
  });

  it.each([
    ['as it is', (code: string) => code],
    ['without a hyphen', (code: string) => code.replace('-', '')],
    ['in small letters, with spaces', (code: string) => ` ${code.toLowerCase().replace('-', ' ')} `],
    ['with a dash that a telephone made of it', (code: string) => code.replace('-', '\u2013')],
    ['letter by letter', (code: string) => code.split('').join('-')],
  ])('P-21 takes a code %s', async (_how, spell) => {
    const started = await device.start();
    const answer = await submit(ada, { user_code: spell(started.user_code) });
    expect(answer).toMatchObject({
      status: 303,
      headers: { location: `/device?user_code=${started.user_code}` },
    });
    expect((await open(ada, { user_code: spell(started.user_code) })).body).toContain(started.user_code);
  });

  it.each(['WRONG-CODE', 'BCDF-GHJK', 'BCDF-GHJ\u212a', '', '\0', 'B'.repeat(3_000), "' OR 1=1 --"])(
    'P-20 does not know %j',
    async (userCode) => {
      const typed = await submit(ada, { user_code: userCode });
      expect(typed.status).toBe(404);
      expect(textOf(typed)).toContain("We don't know this code.");
      expect(typed.body).toMatch(/<input[^>]* name="user_code"[^>]* aria-invalid="true"/);
      const asProgram = { headers: { accept: 'application/json' } };
      expect(problemOf(await submit(ada, { user_code: userCode }, asProgram))).toEqual({
        status: 404,
        type: PROBLEM,
        code: 'unknown_user_code',
      });
      if (userCode !== '') expect((await open(ada, { user_code: userCode })).status).toBe(404);
    },
  );

  it('sends whoever is not signed in to sign in, and back', async () => {
    const browser = new Visitor(stage.gateway);
    const started = await device.start({ login_hint: `grace@${company.domain}` });
    const first = await open(browser, started);
    const { location = '' } = first.headers;
    expect(first.status).toBe(303);
    const login = new URL(location, stage.gateway.url);
    expect(login.pathname).toBe('/login');
    expect(login.searchParams.get('login_hint')).toBe(`grace@${company.domain}`);
    const returnTo = login.searchParams.get('return_to') ?? '';
    const back = await browser.signIn(company, `grace@${company.domain}`, returnTo);
    expect(back.headers.location).toBe(`/device?user_code=${started.user_code}`);
    expect((await decide(browser, started, 'allow')).status).toBe(200);
    const tokens = tokensOf(await device.poll(started));
    expect(claimsOf(tokens)['email']).toBe(`grace@${company.domain}`);
  });

  it('P-29 sends people of another organization than the program asks for to that one', async () => {
    const other = await stage.addCompany();
    const started = await device.start({ organization: other.organization.slug });
    const page = await open(ada, started);
    const path = `/sso/${other.organization.slug}?return_to=`;
    expect([page.status, page.headers.location?.startsWith(path)]).toEqual([303, true]);
    const answer = await submit(ada, { user_code: started.user_code, decision: 'allow' });
    expect(answer.status).toBe(303);
    expect(pollError(await device.poll(started))).toBe('authorization_pending');
  });

  it('answers programs with problems: sign in first', async () => {
    const started = await device.start();
    const browser = new Visitor(stage.gateway);
    const asProgram = { headers: { accept: 'application/json' } };
    const expected = { status: 401, type: PROBLEM, code: 'not_signed_in' };
    expect(problemOf(await open(browser, started, asProgram))).toEqual(expected);
    const form = { user_code: started.user_code, decision: 'allow' };
    await open(browser, started);
    expect(problemOf(await submit(browser, form, asProgram))).toEqual(expected);
    const typed = await submit(ada, { user_code: (await device.start()).user_code }, asProgram);
    expect([typed.status, Object.keys(JSON.parse(typed.body) as object)]).toEqual([200, ['redirect_url']]);
  });
});

describe('the page that asks', () => {
  it('P-23 names the application, the person, the place and the time, and shows the code to compare', async () => {
    const started = await device.start();
    const page = await open(ada, started);
    const text = textOf(page);
    for (const shown of ['terminal', `ada@${company.domain}`, 'company1', '127.0.0.1', started.user_code]) {
      expect(text).toContain(shown);
    }
    expect(page.body).toMatch(/<time datetime="\d{4}-/);
    expect(text).toContain('Never allow what you did not start yourself');
    expect(text).not.toContain('It does not run where you are.');
    expect(page.body).not.toMatch(/<input(?![^>]*type="hidden")/);
    expect(page.body).toMatch(/<button[^>]* name="decision" value="allow"/);
    expect(page.body).toMatch(/<button[^>]* name="decision" value="deny"/);
    expect(page.body).not.toContain('autofocus');
    expect(page.headers['content-security-policy']).not.toContain('form-action');
  });

  it('P-23 warns where the program runs in another network, and says what it says it is', async () => {
    const started = await device.start();
    await stage.gateway.sql(`UPDATE device_codes SET user_agent = 'curl/8.1 <b>'`);
    const page = await open(ada, started, { headers: { 'x-forwarded-for': '203.0.113.9' } });
    expect(textOf(page)).toContain('It does not run where you are.');
    expect(textOf(page)).toContain('it says it is curl');
    for (const network of ['203.0.113.9', '127.0.0.1']) expect(textOf(page)).toContain(network);
  });

  it('does nothing when it is looked at, and nothing when a browser looks ahead', async () => {
    const started = await device.start();
    const stranger = new Visitor(stage.gateway);
    const head = await stranger.send(`/device?user_code=${started.user_code}`, { method: 'HEAD' });
    expect(head.status).toBe(405);
    const ahead = { headers: { 'sec-purpose': 'prefetch' } };
    expect((await open(stranger, started, ahead)).status).toBe(204);
    const prerender = { headers: { 'sec-purpose': 'prefetch;prerender', 'sec-fetch-mode': 'navigate' } };
    expect((await open(stranger, started, prerender)).status).toBe(503);
    expect(stranger.cookies.size).toBe(0);
    for (let look = 0; look < 3; look += 1) expect((await open(ada, started)).status).toBe(200);
    await expectUntouched(stage, device, started, ada);
  });

  it('is over once somebody decided; the same button pressed again says the same', async () => {
    const signedIn = async () => {
      const actions = await stage.gateway.sql<{ action: string }>('SELECT action FROM audit_events');
      return actions.filter(({ action }) => action === 'application.signed_in').length;
    };
    const before = await signedIn();
    const started = await device.start();
    const form = formOf(await open(ada, started));
    const answers = await Promise.all(
      [0, 1, 0, 1].map((node) =>
        submit(ada, { ...form, decision: 'allow' }, { port: stage.ports[node] ?? 0 }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const changed = await submit(ada, { ...form, decision: 'deny' });
    expect(changed.status).toBe(400);
    expect(textOf(changed)).toContain('This code has expired or was already used.');
    expect((await open(ada, started)).status).toBe(400);
    expect(await signedIn()).toBe(before + 1);
    const tokens = tokensOf(await device.poll(started));
    expect(claimsOf(tokens).aud).toBe('terminal');
    expect((await submit(ada, { ...form, decision: 'deny' })).status).toBe(400);
    expect((await device.refresh(tokens.refresh_token)).status).toBe(200);
  });

  it('P-25 denied is denied: nothing was made, and it cannot be allowed any more', async () => {
    const grants = () => stage.gateway.sql('SELECT id FROM grants');
    const before = await grants();
    const started = await device.start();
    const denied = await decide(ada, started, 'deny');
    expect([denied.status, textOf(denied).includes('Nothing was allowed')]).toEqual([200, true]);
    const allowed = await submit(ada, { user_code: started.user_code, decision: 'allow' });
    expect(allowed.status).toBe(400);
    expect(pollError(await device.poll(started))).toBe('access_denied');
    expect(await grants()).toEqual(before);
  });

  it('lists the application on the page of who is signed in, which can end it', async () => {
    const browser = await stage.signedIn(company, `grace@${company.domain}`);
    const started = await device.start();
    await decide(browser, started, 'allow');
    const home = await browser.send('/', { headers: { accept: 'text/html' } });
    expect(textOf(home)).toContain('terminal');
    const session = /name="session" value="([^"]+)"/.exec(home.body)?.[1] ?? '';
    await browser.send('/sessions/end', {
      method: 'POST',
      headers: { ...FROM_OUR_PAGE, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ session, application: 'terminal' }).toString(),
    });
    expect(pollError(await device.poll(started))).toBe('access_denied');
  });
});

describe('only the browser that opened a code first', () => {
  it('P-22 may decide: every other is refused, signed in or not, on either node', async () => {
    const started = await device.start();
    const form = formOf(await open(ada, started));
    const grace = await stage.signedIn(company, `grace@${company.domain}`);
    for (const port of stage.ports) {
      for (const stranger of [grace, new Visitor(stage.gateway)]) {
        const page = await open(stranger, started, { port });
        expect([page.status, page.body.includes('name="decision"')]).toEqual([403, false]);
        expect(textOf(page)).toContain('This code was opened in another browser.');
        for (const decision of ['allow', 'deny']) {
          expect((await submit(stranger, { ...form, decision }, { port })).status).toBe(403);
        }
        expect(stranger.cookies.has('gatehouse-device')).toBe(false);
      }
    }
    const asProgram = { headers: { accept: 'application/json' } };
    expect(problemOf(await open(grace, started, asProgram))).toEqual({
      status: 403,
      type: PROBLEM,
      code: 'user_code_claimed',
    });
    await expectUntouched(stage, device, started, ada);
  });

  it('P-22 may decide, and nobody about a code that was not opened at all', async () => {
    const started = await device.start();
    const answer = await submit(ada, { user_code: started.user_code, decision: 'allow' });
    expect(answer.status).toBe(403);
    await expectUntouched(stage, device, started, ada);
  });

  it('P-22 is one, of ten that open it at once on two nodes', async () => {
    const started = await device.start();
    const browsers = Array.from({ length: 10 }, () => new Visitor(stage.gateway));
    const pages = await Promise.all(
      browsers.map((browser, index) => open(browser, started, { port: stage.ports[index % 2] ?? 0 })),
    );
    expect(pages.map(({ status }) => status).sort()).toEqual([303, ...Array<number>(9).fill(403)]);
  });

  it('asks again when somebody else has signed in there since the page was shown', async () => {
    const browser = await stage.signedIn(company, `ada@${company.domain}`);
    const started = await device.start();
    const form = formOf(await open(browser, started));
    await browser.signIn(company, `grace@${company.domain}`);
    const answer = await submit(browser, { ...form, decision: 'allow' });
    expect(answer).toMatchObject({
      status: 303,
      headers: { location: `/device?user_code=${started.user_code}` },
    });
    expect(pollError(await device.poll(started))).toBe('authorization_pending');
    const page = await open(browser, started);
    expect(textOf(page)).toContain(`grace@${company.domain}`);
  });

  it.each([
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['a sibling', { 'sec-fetch-site': 'same-site' }],
    ['an old browser on another site', { 'sec-fetch-site': '', origin: 'https://evil.example' }],
  ])('S-11 does not decide because %s makes it', async (_who, headers) => {
    const started = await device.start();
    const form = formOf(await open(ada, started));
    const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== ''));
    const own = ada.cookies;
    const cookie = [...own].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await new Visitor(stage.gateway).send('/device', {
      method: 'POST',
      headers: {
        accept: 'text/html',
        cookie,
        'content-type': 'application/x-www-form-urlencoded',
        ...sent,
      },
      body: new URLSearchParams({ ...form, decision: 'allow' }).toString(),
    });
    expect(answer.status).toBe(400);
    const byGet = `/device?${new URLSearchParams({ ...form, decision: 'allow' }).toString()}`;
    expect((await ada.send(byGet, { headers: { accept: 'text/html' } })).status).toBe(200);
    await expectUntouched(stage, device, started, ada);
  });
});
