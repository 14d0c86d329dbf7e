/**
 * How often somebody may try, as the routes ask for it. Limits count what one place does, or what fails there; nothing that somebody
 * does elsewhere keeps a person, an organization or an application out. They are generous enough for a whole company behind one
 * address at nine o'clock. How they are counted over all nodes is in limits/.
 */
import type { Request } from 'express';
import { LRUCache } from 'lru-cache';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { newReference } from '../audit/audit-event.ts';
import { GatewayError, type FailureCode, type FailureContext } from '../errors.ts';
import {
  ALL_UNKNOWN_ADDRESSES,
  ATTEMPTS,
  CALLBACK_FAILURES,
  CALLBACK_FAILURES_OF_BLOCK,
  DEVICE_STARTS,
  REFUSED_CLIENT,
  TYPED_ADDRESS,
  UNKNOWN_ADDRESSES,
  type PlaceLimit,
} from '../limits/limits.ts';
import {
  sharedLimits,
  type LimitCounter,
  type SharedLimits,
  type SharedLimitsParts,
} from '../limits/shared-limits.ts';
import { userCodeTries } from '../limits/user-code-tries.ts';
import { growTo } from '../grow-to.ts';
import { addressBlock, addressSite } from './request-facts.ts';

/** A browser that keeps no cookies would be sent to and fro between its provider and us; browsers give up after 20. */
const RESTARTS_PER_TEN_SECONDS = 8;

export interface RateLimits {
  /** @throws GatewayError `rate_limited` */
  countAttempt(request: Request): Promise<void>;
  /**
   * Runs the start of a sign-in by an address that was typed. Unknown addresses count, of the place and of all who ask; known ones by
   * themselves.
   * @throws GatewayError `rate_limited`
   */
  countTyped<Ways extends { readonly email: string | undefined }>(
    request: Request,
    route: () => Promise<Ways>,
  ): Promise<Ways>;
  /**
   * Runs what comes back to a callback, and counts that it fails.
   * @param callback.name of the address that it came to, whether or not that is anybody's
   * @param callback.isCostly whether it costs the company's provider a call: then it is refused before that, otherwise a good one is let in
   * @throws GatewayError `rate_limited` where both the callback and this block failed too often
   */
  countCallback(
    request: Request,
    callback: { readonly name: string; readonly isCostly: boolean },
    work: () => Promise<void>,
  ): Promise<void>;
  /**
   * @param clientId undefined: of all that there are not
   * @throws GatewayError `rate_limited` where an application failed too often, from this block, to prove who it is
   */
  requireClientTries(request: Request, clientId: string | undefined): Promise<void>;
  /** Counts an application that did not prove who it is. */
  countRefusedClient(request: Request, clientId: string | undefined): Promise<void>;
  /** Counts a program that asks for a device code. @throws GatewayError `rate_limited` */
  countDeviceStart(request: Request): Promise<void>;
  /**
   * Looks for a user code, and counts one that is not found.
   * @param userId of who is signed in: they are counted by themselves, and not held up by others
   * @param look is handed the refusal where there were too many: then only a code that is this browser's already may be found
   */
  tryUserCode<Found>(
    request: Request,
    userId: string | undefined,
    look: (refusal: GatewayError | undefined) => Promise<Found | undefined>,
  ): Promise<Found | undefined>;
  /** Counts a sign-in that an unasked token restarted. @throws GatewayError `login_expired` */
  countRestart(connectionId: string, email: string): Promise<void>;
  close(): Promise<void>;
}

export function rateLimits(enabled: boolean, parts: SharedLimitsParts): RateLimits {
  const countRestart = restartCounter();
  return enabled ? { ...enabledLimits(sharedLimits(parts)), countRestart } : { ...noLimits, countRestart };
}

const noLimits: Omit<RateLimits, 'countRestart'> = {
  countAttempt: () => Promise.resolve(),
  countTyped: (_request, route) => route(),
  countCallback: (_request, _callback, work) => work(),
  requireClientTries: () => Promise.resolve(),
  countRefusedClient: () => Promise.resolve(),
  countDeviceStart: () => Promise.resolve(),
  tryUserCode: (_request, _userId, look) => look(undefined),
  close: () => Promise.resolve(),
};

function enabledLimits(shared: SharedLimits): Omit<RateLimits, 'countRestart'> {
  const limited = refusals();
  const attempts = placeCounter(shared, ATTEMPTS, limited);
  const deviceStarts = placeCounter(shared, DEVICE_STARTS, limited);
  const refusedClients = shared.counter(REFUSED_CLIENT);
  const userCodes = userCodeTries(shared, limited);
  const clientKey = (request: Request, clientId: string | undefined) =>
    JSON.stringify([addressBlock(request.ip), clientId ?? null]);
  return {
    countAttempt: (request) => attempts.count(request),
    countTyped: typedCounter(shared, limited),
    countCallback: callbackCounter(shared, limited),
    async requireClientTries(request, clientId) {
      const key = clientKey(request, clientId);
      const wait = await refusedClients.wait(key);
      if (wait !== undefined) throw limited(`a client of ${addressBlock(request.ip)}`, wait, { clientId });
    },
    async countRefusedClient(request, clientId) {
      await refusedClients.count(clientKey(request, clientId));
    },
    async countDeviceStart(request) {
      try {
        await deviceStarts.count(request);
      } catch (error) {
        throw error instanceof GatewayError ? error.with({ answersOAuth: true }) : error;
      }
    },
    tryUserCode: (request, userId, look) =>
      userCodes.count(
        { addressBlock: addressBlock(request.ip), addressSite: addressSite(request.ip), userId },
        look,
      ),
    close: () => shared.close(),
  };
}

