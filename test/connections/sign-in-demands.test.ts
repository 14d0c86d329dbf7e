/** O-23: what an organization or an application demands of a sign-in at the provider, and what is as bad as its absence. */
import { describe, expect, it } from '@jest/globals';
import { requireDemandedSignIn, type SignInDemands } from '../../src/connections/oidc/id-token-rules.ts';
import { longestSignInAge } from '../../src/login/freshness.ts';

const STARTED = 1_800_000_000;
const NOTHING: SignInDemands = {
  longestAgeSeconds: undefined,
  startedAtSeconds: STARTED,
  acr: undefined,
  amr: undefined,
};

function answer(claims: object, demands: Partial<SignInDemands>): string {
  try {
    requireDemandedSignIn({ ...claims }, { ...NOTHING, ...demands });
    return 'accepted';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe('O-23 a demanded sign-in', () => {
  it.each([
    ['nothing is demanded', {}, {}, 'accepted'],
    ['acr as demanded', { acr: 'gold' }, { acr: 'gold' }, 'accepted'],
    ['another acr', { acr: 'silver' }, { acr: 'gold' }, 'access_denied'],
    ['no acr', {}, { acr: 'gold' }, 'access_denied'],
    ['acr in a list', { acr: ['gold'] }, { acr: 'gold' }, 'access_denied'],
    ['amr as demanded', { amr: ['pwd', 'mfa'] }, { amr: 'mfa' }, 'accepted'],
    ['another amr', { amr: ['pwd'] }, { amr: 'mfa' }, 'access_denied'],
    ['no amr', {}, { amr: 'mfa' }, 'access_denied'],
    ['amr as text', { amr: 'mfa' }, { amr: 'mfa' }, 'access_denied'],
    ['new enough', { auth_time: STARTED - 60 }, { longestAgeSeconds: 60 }, 'accepted'],
    ['too old', { auth_time: STARTED - 100 }, { longestAgeSeconds: 60 }, 'access_denied'],
    ['no auth_time', {}, { longestAgeSeconds: 60 }, 'access_denied'],
    ['auth_time as text', { auth_time: String(STARTED) }, { longestAgeSeconds: 60 }, 'access_denied'],
    ['just now', { auth_time: STARTED + 20 }, { longestAgeSeconds: 0 }, 'accepted'],
    ['not now', { auth_time: STARTED - 31 }, { longestAgeSeconds: 0 }, 'access_denied'],
  ])('%s: %j for %j is %s', (_, claims, demands, expected) => {
    expect(answer(claims, demands)).toBe(expected);
  });
});

describe('the age that an application demands', () => {
  it.each([
    [undefined, undefined],
    ['/', undefined],
    ['/oidc/auth?client_id=a', undefined],
    ['/oidc/auth?client_id=a&max_age=90', 90],
    ['/oidc/auth?client_id=a&prompt=login', 0],
    ['/oidc/auth?client_id=a&prompt=login+consent&max_age=90', 0],
    ['/oidc/auth?max_age=-1', undefined],
    ['/elsewhere?max_age=90', undefined],
  ])('of %s is %s', (returnTo, expected) => {
    expect(longestSignInAge(returnTo)).toBe(expected);
  });
});
