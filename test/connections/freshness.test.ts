/** How a provider's keys and discovery are kept, by whole sign-ins: what is new counts at once, what is gone does not, trouble passes. */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Answering, Bends } from '../attacks/evil-provider.ts';
import { signingKey } from '../attacks/evil-tokens.ts';
import { expectSignedIn, newEmail, openScene, type Company, type Scene } from '../attacks/oidc-scene.ts';
import { expectRefusal, type Answer } from '../attacks/refusal.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const INVALID = { status: 401, code: 'token_invalid', uses: 1 } as const;
const PROVIDER = { status: 502, code: 'identity_provider_error' } as const;

const anotherKey = signingKey();
const thirdKey = signingKey();
const down: Answering = (_, response) => void response.writeHead(503).end();

let scene: Scene;
let aheadMs = 0;
let count = 0;
beforeAll(async () => {
  const realNow = performance.now.bind(performance);
  jest.spyOn(performance, 'now').mockImplementation(() => realNow() + aheadMs);
  scene = await openScene();
});
afterAll(async () => {
  await scene.close();
  jest.restoreAllMocks();
});

const passMs = (ms: number) => {
  aheadMs += ms;
};
const newCompany = () => scene.addCompany(`company${(count += 1)}`);
const emailAt = ({ organization }: Company) => newEmail(`${organization.slug}.example`);

async function arrive(company: Company): Promise<() => Promise<Answer>> {
  const visitor = scene.visitor();
  const callback = await visitor.goToProvider(emailAt(company));
  return () => visitor.send(callback);
}

async function signIn(company: Company): Promise<void> {
  expectSignedIn(await (await arrive(company))());
}

/** A company at which somebody has signed in already. */
async function usedCompany(): Promise<Company> {
  const company = await newCompany();
  await signIn(company);
  return company;
}

async function refuses(company: Company, expected: typeof INVALID | typeof PROVIDER): Promise<string> {
  const visitor = scene.visitor();
  const callback = await visitor.goToProvider(emailAt(company));
  const { event } = await expectRefusal(scene.gateway, () => visitor.send(callback), {
    uses: 1,
    ...expected,
  });
  return event?.reason ?? '';
}

/** Asks until it is so: what is done behind somebody's back takes a moment. */
async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !isSo(); tries++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  expect(isSo()).toBe(true);
}

describe('a provider’s keys', () => {
  it('K-01 K-02 that changed just before it signed are found, twice within a minute', async () => {
    const company = await usedCompany();
    const { provider } = company;
    for (const key of [anotherKey, thirdKey]) {
      passMs(10 * SECOND_MS);
      provider.keys = [key];
      await signIn(company);
    }
    expect(provider.calls.jwks).toBe(3);
  });

  it('K-02 that changed again at once are found ten seconds later', async () => {
    const company = await usedCompany();
    company.provider.keys = [anotherKey];
    await refuses(company, INVALID);
    expect(company.provider.calls.jwks).toBe(1);
    passMs(10 * SECOND_MS);
    await signIn(company);
    expect(company.provider.calls.jwks).toBe(2);
  });

  it('K-03 are fetched once in ten seconds, however many tokens name keys that there are not', async () => {
    const company = await usedCompany();
    const { provider } = company;
    passMs(10 * SECOND_MS);
    let kid = 0;
    provider.bend = { header: (header) => ({ ...header, kid: `random ${(kid += 1)}` }) };
    const callbacks = await Promise.all(Array.from({ length: 40 }, () => arrive(company)));
    const answers = await Promise.all(callbacks.map((send) => send()));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    expect(provider.calls.jwks).toBe(2);
    provider.bend = {};
    await signIn(company);
    expect(provider.calls.jwks).toBe(2);
  });

  it('K-04 X-27 are fetched once by each node after everything was forgotten, and so is discovery', async () => {
    const company = await newCompany();
    const { provider } = company;
    const before = provider.calls.discovery;
    const callbacks = await Promise.all(Array.from({ length: 100 }, () => arrive(company)));
    for (const answer of await Promise.all(callbacks.map((send) => send()))) expectSignedIn(answer);
    expect(provider.calls).toMatchObject({ discovery: before + 1, jwks: 1, token: 100 });
  });

  it('K-06 serve while they cannot be had again, for a day', async () => {
    const company = await usedCompany();
    const { provider } = company;
    provider.bend = { instead: { jwks: down } };
    for (const ms of [4 * MINUTE_MS, 6 * MINUTE_MS, HOUR_MS, 22 * HOUR_MS]) {
      passMs(ms);
      for (let times = 0; times < 6; times++) await signIn(company);
    }
    passMs(HOUR_MS);
    expect(await refuses(company, PROVIDER)).toMatch(/status 503|is left alone/);
    provider.bend = {};
    passMs(10 * SECOND_MS);
    await signIn(company);
  });

  it('K-07 that were taken away are gone after five minutes', async () => {
    const company = await newCompany();
    const { provider } = company;
    const [stolen] = provider.keys;
    provider.keys = [...provider.keys, anotherKey];
    await signIn(company);
    provider.keys = [anotherKey];
    const forged: Bends = {
      header: (header) => ({ ...header, kid: stolen?.kid }),
      ...(stolen === undefined ? {} : { signWith: stolen.privateKey }),
    };
    passMs(5 * MINUTE_MS);
    provider.bend = forged;
    await refuses(company, INVALID);
    provider.bend = {};
    await signIn(company);
  });

  it('K-10 stay as they are when the provider publishes nonsense', async () => {
    const company = await usedCompany();
    company.provider.bend = { jwks: () => ({ keys: [] }) };
    passMs(6 * MINUTE_MS);
    await signIn(company);
  });
});

