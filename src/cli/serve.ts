/** `serve` and `migrate`. */
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { migrate } from '../database/migrator.ts';
import { print, withDatabase, type Terminal } from './terminal.ts';

export function serverCommands(program: Command, terminal: Terminal): void {
  program
    .command('serve')
    .description('run the server until it is told to stop (SIGTERM, Ctrl-C)')
    .option('--json', 'accepted for uniformity: the log is JSON lines already')
    .action(async () => {
      const config = readConfig(terminal.env);
      keepMemoryYoung();
      const onProgress = (message: string) => terminal.stderr.write(`${message}\n`);
      if (config.workers > 1) {
        const { serveTogether } = await import('../workers/supervisor.ts');
        await serveTogether(config, onProgress, untilTold);
        return;
      }
      // Only the server needs the web framework; other commands start faster without it.
      const { startGateway } = await import('../gateway.ts');
      const stopped = untilTold();
      const gateway = await startGateway(config, { onProgress });
      await stopped;
      await gateway.close();
    });
  program
    .command('migrate')
    .description('bring the database to the schema of this release')
    .option('--json', 'print the names of the applied migrations as JSON')
    .action((options: { json?: boolean }) =>
      withDatabase(terminal, { ...options, mayMigrate: true }, async (context) => {
        const onProgress = (message: string) => terminal.stderr.write(`${message}\n`);
        const applied = await migrate(context.database, context.json ? {} : { onProgress });
        const lines =
          applied.length === 0
            ? 'The database has the schema of this release already.'
            : `Applied ${applied.length}: ${applied.join(', ')}`;
        print(context, { applied }, lines);
      }),
    );
}

/**
 * Objects of requests that are under way live on whenever V8 tidies up, from which it concludes that their like lives long, and makes it
 * among the old ones. There each holds all of its request until the next great tidying.
 */
function keepMemoryYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}

const ECHO_MS = 500;

/**
 * Resolves at the first SIGTERM or SIGINT; a second one ends the process at once, as people expect, unless it is the
 * first one's echo: npm passes Ctrl-C on to a program that has had it from the terminal. The listener stays: a library
 * ends the process at a signal that nobody else listens to any more (signal-exit, by way of proper-lockfile).
 * @param beforeEnd called when a second one is about to end the process
 */
export function untilTold(beforeEnd: () => void = () => undefined): Promise<void> {
  return new Promise((resolve) => {
    let toldAt: number | undefined;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        toldAt ??= performance.now();
        if (performance.now() - toldAt > ECHO_MS) {
          beforeEnd();
          process.removeAllListeners(signal);
          process.kill(process.pid, signal);
        }
        resolve();
      });
    }
  });
}
