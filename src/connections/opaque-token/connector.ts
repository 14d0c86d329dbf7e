/**
 * A token that only the customer's back end understands: Gatehouse asks it, once, whom the token speaks of. What counts as a
 * yes is an answer of the very shape that was configured; everything else is a no, or a fault of the back end.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { GatewayError } from '../../errors.ts';
import { member, parseJsonObject, type JsonObject } from '../../strict-json.ts';
import { displayName } from '../../users/user.ts';
import { isJsonType } from '../../outbound/json-answer.ts';
import type { ConnectionOf } from '../connection.ts';
import type { ClaimsObserver, ConnectorContext, PresentedToken, TokenConnector } from '../connector.ts';
import { verifiedIdentity, type VerifiedIdentity } from '../verified-identity.ts';
import type { OpaqueTokenSettings } from './settings.ts';
import { verifyRequest } from './verify-request.ts';

const LARGEST_ANSWER_KIB = 64;
/** For how long a token signs nobody in again; what it may be used for after that is the back end's to say. */
const REUSE_SECONDS = 60;
/** For how long a refused token is refused without asking. */
const REFUSED_MS = 10_000;
const MOST_REFUSED = 1_000;
/** Answers that speak of the moment and not of the token. */
const PASSING: ReadonlySet<number> = new Set([408, 425, 429]);

export function openOpaqueTokenConnector(
  connection: ConnectionOf<'opaque-token'>,
  context: ConnectorContext,
): Promise<TokenConnector> {
  const refused = new LRUCache<string, string>({ max: MOST_REFUSED, ttl: REFUSED_MS, perf: performance });
  return Promise.resolve({
    flow: 'token',
    async verify(presented, observe) {
      const digest = createHash('sha256').update(presented.token).digest('base64url');
      const reason = refused.get(digest);
      if (reason !== undefined) throw new GatewayError('token_invalid', { reason });
      const answer = await ask(connection.settings, { ...context, observe }, presented.token);
      if ('refusal' in answer) {
        if (answer.isLasting) refused.set(digest, answer.refusal);
        throw new GatewayError('token_invalid', { reason: answer.refusal });
      }
      return identityOf(connection, { document: answer.document, presented, digest });
    },
  });
}

type Answer =
  | { readonly document: JsonObject }
  | {
      readonly refusal: string;
      /** Whether the same token would be refused again. */
      readonly isLasting: boolean;
    };

/** @throws GatewayError `malformed_request`, or if the back end is in trouble */
async function ask(
  settings: OpaqueTokenSettings,
  { fetch, observe }: Pick<ConnectorContext, 'fetch'> & { readonly observe: ClaimsObserver | undefined },
  token: string,
): Promise<Answer> {
  const { url, options } = verifyRequest(settings, token);
  const response = await fetch(url, options, { largestKib: LARGEST_ANSWER_KIB });
  const { status } = response;
  if (status >= 500) {
    throw new GatewayError('identity_provider_error', {
      reason: `the back end answered with status ${status}`,
    });
  }
  const refuse = (refusal: string, isLasting = true) => ({ refusal, isLasting });
  if (status !== 200) return refuse(`the back end answered with status ${status}`, !PASSING.has(status));
  if (!isJsonType(response)) return refuse('the back end answered with something else than JSON');
  const document = parseJsonObject(new Uint8Array(await response.arrayBuffer()));
  if (document === undefined)
    return refuse("the back end's answer is not a JSON object, or an ambiguous one");
  observe?.(document);
  const unmet = settings.require.find(({ path, value }) => at(document, path) !== value);
  if (unmet !== undefined) return refuse(`${unmet.path} of the answer is not what it must be`);
  if (subjectOf(at(document, settings.map.subject)) === undefined) {
    return refuse(`${settings.map.subject} of the answer is not a text or a whole number`);
  }
  return { document };
}

/** The member at a path; undefined where there is none, and where it is null. */
function at(document: JsonObject, path: string): unknown {
  let value: unknown = document;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    value = member(value as JsonObject, name);
  }
  return value ?? undefined;
}

/** A number that JSON's readers round is many people's: it names nobody. */
function subjectOf(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
}

interface Facts {
  readonly document: JsonObject;
  readonly presented: PresentedToken;
  /** Of the token. */
  readonly digest: string;
}

function identityOf(
  connection: ConnectionOf<'opaque-token'>,
  { document, presented, digest }: Facts,
): VerifiedIdentity {
  const { map, verifyUrl } = connection.settings;
  const valueOf = (path: string | undefined) => (path === undefined ? undefined : at(document, path));
  const subject = subjectOf(at(document, map.subject));
  const email = valueOf(map.email);
  const name = displayName(valueOf(map.name)) ?? displayName(valueOf(map.login));
  const identity = verifiedIdentity(connection, {
    // Pointed at another back end, the old one's subjects are nobody's.
    issuer: new URL(verifyUrl.replace('{token}', '')).origin,
    subject,
    email,
    // Somebody without an address has to be called something.
    name: name ?? (email === undefined ? displayName(subject) : undefined),
    singleUse: [{ purpose: 'opaque-token', digest, forSeconds: REUSE_SECONDS }],
  });
  if (presented.externalId !== undefined && presented.externalId !== identity.subject) {
    throw new GatewayError('email_not_allowed', { reason: 'external_id is not whom the back end names' });
  }
  return identity;
}
