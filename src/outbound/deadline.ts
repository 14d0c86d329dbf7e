/**
 * One deadline over several outbound calls: a sign-in that needs keys, a token and a user's claims answers in time even
 * if each of them is slow.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { GatewayError } from '../errors.ts';

/** Longest that one call, or all calls of one request, may take: somebody waits for it. */
export const OUTBOUND_DEADLINE_MS = 4_800;

const deadlines = new AsyncLocalStorage<AbortSignal>();

/** The deadline that the current work is under, if any. */
export function currentDeadline(): AbortSignal | undefined {
  return deadlines.getStore();
}

/** @throws GatewayError `identity_provider_timeout` as soon as the deadline passes, whatever `work` is doing */
export async function withinDeadline<Result>(work: () => Promise<Result>): Promise<Result> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      controller.abort();
      reject(new GatewayError('identity_provider_timeout', { reason: 'no answer in time' }));
    }, OUTBOUND_DEADLINE_MS);
  });
  try {
    return await Promise.race([deadlines.run(controller.signal, work), passed]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs work that several requests wait for, so that it does not end with the one that began it. */
export function withoutDeadline<Result>(work: () => Promise<Result>): Promise<Result> {
  return deadlines.exit(work);
}

/**
 * A deadline of one call that ends with any of the others. Made by hand: what AbortSignal.any makes of AbortSignal.timeout
 * can be collected as garbage while a call waits for it, and the call then waits for ever (Node 20).
 */
export function joinedDeadline(
  limitMs: number,
  others: readonly (AbortSignal | null | undefined)[],
): {
  readonly signal: AbortSignal;
  readonly release: () => void;
} {
  const controller = new AbortController();
  const abort = () => {
    controller.abort();
  };
  const timer = setTimeout(abort, limitMs);
  for (const other of others) {
    if (other?.aborted === true) abort();
    other?.addEventListener('abort', abort);
  }
  const release = () => {
    clearTimeout(timer);
    for (const other of others) other?.removeEventListener('abort', abort);
  };
  return { signal: controller.signal, release };
}
