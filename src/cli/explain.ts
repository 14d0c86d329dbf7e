/** `explain`: which way an address would go, and why. */
import type { Command } from 'commander';
import { explainLogin } from '../login/explain-login.ts';
import { print, withDatabase, type Terminal } from './terminal.ts';

export function explainCommand(program: Command, terminal: Terminal): void {
  program
    .command('explain')
    .argument('<email>')
    .option('--json', 'print JSON')
    .description('say which way an address would go and why, without signing in')
    .action((email: string, options: { json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const { organization, ...explanation } = await explainLogin(context.database, email);
        const document =
          organization === undefined
            ? explanation
            : {
                ...explanation,
                organization: {
                  slug: organization.slug,
                  name: organization.name,
                  enabled: organization.enabled,
                },
              };
        const verdict =
          explanation.outcome === 'signs_in' ? 'Signs in.' : `Is refused: ${explanation.code ?? 'unknown'}.`;
        print(context, document, [...explanation.steps.map((step) => `- ${step}`), verdict].join('\n'));
      }),
    );
}
