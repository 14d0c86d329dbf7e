/** Group D: what an outsider learns of who is a customer. On a callback nothing at all, and nowhere more than is documented. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventsAfter, expectRefusal, expectRefusingAnswer, send, type Answer } from '../attacks/refusal.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { LINEAR_GROWTH, repeated } from './growth.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from './visitor.ts';

const REFERENCE = /[0-9A-Z]{4}-[0-9A-Z]{4}/g;

describe('an outsider', () => {
  let gateway: TestGateway;
  let acme: Company;
  let stranger: Company;

  beforeAll(async () => {
    gateway = await startTestGateway();
    acme = await addCompany(gateway, 'acme');
    // Somebody else's key, on a gateway of their own.
    const elsewhere = await startTestGateway();
    stranger = await addCompany(elsewhere, 'acme');
    await elsewhere.close();
    await addCompany(gateway, 'disabled');
    await gateway.sql(`UPDATE organizations SET disabled_at = now() WHERE slug = 'disabled'`);
    await addCompany(gateway, 'paused');
    await gateway.sql(
      `UPDATE connections SET status = 'disabled' WHERE organization_id = (SELECT id FROM organizations WHERE slug = 'paused')`,
    );
    await gateway.addOrganization('empty');
    const claimed = await gateway.addOrganization('claimed');
    await gateway.addJwtCallback(claimed, { publicKey: rsaKeyPair().publicKey });
    await gateway.sql(`UPDATE domains SET verified_at = NULL WHERE name = 'claimed.example'`);
  });
  afterAll(() => gateway.close());

  /** Everything of an answer that an outsider may compare. */
  const visible = ({ status, headers, body }: Answer) => ({
    status,
    body: body.replace(REFERENCE, 'reference'),
    headers: { ...headers, date: '' },
  });

  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = () => Math.floor(Date.now() / 1000);
  const flipped = (token: string) =>
    token.slice(0, -10) + (token.endsWith('AAAAAAAAAA') ? 'B' : 'A').repeat(10);

  const badTokens: Readonly<Record<string, () => string>> = {
    'signed by somebody else': () => stranger.token('ada@acme.example'),
    'with a changed signature': () => flipped(acme.token('ada@acme.example')),
    'without a signature': () =>
      `${part({ alg: 'none' })}.${part({ exp: now() + 60, email: 'ada@acme.example' })}.`,
    'of another algorithm': () =>
      `${part({ alg: 'HS256' })}.${part({ email: 'ada@acme.example' })}.${'A'.repeat(43)}`,
    'with a critical header': () =>
      `${part({ alg: 'RS256', crit: ['x'], x: 1 })}.${part({})}.${'A'.repeat(342)}`,
    'of an unknown type': () => `${part({ alg: 'RS256', typ: 'logout+jwt' })}.${part({})}.${'A'.repeat(342)}`,
    'without a claim': () => `${part({ alg: 'RS256' })}.${part({})}.${'A'.repeat(342)}`,
    'that is over': () =>
      `${part({ alg: 'RS256' })}.${part({ exp: 1, email: 'ada@acme.example' })}.${'A'.repeat(342)}`,
    'with a member twice': () =>
      `${part({ alg: 'RS256' })}.${Buffer.from('{"exp":1,"exp":2}').toString('base64url')}.${'A'.repeat(342)}`,
  };
  const UNKNOWN = ['nobody.example', 'sub.acme.example', 'acme.example.evil.example', 'localhost', '_'];
  const KNOWN = ['acme.example', 'disabled.example', 'paused.example', 'empty.example', 'claimed.example'];

  const created = () =>
    gateway.sql(`SELECT (SELECT count(*) FROM sessions) AS sessions, (SELECT count(*) FROM users) AS users,
                        (SELECT count(*) FROM identities) AS identities, (SELECT count(*) FROM single_use_tokens) AS uses`);
  const lastEvent = async () =>
    (await gateway.sql<{ id: string }>('SELECT coalesce(max(id), 0)::text AS id FROM audit_events'))[0]?.id ??
    '0';

  it.each(Object.keys(badTokens))('D-01 D-03 learns nothing of a domain from a token %s', async (kind) => {
    const token = badTokens[kind]?.() ?? '';
    const [before, event] = [await created(), await lastEvent()];
    const references: string[] = [];
    for (const accept of ['application/json', 'text/html']) {
      const answers: Answer[] = [];
      for (const domain of [...KNOWN, ...UNKNOWN]) {
        const path = `/v3/api/user/sso/${domain}/authenticate?token=${token}`;
        answers.push(await send(`${gateway.url}${path}`, { headers: { accept } }));
      }
      for (const answer of answers) {
        references.push(expectRefusingAnswer(answer, { status: 401, code: 'token_invalid' }));
        expect(visible(answer)).toEqual(visible(answers[0] ?? answer));
      }
    }
    expect(await created()).toEqual(before);
    const events = await eventsAfter(gateway, event);
    expect(events.map(({ reference }) => reference)).toEqual(references);
  });

  it('D-01 the operator does learn it', async () => {
    const token = stranger.token('ada@acme.example');
    const at = (domain: string) => () =>
      send(`${gateway.url}/v3/api/user/sso/${domain}/authenticate?token=${token}`);
    const refused = { status: 401, code: 'token_invalid' } as const;
    const known = await expectRefusal(gateway, at('acme.example'), refused);
    expect(known.event?.organization_id).toBe(acme.organization.id);
    const unknown = await expectRefusal(gateway, at('nobody.example'), {
      ...refused,
      recordedCode: 'unknown_domain',
    });
    expect(unknown.event?.organization_id).toBeNull();
  });

  it('D-01 what is no token at all is refused before any domain is looked at', async () => {
    for (const token of ['x', 'a.b', 'a.b.c.d', 'bm8.bm8.bm8']) {
      const answers = await Promise.all(
        [...KNOWN, ...UNKNOWN].map((domain) =>
          send(`${gateway.url}/v3/api/user/sso/${domain}/authenticate?token=${token}`),
        ),
      );
      for (const answer of answers) expect(visible(answer)).toEqual(visible(answers[0] ?? answer));
      expect(answers[0]?.status).toBe(400);
    }
  });

  it('D-03 D-07 cannot tell the disabled, the unverified, the empty and the unknown apart at the sign-in page', async () => {
    const others = [
      'disabled.example',
      'paused.example',
      'empty.example',
      'claimed.example',
      'nobody.example',
    ];
    for (const accept of ['application/json', 'text/html']) {
      const answers: Answer[] = [];
      for (const domain of others) {
        const attack = () =>
          send(`${gateway.url}/login`, {
            method: 'POST',
            headers: { ...FROM_OUR_PAGE, accept, 'content-type': 'application/x-www-form-urlencoded' },
            // Of one length, so that pages differ in nothing but what was typed.
            body: `email=a%40${domain}`,
          });
        answers.push((await expectRefusal(gateway, attack, { status: 404, code: 'unknown_domain' })).answer);
      }
      const seen = answers.map((answer, index) => {
        const { headers, status, body } = visible(answer);
        return {
          status,
          body: body.replaceAll(others[index] ?? '', 'domain'),
          headers: { ...headers, 'content-length': '' },
        };
      });
      for (const one of seen) expect(one).toEqual(seen[0]);
    }
  });

  it('D-03 cannot tell them apart at the entry link', async () => {
    for (const accept of ['application/json', 'text/html']) {
      const answers: Answer[] = [];
      for (const slug of ['disabled', 'paused', 'empty', 'claimed', 'nobody', '_', 'ACME']) {
        const attack = () => send(`${gateway.url}/sso/${slug}`, { headers: { accept } });
        answers.push(
          (await expectRefusal(gateway, attack, { status: 404, code: 'unknown_organization' })).answer,
        );
      }
      for (const answer of answers) expect(visible(answer)).toEqual(visible(answers[0] ?? answer));
    }
  });

  it('D-07 learns of a domain what the sign-in page is there to say, and of a person nothing', async () => {
    const answers = await Promise.all(
      ['ada@acme.example', 'nobody@acme.example'].map((email) => new Visitor(gateway).start(email)),
    );
    const [one, other] = answers.map(({ status, headers }) => ({ status, location: headers.location }));
    expect(one).toEqual(other);
    expect(one?.status).toBe(303);
  });

  it('D-03 learns that an account is disabled only by proving to be its owner', async () => {
    await gateway.addUser(acme.organization, 'former@acme.example');
    await gateway.sql(`UPDATE users SET disabled_at = now() WHERE email = 'former@acme.example'`);
    const visitor = new Visitor(gateway);
    expect((await visitor.start('former@acme.example')).status).toBe(303);
    const attack = () => visitor.comeBack(acme, 'former@acme.example');
    await expectRefusal(gateway, attack, { status: 403, code: 'user_disabled' });
  });
});

