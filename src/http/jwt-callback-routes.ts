/**
 * The callback of a custom-JWT provider, which names a domain and no attempt: the attempts of this browser that it may belong to are tried,
 * and a token that nobody asked for starts a sign-in.
 */
import type { Request, Response } from 'express';
import type { Connection, ConnectionOf } from '../connections/connection.ts';
import { connectionKinds } from '../connections/connection-kinds.ts';
import type { Callback } from '../connections/connector.ts';
import { decodeCallbackToken } from '../connections/jwt-callback/callback-token.ts';
import { DECOY } from '../connections/jwt-callback/decoy.ts';
import { GatewayError } from '../errors.ts';
import type { DirectoryEntry } from '../login/directory-store.ts';
import type { LoginTransaction } from '../login/login-transaction.ts';
import type { StartedLogin } from '../login/start-login.ts';
import { restartLogin } from '../login/restart-login.ts';
import { canonicalDomain, type DomainName } from '../organizations/domain-name.ts';
import type { Organization } from '../organizations/organization.ts';
import type { Exchange } from './exchange.ts';
import { seeOther } from './app-answers.ts';
import { openAttempts, rememberAttempt } from './browser-login.ts';
import { callbackOf, completeCallback } from './complete-callback.ts';
import type { HttpParts } from './parts.ts';
import { runStrategy } from './passport-login.ts';
import { isFromAnotherSite } from './request-facts.ts';

/** `GET /v3/api/user/sso/{domain}/authenticate?token=` */
export function completeJwtCallback(parts: HttpParts) {
  const finish = finishJwtCallback(parts);
  return (request: Request, response: Response): Promise<void> => {
    const text = String(request.params['domain']);
    const domain = text.length > LONGEST_DOMAIN ? undefined : canonicalDomain(text);
    // Known or not: the count must not say either whether it is.
    const name = domain ?? 'no domain';
    return parts.limits.countCallback(request, { name, isCostly: false }, () =>
      finish({ request, response }, domain),
    );
  };
}

function finishJwtCallback(parts: HttpParts) {
  return async ({ request, response }: Exchange, domain: DomainName | undefined): Promise<void> => {
    const path = connectionKinds['jwt-callback'].callbackPath({ id: '' }, domain ?? NOBODY.domain);
    const callback = callbackOf(parts, request, path);
    // Before anything is known of the domain, so that the answer says nothing of it either.
    decodeCallbackToken(tokenOf(callback));
    requireDomainLike(String(request.params['domain']));
    const entry = domain === undefined ? undefined : await parts.login.directory.byDomain(domain);
    if (domain === undefined || entry === undefined || entry.organization.region !== undefined) {
      return await refuseUnknown(parts, request, callback);
    }
    const attempts = callbackAttempts(parts, request, entry);
    if (attempts.length > 0) {
      await completeNewestUnspent(parts, { request, response }, { attempts, callback });
      return;
    }
    const connections = callbackConnections(entry);
    if (connections.length === 0) return await refuseUnknown(parts, request, callback);
    const whose = { organization: entry.organization, connections, domain };
    const started = await restart(parts, request, { ...whose, callback });
    rememberAttempt(parts, { request, response }, started.transaction);
    seeOther(response, started.redirectUrl);
  };
}

/** Those that a token nobody asked for may be of, the active ones first. A draft is none of them yet. */
function callbackConnections({ connections }: DirectoryEntry): readonly ConnectionOf<'jwt-callback'>[] {
  const known = connections
    .filter(({ kind }) => kind === 'jwt-callback')
    .filter(({ status }) => status !== 'draft');
  const isActive = ({ status }: Connection) => status === 'active';
  return [
    ...known.filter(isActive),
    ...known.filter((one) => !isActive(one)),
  ] as ConnectionOf<'jwt-callback'>[];
}

const MAY_BE_ANOTHERS: ReadonlySet<string> = new Set(['token_invalid', 'login_expired']);

/** What is no good for one connection, or spent there, may be another one's. */
async function firstThatTakes<One, Result>(
  all: readonly One[],
  take: (one: One) => Promise<Result>,
): Promise<Result> {
  let first: unknown;
  for (const one of all) {
    try {
      return await take(one);
    } catch (error) {
      first ??= error;
      if (!(error instanceof GatewayError) || !MAY_BE_ANOTHERS.has(error.code)) throw error;
    }
  }
  throw first;
}

