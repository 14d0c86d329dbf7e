/**
 * Sends people on whose organization lives in another region. Nothing of them stays here: no event, no cookie, no line of the log;
 * and no address goes into a URL. A form is posted again by the browser itself (307), so that what was typed passes in the body.
 */
import type { Request } from 'express';
import { isId } from '../connections/connection-store.ts';
import { GatewayError, type FailureCode } from '../errors.ts';
import { homeOfAddress, homeOfSlug, type Home } from '../login/find-home.ts';
import { placeBoundHere, returnToForUrl } from '../login/return-to-elsewhere.ts';
import { adoptedRequest } from '../provider/authorization-request.ts';
import type { Exchange } from './exchange.ts';
import { seeOther } from './app-answers.ts';
import { currentSession } from './browser-login.ts';
import type { HttpParts } from './parts.ts';
import { wantsJson } from './request-facts.ts';

/** Parameter that names the region which sent the person: who was sent once is not sent on. */
const FROM_REGION = 'from_region';

/**
 * `POST /login`: answers if the address's organization lives elsewhere.
 * @returns whether it answered
 * @throws GatewayError `unknown_domain` where the regions disagree, `other_region`
 */
export async function sendAddressHome(
  parts: HttpParts,
  { request, response }: Exchange,
  fields: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  const home = await homeOfAddress(parts.login, fields['email']);
  if (home === undefined) return false;
  const returnTo = fields['return_to'];
  requireWayThere(parts, request, { home, returnTo, code: 'unknown_domain' });
  if (wantsJson(request)) response.json({ redirect_url: entryLinkThere(parts, home, fields) });
  else
    response
      .status(307)
      .set('Location', thereAs(parts, home, '/login').href)
      .end();
  return true;
}

/**
 * `GET /sso/{organization}`: answers if the organization lives elsewhere.
 * @returns whether it answered
 * @throws GatewayError `unknown_organization` where the regions disagree, `other_region`
 */
export async function sendVisitorHome(
  parts: HttpParts,
  { request, response }: Exchange,
  slug: string,
): Promise<boolean> {
  const home = await homeOfSlug(parts.login, slug);
  if (home === undefined) return false;
  const returnTo = request.query['return_to'];
  requireWayThere(parts, request, { home, returnTo, code: 'unknown_organization' });
  seeOther(response, entryLinkThere(parts, home, request.query));
  return true;
}

/** Where a person was going whom another region may have sent here. */
export async function adoptedReturnTo(
  parts: HttpParts,
  request: Request,
  returnTo: string | undefined,
): Promise<string | undefined> {
  if (request.query[FROM_REGION] === undefined) return returnTo;
  return adoptedRequest(parts.login.secrets, returnTo, await currentSession(parts, request));
}

function requireWayThere(
  { log, config }: HttpParts,
  request: Request,
  { home, returnTo, code }: { readonly home: Home; readonly returnTo: unknown; readonly code: FailureCode },
): void {
  const { region, organization } = home;
  const organizationId = organization.id;
  const from = request.query[FROM_REGION];
  if (from !== undefined) {
    // Anybody can put it into a link; a region of ours that does has another idea of where the organization lives.
    const isOurs = typeof from === 'string' && config.regions?.urls.has(from) === true;
    log[isOurs ? 'warn' : 'info'](
      { organizationId, region },
      'the regions disagree about where an organization lives; its people cannot sign in',
    );
    const reason = `the regions disagree: another one sent the person here, and here the organization lives in ${region}`;
    throw new GatewayError(code, { reason, organizationId });
  }
  const bound = placeBoundHere(returnTo, config.publicUrl);
  if (bound !== undefined) {
    const reason = `what the person was going to belongs to this region, and the organization lives in ${region}`;
    throw new GatewayError('other_region', { reason, organizationId, returnTo: bound });
  }
}

/** A URL of the organization's region that says where the person comes from. */
function thereAs({ config }: HttpParts, home: Home, path: string): URL {
  const url = new URL(path, home.url);
  url.searchParams.set(FROM_REGION, config.regions?.here ?? '');
  return url;
}

function entryLinkThere(
  parts: HttpParts,
  home: Home,
  { return_to: returnTo, connection }: Readonly<Record<string, unknown>>,
): string {
  const url = thereAs(parts, home, `/sso/${home.organization.slug}`);
  const place = returnToForUrl(returnTo, parts.config.publicUrl);
  if (place !== undefined) url.searchParams.set('return_to', place);
  // A way that was chosen of several; an id, and nothing else that somebody may have written there.
  if (typeof connection === 'string' && isId(connection)) url.searchParams.set('connection', connection);
  return url.href;
}