describe('D-08 an address made to take long', () => {
  let gateway: TestGateway;

  beforeAll(async () => {
    gateway = await startTestGateway({ env: { LOG_LEVEL: 'info' } });
    await addCompany(gateway, 'acme');
  });
  afterAll(() => gateway.close());

  /** The best of several tries, so that what the machine does besides counts little. */
  async function milliseconds(attack: () => Promise<Answer>): Promise<number> {
    const times: number[] = [];
    for (let run = 0; run < 5; run += 1) {
      const start = performance.now();
      const { status } = await attack();
      times.push(performance.now() - start);
      expect([200, 400, 401, 404, 413]).toContain(status);
    }
    return Math.min(...times);
  }

  it.each([
    ['a@ over and over', repeated('a@')],
    ['labels', repeated('a.', 'a@')],
    ['hyphens', repeated('-', 'a@')],
    ['dots', repeated('.', 'a@')],
    ['A-labels', repeated('xn--', 'a@')],
    ['encoded words', repeated('=?', '', '@acme.example')],
    ['spaces', repeated(' ', 'a@')],
  ])('is refused in proportion: %s', async (_, input) => {
    const post = (length: number) => () =>
      send(`${gateway.url}/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ email: input(length), return_to: input(length) }),
      });
    const look = (length: number) => () => {
      const text = encodeURIComponent(input(length)).slice(0, length);
      return send(`${gateway.url}/login?login_hint=${text.replace(/%.?$/, '')}`, {
        headers: { accept: 'text/html' },
      });
    };
    for (const attack of [post, look]) {
      expect((await milliseconds(attack(7_000))) / (await milliseconds(attack(450)))).toBeLessThan(
        LINEAR_GROWTH,
      );
    }
  });
});