/** Newest first. Attempts through a connection of another kind are none of this callback's. */
function callbackAttempts(
  parts: HttpParts,
  request: Request,
  { organization, connections }: DirectoryEntry,
): readonly LoginTransaction[] {
  const others = connections.filter(({ kind }) => kind !== 'jwt-callback').map(({ id }) => id);
  return openAttempts(parts, request).filter(
    (attempt) => attempt.organizationId === organization.id && !others.includes(attempt.connectionId),
  );
}

/**
 * With several tabs the newest unspent start counts; that one was spent is found by trying, which spends nothing else. Where the
 * organization moves from one such connection to another, the newest of each is tried.
 */
async function completeNewestUnspent(
  parts: HttpParts,
  exchange: Exchange,
  { attempts, callback }: { readonly attempts: readonly LoginTransaction[]; readonly callback: Callback },
): Promise<void> {
  const connectionIds = [...new Set(attempts.map(({ connectionId }) => connectionId))];
  await firstThatTakes(connectionIds, async (connectionId) => {
    const own = attempts.filter((attempt) => attempt.connectionId === connectionId);
    for (const [index, transaction] of own.entries()) {
      try {
        const mayBeOthers = connectionIds.length > 1;
        await completeCallback(parts, exchange, { transaction, callback, isProved: false, mayBeOthers });
        return;
      } catch (error) {
        const isSpent = error instanceof GatewayError && error.code === 'login_expired';
        if (!isSpent || index === own.length - 1) throw error;
      }
    }
  });
}

/** A token that nobody asked for starts a sign-in at the provider that it is from. */
function restart(
  parts: HttpParts,
  request: Request,
  whose: {
    readonly organization: Organization;
    readonly connections: readonly ConnectionOf<'jwt-callback'>[];
    readonly domain: DomainName;
    readonly callback: Callback;
  },
): Promise<StartedLogin> {
  const { organization, connections, domain, callback } = whose;
  return runStrategy(() =>
    firstThatTakes(connections, (connection) =>
      restartLogin(parts.login, {
        organization,
        connection,
        domain,
        callback,
        isFromAnotherSite: isFromAnotherSite(request, parts.config),
        countRestart: (id, email) => parts.limits.countRestart(id, email),
      }),
    ),
  );
}

const NOBODY = {
  organization: {
    id: DECOY.organizationId,
    slug: 'nobody',
    name: 'nobody',
    provisioning: 'manual',
    returnUrl: undefined,
    region: undefined,
    enabled: true,
    createdAt: DECOY.createdAt,
  },
  connections: [DECOY],
  domain: 'nobody.invalid' as DomainName,
} as const;

/** Goes the way of a known domain to its end, so that it takes as long, and ends the same. */
async function refuseUnknown(parts: HttpParts, request: Request, callback: Callback): Promise<never> {
  try {
    await restart(parts, request, { ...NOBODY, callback });
  } catch (error) {
    if (error instanceof GatewayError && error.code !== 'token_invalid') throw error;
  }
  throw new GatewayError('unknown_domain', { reason: 'nobody has a custom JWT connection for it' });
}

const MOST_PARAMETERS = 100;

/** @throws GatewayError `malformed_request` unless there is exactly one parameter that is, or looks like, the token */
function tokenOf({ url: { searchParams: parameters } }: Callback): string {
  // All of them are there: Express reads no more than the first thousand.
  if (parameters.size > MOST_PARAMETERS) {
    throw new GatewayError('malformed_request', { reason: 'too many parameters' });
  }
  const names = [...parameters.keys()].filter((name) => /^token\b/i.test(name));
  const token = parameters.get('token') ?? '';
  if (names.length !== 1 || token === '') {
    throw new GatewayError('malformed_request', { reason: 'there must be one token' });
  }
  return token;
}

const LONGEST_DOMAIN = 255;
/** Characters that no spelling of a domain has, and that some other part of a system might act upon. */
const DANGEROUS = /[\p{Cc}/\\@]/u;

/** @throws GatewayError `malformed_request` for what was never meant as a domain */
function requireDomainLike(text: string): void {
  if (text.length > LONGEST_DOMAIN || DANGEROUS.test(text)) {
    throw new GatewayError('malformed_request', { reason: 'the path holds no domain' });
  }
}
