/**
 * O-13: the modules of the OpenID conformance suite's plans for relying parties (basic, config), and what FAPI adds, each by its name.
 * Keys that are rotated are in connections/freshness.test.ts, logout in applications/logout-token.test.ts and provider-logout.test.ts.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Bends } from './evil-provider.ts';
import { publicJwk, signingKey, type Json } from './evil-tokens.ts';
import { openScene, type Scene } from './oidc-scene.ts';
import { expectRefusal } from './refusal.ts';

const INVALID = { status: 401, code: 'token_invalid' } as const;
const another = signingKey();

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterEach(() => {
  scene.provider.straighten();
});
afterAll(() => scene.close());

const claim = (name: string, value: unknown): Bends => ({ claims: (good) => ({ ...good, [name]: value }) });
const without = (name: string): Bends => claim(name, undefined);
const noKid = { header: ({ kid: _none, ...header }: Json): Json => header };
const onlyInUserinfo = { claims: ({ email: _none, ...rest }: Json): Json => rest };
const WEEK_SECONDS = 7 * 86_400;

describe('oidcc-client-basic-certification-test-plan', () => {
  it.each<readonly [string, Bends]>([
    ['oidcc-client-test', {}],
    ['oidcc-client-test-scope-userinfo-claims', onlyInUserinfo],
    ['oidcc-client-test-kid-absent-single-jwks', noKid],
    ['oidcc-client-test-idtoken-sig-rs256', {}],
  ])('O-13 %s: signed in', async (_, bend) => {
    await scene.admits(bend);
  });

  it('O-13 oidcc-client-test-client-secret-basic: by that method', async () => {
    await scene.admits({});
    expect(scene.provider.tokenRequests.map(({ authorization }) => authorization?.split(' ')[0])).toEqual([
      'Basic',
    ]);
  });

  it.each<readonly [string, Bends]>([
    ['oidcc-client-test-nonce-invalid', claim('nonce', 'another nonce')],
    ['oidcc-client-test-invalid-iss', claim('iss', 'https://another.example')],
    ['oidcc-client-test-missing-sub', without('sub')],
    ['oidcc-client-test-invalid-aud', claim('aud', 'another client')],
    ['oidcc-client-test-missing-iat', without('iat')],
    [
      'oidcc-client-test-idtoken-sig-none',
      { header: (header) => ({ ...header, alg: 'none' }), idToken: (token) => token.replace(/[^.]+$/, '') },
    ],
    ['oidcc-client-test-invalid-sig-rs256', { signWith: another.privateKey }],
    [
      'oidcc-client-test-userinfo-invalid-sub',
      { ...onlyInUserinfo, userinfo: (good) => ({ ...good, sub: 'somebody else' }) },
    ],
  ])('O-13 %s: refused', async (_, bend) => {
    await scene.refuses(bend, INVALID);
  });

  it('O-13 oidcc-client-test-kid-absent-multiple-jwks: refused', async () => {
    const company = await scene.addCompany('nameless');
    company.provider.bend = {
      ...noKid,
      jwks: ({ keys }) => ({ keys: [...keys, publicJwk(another)] }),
    };
    const visitor = scene.visitor();
    const callback = await visitor.goToProvider('ada@nameless.example');
    await expectRefusal(scene.gateway, () => visitor.send(callback), { ...INVALID, uses: 1 });
  });
});

describe('oidcc-client-config-certification-test-plan', () => {
  it('O-13 oidcc-client-test-discovery-openid-config, -jwks-uri-keys: what discovery names is used', async () => {
    const company = await scene.addCompany('discovered');
    company.provider.straighten();
    const visitor = scene.visitor();
    const answer = await visitor.send(await visitor.goToProvider('ada@discovered.example'));
    expect(answer.status).toBe(303);
    expect(company.provider.calls).toMatchObject({ discovery: 1, authorize: 1, token: 1, jwks: 1 });
  });

  it('O-13 oidcc-client-test-discovery-issuer-mismatch: nobody is sent there', async () => {
    const company = await scene.addCompany('mismatched');
    company.provider.bend = { discovery: (good) => ({ ...good, issuer: 'https://another.example' }) };
    const visitor = scene.visitor();
    await expectRefusal(scene.gateway, () => visitor.typeAddress('ada@mismatched.example'), {
      status: 502,
      code: 'identity_provider_error',
    });
  });
});

describe('fapi clients', () => {
  it.each<readonly [string, Bends]>([
    [
      'fapi1-advanced-final-client-test-invalid-secondary-aud',
      { claims: (good) => ({ ...good, aud: [good['aud'], 'another'] }) },
    ],
    ['fapi1-advanced-final-client-test-invalid-missing-aud', without('aud')],
    ['fapi1-advanced-final-client-test-invalid-missing-iss', without('iss')],
    ['fapi1-advanced-final-client-test-invalid-missing-exp', without('exp')],
    ['fapi1-advanced-final-client-test-invalid-missing-nonce', without('nonce')],
    [
      'fapi1-advanced-final-client-test-invalid-expired-exp',
      { claims: (good) => ({ ...good, exp: Number(good['iat']) - 300 }) },
    ],
    [
      'fapi1-advanced-final-client-test-iat-is-week-in-past',
      { claims: (good) => ({ ...good, iat: Number(good['iat']) - WEEK_SECONDS }) },
    ],
    [
      'fapi1-advanced-final-client-test-invalid-alternate-alg',
      { header: (header) => ({ ...header, alg: 'PS256' }) },
    ],
  ])('O-13 %s: refused', async (_, bend) => {
    await scene.refuses(bend, INVALID);
  });

  it.each<readonly [string, (back: URL) => void]>([
    [
      'fapi2 invalid-authorization-response-iss',
      (back) => {
        back.searchParams.set('iss', 'https://another.example');
      },
    ],
  ])('O-13 %s: refused, and no token is asked for', async (_, redirect) => {
    await scene.refuses({ redirect }, INVALID);
    expect(scene.provider.calls.token).toBe(0);
  });

  it.each<readonly [string, (back: URL) => void]>([
    [
      'fapi missing state',
      (back) => {
        back.searchParams.delete('state');
      },
    ],
    [
      'fapi invalid-state',
      (back) => {
        back.searchParams.set('state', 'x'.repeat(43));
      },
    ],
  ])('O-13 %s: refused, and no token is asked for', async (_, redirect) => {
    await scene.refuses({ redirect }, { status: 400, code: 'login_expired', uses: 0 });
    expect(scene.provider.calls.token).toBe(0);
  });
});
