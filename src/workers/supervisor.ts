/**
 * The first process of several that serve together. It takes no requests: it accepts connections, hands them to its workers in turn,
 * starts anew what ends unasked, adds up what they count, and stops them all. It must not know what a request is, nor hold what a
 * sign-in needs, so that nothing of a request can end it.
 */
import cluster from 'node:cluster';
import type { Config } from '../config.ts';
import { openMetricsSum } from '../http/metrics.ts';
import { metricsServer } from '../http/metrics-routes.ts';
import { openLog } from '../log.ts';
import { Crew } from './crew.ts';

/** Resolves when the process is told to stop; calls back before a second signal ends it at once. */
type UntilTold = (beforeEnd: () => void) => Promise<void>;

/**
 * Serves with as many processes as the configuration says. Resolves once all have stopped.
 * @throws EndedProcess if a worker cannot start, and has said why, while no other serves
 * @throws Refusal if the port of metrics cannot be listened on
 */
export async function serveTogether(
  config: Config,
  onProgress: (message: string) => void,
  untilTold: UntilTold,
): Promise<void> {
  const { worker } = cluster;
  if (worker === undefined) {
    await supervise(config, untilTold);
    return;
  }
  // Only a worker needs the web framework.
  const { work } = await import('./worker.ts');
  await work(worker, config, onProgress);
}

async function supervise(config: Config, untilTold: UntilTold): Promise<void> {
  // The other way, a socket that all listen on, is the kernel's choice, and a proxy keeps its connections for hours: of 64 that were
  // opened one after the other, four workers got 4 to 26 each, and in turn 16 each. Handing one over costs once, not at each request.
  cluster.schedulingPolicy = cluster.SCHED_RR;
  const log = openLog(config.logLevel);
  const sum = config.metrics === 'off' ? undefined : await openMetricsSum();
  const crew = new Crew({
    size: config.workers,
    log,
    sum,
    onComplete: () => {
      log.info({ workers: config.workers, metricsPort }, 'all workers are ready');
    },
  });
  const stopped = untilTold(() => {
    crew.kill();
  });
  const metrics = sum && { contentType: sum.contentType, read: () => crew.readMetrics() };
  const own = metricsServer(config, metrics);
  const metricsPort = await own?.server.listen(own.port, config.host, 'METRICS_PORT');
  try {
    await Promise.race([stopped, crew.serve()]);
  } finally {
    await crew.stop().finally(() => own?.server.stop());
  }
}
