/**
 * The tokens of a browser at a host. Its proxy is handed an identity token for the host itself and, where the host has a
 * resource, an access token for that (RFC 9068). The access token and the refresh token behind it are kept here, encrypted, in the
 * private store beside the cookie; no browser ever holds them.
 */
import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import type { Database } from '../database/database.ts';
import type { GatewayTokens } from '../provider/gateway-tokens.ts';
import type { SecretBox } from '../secret-box.ts';
import type { LiveSession } from '../sessions/session-store.ts';
import type { Session } from '../sessions/session.ts';
import { parseJsonObject } from '../strict-json.ts';
import { findHostSession, replaceHostTokens, type HostSession } from './host-session-store.ts';
import type { Host } from './host.ts';

/** How long an identity and an access token are good. */
export const HOST_TOKEN_TTL_SECONDS = 300;
/** How long before its end a token is no longer handed out: what gets it needs time to use it. */
export const RENEWAL_SECONDS = 60;

export interface HostTokenParts {
  readonly database: Database;
  readonly tokens: GatewayTokens;
  readonly secrets: SecretBox;
  readonly sessionIdleTtlSeconds: number;
}

/** Names one browser at one host. */
export interface HostCookie {
  readonly host: string;
  /** Of the cookie's secret. */
  readonly digest: Buffer;
}

/** Whom a token speaks of. */
export interface TokenHolder {
  /** Of the session. */
  readonly id: string;
  readonly user: {
    readonly id: string;
    readonly email: string | undefined;
    readonly name: string | undefined;
  };
  readonly organization: { readonly id: string; readonly slug: string };
  readonly authenticatedAt: Date;
  readonly authenticationMethods?: readonly string[];
  readonly secondsLeft: number;
}

/** A JWT for one host that says who is there; `aud` is the host. */
export function identityToken(
  { tokens }: Pick<HostTokenParts, 'tokens'>,
  host: string,
  holder: TokenHolder,
): Promise<string> {
  const ttlSeconds = Math.min(HOST_TOKEN_TTL_SECONDS, holder.secondsLeft);
  return tokens.sign('JWT', { ...claimsOf(holder), name: holder.user.name, aud: host }, ttlSeconds);
}

const claimsOf = ({ id, user, organization, authenticatedAt, authenticationMethods }: TokenHolder) => ({
  sub: user.id,
  email: user.email,
  org: { id: organization.id, slug: organization.slug },
  sid: id,
  amr: authenticationMethods,
  auth_time: Math.floor(authenticatedAt.getTime() / 1000),
});

/** What a host with a resource is kept, sealed for one browser. */
export interface KeptTokens {
  readonly sealed: string;
  readonly renewsInSeconds: number;
}

type ResourceHost = Host & { readonly resource: string };

/** The first tokens of a browser at a host, made with its cookie. */
export function firstTokens(
  parts: HostTokenParts,
  { host, cookie }: { readonly host: ResourceHost; readonly cookie: HostCookie },
  { session, absoluteSecondsLeft }: LiveSession,
): Promise<KeptTokens> {
  return keptTokens(parts, { host, cookie, session }, absoluteSecondsLeft);
}

export interface CurrentAccessToken {
  readonly token: string;
  /** Seconds for which it may be handed out. */
  readonly renewsInSeconds: number;
}

/**
 * The access token of a browser at a host with a resource, renewed by the refresh token if it is about to end.
 * @returns undefined if there is none, or its refresh token is no longer good: the browser has to sign in again
 */
export async function currentAccessToken(
  parts: HostTokenParts,
  { host, cookie }: { readonly host: ResourceHost; readonly cookie: HostCookie },
  { session, sealedTokens, renewsInSeconds }: HostSession,
): Promise<CurrentAccessToken | undefined> {
  const pair = sealedTokens === undefined ? undefined : openPair(parts, cookie, sealedTokens);
  if (pair === undefined) return undefined;
  if (renewsInSeconds > 0) return { token: pair.accessToken, renewsInSeconds };
  const refresh = await parts.tokens.verify(REFRESH_TYPE, pair.refreshToken);
  if (refresh?.exp === undefined || refresh['sid'] !== session.id || refresh.aud !== host.name)
    return undefined;
  const kept = await keptTokens(parts, { host, cookie, session }, refresh.exp - Date.now() / 1000);
  if (await replaceHostTokens(parts.database, cookie, { previous: sealedTokens, ...kept })) {
    return accessToken(parts, cookie, kept);
  }
  // Another node renewed them at the same moment, or the session has ended: what is stored is what counts.
  const stored = await findHostSession(parts.database, cookie, parts.sessionIdleTtlSeconds);
  if (stored?.sealedTokens === undefined) return undefined;
  return accessToken(parts, cookie, { ...stored, sealed: stored.sealedTokens });
}

function accessToken(
  parts: HostTokenParts,
  cookie: HostCookie,
  { sealed, renewsInSeconds }: KeptTokens,
): CurrentAccessToken | undefined {
  const token = openPair(parts, cookie, sealed)?.accessToken;
  return token === undefined ? undefined : { token, renewsInSeconds };
}

/** The place of a browser's tokens in the secret box. */
export const hostTokensPlace = ({ host, digest }: HostCookie) => `${host}/${digest.toString('base64url')}`;

const pairShape = z.object({ accessToken: z.string(), refreshToken: z.string() });

function openPair({ secrets }: HostTokenParts, cookie: HostCookie, sealed: string) {
  const text = secrets.open('host-tokens', hostTokensPlace(cookie), sealed);
  return text === undefined ? undefined : pairShape.safeParse(parseJsonObject(text)).data;
}

const REFRESH_TYPE = 'rt+jwt';

interface Holder {
  readonly host: ResourceHost;
  readonly cookie: HostCookie;
  readonly session: Session;
}

/** @param refreshTtlSeconds until the session's absolute end */
async function keptTokens(
  { tokens, secrets }: HostTokenParts,
  { host, cookie, session }: Holder,
  refreshTtlSeconds: number,
): Promise<KeptTokens> {
  const ttlSeconds = Math.min(HOST_TOKEN_TTL_SECONDS, refreshTtlSeconds);
  const access = { ...claimsOf(session), client_id: host.name, aud: host.resource, jti: randomUUID() };
  const refresh = { sub: session.user.id, sid: session.id, aud: host.name, jti: randomUUID() };
  const [accessToken, refreshToken] = await Promise.all([
    tokens.sign('at+jwt', access, ttlSeconds),
    tokens.sign(REFRESH_TYPE, refresh, refreshTtlSeconds),
  ]);
  return {
    sealed: secrets.seal(
      'host-tokens',
      hostTokensPlace(cookie),
      JSON.stringify({ accessToken, refreshToken }),
    ),
    renewsInSeconds: Math.max(1, ttlSeconds - RENEWAL_SECONDS),
  };
}
