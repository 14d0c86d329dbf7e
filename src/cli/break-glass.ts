/** `break-glass`: a link for one person of an organization whose provider is gone. */
import { InvalidArgumentError, type Command } from 'commander';
import { insertAuditEvent } from '../audit/audit-store.ts';
import { formatDuration, parseDuration } from '../duration.ts';
import { Refusal } from '../errors.ts';
import {
  BREAK_GLASS_SESSION_SECONDS,
  breakGlassPath,
  LONGEST_BREAK_GLASS_SECONDS,
  newBreakGlassTicket,
} from '../login/break-glass.ts';
import { explainLogin } from '../login/explain-login.ts';
import { requireLivesHere } from '../organizations/home-region.ts';
import { requireOrganization } from '../organizations/organization-store.ts';
import { openSecretBox } from '../secret-box.ts';
import { requireUser } from '../users/user-store.ts';
import { readAddresses } from './addresses.ts';
import { print, withDatabase, type Terminal } from './terminal.ts';

const LONGEST_REASON = 200;

interface BreakGlassOptions {
  readonly reason: string;
  readonly ttl: number;
  readonly json?: boolean;
}

export function breakGlassCommand(program: Command, terminal: Terminal): void {
  program
    .command('break-glass')
    .argument('<slug>', 'the organization')
    .argument('<email>', 'one of its users')
    .requiredOption('--reason <text>', 'why, for the audit trail')
    .option('--ttl <duration>', 'how long the link is good, at most 1h', ttl, 15 * 60)
    .option('--json', 'print JSON')
    .description("make a link that signs one user in once, while the company's provider is gone")
    .action((slug: string, text: string, options: BreakGlassOptions) =>
      withDatabase(terminal, options, async ({ database, config, actor, json }) => {
        const reason = options.reason.trim();
        if (reason === '' || reason.length > LONGEST_REASON || /\p{Cc}/u.test(reason)) {
          throw new Refusal(`--reason must be one line of 1 to ${LONGEST_REASON} characters.`);
        }
        const organization = await requireOrganization(database, slug);
        requireLivesHere(organization);
        const [email] = await readAddresses(terminal, [text], undefined);
        if (email === undefined) throw new Error('no address');
        const user = await requireUser(database, organization, { email });
        const { outcome, steps, organization: found } = await explainLogin(database, email, config.regions);
        if (found?.slug !== slug) {
          throw new Refusal(`${email} is not at a verified domain of ${slug}. See: domain list ${slug}`);
        }
        if (outcome === 'refused') {
          throw new Refusal(`The link could not sign the person in. ${steps.at(-1) ?? ''}`.trim());
        }
        const issuedAtSeconds = Math.floor(Date.now() / 1000);
        const expiresAtSeconds = issuedAtSeconds + options.ttl;
        const ticket = newBreakGlassTicket({
          organizationId: organization.id,
          organization: slug,
          email,
          issuedAtSeconds,
          expiresAtSeconds,
        });
        await database.run((db) =>
          insertAuditEvent(db, {
            action: 'break_glass.issued',
            organizationId: organization.id,
            userId: user.id,
            email,
            reason,
            actor,
          }),
        );
        const url = config.publicUrl + breakGlassPath(openSecretBox(config), ticket);
        const expiresAt = new Date(expiresAtSeconds * 1000).toISOString();
        const lines = [
          `Give this to ${email}, and to nobody else. It works once, until ${expiresAt}; the session lasts ${formatDuration(BREAK_GLASS_SESSION_SECONDS)}:`,
          `  ${url}`,
        ];
        print(
          { terminal, json },
          { organization: slug, email, url, expires_at: expiresAt },
          lines.join('\n'),
        );
      }),
    );
}

function ttl(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined || seconds < 60 || seconds > LONGEST_BREAK_GLASS_SECONDS) {
    throw new InvalidArgumentError('a duration between 1m and 1h is expected, such as 15m');
  }
  return seconds;
}
