/**
 * `/device`: a person lets a program sign in that cannot show a page itself (RFC 8628 section 3.3). The browser that opens a code
 * first claims it, and only there a person who is signed in is asked.
 */
import type { Request, Response } from 'express';
import { GatewayError } from '../errors.ts';
import { approveDevice } from '../provider/device-approval.ts';
import { denyDeviceCode, findDeviceCode, type FoundDeviceCode } from '../provider/device-code-store.ts';
import { spelledUserCode } from '../provider/user-code.ts';
import type { Session } from '../sessions/session.ts';
import { callName } from '../users/user.ts';
import type { Exchange } from './exchange.ts';
import { seeOther } from './app-answers.ts';
import { brandOf } from './failures.ts';
import { fieldsOf } from './login-routes.ts';
import {
  devicePath,
  explainingProblems,
  giveClaimCookie,
  openCode,
  requireOpen,
  type OpenedCode,
} from './opened-code.ts';
import { renderDeviceApprovalPage } from './pages/device-approval-page.ts';
import { renderDeviceDonePage } from './pages/device-done-page.ts';
import { renderDevicePage } from './pages/device-page.ts';
import type { HttpParts } from './parts.ts';
import { programName } from './program-name.ts';
import { addressBlock, wantsJson } from './request-facts.ts';

type Decision = 'approved' | 'denied';

/** `GET /device`, and with `user_code` the link that a program shows. */
export function showDevicePage(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const { user_code: typed } = request.query;
    if (typed === undefined || typed === '') {
      giveClaimCookie(parts, { request, response });
      response.type('html').send(renderDevicePage({ brand: brandOf(parts.config) }));
      return;
    }
    const exchange = { request, response };
    await explainingProblems(parts, exchange, typed, async () => {
      const opened = await openCode(parts, exchange, { typed, mayClaim: true });
      if (opened.code.isFree) {
        askForCookie(exchange, opened);
        return;
      }
      requireOpen(opened);
      askPerson(parts, exchange, opened);
    });
  };
}

/** `POST /device`: a code that was typed, or the decision about one. */
export function decideOnDevice(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const { user_code: typed, decision, session: shownSession } = fieldsOf(request.body);
    const exchange = { request, response };
    await explainingProblems(parts, exchange, typed, async () => {
      if (decision !== undefined && decision !== 'allow' && decision !== 'deny') {
        throw new GatewayError('malformed_request', { reason: 'neither allowed nor denied' });
      }
      const opened = await openCode(parts, exchange, { typed, mayClaim: decision === undefined });
      const wanted = decision === 'allow' ? 'approved' : 'denied';
      if (decision !== undefined && isAlready(opened.code, wanted)) {
        sayDone(parts, exchange, opened, wanted);
        return;
      }
      // Free: the browser had no cookie; it claims on the page, with the one that it has now.
      if (decision !== undefined || !opened.code.isFree) requireOpen(opened);
      const isShown = shownSession === undefined || shownSession === opened.session?.id;
      if (decision !== undefined && isShown && (await carryOut(parts, opened, wanted))) {
        sayDone(parts, exchange, opened, wanted);
      } else goToPage(exchange, opened);
    });
  };
}

/** A second press of the same button is no other decision. */
function isAlready({ isOurs, state }: FoundDeviceCode, wanted: Decision): boolean {
  return isOurs && state === wanted;
}

async function carryOut(
  { database }: HttpParts,
  { claim, code, session }: OpenedCode,
  wanted: Decision,
): Promise<boolean> {
  if (session === undefined) return false;
  const isDone =
    wanted === 'approved'
      ? await approveDevice(database, { ...claim, clientId: code.clientId }, session)
      : await denyDeviceCode(database, claim, session.id);
  if (isDone) return true;
  // Pressed twice at once; anything else is for the page to explain.
  const options = { organizationId: session.organization.id, mayClaim: false };
  const now = await findDeviceCode(database, claim, options);
  return now !== undefined && isAlready(now, wanted);
}

function sayDone(
  parts: HttpParts,
  { request, response }: Exchange,
  { code }: OpenedCode,
  decision: Decision,
) {
  if (wantsJson(request)) response.status(204).end();
  else {
    const page = { brand: brandOf(parts.config), application: code.clientId, decision };
    response.type('html').send(renderDeviceDonePage(page));
  }
}

/** To the page of a code that was typed, or of one whose page is not as it was when a button was pressed. */
function goToPage({ request, response }: Exchange, { claim, session }: OpenedCode): void {
  const path = devicePath(claim.userCode);
  if (!wantsJson(request)) seeOther(response, path);
  else if (session === undefined) throw new GatewayError('not_signed_in');
  else response.json({ redirect_url: path });
}

/** Sends a browser without a cookie to the same page once more, where it shows the one that it was given. */
function askForCookie({ request, response }: Exchange, { claim, code: { clientId } }: OpenedCode): void {
  if (wantsJson(request)) throw new GatewayError('not_signed_in');
  if (request.query['again'] !== undefined) {
    throw new GatewayError('cookies_refused', { reason: 'the browser keeps no cookies', clientId });
  }
  seeOther(response, `${devicePath(claim.userCode)}&again=1`);
}

/** Shows the person who is signed in what they are asked; sends everybody else to sign in, and back. */
function askPerson(parts: HttpParts, { request, response }: Exchange, opened: OpenedCode): void {
  const { claim, code, session } = opened;
  const { organization } = code.demands;
  if (session === undefined || (organization !== undefined && organization !== session.organization.slug)) {
    if (wantsJson(request)) throw new GatewayError('not_signed_in');
    seeOther(response, signInPath(opened));
    return;
  }
  requireAllowed(opened, session);
  const { addressBlock: network, userAgent } = code.place;
  const ownNetwork = addressBlock(request.ip);
  response.type('html').send(
    renderDeviceApprovalPage({
      brand: brandOf(parts.config),
      application: code.clientId,
      userCode: spelledUserCode(claim.userCode),
      email: callName(session.user),
      organization: session.organization.name,
      startedAt: code.startedAt,
      network,
      program: programName(userAgent),
      ownNetwork: ownNetwork === network ? undefined : ownNetwork,
      session: session.id,
    }),
  );
}

function requireAllowed({ claim, code }: OpenedCode, { user, organization, connection }: Session): void {
  if (code.isAllowed) return;
  throw new GatewayError('application_not_allowed', {
    reason: 'the application is limited to other organizations',
    clientId: code.clientId,
    organizationId: organization.id,
    connectionId: connection.id,
    userId: user.id,
    email: callName(user),
    returnTo: devicePath(claim.userCode),
  });
}

function signInPath({ claim, code }: OpenedCode): string {
  const { organization, loginHint } = code.demands;
  const query = new URLSearchParams({ return_to: devicePath(claim.userCode) });
  if (loginHint !== undefined) query.set('login_hint', loginHint);
  const page = organization === undefined ? '/login' : `/sso/${encodeURIComponent(organization)}`;
  return `${page}?${query.toString()}`;
}
