/**
 * A user code in a browser's hands: looking it up, claiming it, and what a person reads where that fails. It must not know what
 * is decided about it.
 */
import { GatewayError } from '../errors.ts';
import { claimDigest, newClaimSecret } from '../provider/device-approval.ts';
import { findDeviceCode, type DeviceClaim, type FoundDeviceCode } from '../provider/device-code-store.ts';
import { canonicalUserCode, spelledUserCode, type UserCode } from '../provider/user-code.ts';
import type { Session } from '../sessions/session.ts';
import type { Exchange } from './exchange.ts';
import { currentSession } from './browser-login.ts';
import { brandOf, respondWithFailure } from './failures.ts';
import { publicFailures, userCodeProblems } from './failure-texts.ts';
import { renderDevicePage } from './pages/device-page.ts';
import { renderFailurePage } from './pages/failure-page.ts';
import type { HttpParts } from './parts.ts';
import { isPageOfItsOwn } from './request-facts.ts';

export const DEVICE_PATH = '/device';

/** The link that a program shows, as a path. */
export function devicePath(userCode: UserCode): string {
  return `${DEVICE_PATH}?user_code=${spelledUserCode(userCode)}`;
}

/** A code that a browser came with, and who is signed in there. */
export interface OpenedCode {
  readonly claim: DeviceClaim;
  readonly code: FoundDeviceCode;
  readonly session: Session | undefined;
}

/** Gives a browser that comes to the page the cookie that it will claim a code with. */
export function giveClaimCookie(parts: HttpParts, { request, response }: Exchange): void {
  const isHeld = claimDigest(parts.cookies.deviceClaim(request)) !== undefined;
  if (!isHeld && isPageOfItsOwn(request)) parts.cookies.setDeviceClaim(response, newClaimSecret());
}

/**
 * Looks a code up, and claims it for this browser if it is free and `mayClaim`. A browser must show a cookie for that, of ours
 * or of its session: a new one may never arrive there, and the code would be lost. What a page loads by itself finds nothing,
 * or any website could use codes and tries up.
 * @throws GatewayError `unknown_user_code`, `rate_limited`, `malformed_request`
 */
export async function openCode(
  parts: HttpParts,
  { request, response }: Exchange,
  { typed, mayClaim }: { readonly typed: unknown; readonly mayClaim: boolean },
): Promise<OpenedCode> {
  if (!isPageOfItsOwn(request)) {
    throw new GatewayError('malformed_request', { reason: 'no person opened it as a page' });
  }
  const userCode = canonicalUserCode(typed);
  const held = parts.cookies.deviceClaim(request);
  const heldDigest = claimDigest(held);
  const secret = held === undefined || heldDigest === undefined ? newClaimSecret() : held;
  const session = await currentSession(parts, request);
  const isKnown = heldDigest !== undefined || session !== undefined;
  const opened = await parts.limits.tryUserCode(request, session?.user.id, async (refused) => {
    const returnTo = userCode === undefined ? DEVICE_PATH : devicePath(userCode);
    const refusal = refused?.with({ returnTo });
    const digest = claimDigest(secret);
    if (refusal !== undefined && (!isKnown || userCode === undefined)) throw refusal;
    if (userCode === undefined || digest === undefined) return undefined;
    const claim = { userCode, claimDigest: digest, sessionId: session?.id };
    const code = await findDeviceCode(parts.database, claim, {
      organizationId: session?.organization.id,
      mayClaim: mayClaim && isKnown && refusal === undefined,
    });
    if (refusal !== undefined && code?.isOurs !== true) throw refusal;
    return code && { claim, code, session };
  });
  if (opened === undefined) throw new GatewayError('unknown_user_code', { reason: 'no code is spelled so' });
  const { isOurs, isFree } = opened.code;
  if (isOurs || (isFree && mayClaim)) parts.cookies.setDeviceClaim(response, secret);
  return opened;
}

/** @throws GatewayError `login_expired`, `user_code_claimed` unless this browser may decide about it now */
export function requireOpen({ code }: OpenedCode): void {
  const { clientId, state } = code;
  if (state !== 'pending')
    throw new GatewayError('login_expired', { reason: `the code is ${state}`, clientId });
  if (!code.isOurs) {
    throw new GatewayError('user_code_claimed', { reason: 'another browser opened it first', clientId });
  }
}

/** Does what a request with a code asks for; what fails is explained as the page for codes does. */
export async function explainingProblems(
  parts: HttpParts,
  exchange: Exchange,
  typed: unknown,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    await respondWithFailure(parts, error, exchange, ({ code, reference }) => {
      const brand = brandOf(parts.config);
      if (code === 'unknown_user_code') {
        const userCode = typeof typed === 'string' ? typed.slice(0, 64) : undefined;
        return renderDevicePage({ brand, userCode, problem: { ...publicFailures[code], reference } });
      }
      const problem = userCodeProblems[code];
      const actions = [{ label: 'Type another code', href: DEVICE_PATH }];
      return problem && renderFailurePage({ brand, ...problem, reference, actions });
    });
  }
}
