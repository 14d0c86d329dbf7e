/** `restored`: what has to be said after a back-up was put back. */
import type { Command } from 'commander';
import { noteRestore } from '../sessions/restore-store.ts';
import { confirm, print, withDatabase, type Terminal } from './terminal.ts';

export function restoredCommand(program: Command, terminal: Terminal): void {
  program
    .command('restored')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description(
      'say that a back-up was put back: nothing that was issued before counts, and everybody signs in again',
    )
    .action((options: { yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        await confirm(context, options, 'This ends every session, and whatever was issued until now.');
        const ended = await noteRestore(context.database, context.actor, (count) => {
          if (!context.json) terminal.stderr.write(`${count} sessions ended\n`);
        });
        print(
          context,
          { sessions_ended: ended },
          `Ended ${ended} sessions. Nothing that was issued before counts.`,
        );
      }),
    );
}
