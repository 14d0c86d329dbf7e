/** How long anybody waits for somebody else's server: for one call, and for all that a request needs of several. */
import { GatewayError } from '../errors.ts';

/** Longest that one call, or all calls of one request, may take: somebody waits for it. */
export const OUTBOUND_DEADLINE_MS = 4_800;

/**
 * A sign-in that needs keys, a token and a user's claims answers in time even if each of them is slow. What is under way then ends
 * by limits of its own.
 * @throws GatewayError `identity_provider_timeout` as soon as the deadline passes, whatever `work` is doing
 */
export async function withinDeadline<Result>(work: () => Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new GatewayError('identity_provider_timeout', { reason: 'no answer in time' }));
    }, OUTBOUND_DEADLINE_MS);
  });
  try {
    return await Promise.race([work(), passed]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The limit of one call, which ends with another one's where there is one. Made by hand: what AbortSignal.any makes of
 * AbortSignal.timeout can be collected as garbage while a call waits for it, and the call then waits for ever (Node 20).
 */
export function callLimit(
  limitMs: number,
  other?: AbortSignal | null,
): {
  readonly signal: AbortSignal;
  readonly release: () => void;
} {
  const controller = new AbortController();
  const abort = () => {
    controller.abort();
  };
  const timer = setTimeout(abort, limitMs);
  if (other?.aborted === true) abort();
  other?.addEventListener('abort', abort);
  const release = () => {
    clearTimeout(timer);
    other?.removeEventListener('abort', abort);
  };
  return { signal: controller.signal, release };
}
