/** The start of a sign-in in a browser, once its ways are known: off to the provider, or first a question which one it is to be. */
import { randomInt } from 'node:crypto';
import type { Request } from 'express';
import { connectionLabel } from '../connections/connection.ts';
import { takeWay, type Ways } from '../login/route-login.ts';
import { startLogin, type LoginStart } from '../login/start-login.ts';
import type { Exchange } from './exchange.ts';
import { seeOther, sendJson } from './app-answers.ts';
import { rememberAttempt } from './browser-login.ts';
import { brandOf } from './failures.ts';
import { renderChoicePage } from './pages/choice-page.ts';
import type { HttpParts } from './parts.ts';
import { isFromAnotherSite, wantsJson } from './request-facts.ts';

export interface BrowserStart extends Pick<LoginStart, 'loginHint' | 'returnTo' | 'isFromAnotherSite'> {
  readonly ways: Ways;
  /** Id of a connection, as the request names it. */
  readonly chosenId: unknown;
  /** Where the choice is sent, with what. */
  readonly form: Parameters<typeof renderChoicePage>[0]['form'];
}

/** What the choice carries on where another site began: the click on our page is not what started it. */
export const ELSEWHERE = { began: 'elsewhere' } as const;

/** Whether another site made the browser start this, perhaps before a choice. */
export function beganElsewhere(
  parts: HttpParts,
  request: Request,
  fields: Readonly<Record<string, unknown>>,
): boolean {
  return isFromAnotherSite(request, parts.config) || fields['began'] === ELSEWHERE.began;
}

/** What is to be answered; an object, as the strategy that runs it wants. */
export type BrowserStarted = { readonly redirectUrl: string } | { readonly ways: Ways };

/** @throws GatewayError as starting a sign-in does */
export async function startInBrowser(
  parts: HttpParts,
  exchange: Exchange,
  { ways, chosenId, loginHint, returnTo, isFromAnotherSite: isForeign }: BrowserStart,
): Promise<BrowserStarted> {
  const route = takeWay(ways, chosenId);
  if (route === undefined) return { ways };
  const start = { route, loginHint, returnTo, isFromAnotherSite: isForeign };
  const { redirectUrl, transaction } = await startLogin(parts.login, start);
  rememberAttempt(parts, exchange, transaction);
  return { redirectUrl };
}

export function answerStart(
  parts: HttpParts,
  { request, response }: Exchange,
  started: BrowserStarted,
  form: BrowserStart['form'],
): void {
  if ('redirectUrl' in started) {
    // A script posts; a link is followed, by whatever program.
    if (request.method === 'POST' && wantsJson(request))
      sendJson(response, { redirect_url: started.redirectUrl });
    else seeOther(response, started.redirectUrl);
    return;
  }
  const { organization, connections } = started.ways;
  const choice = connections.map((connection) => ({ id: connection.id, label: connectionLabel(connection) }));
  if (wantsJson(request)) sendJson(response, { connections: choice });
  else {
    const page = { brand: brandOf(parts.config), organization: organization.name, connections: choice, form };
    response.type('html').send(renderChoicePage(page));
  }
}

/** Lots have two places after the point, as a share in percent has none. */
const LOTS = 10_000;

/** What a browser without an address draws in a cut-over, once: it is kept, so that the same browser goes the same way. */
export function drawLot(parts: HttpParts, { request, response }: Exchange): number {
  const kept = parts.cookies.lot(request);
  const lot = kept ?? randomInt(LOTS);
  if (kept === undefined) parts.cookies.setLot(response, lot);
  return (lot / LOTS) * 100;
}
