/**
 * One of several processes that serve together: a gateway like any other, on connections that the supervisor hands it. It must not
 * outlive its supervisor, which alone could tell it to stop.
 */
import type { Worker } from 'node:cluster';
import type { Config } from '../config.ts';
import { startGateway } from '../gateway.ts';
import { openLog } from '../log.ts';
import type { SupervisorMessage, WorkerMessage } from './messages.ts';

export async function work(
  worker: Worker,
  config: Config,
  onProgress: (message: string) => void,
): Promise<void> {
  // Node would otherwise end this process when the channel closes, and what is under way with it.
  worker.exitedAfterDisconnect = true;
  const stopped = untilLetGo();
  const ofAll = metricsOfAll();
  const log = openLog(config.logLevel).child({ worker: worker.id });
  const gateway = await startGateway(config, { log, onProgress, readMetrics: ofAll.read });
  process.on('message', (message: SupervisorMessage) => {
    switch (message.say) {
      case 'ping':
        tell({ say: 'pong' });
        return;
      case 'count':
        void gateway.metrics?.snapshot().then((metrics) => {
          tell({ say: 'counted', metrics });
        });
        return;
      case 'metrics':
        ofAll.settle(message.text);
    }
  });
  process.once('disconnect', () => {
    ofAll.settle(undefined);
  });
  tell({ say: 'ready' });
  await stopped;
  await gateway.close();
}

/** Resolves at a signal, or when the supervisor is gone. More signals change nothing: at Ctrl-C the terminal sends one and the supervisor another. */
function untilLetGo(): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['SIGTERM', 'SIGINT', 'disconnect'] as const) {
      process.on(event, () => {
        resolve();
      });
    }
  });
}

function tell(message: WorkerMessage): void {
  // That nobody hears it any more is said by 'disconnect'.
  process.send?.(message, undefined, undefined, () => undefined);
}

/** Many who ask at once are one question. */
function metricsOfAll() {
  const waiting = new Set<(text: string | undefined) => void>();
  return {
    read: () =>
      new Promise<string>((resolve, reject) => {
        waiting.add((text) => {
          if (text === undefined) reject(new Error('the supervisor could not add up'));
          else resolve(text);
        });
        if (waiting.size === 1) tell({ say: 'metrics' });
      }),
    settle(text: string | undefined): void {
      for (const answer of waiting) answer(text);
      waiting.clear();
    },
  };
}
