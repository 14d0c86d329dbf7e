/**
 * How browsers sign in at hosts behind a reverse proxy. `/.gatehouse/*` is asked for at the host, and its proxy forwards it;
 * `/auth/host` is at Gatehouse, where the session is. The session's cookie never leaves Gatehouse's host, and the host's own is good
 * there alone.
 */
import type { Request, Response } from 'express';
import { GatewayError } from '../errors.ts';
import { openHostSession, endHostSession } from '../hosts/host-session-store.ts';
import {
  HOST_REQUEST_TTL_SECONDS,
  isNonce,
  newNonce,
  nonceDigest,
  openHostRequest,
  openTicket,
  sealHostRequest,
  sealTicket,
  ticketDigest,
  type HostTicket,
} from '../hosts/host-sign-in.ts';
import { firstTokens } from '../hosts/host-tokens.ts';
import { isReachableFor, type Host } from '../hosts/host.ts';
import { memoryKey, verifyCookie } from '../hosts/verify-cookie.ts';
import { newSessionSecret, sessionDigest } from '../sessions/session.ts';
import { findLiveSession } from '../sessions/session-store.ts';
import type { Exchange } from './exchange.ts';
import { seeOther } from './app-answers.ts';
import { askedHost } from './asked-host.ts';
import { currentSession } from './browser-login.ts';
import { brandOf } from './failures.ts';
import { renderHostSignOutPage, renderHostSignedOutPage } from './pages/host-sign-out-page.ts';
import type { HttpParts } from './parts.ts';
import { forwarded, isFromOurPages } from './request-facts.ts';

/** Longer ones would not come through signing in: the request that they travel in has to fit into a URL. */
const LONGEST_PATH = 1_200;
const OWN_PATHS = '/.gatehouse/';

/** `GET /.gatehouse/start?rd=`: for a proxy that cannot relay what `/auth/verify?redirect=true` answers. */
export function startSignIn(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const host = await requireHost(parts, request);
    startAtHost(parts, { request, response }, { host, path: request.query['rd'] });
  };
}

/** Sends a browser from a host to Gatehouse, with a nonce of its own to come back with. */
export function startAtHost(
  parts: HttpParts,
  { request, response }: Exchange,
  { host, path }: { readonly host: Host; readonly path: unknown },
): void {
  const known = parts.cookies.hostNonce(request, host.name);
  // Two tabs that sign in at once come back with the same one.
  const nonce = known !== undefined && isNonce(known) ? known : newNonce();
  const scheme = schemeOf(parts, request);
  const sealed = sealHostRequest(
    parts.hosts.secrets,
    {
      host: host.name,
      scheme,
      path: acceptedPath(path),
      nonceDigest: nonceDigest(nonce),
    },
    parts.login.now() / 1000,
  );
  parts.cookies.setHostNonce(response, host.name, nonce, HOST_REQUEST_TTL_SECONDS);
  seeOther(response, `${parts.config.publicUrl}/auth/host?request=${sealed}`, 302);
}

/** A query member that came once; what came twice opens nothing. */
const textOf = (value: unknown) => (typeof value === 'string' ? value : '');

/** Where Gatehouse is on https, so are its hosts: the cookies are Secure. */
function schemeOf({ config }: HttpParts, request: Request): 'http' | 'https' {
  return config.isHttps || forwarded(request)?.scheme === 'https' ? 'https' : 'http';
}

/**
 * A path at the host to come back to, as it was asked for: it is only ever written behind the host's origin, so whatever begins
 * with a slash stays there. The beginning for anything else, and for what is ours; without its query where it is too long.
 */