describe('a provider’s discovery', () => {
  it('is asked for again after an hour, behind the back of who signs in', async () => {
    const company = await usedCompany();
    const { provider } = company;
    const before = provider.calls.discovery;
    let isHeld = true;
    provider.bend = {
      discovery: (document) => {
        isHeld = false;
        return document;
      },
    };
    passMs(59 * MINUTE_MS);
    await signIn(company);
    expect(provider.calls.discovery).toBe(before);
    passMs(MINUTE_MS);
    await Promise.all([signIn(company), signIn(company)]);
    await until(() => !isHeld);
    expect(provider.calls.discovery).toBe(before + 1);
  });

  it.each<readonly [string, Bends]>([
    ['is down', { instead: { discovery: down } }],
    ['hangs', { instead: { discovery: () => undefined } }],
    ['breaks off', { instead: { discovery: (_, response) => void response.destroy() } }],
    ['answers with a page', { types: { discovery: 'text/html' } }],
    ['answers with nonsense', { discovery: () => '{' }],
    ['says nothing', { discovery: () => ({}) }],
  ])('K-06 is taken as it was while the provider %s', async (_what, bend) => {
    const company = await usedCompany();
    const { provider } = company;
    const before = provider.calls.discovery;
    provider.bend = bend;
    passMs(2 * HOUR_MS);
    for (let times = 0; times < 3; times++) await signIn(company);
    await until(() => provider.calls.discovery === before + 1);
    passMs(20 * HOUR_MS);
    await signIn(company);
  });

  it.each<readonly [string, Bends, RegExp]>([
    [
      'calls itself another',
      { discovery: (usual) => ({ ...usual, issuer: 'https://evil.example' }) },
      /calls itself/,
    ],
    [
      'has its token endpoint elsewhere',
      { discovery: (usual) => ({ ...usual, token_endpoint: 'https://evil.example/token' }) },
      /the provider moved since it was registered \(https:\/\/evil\.example/,
    ],
    [
      'has an endpoint that nobody may call',
      { discovery: (usual) => ({ ...usual, jwks_uri: 'http://user@127.0.0.1/jwks' }) },
      /jwks_uri of the discovery document must not/,
    ],
  ])('F-11 F-12 counts when the provider %s', async (_what, bend, reason) => {
    const company = await usedCompany();
    const { provider } = company;
    const before = provider.calls.discovery;
    provider.bend = bend;
    passMs(HOUR_MS);
    // Whoever comes first is sent there by what was known, and it is asked for behind their back.
    await arrive(company);
    await until(() => provider.calls.discovery === before + 1);
    const visitor = scene.visitor();
    const { event } = await expectRefusal(scene.gateway, () => visitor.typeAddress(emailAt(company)), {
      ...PROVIDER,
      uses: 0,
    });
    expect(event?.reason).toMatch(reason);
    expect(provider.calls.discovery).toBe(before + 1);
    passMs(2 * SECOND_MS);
    expect((await scene.visitor().typeAddress(emailAt(company))).status).toBe(502);
    expect(provider.calls.discovery).toBe(before + 2);
  });

  it('that fails is asked for once in two seconds, however many sign in', async () => {
    const company = await newCompany();
    const { provider } = company;
    const before = provider.calls.discovery;
    provider.bend = { instead: { discovery: down } };
    const start = () => scene.visitor().typeAddress(emailAt(company));
    for (let times = 0; times < 3; times++) {
      const answers = await Promise.all(Array.from({ length: 10 }, start));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([502]));
    }
    expect(provider.calls.discovery).toBe(before + 1);
    provider.bend = {};
    passMs(2 * SECOND_MS);
    await signIn(company);
  });
});
