/** P-20: codes cannot be guessed, whoever guesses cannot lock out who has one open already, and nobody can ask for codes without end. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '../database/embedded-members.ts';
import { Visitor } from '../http/visitor.ts';
import { decide, Device, formOf, open, submit } from './device-scene.ts';
import { errorOf, startStage, type Stage } from './stage.ts';

/** What src/http/ allows: unknown codes of one address block, of all together, and requests for codes in a minute. */
const UNKNOWN = 5;
const UNKNOWN_OF_ALL = 1_000;
const STARTS = 300;

const from = (address: string, more = {}) => ({ headers: { 'x-forwarded-for': address, ...more } });

describe('user codes', () => {
  let stage: Stage;
  let device: Device;
  let company: Awaited<ReturnType<Stage['addCompany']>>;
  let ada: Visitor;
  let anybody: Visitor;

  beforeAll(async () => {
    stage = await startStage({ env: { RATE_LIMITS: 'on', TRUST_PROXY: '1' } });
    device = await Device.registered(stage, 'terminal');
    company = await stage.addCompany();
    ada = await stage.signedIn(company, `ada@${company.domain}`);
    anybody = new Visitor(stage.gateway);
  });
  afterAll(() => stage.close());

  const guess = (address: string, userCode = 'BCDF-GHJK') =>
    open(anybody, { user_code: userCode }, from(address));

  const expectTooMany = async (browser: Visitor, code: string, address: string) => {
    const answer = await open(browser, { user_code: code }, from(address));
    expect(answer.status).toBe(429);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(200);
    expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(300);
    expect((await submit(browser, { user_code: code }, from(address))).status).toBe(429);
  };

  it('P-20 after five that nobody has, the sixth is one too many, by link and by form, and so is a right one', async () => {
    const unopened = await device.start();
    for (let tries = 0; tries < UNKNOWN; tries += 1) {
      const answer =
        tries % 2 === 0 ? guess('203.0.113.1') : submit(anybody, { user_code: 'X' }, from('203.0.113.1'));
      expect((await answer).status).toBe(404);
    }
    for (const code of ['BCDF-GHJK', unopened.user_code, 'nonsense']) {
      await expectTooMany(anybody, code, '203.0.113.1');
    }
    const problem = await open(anybody, unopened, from('203.0.113.1', { accept: 'application/json' }));
    expect(JSON.parse(problem.body)).toMatchObject({ status: 429, code: 'rate_limited' });
    // Nor on the other node, within about a second.
    const there = { ...from('203.0.113.1'), port: stage.ports[1] };
    await until(
      'refused there',
      async () => (await open(anybody, { user_code: 'BCDF-GHJK' }, there)).status === 429,
    );
    // Others are not locked out, not even behind the same address, and the code was not claimed by the tries.
    expect((await open(new Visitor(stage.gateway), unopened, from('203.0.113.2'))).status).toBe(303);
    expect((await open(ada, await device.start(), from('203.0.113.1'))).status).toBe(200);
  });

  it('P-20 who is signed in has five as well, wherever they are, and goes on with what is open', async () => {
    const grace = await stage.signedIn(company, `grace@${company.domain}`);
    const opened = await device.start();
    const form = formOf(await open(grace, opened));
    for (let tries = 0; tries < UNKNOWN; tries += 1) {
      const answer = await open(grace, { user_code: 'BCDF-GHJK' }, from(`203.0.113.1${tries}`));
      expect(answer.status).toBe(404);
    }
    const unopened = await device.start();
    const again = await stage.signedIn(company, `grace@${company.domain}`);
    for (const browser of [grace, again]) {
      for (const code of ['BCDF-GHJK', unopened.user_code, 'nonsense']) {
        await expectTooMany(browser, code, '203.0.113.20');
      }
    }
    expect((await submit(grace, { ...form, user_code: unopened.user_code, decision: 'allow' })).status).toBe(
      429,
    );
    expect((await submit(grace, { ...form, decision: 'allow' })).status).toBe(200);
    expect((await open(ada, unopened, from('203.0.113.10'))).status).toBe(200);
  });

  it('what another site makes a browser load costs nobody a try', async () => {
    const image = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' };
    for (let tries = 0; tries < 2 * UNKNOWN; tries += 1) {
      const answer = await open(anybody, { user_code: 'BCDF-GHJK' }, from('203.0.113.30', image));
      expect(answer.status).toBe(400);
    }
    expect((await guess('203.0.113.30')).status).toBe(404);
  });

  it("P-20 an IPv6 site has five blocks' worth", async () => {
    const block = (index: number) => `2001:db8:20:${index.toString(16)}::1`;
    for (let index = 0; index < 5 * UNKNOWN; index += 1) expect((await guess(block(index))).status).toBe(404);
    expect((await guess(block(99))).status).toBe(429);
    expect((await guess('2001:db8:21::1')).status).toBe(404);
    expect((await open(ada, await device.start(), from(block(99)))).status).toBe(200);
  });

  it('P-20 many at once are no way around it', async () => {
    const strangers = Array.from({ length: 60 }, () => new Visitor(stage.gateway));
    const answers = await Promise.all(
      strangers.map((stranger) => open(stranger, { user_code: 'BCDF-GHJK' }, from('203.0.113.3'))),
    );
    const found = answers.filter(({ status }) => status === 404).length;
    expect(found).toBeLessThanOrEqual(20 + UNKNOWN);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(60 - found);
    expect((await guess('203.0.113.3')).status).toBe(429);
  });

  it('codes that exist are not counted, whoever opened them', async () => {
    const started = await device.start();
    await open(ada, started);
    const stranger = new Visitor(stage.gateway);
    for (let tries = 0; tries < 2 * UNKNOWN; tries += 1) {
      expect((await open(stranger, started, from('203.0.113.4'))).status).toBe(403);
    }
    expect((await decide(ada, started, 'deny')).status).toBe(200);
  });

  it('P-20 all address blocks together have a limit, too', async () => {
    const blocks = Array.from({ length: UNKNOWN_OF_ALL }, (_, index) => `10.${index >> 8}.${index & 255}.1`);
    const statuses = new Set<number>();
    for (let first = 0; first < blocks.length; first += 50) {
      const some = await Promise.all(blocks.slice(first, first + 50).map((block) => guess(block)));
      for (const { status } of some) statuses.add(status);
    }
    expect(statuses).toContain(404);
    // Who signs in is counted alone, so that is where everybody else is sent, whether or not there is such a code.
    const started = await device.start();
    const newcomer = new Visitor(stage.gateway);
    const link = `/device?user_code=${started.user_code}`;
    const login = (place: string) => `/login?return_to=${encodeURIComponent(place)}`;
    const sent = async (userCode: string) =>
      (await open(newcomer, { user_code: userCode }, from('198.51.100.1'))).headers.location;
    expect(await sent(started.user_code)).toBe(login(link));
    expect(await sent('BCDF-GHJK')).toBe(login('/device?user_code=BCDF-GHJK'));
    expect(await sent('nonsense')).toBe(login('/device'));
    const typed = await submit(newcomer, { user_code: started.user_code }, from('198.51.100.1'));
    expect([typed.status, typed.headers.location]).toEqual([303, login(link)]);
    const program = await open(newcomer, started, from('198.51.100.1', { accept: 'application/json' }));
    expect(program.status).toBe(429);
    const back = await newcomer.signIn(company, `ada@${company.domain}`, link);
    expect(back.headers.location).toBe(link);
    expect((await decide(newcomer, started, 'allow')).status).toBe(200);
    expect((await open(ada, await device.start(), from('198.51.100.1'))).status).toBe(200);
    // Whose own block has tried too often is refused, as before.
    expect((await guess('10.0.0.1')).headers.location).toBe(login('/device?user_code=BCDF-GHJK'));
  });
});

describe('requests for codes', () => {
  it('have a limit for one address block, which programs understand', async () => {
    const stage = await startStage({ env: { RATE_LIMITS: 'on' } });
    try {
      const device = await Device.registered(stage, 'terminal');
      for (let first = 0; first < STARTS; first += 20) {
        const some = await Promise.all(Array.from({ length: 20 }, () => device.ask()));
        expect(some.every(({ status }) => status === 200)).toBe(true);
      }
      const answer = await device.ask();
      expect(errorOf(answer)).toEqual([429, 'temporarily_unavailable']);
      const page = await fetch(`${stage.gateway.url}/oidc/device/auth`, {
        method: 'POST',
        headers: { origin: 'http://127.0.0.1:8000' },
        body: new URLSearchParams({ client_id: 'terminal' }),
      });
      expect(page.status).toBe(429);
      expect(page.headers.get('access-control-allow-origin')).toBe('http://127.0.0.1:8000');
      expect(page.headers.get('access-control-expose-headers')).toBe('Retry-After');
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    } finally {
      await stage.close();
    }
  });
});
