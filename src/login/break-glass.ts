/**
 * The way in for a person whose company's provider is gone: a link that an operator makes for one user, good for minutes and once. It
 * opens a short session without a word of any provider, and both the making and the use are in the audit trail.
 */
import { createHash, randomBytes } from 'node:crypto';
import * as z from 'zod';
import { GatewayError } from '../errors.ts';
import type { RedirectConnection } from '../connections/connection.ts';
import { canonicalEmail, type ParsedEmail } from '../organizations/email-address.ts';
import type { SecretBox } from '../secret-box.ts';
import { newSessionSecret, sessionDigest } from '../sessions/session.ts';
import { chooseConnection } from './choose-connection.ts';
import type { LoginParts } from './login-parts.ts';
import { admissionFailure, admissionQuestion, requireSession } from './open-session.ts';

const PLACE = 'link';
/** Time for what cannot wait, and no day's work. */
export const BREAK_GLASS_SESSION_SECONDS = 3_600;
/** How long a link may be good. */
export const LONGEST_BREAK_GLASS_SECONDS = 3_600;

const ticketShape = z.object({
  id: z.string(),
  organizationId: z.string(),
  /** Its slug. */
  organization: z.string(),
  email: z.string(),
  /** Absent in one that the release before this one made. */
  issuedAtSeconds: z.number().optional(),
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
  const { organizationId, connection, email } = await whoseTicket(parts, ticket);
  const sessionSecret = newSessionSecret();
  const secretDigest = sessionDigest(sessionSecret);
  if (secretDigest === undefined) throw new Error('a new session has no digest');
  const ttlSeconds = Math.min(BREAK_GLASS_SESSION_SECONDS, parts.sessionTtlSeconds);
  const finished = await parts.finishLogin({
    question: admissionQuestion(
      { organizationId, connectionId: connection.id, email, issuer: null, subject: null },
      { revision: connection.revision, users: { linksByEmail: true, creates: 'never' } },
    ),
    provider: NO_PROVIDER,
    action: 'break_glass.used',
    name: null,
    uses: [
      {
        purpose: 'break-glass',
        digest: digestOf(ticket),
        issuedAtSeconds: ticket.issuedAtSeconds ?? ticket.expiresAtSeconds - LONGEST_BREAK_GLASS_SECONDS,
        expiresAtSeconds: ticket.expiresAtSeconds + DAY_SECONDS,
      },
    ],
    callbackDigest: null,
    clientId: null,
    sessionDigest: secretDigest,
    sessionTtlSeconds: ttlSeconds,
    sessionIdleTtlSeconds: Math.min(ttlSeconds, parts.sessionIdleTtlSeconds),
    previousDigest: previousDigest ?? null,
    authenticationMethods: ['break-glass'],
  });
  try {
    requireSession(finished, email.address, true);
    parts.meters.signIn('break-glass');
  } catch (error) {
    const about = { connectionId: connection.id, connectionKind: 'break-glass' };
    const context = { organizationId, ...about, email: email.address };
    throw error instanceof GatewayError ? error.with(context) : error;
  }
  return { sessionSecret, returnTo: finished.returnUrl ?? '/', ttlSeconds };
}

/** Nobody vouched for the person but an operator. */
const NO_PROVIDER = {
  providerSessionId: null,
  providerExpiresAtSeconds: null,
  sealedIdToken: null,
  sealedRefreshToken: null,
  followSeconds: null,
};

/** @throws GatewayError if the organization is another one by now, or elsewhere, or has no connection for the person */
async function whoseTicket(
  parts: LoginParts,
  ticket: BreakGlassTicket,
): Promise<{
  readonly organizationId: string;
  readonly connection: RedirectConnection;
  readonly email: ParsedEmail;
}> {
  const email = canonicalEmail(ticket.email);
  const entry = await parts.directory.bySlug(ticket.organization);
  const { organizationId } = ticket;
  // Another one may have the same slug.
  if (email === undefined || entry?.organization.id !== organizationId) {
    throw new GatewayError('login_expired', {
      reason: 'the organization of the break-glass link was removed',
    });
  }
  if (entry.organization.region !== undefined) {
    throw admissionFailure('organization_elsewhere').with({ organizationId });
  }
  const routes = await parts.directory.personRoutes(entry, email.address);
  const [connection] = chooseConnection(entry, { email, routes }).connections;
  if (connection !== undefined) return { organizationId, connection, email };
  throw new GatewayError('connection_disabled', {
    reason: 'no active connection is for the person',
    organizationId,
  });
}

/** Room for clocks that differ. */
const DAY_SECONDS = 86_400;

const digestOf = ({ id }: BreakGlassTicket) => createHash('sha256').update(id).digest('hex');
