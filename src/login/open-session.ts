/**
 * Steps 4 to 6 of the flow, whatever brought the identity: may it in, as whom, and the session (admit-identity.ts,
 * admission-store.ts, finish-login.ts). Here the question is put together and its answer becomes a failure or a session.
 */
import { connectionPlace, type UserPolicy } from '../connections/connection.ts';
import type { VerifiedIdentity } from '../connections/verified-identity.ts';
import { GatewayError, type FailureCode } from '../errors.ts';
import { signInStep } from '../tracing.ts';
import type { EmailAddress } from '../organizations/email-address.ts';
import { refreshTokenPlace } from '../sessions/session.ts';
import { admissionRefusal, type Admission } from './admit-identity.ts';
import type { AdmissionQuestion } from './admission-store.ts';
import type { FinishedLogin, ProviderPart, TokenUseRow } from './finish-login-store.ts';
import type { LoginParts } from './login-parts.ts';

/** What a session is opened with beside an identity. */
export interface SessionOpening {
  /** Revision of the connection that the sign-in was started with. */
  readonly revision: number;
  readonly users: UserPolicy;
  /** Of the new session's secret. */
  readonly secretDigest: Buffer;
  readonly idleTtlSeconds: number;
  /** Digest of the session that the browser has now; it ends with the new one. */
  readonly previousDigest?: Buffer | undefined;
  /** The attempt that is used up with the token, where there is one. */
  readonly attempt?: TokenUseRow | undefined;
  /** Of the callback that proved the identity, where one did. */
  readonly callbackDigest?: Buffer | undefined;
  /** The application that showed the token, where one did. */
  readonly clientId?: string | undefined;
}

export interface OpenedSession {
  readonly id: string;
  /** Where people of the organization land by default. */
  readonly returnUrl: string | undefined;
}

/** @throws GatewayError that says why there is no session */
export async function openSession(
  parts: LoginParts,
  identity: VerifiedIdentity,
  opening: SessionOpening,
): Promise<OpenedSession> {
  const { id, returnUrl } = await signInStep('open session', identity, () =>
    finish(parts, identity, opening),
  );
  parts.meters.signIn(identity.kind);
  return { id, returnUrl };
}

async function finish(
  parts: LoginParts,
  identity: VerifiedIdentity,
  opening: SessionOpening,
): Promise<OpenedSession> {
  const finished = await parts.finishLogin({
    question: admissionQuestion(identity, opening),
    provider: providerPart(parts, identity, opening.secretDigest),
    action: 'login.succeeded',
    name: identity.name ?? null,
    uses: [...(opening.attempt === undefined ? [] : [opening.attempt]), ...usesOf(identity)],
    callbackDigest: opening.callbackDigest ?? null,
    sessionDigest: opening.secretDigest,
    sessionTtlSeconds: parts.sessionTtlSeconds,
    sessionIdleTtlSeconds: opening.idleTtlSeconds,
    previousDigest: opening.previousDigest ?? null,
    clientId: opening.clientId ?? null,
    // What proves the person to us is always somebody else's word.
    authenticationMethods: ['fed', ...(identity.providerSession?.authenticationMethods ?? [])],
  });
  const id = requireSession(finished, identity.email?.address, opening.attempt === undefined);
  return { id, returnUrl: finished.returnUrl ?? undefined };
}

/** Of an identity, or of an address whose subject is not known. */
interface Asked extends Pick<VerifiedIdentity, 'organizationId' | 'connectionId' | 'email'> {
  readonly issuer: string | null;
  readonly subject: string | null;
}

export function admissionQuestion(
  { organizationId, connectionId, issuer, subject, email }: Asked,
  { revision, users }: Pick<SessionOpening, 'revision' | 'users'>,
): AdmissionQuestion {
  return {
    organizationId,
    connectionId,
    revision,
    domain: email?.domain ?? null,
    email: email?.address ?? null,
    issuer,
    subject,
    linksByEmail: users.linksByEmail,
    creates: users.creates,
  };
}

export function admissionFailure(
  answer: Exclude<Admission, 'admitted'>,
  lapsedSince: Date | null = null,
): GatewayError {
  const { code, reason } = admissionRefusal(answer, lapsedSince);
  return new GatewayError(code, { reason });
}

export function usesOf(identity: VerifiedIdentity): readonly TokenUseRow[] {
  return identity.singleUse.map((use) => ({
    ...use,
    digest: Buffer.from(use.digest, 'base64url').toString('hex'),
  }));
}

function providerPart(
  { secrets }: LoginParts,
  identity: VerifiedIdentity,
  secretDigest: Buffer,
): ProviderPart {
  const { organizationId, connectionId, providerSession } = identity;
  const { idToken, followed } = providerSession ?? {};
  return {
    providerSessionId: providerSession?.id ?? null,
    providerExpiresAtSeconds: providerSession?.expiresAtSeconds ?? null,
    sealedIdToken:
      idToken === undefined ? null : secrets.seal('id-token', connectionPlace(identity), idToken),
    sealedRefreshToken:
      followed === undefined
        ? null
        : secrets.seal(
            'refresh-token',
            refreshTokenPlace({ organizationId, connectionId, secretDigest }),
            followed.refreshToken,
          ),
    followSeconds: followed?.everySeconds ?? null,
  };
}

/**
 * The id of the session that was opened.
 * @param isByToken whether the token is all that was used
 * @throws GatewayError that says why there is none
 */
export function requireSession(
  finished: FinishedLogin,
  email: EmailAddress | undefined,
  isByToken: boolean,
): string {
  const fail = (code: FailureCode, reason: string): never => {
    throw new GatewayError(code, { reason, email });
  };
  if (finished.answer !== 'admitted')
    throw admissionFailure(finished.answer, finished.lapsedSince).with({ email });
  const isTokenTaken = finished.taken.some((purpose) => purpose !== 'login');
  if (isTokenTaken || (isByToken && !finished.isFresh && finished.over.length === 0))
    fail('token_replayed', 'the token was used before');
  if (finished.over.some((purpose) => purpose !== 'login'))
    fail('token_expired', "the token is over by the database's clock; is this node's clock right?");
  if (!finished.isFresh) fail('login_expired', 'login transaction already used');
  return finished.sessionId ?? fail('temporarily_unavailable', 'the user changed during the sign-in');
}
