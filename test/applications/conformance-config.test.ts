/**
 * The module of the OpenID Foundation's `oidcc-config-certification-test-plan`, condition by condition, and the discovery
 * modules of the other plans; what does not apply is here with its reason.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startScene, type Scene } from './scene.ts';

type Document = Readonly<Record<string, unknown>>;

let scene: Scene;
let response: Response;
let document: Document;
let keys: readonly Document[];
beforeAll(async () => {
  scene = await startScene();
  response = await fetch(`${scene.gateway.url}/oidc/.well-known/openid-configuration`);
  document = (await response.json()) as Document;
  const jwks = (await (await fetch(String(document['jwks_uri']))).json()) as { keys: Document[] };
  keys = jwks.keys;
});
afterAll(() => scene.close());

const ENDPOINTS = [
  'authorization_endpoint',
  'device_authorization_endpoint',
  'token_endpoint',
  'userinfo_endpoint',
  'jwks_uri',
  'end_session_endpoint',
  'introspection_endpoint',
  'revocation_endpoint',
];
const list = (name: string) => document[name] as readonly string[];

/** Name of the suite's condition, and the check. */
const CONDITIONS: readonly (readonly [string, () => void])[] = [
  [
    'EnsureDiscoveryEndpointResponseStatusCodeIs200',
    () => {
      expect(response.status).toBe(200);
    },
  ],
  [
    'CheckDiscoveryEndpointReturnedJsonContentType',
    () => {
      expect(response.headers.get('content-type')).toMatch(/^application\/json\b/);
    },
  ],
  [
    'OIDCCCheckDiscEndpointResponseTypesSupported',
    () => {
      expect(list('response_types_supported')).toEqual(['code']);
    },
  ],
  [
    'CheckDiscEndpointIssuer',
    () => {
      expect(document['issuer']).toBe(response.url.replace('/.well-known/openid-configuration', ''));
    },
  ],
  [
    'CheckDiscEndpointIssuerIsValidUrl',
    () => {
      const { search, hash } = new URL(String(document['issuer']));
      expect(search + hash).toBe('');
    },
  ],
  [
    'CheckDiscEndpointSubjectTypesSupported',
    () => {
      expect(list('subject_types_supported')).toEqual(['public']);
    },
  ],
  [
    'OIDCCCheckDiscEndpointIdTokenSigningAlgValuesSupported',
    () => {
      expect(list('id_token_signing_alg_values_supported')).toContain('RS256');
    },
  ],
  [
    'CheckDiscEndpointAllEndpointsAreHttps',
    // Here it is the loopback's http: all begin with PUBLIC_URL, which is https wherever it is not loopback.
    () => {
      const urls = Object.entries(document).filter(([name]) => /_(endpoint|uri)$/.test(name));
      expect(urls.map(([name]) => name).sort()).toEqual([...ENDPOINTS].sort());
      for (const [, url] of urls) expect(url).toMatch(new RegExp(`^${scene.gateway.url}/oidc/`));
    },
  ],
  [
    'ValidateServerJWKs',
    () => {
      expect(new Set(keys.map(({ kid }) => kid)).size).toBe(keys.length);
    },
  ],
  [
    'ValidateServerJWKs: each key says what it is for',
    () => {
      expect(keys.map(({ alg }) => alg).sort()).toEqual(['ES256', 'RS256']);
      for (const key of keys) expect(key).toMatchObject({ use: 'sig', kid: expect.any(String) });
    },
  ],
  [
    'EnsureServerJwksDoesNotContainPrivateOrSymmetricKeys',
    () => {
      for (const key of keys) {
        expect(Object.keys(key)).not.toEqual(
          expect.arrayContaining([expect.stringMatching(/^(d|p|q|dp|dq|qi|k|oth)$/)]),
        );
      }
    },
  ],
  [
    'CheckDiscEndpointRequestParameterSupported',
    () => {
      expect(document['request_parameter_supported']).not.toBe(true);
    },
  ],
  // Absent it would mean true.
  [
    'CheckDiscEndpointRequestUriParameterSupported',
    () => {
      expect(document['request_uri_parameter_supported']).toBe(false);
    },
  ],
  [
    'CheckDiscEndpointClaimsParameterSupported',
    () => {
      expect(document['claims_parameter_supported']).not.toBe(true);
    },
  ],
  [
    'OIDCCCheckDiscEndpointClaimsSupported',
    () => {
      expect(list('claims_supported')).toEqual(
        expect.arrayContaining(['sub', 'iss', 'email', 'email_verified', 'name', 'org', 'auth_time', 'amr']),
      );
    },
  ],
  [
    'OIDCCCheckDiscEndpointGrantTypesSupported',
    () => {
      expect(list('grant_types_supported')).toEqual(
        expect.arrayContaining(['authorization_code', 'refresh_token']),
      );
      expect(list('grant_types_supported')).not.toContain('implicit');
    },
  ],
  [
    'CheckDiscEndpointScopesSupportedContainsOpenId',
    () => {
      expect(list('scopes_supported')).toEqual(['openid', 'email', 'profile', 'offline_access']);
    },
  ],
  [
    'CheckDiscEndpointScopesSupportedSyntax',
    () => {
      for (const scope of list('scopes_supported')) expect(scope).toMatch(/^[\x21\x23-\x5b\x5d-\x7e]+$/);
    },
  ],
  [
    'EnsureServerConfigurationCodeChallengeMethodsSupportedIsAnArray',
    () => {
      expect(list('code_challenge_methods_supported')).toEqual(['S256']);
    },
  ],
  [
    'what the suite does not ask: how clients prove themselves, and iss in answers',
    () => {
      expect([...list('token_endpoint_auth_methods_supported')].sort()).toEqual([
        'client_secret_basic',
        'client_secret_post',
        'none',
        'private_key_jwt',
      ]);
      expect(document['authorization_response_iss_parameter_supported']).toBe(true);
    },
  ],
];

describe('oidcc-config-certification-test-plan', () => {
  it.each(CONDITIONS)('oidcc-discovery-endpoint-verification: %s', (_name, check) => {
    check();
  });
});

describe('discovery modules of other plans', () => {
  it('oidcc-rp-initiated-logout-discovery-endpoint-verification: where to sign out', () => {
    expect(document['end_session_endpoint']).toBe(`${scene.gateway.url}/oidc/logout`);
  });

  it('oidcc-backchannel-logout-discovery-endpoint-verification: that it tells, and names sessions', () => {
    expect(document).toMatchObject({
      backchannel_logout_supported: true,
      backchannel_logout_session_supported: true,
    });
  });

  it('oidcc-dynamic-certification-test-plan, oidcc-registration-*: do not apply, operators register applications', async () => {
    expect(document).not.toHaveProperty('registration_endpoint');
    for (const path of ['reg', 'register', 'registration']) {
      const url = `${scene.gateway.url}/oidc/${path}`;
      expect((await fetch(url, { method: 'POST', body: '{}' })).status).toBe(404);
    }
  });

  it('oidcc-frontchannel-*, oidcc-session-management-*: do not apply, back-channel logout tells them', () => {
    expect(document).not.toHaveProperty('frontchannel_logout_supported');
    expect(document).not.toHaveProperty('check_session_iframe');
  });

  it('oidcc-implicit-*, oidcc-hybrid-*: do not apply, the only response type is code', () => {
    expect(list('response_types_supported')).toEqual(['code']);
  });
});
