/**
 * One question to a provider: does it still stand by this session? What it says is obeyed at once. What it does not say, because
 * it or we are in trouble, ends nobody's session: it is asked again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LRUCache } from 'lru-cache';
import { insertAuditEvent } from '../audit/audit-store.ts';
import { followSeconds, type RedirectConnection } from '../connections/connection.ts';
import { isRedirectConnection } from '../connections/connection-kinds.ts';
import type { ProviderRefresh } from '../connections/connector.ts';
import { GatewayError } from '../errors.ts';
import { withinDeadline } from '../outbound/deadline.ts';
import {
  endFollowedSession,
  forgetRefreshToken,
  keepFollowedSession,
  postponeCheck,
  type FollowedSession,
} from '../sessions/followed-session-store.ts';
import { refreshTokenPlace } from '../sessions/session.ts';
import type { LoginParts } from './login-parts.ts';

/** What is said of a session in the log. */
export interface CheckedSession {
  readonly sessionId: string;
  readonly connectionId: string;
}

interface CheckParts extends LoginParts {
  readonly onFault: (error: unknown, session: CheckedSession) => void;
  /** Connections with the faults that the audit trail has of them already. */
  readonly told: LRUCache<string, true>;
  /** Aborts when the process is about to end. */
  readonly closing: AbortSignal;
}

/** @throws GatewayError `temporarily_unavailable` if the database does not take the answer; the session is due again later */
export async function checkFollowedSession(parts: CheckParts, session: FollowedSession): Promise<void> {
  const { database } = parts;
  const entry = await parts.directory.byConnection(session.connectionId);
  const connection = entry?.connections.find(({ id }) => id === session.connectionId);
  // Its sessions have ended with it.
  if (connection === undefined || !isRedirectConnection(connection)) return;
  const everySeconds = followSeconds(connection);
  if (everySeconds === undefined) {
    await forgetRefreshToken(database, session);
    return;
  }
  const answer = await askProvider(parts, connection, session).catch(notAsked);
  const seal = (refreshToken: string) =>
    parts.secrets.seal('refresh-token', refreshTokenPlace(session), refreshToken);
  switch (answer.standing) {
    case 'good': {
      const { expiresAtSeconds, refreshToken } = answer;
      const next = { sealedRefreshToken: seal(refreshToken), everySeconds, expiresAtSeconds };
      return persistently(parts, () => keepFollowedSession(database, session, next));
    }
    case 'refused':
      return persistently(parts, () => endFollowedSession(database, session, answer.reason));
    case 'unknown': {
      const { failure, refreshToken } = answer;
      parts.onFault(failure, { sessionId: session.id, connectionId: session.connectionId });
      const sealedRefreshToken = refreshToken === undefined ? undefined : seal(refreshToken);
      const next = { sealedRefreshToken, everySeconds };
      await persistently(parts, () => postponeCheck(database, session, next));
      await tellOnce(parts, session, failure);
    }
  }
}

/** The token was shown to nobody. */
const notAsked = (failure: unknown) => ({ standing: 'unknown', refreshToken: undefined, failure }) as const;

async function askProvider(
  { secrets, connectors }: LoginParts,
  connection: RedirectConnection,
  session: FollowedSession,
): Promise<ProviderRefresh> {
  const place = refreshTokenPlace(session);
  const refreshToken = secrets.open('refresh-token', place, session.sealedRefreshToken);
  if (refreshToken === undefined) {
    throw new GatewayError('internal_error', { reason: 'a refresh token cannot be decrypted (SECRET_KEY)' });
  }
  const { refresh } = await withinDeadline(() => connectors.open(connection));
  if (refresh === undefined) throw new Error(`connections of the kind ${connection.kind} cannot be followed`);
  // Each call of it has a limit of its own, and it is not broken off between two: that may cost the token.
  return refresh({ ...session, refreshToken });
}

const WRITE_AGAIN_MS = 500;
/** The session is nobody else's for longer. */
const WRITE_FOR_MS = 40_000;

/** Writes an answer that cannot be had twice, however long the database takes to come back while the session is ours. */
async function persistently({ closing }: CheckParts, write: () => Promise<void>): Promise<void> {
  const giveUpAtMs = performance.now() + WRITE_FOR_MS;
  for (;;) {
    try {
      await write();
      return;
    } catch (error) {
      const mayPass = error instanceof GatewayError && error.code === 'temporarily_unavailable';
      if (!mayPass || closing.aborted || performance.now() > giveUpAtMs) throw error;
    }
    await sleep(WRITE_AGAIN_MS);
  }
}

/** One event a connection and fault, for `connection show`: a provider in trouble is in trouble for all of its sessions. */
async function tellOnce({ database, told }: CheckParts, session: FollowedSession, error: unknown) {
  const failure = error instanceof GatewayError ? error : new GatewayError('internal_error');
  const fault = `${session.connectionId} ${failure.message}`;
  if (told.has(fault)) return;
  told.set(fault, true);
  const { organizationId, connectionId } = session;
  const { code, context } = failure;
  const event = { action: 'session.check_failed', code, reason: context.reason } as const;
  await database.run((db) => insertAuditEvent(db, { ...event, organizationId, connectionId }));
}
