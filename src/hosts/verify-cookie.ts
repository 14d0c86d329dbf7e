/**
 * What a reverse proxy asks with each request: who is it that has this cookie at this host? The answer is held in memory for as
 * long as nothing that it rests on changes.
 */
import { ACTIVITY_SHARE, findSession } from '../sessions/session-store.ts';
import type { Session } from '../sessions/session.ts';
import { findHostSession } from './host-session-store.ts';
import {
  currentAccessToken,
  HOST_TOKEN_TTL_SECONDS,
  identityToken,
  RENEWAL_SECONDS,
  type CurrentAccessToken,
  type HostTokenParts,
} from './host-tokens.ts';
import { isReachableFor, type Host } from './host.ts';
import { dependenciesOf, type Verified, type VerifiedMemory } from './verified-memory.ts';

export interface VerifyParts extends HostTokenParts {
  readonly memory: VerifiedMemory;
  /** Answers that are being found out, so that many who ask at once ask the database once. */
  readonly underWay: Map<string, Promise<CookieAnswer>>;
}

/** A cookie at a place. */
export interface CookieQuestion {
  /** Canonical. */
  readonly hostName: string;
  /** Undefined: Gatehouse's own host, where the cookie is the session's. */
  readonly host: Host | undefined;
  /** Of the cookie's secret. */
  readonly digest: Buffer;
}

/** `not_allowed`: somebody is signed in, but people of their organization may not reach the host. */
export type CookieAnswer = Verified | 'not_allowed' | undefined;

/** Under what an answer is held. @param digest of the cookie's secret, as bytes or hexadecimal */
export function memoryKey(hostName: string, digest: Buffer | string): string {
  return `${hostName} ${typeof digest === 'string' ? digest : digest.toString('hex')}`;
}

export function verifyCookie(parts: VerifyParts, question: CookieQuestion): Promise<CookieAnswer> {
  const key = memoryKey(question.hostName, question.digest);
  const held = parts.memory.recall(key);
  if (held !== undefined) return Promise.resolve(held);
  const moment = parts.memory.moment();
  // One that began before a change must not answer who asks after it.
  const flight = `${moment.turn} ${key}`;
  const underWay =
    parts.underWay.get(flight) ??
    findOut(parts, question)
      .then((answer) => {
        if (typeof answer === 'object') {
          const { session, ttlSeconds } = answer;
          parts.memory.hold(key, { value: answer, restsOn: dependenciesOf(session), ttlSeconds, moment });
        }
        return answer;
      })
      .finally(() => {
        parts.underWay.delete(flight);
      });
  parts.underWay.set(flight, underWay);
  return underWay;
}

async function findOut(
  parts: VerifyParts,
  { hostName, host, digest }: CookieQuestion,
): Promise<CookieAnswer> {
  if (host === undefined) {
    const session = await findSession(parts.database, digest, parts.sessionIdleTtlSeconds);
    return session && answerOf(parts, hostName, { session, access: undefined });
  }
  const cookie = { host: host.name, digest };
  const found = await findHostSession(parts.database, cookie, parts.sessionIdleTtlSeconds);
  if (found === undefined) return undefined;
  const { session } = found;
  if (!isReachableFor(host, session.organization.id)) return 'not_allowed';
  const { resource } = host;
  if (resource === undefined) return answerOf(parts, hostName, { session, access: undefined });
  const access = await currentAccessToken(parts, { host: { ...host, resource }, cookie }, found);
  // Without the token that the host is promised, its proxy is better told to have the browser signed in again.
  return access && answerOf(parts, hostName, { session, access });
}

async function answerOf(
  parts: VerifyParts,
  hostName: string,
  { session, access }: { readonly session: Session; readonly access: CurrentAccessToken | undefined },
): Promise<Verified> {
  const token = await identityToken(parts, hostName, session);
  return {
    session,
    // Not by a spread, which leaves room for more: this is held very often.
    headers: whoIsThere(session).concat(
      ['X-Auth-Request-Token', token],
      access === undefined ? [] : ['X-Auth-Request-Access-Token', access.token],
    ),
    ttlSeconds: Math.min(
      session.secondsLeft,
      HOST_TOKEN_TTL_SECONDS - RENEWAL_SECONDS,
      parts.sessionIdleTtlSeconds * ACTIVITY_SHARE,
      access?.renewsInSeconds ?? Infinity,
    ),
  };
}

/** Names and values in turn. */
export function whoIsThere({
  user,
  organization,
}: {
  readonly user: { readonly id: string; readonly email: string | undefined };
  readonly organization: { readonly slug: string };
}): readonly string[] {
  return [
    ...['X-Auth-Request-User', user.id],
    ...(user.email === undefined ? [] : ['X-Auth-Request-Email', user.email]),
    ...['X-Auth-Request-Organization', organization.slug],
  ];
}