function acceptedPath(path: unknown): string {
  if (typeof path !== 'string' || !/^\/[^\p{Cc}\s]*$/u.test(path) || path.startsWith(OWN_PATHS)) return '/';
  const plain = path.replace(/[^\x21-\x5b\x5d-\x7e]+/g, percentEncoded);
  const usable = [plain, plain.replace(/[?#].*$/s, '')].find(({ length }) => length <= LONGEST_PATH);
  return usable ?? '/';
}

const percentEncoded = (text: string) =>
  Buffer.from(text).toString('hex').toUpperCase().replace(/../g, '%$&');

/** The host that a request below `/.gatehouse/` is for. */
async function requireHost(parts: HttpParts, request: Request): Promise<Host> {
  const { host, isOwn } = await askedHost(parts, request);
  if (host !== undefined) return host;
  const reason = isOwn
    ? 'no proxy that TRUST_PROXY names says for which host this is'
    : 'the host is not registered; add it with: host add';
  throw new GatewayError('not_found', { reason });
}

/** `GET /auth/host?request=`, at Gatehouse: gives a signed-in browser a ticket to take back. */
export function giveTicket(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const sealed = textOf(request.query['request']);
    const nowSeconds = parts.login.now() / 1000;
    const asked = openHostRequest(parts.hosts.secrets, sealed, nowSeconds);
    const host = asked && (await parts.hosts.directory.find(asked.host));
    if (asked === undefined || host === undefined) {
      throw new GatewayError('login_expired', { reason: 'the request of a host is over, or is none' });
    }
    const session = await currentSession(parts, request);
    if (session === undefined) {
      seeOther(response, `/login?return_to=${encodeURIComponent(`/auth/host?request=${sealed}`)}`);
      return;
    }
    if (!isReachableFor(host, session.organization.id)) throw new GatewayError('host_not_allowed');
    const ticket = sealTicket(parts.hosts.secrets, asked, { sessionId: session.id, nowSeconds });
    seeOther(response, `${asked.scheme}://${host.name}/.gatehouse/callback?ticket=${ticket}`);
  };
}

/** `GET /.gatehouse/callback?ticket=`: uses up the ticket and sets the host's own cookie. */
export function takeTicket(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const host = await requireHost(parts, request);
    const sealed = textOf(request.query['ticket']);
    const ticket = openTicket(parts.hosts.secrets, sealed, parts.login.now() / 1000);
    const nonce = parts.cookies.hostNonce(request, host.name);
    const isMeant =
      ticket?.host === host.name && nonce !== undefined && ticket.nonceDigest === nonceDigest(nonce);
    const secret = isMeant ? await openAtHost(parts, { request, host, ticket }) : undefined;
    if (ticket === undefined || secret === undefined) {
      // Who reloads the page, or goes back to it, is signed in already.
      if (ticket?.host === host.name && (await isSignedIn(parts, request, host))) {
        seeOther(response, placeOf(ticket));
        return;
      }
      // Of several tabs that began at once, one has left its nonce; whoever it is begins again, as who they are at Gatehouse.
      if (ticket?.host === host.name && nonce !== undefined && ticket.nonceDigest !== nonceDigest(nonce)) {
        startAtHost(parts, { request, response }, { host, path: ticket.path });
        return;
      }
      throw new GatewayError('login_expired', {
        reason: 'the ticket of a host is over, was used before, or is not of this browser',
      });
    }
    parts.cookies.clearHostNonce(response, host.name);
    parts.cookies.setHost(response, host.name, secret, parts.config.sessionTtlSeconds);
    seeOther(response, placeOf(ticket));
  };
}

const placeOf = ({ scheme, host, path }: HostTicket) => `${scheme}://${host}${path}`;

/** The secret of the new cookie; undefined if the ticket is no longer good. */
async function openAtHost(
  parts: HttpParts,
  { request, host, ticket }: { readonly request: Request; readonly host: Host; readonly ticket: HostTicket },
): Promise<string | undefined> {
  const live = await findLiveSession(parts.database, ticket.sessionId);
  if (live === undefined || !isReachableFor(host, live.session.organization.id)) return undefined;
  const secret = newSessionSecret();
  const digest = requireDigest(secret);
  const { resource } = host;
  const kept =
    resource === undefined
      ? undefined
      : await firstTokens(
          parts.hosts,
          { host: { ...host, resource }, cookie: { host: host.name, digest } },
          live,
        );
  const wasOpened = await openHostSession(parts.database, {
    host: host.name,
    sessionId: ticket.sessionId,
    secretDigest: digest,
    ticketDigest: ticketDigest(ticket),
    previousDigest: hostDigest(parts, request, host) ?? null,
    sealedTokens: kept?.sealed ?? null,
    renewsInSeconds: kept?.renewsInSeconds ?? null,
  });
  return wasOpened ? secret : undefined;
}

async function isSignedIn(parts: HttpParts, request: Request, host: Host): Promise<boolean> {
  const digest = hostDigest(parts, request, host);
  if (digest === undefined) return false;
  const answer = await verifyCookie(parts.hosts, { hostName: host.name, host, digest });
  return typeof answer === 'object';
}

function requireDigest(secret: string): Buffer {
  const digest = sessionDigest(secret);
  if (digest === undefined) throw new Error('a new secret is none');
  return digest;
}

function hostDigest(parts: HttpParts, request: Request, host: Host): Buffer | undefined {
  const secret = parts.cookies.host(request, host.name);
  return secret === undefined ? undefined : sessionDigest(secret);
}

/** `GET /.gatehouse/sign-out`: asks. */
export function showHostSignOut(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const host = await requireHost(parts, request);
    response.type('html').send(renderHostSignOutPage({ brand: brandOf(parts.config), host: host.name }));
  };
}

/** `POST /.gatehouse/sign-out`: ends what this browser has at the host; it stays signed in at Gatehouse. */
export function signOutOfHost(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const host = await requireHost(parts, request);
    if (!isFromOurPages(request, `${schemeOf(parts, request)}://${host.name}`)) {
      throw new GatewayError('malformed_request', { reason: 'another site sent it' });
    }
    const digest = hostDigest(parts, request, host);
    if (digest !== undefined) {
      await endHostSession(parts.database, { host: host.name, digest });
      parts.hosts.memory.drop(memoryKey(host.name, digest));
    }
    parts.cookies.clearHost(response, host.name);
    response.type('html').send(
      renderHostSignedOutPage({
        brand: brandOf(parts.config),
        host: host.name,
        gatehouseUrl: `${parts.config.publicUrl}/`,
      }),
    );
  };
}
