/** What supervisor and workers say to each other, over the channel between their processes. To stop is said by SIGTERM. */
import type { MetricsSnapshot } from '../http/metrics.ts';

export type WorkerMessage =
  /** It answers requests from now on. */
  | { readonly say: 'ready' }
  /** The answer to `ping`. */
  | { readonly say: 'pong' }
  /** The answer to `count`. */
  | { readonly say: 'counted'; readonly metrics: MetricsSnapshot }
  /** Somebody reads the metrics of all at this worker. */
  | { readonly say: 'metrics' };

export type SupervisorMessage =
  | { readonly say: 'ping' }
  | { readonly say: 'count' }
  | { readonly say: 'metrics'; readonly text: string | undefined };
