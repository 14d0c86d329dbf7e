/**
 * Loaded into a node before the program (`--import`, with `--expose-gc`): says how much memory is in use once what nobody
 * needs any more is gone, and what keeps the process awake.
 */
export interface Gauge {
  /** Bytes, after a collection. */
  readonly heapUsed: number;
  readonly external: number;
  /** Handles and requests by their kind (`process.getActiveResourcesInfo`). */
  readonly resources: Readonly<Record<string, number>>;
}

process.on('message', (message: { readonly gauge?: boolean }) => {
  if (message.gauge !== true) return;
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  process.send?.({ heapUsed, external, resources } satisfies Gauge);
});
