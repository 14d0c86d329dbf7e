/**
 * What a provider says about itself (OpenID Connect Discovery 1.0). The issuer in the document must be the one that was
 * asked for, character by character: it is what every ID token will be compared with.
 */
import * as z from 'zod';
import { GatewayError } from '../../errors.ts';
import { urlObjection, type GuardedFetch, type OutboundPolicy } from '../../outbound/guarded-fetch.ts';
import { jsonAnswer } from '../../outbound/json-answer.ts';

const WELL_KNOWN = '/.well-known/openid-configuration';

const endpoint = z.url({ protocol: /^https?$/ });

const metadataShape = z.object({
  issuer: endpoint,
  authorization_endpoint: endpoint,
  token_endpoint: endpoint,
  jwks_uri: endpoint,
  userinfo_endpoint: endpoint.optional(),
  end_session_endpoint: endpoint.optional(),
  // Of no weight for a sign-in: one that cannot be read is as good as none.
  scopes_supported: z.array(z.string()).optional().catch(undefined),
  response_types_supported: z.array(z.string()).optional(),
  code_challenge_methods_supported: z.array(z.string()).optional(),
  token_endpoint_auth_methods_supported: z.array(z.string()).optional(),
  id_token_signing_alg_values_supported: z.array(z.string()).optional(),
  authorization_response_iss_parameter_supported: z.boolean().optional(),
});

export type ProviderMetadata = z.infer<typeof metadataShape>;

/** What sign-ins need of it. The rest may be long, and there may be very many that are held. */
const lastingShape = metadataShape.omit({
  response_types_supported: true,
  code_challenge_methods_supported: true,
  token_endpoint_auth_methods_supported: true,
});

export type LastingMetadata = z.infer<typeof lastingShape>;

export const lastingMetadata = (metadata: ProviderMetadata): LastingMetadata => lastingShape.parse(metadata);

const refuse = (reason: string): never => {
  throw new GatewayError('identity_provider_error', { reason });
};

/**
 * Reads the discovery document.
 * @param discoveryUrl the issuer, or the whole URL of the document
 * @throws GatewayError `identity_provider_error` or `identity_provider_timeout`, with a reason for the operator
 */
export async function fetchProviderMetadata(
  discoveryUrl: string,
  fetch: GuardedFetch,
  policy: OutboundPolicy,
): Promise<ProviderMetadata> {
  const metadata = await readProviderMetadata(discoveryUrl, fetch);
  const objection = metadataObjection(metadata, issuerOf(discoveryUrl), policy);
  if (objection !== undefined) {
    throw new GatewayError('identity_provider_error', { reason: objection.reason, isVerdict: true });
  }
  return metadata;
}

/**
 * The document as it can be read; whether it may be used is `metadataObjection`.
 * @throws GatewayError `identity_provider_error` or `identity_provider_timeout`
 */
export async function readProviderMetadata(
  discoveryUrl: string,
  fetch: GuardedFetch,
): Promise<ProviderMetadata> {
  const issuer = issuerOf(discoveryUrl);
  const documentUrl = issuer.replace(/\/$/, '') + WELL_KNOWN;
  const headers = { accept: 'application/json' };
  const response = await fetch(documentUrl, { headers }, { isRemembered: true });
  const document = await jsonAnswer('discovery', response);
  const parsed = metadataShape.safeParse(document);
  if (!parsed.success) {
    const fields = parsed.error.issues.map((issue) => issue.path.join('.'));
    return refuse(
      `the discovery document lacks, or has no usable value for: ${[...new Set(fields)].join(', ')}`,
    );
  }
  return parsed.data;
}

interface MetadataObjection {
  readonly about: 'issuer' | 'discovery' | 'endpoints';
  readonly reason: string;
  /** What its administrator, or ours, can do. */
  readonly nextStep: string;
}

/** Why a provider cannot be used, though its document can be read; undefined if it can. */
export function metadataObjection(
  metadata: ProviderMetadata,
  issuer: string,
  policy: OutboundPolicy,
): MetadataObjection | undefined {
  if (metadata.issuer !== issuer) {
    const reason =
      `the provider calls itself ${metadata.issuer} and was asked for as ${issuer}; ` +
      'if the former is right, give it as the discovery URL, exactly so';
    return {
      about: 'issuer',
      reason,
      nextStep: 'Give the issuer as the discovery URL, character by character.',
    };
  }
  const usage = usageObjection(metadata);
  if (usage !== undefined)
    return { about: 'discovery', reason: usage, nextStep: 'Switch that on at the provider.' };
  const endpoint = endpointObjection(metadata, policy);
  const nextStep = 'The provider has to name endpoints that may be called.';
  return endpoint === undefined ? undefined : { about: 'endpoints', reason: endpoint, nextStep };
}

/** The issuer that a discovery URL asks for. */
export function issuerOf(discoveryUrl: string): string {
  return discoveryUrl.endsWith(WELL_KNOWN) ? discoveryUrl.slice(0, -WELL_KNOWN.length) : discoveryUrl;
}

/** Why the provider cannot be used; undefined if it can. */
function usageObjection(metadata: ProviderMetadata): string | undefined {
  if (metadata.response_types_supported?.includes('code') === false) {
    return 'the provider does not support the authorization code flow';
  }
  if (metadata.code_challenge_methods_supported?.includes('S256') === false) {
    return 'the provider does not support PKCE with S256';
  }
  const algorithms = metadata.id_token_signing_alg_values_supported ?? ['RS256'];
  return algorithms.some((name) => ID_TOKEN_ALGORITHM.test(name))
    ? undefined
    : 'the provider signs ID tokens with no public key (id_token_signing_alg_values_supported)';
}

/** A signature that anybody who has the client secret could have made proves nothing about who did. */
const ID_TOKEN_ALGORITHM = /^(?:[RPE]S(?:256|384|512)|EdDSA|Ed25519|ML-DSA-\d\d)$/;

/** Endpoints are held to the same rules as what an operator types. */
function endpointObjection(metadata: ProviderMetadata, policy: OutboundPolicy): string | undefined {
  for (const name of ENDPOINTS) {
    const url = metadata[name];
    const objection = url === undefined ? undefined : urlObjection(url, policy);
    if (objection !== undefined) return `the ${name} of the discovery document ${objection}`;
  }
  return undefined;
}

const ENDPOINTS = [
  'authorization_endpoint',
  'token_endpoint',
  'jwks_uri',
  'userinfo_endpoint',
  'end_session_endpoint',
] as const;

/** Origins of all endpoints that a sign-in sends something to, sorted. */
export function endpointOrigins(metadata: LastingMetadata): readonly string[] {
  const endpoints = [
    metadata.authorization_endpoint,
    metadata.token_endpoint,
    metadata.jwks_uri,
    metadata.userinfo_endpoint ?? metadata.token_endpoint,
    // Not the end_session_endpoint: only browsers go there, with what the provider itself gave them.
  ];
  return [...new Set(endpoints.map((url) => new URL(url).origin))].sort();
}
