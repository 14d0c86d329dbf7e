/** What an authorization request asks for where the provider is to be followed. */
import { describe, expect, it } from '@jest/globals';
import { offlineAccess } from '../../src/connections/oidc/follow-provider.ts';
import { oidcSettings, type OidcSettings } from '../../src/connections/oidc/settings.ts';
import { formatDuration, parseDuration } from '../../src/duration.ts';

const ISSUER = 'https://login.acme.example';
const SETTINGS = oidcSettings.parse({
  discoveryUrl: ISSUER,
  clientId: 'gatehouse',
  scope: 'openid email',
  emailClaim: 'email',
  clientAuth: 'client_secret_basic',
  issuer: ISSUER,
  endpointOrigins: [ISSUER],
});

const FOLLOWED = { ...SETTINGS, followSeconds: 900 };

interface Case {
  readonly of?: Partial<OidcSettings>;
  readonly scopesSupported?: readonly string[];
  readonly scope: string;
  readonly isByParameter?: boolean;
  readonly needsConsent?: boolean;
}

const KNOWN = ['openid', 'offline_access'];
const UNKNOWN = ['openid', 'email'];
const ASKED = 'openid email offline_access';

describe('offline access', () => {
  it.each<[string, Case]>([
    [
      'nothing where it is not followed',
      { of: { followSeconds: undefined }, scopesSupported: KNOWN, scope: 'openid email' },
    ],
    ['the scope where it is known', { scopesSupported: KNOWN, scope: ASKED }],
    ['the scope where nothing is said', { scope: ASKED }],
    [
      'the parameter where it is not known',
      { scopesSupported: UNKNOWN, scope: 'openid email', isByParameter: true, needsConsent: true },
    ],
    [
      'the scope once, where the operator asks for it',
      {
        of: { scope: 'offline_access openid' },
        scopesSupported: UNKNOWN,
        scope: 'offline_access openid',
      },
    ],
    [
      'a consent where it is wanted',
      { of: { followConsent: 'yes' }, scopesSupported: KNOWN, scope: ASKED, needsConsent: true },
    ],
    [
      'none where it is not',
      { of: { followConsent: 'no' }, scopesSupported: UNKNOWN, scope: 'openid email', isByParameter: true },
    ],
  ])('asks for %s', (_, { of, scopesSupported, scope, isByParameter = false, needsConsent = false }) => {
    const metadata = scopesSupported === undefined ? {} : { scopes_supported: [...scopesSupported] };
    expect(offlineAccess({ ...FOLLOWED, ...of }, metadata)).toEqual({
      scope,
      parameters: isByParameter ? { access_type: 'offline' } : {},
      needsConsent,
    });
  });
});

describe('a duration', () => {
  it.each(['59s', '90s', '1m', '15m', '90m', '1h', '23h', '1d', '7d'])(
    '%s is printed as it was typed',
    (text) => {
      expect(formatDuration(parseDuration(text) ?? -1)).toBe(text);
    },
  );

  it('is printed by its longest unit', () => {
    expect([formatDuration(86_400), formatDuration(5_400), formatDuration(61)]).toEqual(['1d', '90m', '61s']);
  });
});
