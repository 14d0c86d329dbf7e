/**
 * The flow without a browser: from a token that an application holds to a session.
 *
 *   1 find the connection that takes it from this application    (route-login.ts)
 *   2 the connector checks it                                    -> a VerifiedIdentity, or a failure that says why
 *   3 admit, resolve the user, use up, open the session          (open-session.ts, as a browser's sign-in does)
 *
 * The session has no cookie: what the application is issued under it is all that there is of it.
 */
import { userPolicy } from '../connections/connection.ts';
import type { PresentedToken } from '../connections/connector.ts';
import { GatewayError } from '../errors.ts';
import { withinDeadline } from '../outbound/deadline.ts';
import { findLiveSession } from '../sessions/session-store.ts';
import { newSessionSecret, sessionDigest, type Session } from '../sessions/session.ts';
import { signInStep } from '../tracing.ts';
import { requireHomeHere } from './find-home.ts';
import type { LoginParts } from './login-parts.ts';
import { openSession } from './open-session.ts';
import { routeToken, type TokenRoute, type TokenRouteQuestion } from './route-login.ts';

export interface TokenSignIn extends TokenRouteQuestion {
  readonly presented: PresentedToken;
  /** Organizations that the application is for; undefined: all. */
  readonly organizationIds: readonly string[] | undefined;
}

/** @throws GatewayError that says what was wrong, with what is known of whom it concerns */
export async function verifyToken(parts: LoginParts, signIn: TokenSignIn): Promise<Session> {
  const { clientId } = signIn;
  try {
    await requireHomeHere(parts, signIn.organization);
    const route = await routeToken(parts.directory, signIn);
    const organizationId = route.organization.id;
    const { id: connectionId, kind } = route.connection;
    return await signInStep('exchange', { organizationId, connectionId, kind }, () =>
      signInAt(parts, route, signIn),
    );
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    throw error.with({ clientId, connectionKind: signIn.kind });
  }
}

async function signInAt(
  parts: LoginParts,
  { organization, connection }: TokenRoute,
  { presented, clientId, organizationIds }: TokenSignIn,
): Promise<Session> {
  try {
    if (organizationIds?.includes(organization.id) === false) {
      throw new GatewayError('application_not_allowed', {
        reason: 'the application is not for the people of this organization',
      });
    }
    const whose = { organizationId: organization.id, connectionId: connection.id, kind: connection.kind };
    const identity = await withinDeadline(() =>
      signInStep('verify identity', whose, async () => {
        const connector = await parts.connectors.open(connection);
        return connector.verify(presented);
      }),
    );
    const secretDigest = sessionDigest(newSessionSecret());
    if (secretDigest === undefined) throw new Error('a new session has no digest');
    const { id } = await openSession(parts, identity, {
      revision: connection.revision,
      users: userPolicy(connection),
      secretDigest,
      // Nobody is there who could be idle.
      idleTtlSeconds: parts.sessionTtlSeconds,
      clientId,
    });
    const live = await findLiveSession(parts.database, id);
    if (live === undefined)
      throw new GatewayError('temporarily_unavailable', { reason: 'the session has ended at once' });
    return live.session;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    throw error.with({ organizationId: organization.id, connectionId: connection.id });
  }
}
