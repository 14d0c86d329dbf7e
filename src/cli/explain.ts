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
        const { organization, ...explanation } = await explainLogin(
          context.database,
          email,
          context.config.regions,
        );
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
        const verdict = {
          signs_in: 'Signs in.',
          sent_to_region: `Is sent to the region ${explanation.region?.name ?? ''}.`,
          refused: `Is refused: ${explanation.code ?? 'unknown'}.`,
        }[explanation.outcome];
        print(context, document, [...explanation.steps.map((step) => `- ${step}`), verdict].join('\n'));
      }),
    );
}
