/** What customers' systems link to: the entry link of a portal, and the redirect URI of an OpenID Provider. */
import type { Request, Response } from 'express';
import { GatewayError, type FailureContext } from '../errors.ts';
import { routeOrganization } from '../login/route-login.ts';
import { canonicalEmail } from '../organizations/email-address.ts';
import { openAttempts } from './browser-login.ts';
import { callbackOf, completeCallback } from './complete-callback.ts';
import { returnToOf } from './login-routes.ts';
import type { HttpParts } from './parts.ts';
import { runStrategy } from './passport-login.ts';
import { adoptedReturnTo, sendVisitorHome } from './send-home.ts';
import { answerStart, beganElsewhere, drawLot, ELSEWHERE, startInBrowser } from './start-in-browser.ts';

/** `GET /sso/{organization}` */
export function startFromEntryLink(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const organization = String(request.params['organization']);
    const exchange = { request, response };
    if (await sendVisitorHome(parts, exchange, organization)) return;
    const hint = canonicalEmail(request.query['login_hint']);
    const asked = await returnToOf(parts, request.query['return_to']);
    const returnTo = await adoptedReturnTo(parts, request, asked);
    const isForeign = beganElsewhere(parts, request, request.query);
    const fields = { return_to: returnTo, login_hint: hint?.address, ...(isForeign ? ELSEWHERE : {}) };
    const form = {
      method: 'get',
      action: `/sso/${encodeURIComponent(organization)}`,
      fields,
    } as const;
    const started = await runStrategy(async () => {
      const follower = { hint, drawLot: () => drawLot(parts, exchange) };
      const ways = await routeOrganization(parts.login.directory, organization, follower);
      return startInBrowser(parts, exchange, {
        ways,
        chosenId: request.query['connection'],
        form,
        loginHint: hint?.address,
        returnTo,
        isFromAnotherSite: isForeign,
      });
    });
    answerStart(parts, exchange, started, form);
  };
}

/** Parameters of an authorization response (RFC 6749 section 4.1.2, RFC 9207), none of which may come twice. */
const ONCE = ['code', 'state', 'iss', 'error'];

/** `GET /sso/oidc/{connection_id}/callback` */
export function completeOidc(parts: HttpParts) {
  const finish = finishOidc(parts);
  return (request: Request, response: Response): Promise<void> => {
    const name = String(request.params['connection_id']);
    return parts.limits.countCallback(request, { name, isCostly: true }, () => finish(request, response));
  };
}

function finishOidc(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const connectionId = String(request.params['connection_id']);
    const { query } = request;
    const repeated = ONCE.find((name) => Array.isArray(query[name]));
    if (repeated !== undefined) {
      const reason = `${repeated} comes twice`;
      throw new GatewayError('malformed_request', { reason, ...(await whose(parts, connectionId)) });
    }
    const { state } = query;
    const transaction = openAttempts(parts, request).find(
      (attempt) => attempt.secrets.state === state && attempt.connectionId === connectionId,
    );
    if (transaction === undefined) {
      const reason = 'no attempt of this browser has this state here';
      throw new GatewayError('login_expired', { reason, ...(await whose(parts, connectionId)) });
    }
    const callback = callbackOf(parts, request, `/sso/oidc/${connectionId}/callback`);
    await completeCallback(parts, { request, response }, { transaction, callback, isProved: true });
  };
}

/** Whose connection a callback names, for the organization's own audit trail. */
async function whose(parts: HttpParts, connectionId: string): Promise<FailureContext> {
  const entry = await parts.login.directory.byConnection(connectionId);
  return entry === undefined ? {} : { organizationId: entry.organization.id, connectionId };
}
