/**
 * How often one address block may try, and how often unknown addresses may be asked for at all. Limits count attempts,
 * never organizations, so nobody can lock an organization out; they are generous enough for a whole company behind one
 * address at nine o'clock.
 */
import type { Request } from 'express';
import { LRUCache } from 'lru-cache';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { newReference } from '../audit/audit-event.ts';
import { GatewayError } from '../errors.ts';
import { addressBlock } from './request-facts.ts';
import { userCodeTries } from './user-code-tries.ts';

const ATTEMPTS_PER_MINUTE = 2_000;
const UNKNOWN_PER_MINUTE = 3_000;
const REFUSED_CLIENTS_PER_MINUTE = 100;
/** Anybody can start one, and each is written down. */
const DEVICE_STARTS_PER_MINUTE = 300;
/** A browser that keeps no cookies would be sent to and fro between its provider and us; browsers give up after 20. */
const RESTARTS_PER_TEN_SECONDS = 8;

export interface RateLimits {
  /** @throws GatewayError `rate_limited` */
  countAttempt(request: Request): Promise<void>;
  /** Counts an address that nobody knows, over all who ask. @throws GatewayError `rate_limited` */
  countUnknown(): Promise<void>;
  /** @throws GatewayError `rate_limited` where too many applications failed to prove who they are */
  requireClientTries(request: Request): Promise<void>;
  /** Counts an application that did not prove who it is. */
  countRefusedClient(request: Request): Promise<void>;
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
}

export function rateLimits(enabled: boolean): RateLimits {
  const attempts = new RateLimiterMemory({ points: ATTEMPTS_PER_MINUTE, duration: 60 });
  const unknown = new RateLimiterMemory({ points: UNKNOWN_PER_MINUTE, duration: 60 });
  const refusedClients = new RateLimiterMemory({ points: REFUSED_CLIENTS_PER_MINUTE, duration: 60 });
  const deviceStarts = new RateLimiterMemory({ points: DEVICE_STARTS_PER_MINUTE, duration: 60 });
  const restarts = new RateLimiterMemory({ points: RESTARTS_PER_TEN_SECONDS, duration: 10 });
  const events = new LRUCache<string, string>({ max: 10_000, ttl: 60_000 });
  /** All refusals of a key within a minute are one audit event, under one reference. */
  const limited = (key: string, retryAfterSeconds: number) => {
    const known = events.get(key);
    const reference = known ?? newReference();
    events.set(key, reference, { noUpdateTTL: true });
    return new GatewayError('rate_limited', {
      reason: `more than the limit from ${key}`,
      retryAfterSeconds,
      reference,
      isRecorded: known !== undefined,
    });
  };
  const userCodes = userCodeTries(limited);
  return {
    async countAttempt(request) {
      const block = addressBlock(request.ip);
      if (enabled) await count(attempts, block, (wait) => limited(block, wait));
    },
    async countUnknown() {
      if (enabled) await count(unknown, 'all', (wait) => limited('all together', wait));
    },
    async requireClientTries(request) {
      const block = addressBlock(request.ip);
      const tries = enabled ? await refusedClients.get(block) : null;
      if (tries !== null && tries.consumedPoints >= REFUSED_CLIENTS_PER_MINUTE) {
        throw limited(`clients of ${block}`, secondsUntil(tries)).with({ answersOAuth: true });
      }
    },
    async countRefusedClient(request) {
      if (enabled) await refusedClients.penalty(addressBlock(request.ip));
    },
    async countDeviceStart(request) {
      if (!enabled) return;
      const block = addressBlock(request.ip);
      await count(deviceStarts, block, (wait) =>
        limited(`devices of ${block}`, wait).with({ answersOAuth: true }),
      );
    },
    async tryUserCode(request, userId, look) {
      return enabled
        ? userCodes.count({ addressBlock: addressBlock(request.ip), userId }, look)
        : look(undefined);
    },
    async countRestart(connectionId, email) {
      const refusal = () => new GatewayError('login_expired', { reason: 'the browser keeps no cookies' });
      await count(restarts, JSON.stringify([connectionId, email]), refusal);
    },
  };
}

async function count(
  limiter: RateLimiterMemory,
  key: string,
  failure: (waitSeconds: number) => GatewayError,
): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (error) {
    if (!(error instanceof RateLimiterRes)) throw error;
    throw failure(secondsUntil(error));
  }
}

const secondsUntil = ({ msBeforeNext }: RateLimiterRes) => Math.max(1, Math.ceil(msBeforeNext / 1000));
