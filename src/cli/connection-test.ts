/** `connection test` and `connection activate`: find out what works, then let people in. */
import type { Command } from 'commander';
import { activate, settleDraft } from '../connections/activate-connection.ts';
import type { CheckStep } from '../connections/connection-check.ts';
import type { Connection, TokenConnection } from '../connections/connection.ts';
import { checkConnection, isTokenConnection } from '../connections/connection-kinds.ts';
import { requireConnection } from '../connections/connection-store.ts';
import { recordConnectionTest } from '../connections/connection-test-store.ts';
import { openConnectors } from '../connections/open-connectors.ts';
import { Refusal } from '../errors.ts';
import { TEST_LINK_TTL_SECONDS, testPath } from '../login/test-link.ts';
import { testToken, type SignInTest } from '../login/test-sign-in.ts';
import { listDomains } from '../organizations/domain-store.ts';
import { guardedFetch } from '../outbound/guarded-fetch.ts';
import { openSecretBox } from '../secret-box.ts';
import { printConnection, registrationParts } from './connection-output.ts';
import { print, readSecret, showable, withDatabase, type CommandContext, type Terminal } from './terminal.ts';

interface TestOptions {
  readonly tokenFile?: string;
  readonly externalId?: string;
  readonly json?: boolean;
}

export function testCommands(connection: Command, terminal: Terminal): void {
  connection
    .command('test')
    .argument('<id>', 'the connection')
    .option('--token-file <file>', 'id-token, opaque-token: a token to try, or - for standard input')
    .option('--external-id <id>', 'id-token, opaque-token: whom the application takes the token to speak of')
    .option('--json', 'print JSON')
    .description('say step by step what works, and print a link that tries a sign-in and signs nobody in')
    .action((id: string, options: TestOptions, command: Command) =>
      withDatabase(terminal, options, async (context) => {
        const found = await requireConnection(context.database, id);
        if (!isTokenConnection(found) && (options.tokenFile ?? options.externalId) !== undefined) {
          command.error(`error: connections of the kind ${found.kind} are tried by the link`, {
            exitCode: 2,
          });
        }
        const current = await settleDraft(registrationParts(context), found);
        await runTest(context, current, options);
      }),
    );
  connection
    .command('activate')
    .argument('<id>', 'the draft')
    .option('--force', 'though no test sign-in was passed; the audit trail says so')
    .option('--json', 'print JSON')
    .description('let people in through a draft that passed its test sign-in')
    .action((id: string, options: { force?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        const draft = await requireConnection(context.database, id);
        const active = await activate(registrationParts(context), draft, {
          isForced: options.force === true,
        });
        await printConnection(context, active, 'Give the customer:');
      }),
    );
}

async function runTest(context: CommandContext, connection: Connection, options: TestOptions): Promise<void> {
  const steps = await runChecks(context, connection);
  const failed = steps.find(({ outcome }) => outcome === 'failed');
  const { tokenFile } = options;
  const tried =
    failed === undefined && tokenFile !== undefined && isTokenConnection(connection)
      ? await tryToken(context, connection, { ...options, tokenFile })
      : undefined;
  const link = isTokenConnection(connection) ? undefined : testLink(context, connection);
  const passed = failed === undefined && tried?.passed !== false;
  print(
    context,
    {
      connection: connection.id,
      status: connection.status,
      passed,
      steps: steps.map(({ step, outcome, message, nextStep }) => ({
        step,
        outcome,
        message,
        next_step: nextStep ?? null,
      })),
      sign_in: tried ?? null,
      test_url: link?.url ?? null,
      test_url_expires_at: link?.expiresAt ?? null,
    },
    [...describeSignIn(tried), ...whatNext(connection, passed, link)].join('\n'),
  );
  if (failed !== undefined) throw new Refusal(`${failed.message} ${failed.nextStep ?? ''}`.trim());
  if (tried?.passed === false)
    throw new Refusal(`The token would be refused: ${tried.refusal?.reason ?? 'unknown'}.`);
}

/** Each step is shown as soon as it is known. */
async function runChecks(context: CommandContext, connection: Connection): Promise<readonly CheckStep[]> {
  const { config, database, actor, terminal, json } = context;
  const domains = await listDomains(database, connection.organizationId);
  const check = checkConnection(connection, {
    policy: config,
    fetch: guardedFetch(config),
    domains: domains.filter(({ verifiedAt }) => verifiedAt !== undefined).map(({ name }) => name),
    now: Date.now,
  });
  const steps: CheckStep[] = [];
  for await (const step of check) {
    steps.push(step);
    if (!json) terminal.stdout.write(`${describeStep(step)}\n`);
  }
  const failed = steps.find(({ outcome }) => outcome === 'failed');
  await recordConnectionTest(database, connection, {
    kind: 'checks',
    loginRevision: connection.loginRevision,
    code: failed === undefined ? undefined : 'identity_provider_error',
    reason: failed?.message,
    actor,
  });
  return steps;
}

const MARKS = { passed: 'ok    ', failed: 'FAILED', skipped: '-     ' } as const;

function describeStep({ step, outcome, message, nextStep }: CheckStep): string {
  const line = `${MARKS[outcome]}  ${step.padEnd(9)}  ${showable(message)}`;
  return nextStep === undefined ? line : `${line}\n        ${' '.repeat(11)}${showable(nextStep)}`;
}

async function tryToken(
  { config, database, actor, terminal }: CommandContext,
  connection: TokenConnection,
  { tokenFile, externalId }: { readonly tokenFile: string; readonly externalId?: string },
): Promise<SignInTest> {
  const token = await readSecret(terminal, tokenFile);
  const { allowPrivateNetworks, publicUrl } = config;
  const opening = { fetch: guardedFetch(config), allowPrivateNetworks, publicUrl, now: Date.now };
  const connectors = openConnectors(openSecretBox(config), opening, {
    onVerdict: () => Promise.resolve(),
  });
  return testToken({ database, connectors }, connection, { token, externalId, nonce: undefined }, actor);
}

function testLink({ config }: CommandContext, { id }: Connection) {
  const expiresAtSeconds = Math.floor(Date.now() / 1000) + TEST_LINK_TTL_SECONDS;
  const path = testPath(openSecretBox(config), { connectionId: id, expiresAtSeconds });
  return { url: `${config.publicUrl}${path}`, expiresAt: new Date(expiresAtSeconds * 1000).toISOString() };
}

function describeSignIn(test: SignInTest | undefined): readonly string[] {
  if (test === undefined) return [];
  const rows = test.claims.map(({ name, value }) => `        ${name}: ${showable(value)}`);
  const verdict = test.passed ? 'ok      sign-in  ' : 'FAILED  sign-in  ';
  const words =
    test.refusal === undefined ? `the person ${test.person ?? ''}` : `refused: ${test.refusal.reason}`;
  return [`${verdict}  ${words}`, ...rows];
}

function whatNext(
  { id, status }: Connection,
  passed: boolean,
  link: { readonly url: string } | undefined,
): readonly string[] {
  if (!passed) return [];
  const lines =
    link === undefined
      ? []
      : ['', 'Try a real sign-in; it signs nobody in. The link is good for a day:', `  ${link.url}`];
  return status === 'draft' ? [...lines, '', `Then: connection activate ${id}`] : lines;
}
