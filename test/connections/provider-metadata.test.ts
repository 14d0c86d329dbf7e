/** What a discovery document may say: its endpoints are held to the rules of the URLs that an operator types. */
import { describe, expect, it } from '@jest/globals';
import {
  endpointOrigins,
  fetchProviderMetadata,
  type ProviderMetadata,
} from '../../src/connections/oidc/provider-metadata.ts';

const ISSUER = 'https://idp.example';
const GOOD: ProviderMetadata = {
  issuer: ISSUER,
  authorization_endpoint: `${ISSUER}/authorize`,
  token_endpoint: `${ISSUER}/token`,
  jwks_uri: `${ISSUER}/jwks`,
  userinfo_endpoint: `${ISSUER}/userinfo`,
  end_session_endpoint: `${ISSUER}/logout`,
};

function read(
  changes: Readonly<Record<string, unknown>> = {},
  { allowPrivateNetworks = false, discoveryUrl = ISSUER } = {},
) {
  const asked: string[] = [];
  const answer = (url: string | URL) => {
    asked.push(String(url));
    return Promise.resolve(Response.json({ ...GOOD, ...changes }));
  };
  const metadata = fetchProviderMetadata(discoveryUrl, answer, { allowPrivateNetworks });
  return { asked, metadata };
}

const refusal = (reason: unknown) =>
  expect.objectContaining({
    code: 'identity_provider_error',
    context: expect.objectContaining({ reason }) as unknown,
  }) as unknown;

const ENDPOINTS = [
  'authorization_endpoint',
  'token_endpoint',
  'jwks_uri',
  'userinfo_endpoint',
  'end_session_endpoint',
] as const;

describe('a discovery document', () => {
  it.each(ENDPOINTS)('F-11 must not name %s over http', async (name) => {
    const { metadata } = read({ [name]: 'http://idp.example/here' });
    await expect(metadata).rejects.toEqual(
      refusal(`the ${name} of the discovery document must be an https URL`),
    );
  });

  it.each([
    ['a user name', 'https://user@idp.example/token', 'must not hold a user name or password'],
    ['a password', 'https://:secret@idp.example/token', 'must not hold a user name or password'],
    ['a fragment', 'https://idp.example/token#here', 'must not have a fragment'],
    ['an empty fragment', 'https://idp.example/token#', 'must not have a fragment'],
    ['a backslash', 'https://idp.example\\token', 'must not have a backslash'],
  ])('F-02 must not name an endpoint with %s', async (_what, url, objection) => {
    for (const name of ENDPOINTS) {
      for (const allowPrivateNetworks of [false, true]) {
        const { metadata } = read({ [name]: url }, { allowPrivateNetworks });
        await expect(metadata).rejects.toEqual(refusal(`the ${name} of the discovery document ${objection}`));
      }
    }
  });

  it.each([
    ['a file', 'file:///etc/passwd'],
    ['gopher', 'gopher://idp.example/'],
    ['a script', 'javascript:alert(1)'],
    ['nothing', ''],
    ['null', null],
    ['a number', 1],
    ['a list', ['https://idp.example/token']],
  ])('F-01 must not name %s as an endpoint', async (_what, value) => {
    for (const name of ENDPOINTS) {
      const { metadata } = read({ [name]: value }, { allowPrivateNetworks: true });
      await expect(metadata).rejects.toEqual(
        refusal(`the discovery document lacks, or has no usable value for: ${name}`),
      );
    }
  });

  it('may name endpoints over http where private networks are allowed', async () => {
    const changes = Object.fromEntries(ENDPOINTS.map((name) => [name, 'http://10.0.0.1/here']));
    await expect(read(changes, { allowPrivateNetworks: true }).metadata).resolves.toMatchObject(changes);
  });

  it.each([
    ['only HS256', ['HS256']],
    ['only none', ['none']],
    ['HS256, HS512 and none', ['HS256', 'HS512', 'none']],
    ['none of any case', ['None', 'NONE']],
    ['nothing', []],
    ['another spelling', ['rs256']],
  ])('O-18 must not offer %s for ID tokens', async (_what, algorithms) => {
    const { metadata } = read({ id_token_signing_alg_values_supported: algorithms });
    await expect(metadata).rejects.toEqual(
      refusal('the provider signs ID tokens with no public key (id_token_signing_alg_values_supported)'),
    );
  });

  it.each([[['RS256']], [['HS256', 'RS256', 'none']], [['ES384']], [['PS512']], [['EdDSA']], [undefined]])(
    'may offer %j for ID tokens',
    async (algorithms) => {
      const { metadata } = read({ id_token_signing_alg_values_supported: algorithms });
      await expect(metadata).resolves.toMatchObject({ issuer: ISSUER });
    },
  );

  it.each([
    [
      'the code flow',
      { response_types_supported: ['id_token'] },
      'the provider does not support the authorization code flow',
    ],
    [
      'PKCE with S256',
      { code_challenge_methods_supported: ['plain'] },
      'the provider does not support PKCE with S256',
    ],
  ])('must not be without %s', async (_what, changes, reason) => {
    await expect(read(changes).metadata).rejects.toEqual(refusal(reason));
  });

  it.each([`${ISSUER}/`, 'https://IDP.example', 'https://idp.example:443', 'https://evil.example'])(
    'O-19 must be by the issuer that was asked for, not by %s',
    async (issuer) => {
      await expect(read({ issuer }).metadata).rejects.toEqual(
        refusal(expect.stringContaining(`calls itself ${issuer} and was asked for as ${ISSUER};`)),
      );
    },
  );

  it.each([
    [ISSUER, ISSUER],
    [`${ISSUER}/.well-known/openid-configuration`, ISSUER],
    [`${ISSUER}/tenant/`, `${ISSUER}/tenant/`],
  ])('is found for %s', async (discoveryUrl, issuer) => {
    const { asked, metadata } = read({ issuer }, { discoveryUrl });
    await expect(metadata).resolves.toMatchObject({ issuer });
    expect(asked).toEqual([`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`]);
  });
});

it('the origins of its endpoints are those that a sign-in sends something to', () => {
  const metadata = {
    ...GOOD,
    token_endpoint: 'https://a.example/token',
    jwks_uri: 'https://b.example:8443/',
  };
  expect(endpointOrigins(metadata)).toEqual(['https://a.example', 'https://b.example:8443', ISSUER]);
});
