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
