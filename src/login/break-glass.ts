/**
 * The way in for a person whose company's provider is gone: a link that an operator makes for one user, good for minutes and once. It
 * opens a short session without a word of any provider, and both the making and the use are in the audit trail.
 */
import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { canonicalEmail } from '../organizations/email-address.ts';
import type { SecretBox } from '../secret-box.ts';
import { newSessionSecret, sessionDigest } from '../sessions/session.ts';
import { chooseConnection } from './choose-connection.ts';
import { finishLogin } from './finish-login-store.ts';
import type { LoginParts } from './login-parts.ts';
import { requireSession } from './open-session.ts';

const PLACE = 'link';
/** Time for what cannot wait, and no day's work. */
export const BREAK_GLASS_SESSION_SECONDS = 3_600;

const ticketShape = z.object({
  id: z.string(),
  /** Slug of the organization. */
  organization: z.string(),
  email: z.string(),
  expiresAtSeconds: z.number(),
});

export type BreakGlassTicket = Readonly<z.infer<typeof ticketShape>>;

export function newBreakGlassTicket(ticket: Omit<BreakGlassTicket, 'id'>): BreakGlassTicket {
  return { ...ticket, id: randomBytes(32).toString('base64url') };
}

/** Path below PUBLIC_URL; what it holds is sealed. */
export function breakGlassPath(secrets: SecretBox, ticket: BreakGlassTicket): string {
  return `/break-glass/${secrets.seal('break-glass', PLACE, JSON.stringify(ticket))}`;
}

/** @throws GatewayError `malformed_request` for what is no ticket, `login_expired` for one that is over */
export function openBreakGlassTicket(parts: LoginParts, sealed: string): BreakGlassTicket {
  const text = parts.secrets.open('break-glass', PLACE, sealed);
  const ticket = text === undefined ? undefined : ticketShape.safeParse(JSON.parse(text)).data;
  if (ticket === undefined)
    throw new GatewayError('malformed_request', { reason: 'the break-glass link is none' });
  if (ticket.expiresAtSeconds <= parts.now() / 1000) {
    throw new GatewayError('login_expired', { reason: 'the break-glass link is over' });
  }
  return ticket;
}

/**
 * Uses the ticket up and opens a session.
 * @returns the secret of the session
 * @throws GatewayError `token_replayed` if it was used before, or whatever a sign-in of this user would be refused with
 */
export async function signInByBreakGlass(
  parts: LoginParts,
  ticket: BreakGlassTicket,
  previousDigest: Buffer | undefined,
): Promise<{ readonly sessionSecret: string; readonly returnTo: string; readonly ttlSeconds: number }> {
  const email = canonicalEmail(ticket.email);
  const entry = await parts.directory.bySlug(ticket.organization);
  if (email === undefined || entry === undefined) {
    throw new GatewayError('login_expired', {
      reason: 'the organization of the break-glass link was removed',
    });
  }
  const routes = await parts.directory.personRoutes(entry, email.address);
  const [connection] = chooseConnection(entry, { email, routes }).connections;
  const organizationId = entry.organization.id;
  if (connection === undefined) {
    throw new GatewayError('connection_disabled', {
      reason: 'no active connection is for the person',
      organizationId,
    });
  }
  const context = { organizationId, connectionId: connection.id, email: email.address };
  const sessionSecret = newSessionSecret();
  const secretDigest = sessionDigest(sessionSecret);
  if (secretDigest === undefined) throw new Error('a new session has no digest');
  const ttlSeconds = Math.min(BREAK_GLASS_SESSION_SECONDS, parts.sessionTtlSeconds);
  const finished = await finishLogin(parts.database, {
    organizationId,
    connectionId: connection.id,
    revision: connection.revision,
    domain: email.domain,
    email: email.address,
    issuer: null,
    subject: null,
    linksByEmail: true,
    creates: 'never',
    action: 'break_glass.used',
    name: null,
    uses: [
      {
        purpose: 'break-glass',
        digest: digestOf(ticket),
        expiresAtSeconds: ticket.expiresAtSeconds + DAY_SECONDS,
      },
    ],
    callbackDigest: null,
    sessionDigest: secretDigest,
    sessionTtlSeconds: ttlSeconds,
    sessionIdleTtlSeconds: Math.min(ttlSeconds, parts.sessionIdleTtlSeconds),
    previousDigest: previousDigest ?? null,
    clientId: null,
    providerSessionId: null,
    providerExpiresAtSeconds: null,
    sealedIdToken: null,
    sealedRefreshToken: null,
    followSeconds: null,
    authenticationMethods: ['break-glass'],
  });
  try {
    requireSession(finished, email.address, true);
  } catch (error) {
    throw error instanceof GatewayError ? error.with(context) : error;
  }
  return { sessionSecret, returnTo: finished.returnUrl ?? '/', ttlSeconds };
}

/** Room for clocks that differ. */
const DAY_SECONDS = 86_400;

const digestOf = ({ id }: BreakGlassTicket) => createHash('sha256').update(id).digest('hex');
