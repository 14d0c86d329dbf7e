/**
 * An ID token that an application got from an issuer by itself (OpenID Connect Core, section 2): signed by a key of the issuer's
 * JWKS, from that issuer, for that audience, good now, and of the very person that the application names. Which claim names the
 * person is the connection's to say and is never guessed from the value.
 */
import { GatewayError } from '../../errors.ts';
import { member, type JsonObject } from '../../strict-json.ts';
import { amrOf } from '../authentication-methods.ts';
import type { ConnectionOf } from '../connection.ts';
import type { ConnectorContext, PresentedToken, TokenConnector } from '../connector.ts';
import { CLOCK_TOLERANCE_SECONDS, digestOfSigned, numericDate } from '../jwt-rules.ts';
import { ID_TOKEN_TYPE, verifySignature } from '../signed-token.ts';
import { verifiedIdentity, type Lifetime, type VerifiedIdentity } from '../verified-identity.ts';
import type { IdTokenSettings } from './settings.ts';

/** Longest time from `iat` to now and from now to `exp`: no known issuer's ID tokens live longer. */
const LONGEST_LIFE_SECONDS = 24 * 60 * 60;

const refuse = (reason: string): never => {
  throw new GatewayError('token_invalid', { reason });
};

const deny = (reason: string): never => {
  throw new GatewayError('email_not_allowed', { reason });
};

export function openIdTokenConnector(
  connection: ConnectionOf<'id-token'>,
  context: ConnectorContext,
): Promise<TokenConnector> {
  const { settings } = connection;
  const keys = context.keysAt(settings.jwksUri);
  return Promise.resolve({
    flow: 'token',
    async verify(presented, observe) {
      const claims = await verifySignature(presented.token, { keys, type: ID_TOKEN_TYPE });
      observe?.(claims);
      return identityOf(connection, { claims, presented, nowSeconds: context.now() / 1000 });
    },
  });
}

interface Facts {
  readonly claims: JsonObject;
  readonly presented: PresentedToken;
  readonly nowSeconds: number;
}

function identityOf(
  connection: ConnectionOf<'id-token'>,
  { claims, presented, nowSeconds }: Facts,
): VerifiedIdentity {
  const { settings } = connection;
  requireIdToken(claims);
  requireParties(claims, settings);
  const lifetime = requireLifetime(claims, nowSeconds);
  if (presented.nonce !== undefined && member(claims, 'nonce') !== presented.nonce) refuse('another nonce');
  const identity = verifiedIdentity(connection, {
    issuer: settings.issuer,
    subject: member(claims, 'sub'),
    email: usableEmail(claims, settings),
    name: member(claims, 'name'),
    singleUse: [{ purpose: 'id-token', digest: digestOfSigned(presented.token), ...lifetime }],
    providerSession: {
      id: undefined,
      idToken: undefined,
      expiresAtSeconds: undefined,
      authenticationMethods: amrOf(member(claims, 'amr')),
    },
  });
  if (presented.externalId === undefined || presented.externalId !== member(claims, settings.match)) {
    deny(`external_id is not the token's ${settings.match}`);
  }
  return identity;
}

/** Other tokens of the same issuer for the same audience may look like ID tokens; what marks them is refused. */
function requireIdToken(claims: JsonObject): void {
  const [use, type] = [member(claims, 'token_use'), member(claims, 'typ')];
  if (use !== undefined && use !== 'id') refuse('the token is for another use (token_use)');
  if (type !== undefined && type !== 'ID') refuse('the token is of another type (typ)');
  const strange = ['events', 'scope', 'scp'].find((name) => Object.hasOwn(claims, name));
  if (strange !== undefined) refuse(`the token has ${strange}, which is another kind's`);
}

function requireParties(claims: JsonObject, { issuer, audience }: IdTokenSettings): void {
  const [aud, azp] = [member(claims, 'aud'), member(claims, 'azp')];
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (member(claims, 'iss') !== issuer) refuse('another issuer (iss)');
  if (audiences.length !== 1 || audiences[0] !== audience) refuse('another audience (aud)');
  if (azp !== undefined && azp !== audience) refuse('the token was issued for another client (azp)');
}

/** Checks `exp`, `iat` and `nbf` (RFC 7519 section 4.1). */
function requireLifetime(claims: JsonObject, nowSeconds: number): Lifetime {
  const expires = numericDate(claims, 'exp');
  const issued = numericDate(claims, 'iat');
  const notBefore = numericDate(claims, 'nbf');
  if (expires === undefined || issued === undefined) return refuse('the token has no exp or no iat');
  if (expires + CLOCK_TOLERANCE_SECONDS <= nowSeconds) {
    throw new GatewayError('token_expired', { reason: 'exp has passed' });
  }
  if (expires > nowSeconds + LONGEST_LIFE_SECONDS) refuse('exp is more than a day ahead');
  if (issued > nowSeconds + CLOCK_TOLERANCE_SECONDS) refuse('the token is from the future (iat)');
  if (issued < nowSeconds - LONGEST_LIFE_SECONDS) refuse('the token is more than a day old (iat)');
  if (notBefore !== undefined && notBefore > nowSeconds + CLOCK_TOLERANCE_SECONDS) {
    refuse('the token is not good yet (nbf)');
  }
  return { issuedAtSeconds: issued, expiresAtSeconds: expires + CLOCK_TOLERANCE_SECONDS };
}

/**
 * An issuer that says it has not verified an address is believed. One that says nothing is trusted for the organization's proved
 * domains, but where the address itself names the person, only if the operator said so.
 */
function usableEmail(claims: JsonObject, { match, trustsEmail }: IdTokenSettings): unknown {
  const email = member(claims, 'email');
  const word = member(claims, 'email_verified');
  const isVerified = word === undefined ? match === 'sub' || trustsEmail : word === true || word === 'true';
  if (email === undefined) deny('no email claim');
  if (!isVerified) deny('the issuer has not verified the address (email_verified)');
  return email;
}
