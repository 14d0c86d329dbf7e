/** The link that tries a connection: a real sign-in whose end is a page that says what came, and no session. */
import type { Request, Response } from 'express';
import type { Connection } from '../connections/connection.ts';
import { isRedirectConnection } from '../connections/connection-kinds.ts';
import { GatewayError } from '../errors.ts';
import type { Arrival } from '../login/complete-login.ts';
import type { DirectoryEntry } from '../login/directory-store.ts';
import { openTestTicket } from '../login/test-link.ts';
import { testSignIn, testThatDidNotStart, type SignInTest } from '../login/test-sign-in.ts';
import { admissionFailure } from '../login/open-session.ts';
import { startLogin } from '../login/start-login.ts';
import type { DomainName } from '../organizations/domain-name.ts';
import type { Exchange } from './exchange.ts';
import { seeOther } from './app-answers.ts';
import { rememberAttempt } from './browser-login.ts';
import { brandOf } from './failures.ts';
import { renderConnectionTestPage } from './pages/connection-test-page.ts';
import type { HttpParts } from './parts.ts';
import { runStrategy } from './passport-login.ts';
import { wantsJson } from './request-facts.ts';

/** `GET /sso/test/{ticket}` */
export function startConnectionTest(parts: HttpParts) {
  return async (request: Request, response: Response): Promise<void> => {
    const { entry, connection } = await ticketConnection(parts, String(request.params['ticket']));
    try {
      const { redirectUrl, transaction } = await runStrategy(() =>
        startLogin(parts.login, {
          route: {
            organization: entry.organization,
            connection,
            domain: requireDomain(entry, connection),
            email: undefined,
          },
          loginHint: undefined,
          returnTo: undefined,
          isFromAnotherSite: false,
          isTest: true,
        }),
      );
      rememberAttempt(parts, { request, response }, transaction);
      seeOther(response, redirectUrl);
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code === 'temporarily_unavailable') throw error;
      show(parts, { request, response }, entry, testThatDidNotStart(error));
    }
  };
}

async function ticketConnection(parts: HttpParts, sealed: string) {
  const ticket = openTestTicket(parts.login.secrets, sealed);
  if (ticket === undefined) throw new GatewayError('malformed_request', { reason: 'the test link is none' });
  if (ticket.expiresAtSeconds <= parts.login.now() / 1000) {
    throw new GatewayError('login_expired', { reason: 'the test link is older than a day' });
  }
  const entry = await parts.login.directory.byConnection(ticket.connectionId);
  const connection = entry?.connections.find(({ id }) => id === ticket.connectionId);
  if (entry === undefined || connection === undefined || !isRedirectConnection(connection)) {
    throw new GatewayError('connection_disabled', { reason: 'the connection of the test link was removed' });
  }
  if (entry.organization.region !== undefined) {
    throw admissionFailure('organization_elsewhere');
  }
  return { entry, connection };
}

/** Only a callback that is named by a domain needs one. */
function requireDomain({ domains }: DirectoryEntry, { kind }: Connection): DomainName {
  const [domain] = domains;
  if (domain !== undefined || kind === 'oidc') return domain ?? ('' as DomainName);
  throw new GatewayError('unknown_domain', {
    reason:
      'the organization has no verified domain yet, and the callback URL is named by one: domain verify',
  });
}

/** The end of an attempt that was a test. */
export async function finishConnectionTest(
  parts: HttpParts,
  exchange: Exchange,
  { arrival, mayBeOthers }: { readonly arrival: Arrival; readonly mayBeOthers: boolean },
): Promise<void> {
  const { response } = exchange;
  const { transaction } = arrival;
  const test = await runStrategy(() => testSignIn(parts.login, arrival, mayBeOthers));
  if (test.isOver) parts.cookies.clearAttempt(response, transaction.id);
  show(parts, exchange, await parts.login.directory.byConnection(transaction.connectionId), test);
}

function show(
  parts: HttpParts,
  { request, response }: Exchange,
  entry: DirectoryEntry | undefined,
  test: SignInTest,
): void {
  const organization = entry?.organization.name ?? '';
  if (wantsJson(request)) response.json(test);
  else
    response
      .type('html')
      .send(renderConnectionTestPage({ brand: brandOf(parts.config), organization, test }));
}
