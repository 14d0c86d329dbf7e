/** `GET /auth/verify`, for a reverse proxy that asks before it lets a request through. */
import type { Request, Response } from 'express';
import { GatewayError } from '../errors.ts';
import { isReachableFor } from '../hosts/host.ts';
import { verifyCookie, whoIsThere, type CookieAnswer } from '../hosts/verify-cookie.ts';
import { identityToken, type TokenHolder } from '../hosts/host-tokens.ts';
import { findGrant, findGrantToken, type LiveGrant } from '../provider/grant-store.ts';
import { sessionDigest } from '../sessions/session.ts';
import { seeOther } from './app-answers.ts';
import { askedHost, type AskedHost } from './asked-host.ts';
import { startAtHost } from './host-routes.ts';
import { returnToOf } from './login-routes.ts';
import type { HttpParts } from './parts.ts';
import { forwarded, forwardedUrl, isNavigation } from './request-facts.ts';

export function verifyForProxy(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const asked = await askedHost(parts, request);
    const answer = await whoAsks(parts, request, asked);
    if (answer === 'not_allowed') throw new GatewayError('host_not_allowed');
    if (answer !== undefined) {
      for (let index = 0; index < answer.length; index += 2) {
        response.setHeader(answer[index] ?? '', answer[index + 1] ?? '');
      }
      response.status(200).end();
      return;
    }
    if (bearerToken(request) !== undefined) {
      // RFC 6750 section 3. It is a program that asks: a page to sign in at is of no use to it.
      response.set('WWW-Authenticate', 'Bearer error="invalid_token"');
      throw new GatewayError('not_signed_in');
    }
    if (request.query['redirect'] !== 'true' || !isNavigation(request))
      throw new GatewayError('not_signed_in');
    if (asked.host !== undefined) {
      startAtHost(parts, { request, response }, { host: asked.host, path: forwarded(request)?.uri });
      return;
    }
    const login = new URL('/login', parts.config.publicUrl);
    const returnTo = await returnToOf(parts, forwardedUrl(request));
    if (returnTo !== undefined) login.searchParams.set('return_to', returnTo);
    seeOther(response, login.href, 302);
  };
}

/** The headers to answer with. A request that shows a bearer token is judged by that alone. */
async function whoAsks(
  parts: HttpParts,
  request: Request,
  { name, isOwn, host }: AskedHost,
): Promise<readonly string[] | 'not_allowed' | undefined> {
  if (!isOwn && host === undefined) return undefined;
  const token = bearerToken(request);
  if (token !== undefined) return bearer(parts, token, { name, isOwn, host });
  const secret = isOwn ? parts.cookies.session(request) : parts.cookies.host(request, name);
  const digest = secret === undefined ? undefined : sessionDigest(secret);
  if (digest === undefined) return undefined;
  const answer: CookieAnswer = await verifyCookie(parts.hosts, { hostName: name, host, digest });
  return typeof answer === 'object' ? answer.headers : answer;
}

function bearerToken(request: Request): string | undefined {
  return /^Bearer +(\S+)$/i.exec(request.get('authorization') ?? '')?.[1];
}

/** An access token of ours for this host, for what stands behind it, or for Gatehouse itself (RFC 6750). */
async function bearer(
  parts: HttpParts,
  token: string,
  { name, host }: AskedHost,
): Promise<readonly string[] | 'not_allowed' | undefined> {
  const grant = await grantOf(parts, token, [name, `https://${name}`, host?.resource]);
  if (grant === undefined) return undefined;
  const holder = holderOf(grant);
  if (host !== undefined && !isReachableFor(host, holder.organization.id)) return 'not_allowed';
  return [...whoIsThere(holder), 'X-Auth-Request-Token', await identityToken(parts.hosts, name, holder)];
}

function holderOf({ holder }: LiveGrant): TokenHolder {
  const { sessionId, userId, email, name, organization, authenticatedAt, sessionExpiresAt } = holder;
  const secondsLeft = (sessionExpiresAt.getTime() - Date.now()) / 1000;
  return { id: sessionId, user: { id: userId, email, name }, organization, authenticatedAt, secondsLeft };
}

/** The live grant of an opaque access token, or of a JWT that is for one of these audiences. */
async function grantOf(
  parts: HttpParts,
  token: string,
  audiences: readonly (string | undefined)[],
): Promise<LiveGrant | undefined> {
  if (!token.includes('.')) {
    return (await findGrantToken(parts.database, { kind: 'AccessToken', value: token }))?.grant;
  }
  const claims = await parts.hosts.tokens.verify('at+jwt', token);
  const { publicUrl } = parts.config;
  const accepted = [...audiences, publicUrl, `${publicUrl}/oidc`];
  const grantId = claims?.['grant_id'];
  if (typeof claims?.aud !== 'string' || !accepted.includes(claims.aud) || typeof grantId !== 'string') {
    return undefined;
  }
  return findGrant(parts.database, grantId);
}