/** @param what who or what has reached a limit, for the operator */
type Limited = (what: string, retryAfterSeconds: number, context?: Whom) => GatewayError;

interface Whom {
  readonly clientId?: string | undefined;
  readonly email?: string | undefined;
}

/** All refusals of a kind within a minute are one audit event, under one reference. */
function refusals(): Limited {
  const events = new LRUCache<string, string>({ ...growTo(10_000), ttl: 60_000 });
  return (what, retryAfterSeconds, { clientId, email } = {}) => {
    const key = JSON.stringify([what, clientId, email]);
    const known = events.get(key);
    const reference = known ?? newReference();
    events.set(key, reference, { noUpdateTTL: true });
    return new GatewayError('rate_limited', {
      reason: `more than the limit from ${what}`,
      retryAfterSeconds,
      reference,
      isRecorded: known !== undefined,
      ...(clientId !== undefined && { clientId }),
      ...(email !== undefined && { email }),
    });
  };
}

/** Counts by the block that a request comes from, and by the site around it. */
function placeCounter(shared: SharedLimits, limit: PlaceLimit, limited: Limited) {
  const ofBlock = shared.counter(limit.block);
  const ofSite = shared.counter(limit.site);
  const { name } = limit.block;
  const asking =
    (question: keyof LimitCounter) =>
    async ({ ip }: Request): Promise<void> => {
      const site = addressSite(ip);
      const places = [
        { counter: ofBlock, place: addressBlock(ip) },
        ...(site === undefined ? [] : [{ counter: ofSite, place: site }]),
      ];
      const waits = await Promise.all(
        places.map(async ({ counter, place }) => ({ place, wait: await counter[question](place) })),
      );
      for (const { place, wait } of waits) {
        if (wait !== undefined) throw limited(`${place} (${name})`, wait);
      }
    };
  // Both: @throws GatewayError `rate_limited`
  return { count: asking('count'), require: asking('wait') };
}

function typedCounter(shared: SharedLimits, limited: Limited): RateLimits['countTyped'] {
  const unknown = placeCounter(shared, UNKNOWN_ADDRESSES, limited);
  const allUnknown = shared.counter(ALL_UNKNOWN_ADDRESSES);
  const typed = shared.counter(TYPED_ADDRESS);
  return async (request, route) => {
    await unknown.require(request);
    try {
      const ways = await route();
      const block = addressBlock(request.ip);
      const wait = await typed.count(JSON.stringify([ways.email, block]));
      if (wait !== undefined) throw limited(`${block} (one address)`, wait, { email: ways.email });
      return ways;
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code !== 'unknown_domain') throw error;
      const [wait] = await Promise.all([allUnknown.count('all'), unknown.count(request)]);
      if (wait !== undefined) throw limited('all together', wait);
      throw error;
    }
  };
}

/** What an outsider can cause at a callback; who gets further was vouched for by the company's provider. */
const OUTSIDERS: ReadonlySet<FailureCode> = new Set([
  'malformed_request',
  'login_expired',
  'token_expired',
  'token_replayed',
  'token_invalid',
  'unknown_domain',
]);

const isOutsiders = (code: FailureCode, { isCodeRefused }: FailureContext) =>
  OUTSIDERS.has(code) || isCodeRefused === true;

function callbackCounter(shared: SharedLimits, limited: Limited): RateLimits['countCallback'] {
  const ofAll = shared.counter(CALLBACK_FAILURES);
  const ofBlock = shared.counter(CALLBACK_FAILURES_OF_BLOCK);
  return async (request, { name, isCostly }, work) => {
    const block = addressBlock(request.ip);
    const key = JSON.stringify([name, block]);
    const refusal = async () => {
      const [allWait, wait] = await Promise.all([ofAll.wait(name), ofBlock.wait(key)]);
      if (allWait === undefined || wait === undefined) return undefined;
      return limited(`${block} (failures at a callback)`, Math.min(allWait, wait));
    };
    const before = isCostly ? await refusal() : undefined;
    if (before !== undefined) throw before;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof GatewayError) || !isOutsiders(error.code, error.context)) throw error;
      // Asked before it is counted: an attempt that is spent is answered as what it was.
      const instead = error.context.spentTransaction === undefined ? await refusal() : undefined;
      await Promise.all([ofAll.count(name), ofBlock.count(key)]);
      throw instead ?? error;
    }
  };
}

/** Of one process: this stops a loop, and nobody's attack. One that goes through several processes may be ended by the browser first. */
function restartCounter(): RateLimits['countRestart'] {
  const restarts = new RateLimiterMemory({ points: RESTARTS_PER_TEN_SECONDS, duration: 10 });
  return async (connectionId, email) => {
    try {
      await restarts.consume(JSON.stringify([connectionId, email]));
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      throw new GatewayError('login_expired', { reason: 'the browser keeps no cookies' });
    }
  };
}
