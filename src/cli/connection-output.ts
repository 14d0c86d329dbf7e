/** A connection as commands print it: the document, or for people a line a member, those that the customer needs last. */
import type { Connection } from '../connections/connection.ts';
import type { RegistrationParts } from '../connections/register-connection.ts';
import { openSecretBox } from '../secret-box.ts';
import { showSecrets, type SecretDocument } from './client-secret-output.ts';
import {
  connectionDocument,
  type ConnectionDocument,
  type HealthDocument,
  type TestDocument,
  type TestsDocument,
} from './connection-document.ts';
import { print, table, type CommandContext } from './terminal.ts';

function describeConnection(document: ConnectionDocument, heading?: string): string {
  const needed = [
    'redirect_uri',
    'post_logout_redirect_uri',
    'backchannel_logout_uri',
    'callback_url',
    'entry_url',
    'token_endpoint',
    'subject_token_type',
  ].filter((name) => name in document);
  const rest = Object.keys(document).filter(
    (name) => !needed.includes(name) && !['id', 'callback_urls', 'routes'].includes(name),
  );
  const rows = [...rest, ...needed].map((name) => [
    name.replaceAll('_', ' '),
    showMember(name, document[name]),
  ]);
  const lines = table(['CONNECTION', String(document['id'])], rows, '');
  return heading === undefined
    ? lines
    : `${lines}\n\n${heading}\n${needed.map((name) => `  ${name.replaceAll('_', ' ')}: ${showMember(name, document[name])}`).join('\n')}`;
}

function showMember(name: string, value: unknown): string {
  if (name === 'callback_url' && value === null) return 'add a verified domain first';
  if (name === 'tests') return showTests(value as TestsDocument);
  if (name === 'people' && value === 'nobody')
    return 'nobody; send people there (connection route), or move them step by step (cutover start)';
  if (name === 'health') return showHealth(value as HealthDocument);
  if ((name === 'last_failure' || name === 'last_success') && value !== null) {
    return Object.values(value as Readonly<Record<string, string | null>>).join('  ');
  }
  if (name === 'client_secrets') return showSecrets(value as readonly SecretDocument[]);
  if (name === 'keys') return (value as readonly { id: string }[]).map(({ id }) => id).join(', ');
  if (name === 'map' || name === 'require') {
    const pairs = Object.entries(value as Readonly<Record<string, unknown>>);
    return pairs.length === 0 ? '-' : pairs.map(([key, item]) => `${key}=${String(item)}`).join(', ');
  }
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '-';
}

function showHealth({ state, since, reason, nodes }: HealthDocument): string {
  if (since === null) return state;
  return `${state} since ${since}: ${reason ?? '-'} (${nodes} ${nodes === 1 ? 'node' : 'nodes'})`;
}

function showTests({ checks, sign_in: signIn }: TestsDocument): string {
  const words = (name: string, test: TestDocument | null) => {
    if (test === null) return `${name}: never`;
    const verdict = test.passed ? 'passed' : `failed (${test.reason ?? '-'})`;
    return `${name}: ${verdict} ${test.at}${test.current ? '' : ', before its last change'}`;
  };
  return `${words('sign-in', signIn)}; ${words('checks', checks)}`;
}

/** What the rules of registering a connection need of a command. */
export function registrationParts({ config, database, actor }: CommandContext): RegistrationParts {
  return { database, secrets: openSecretBox(config), outbound: config, actor };
}

export async function printConnection(
  context: CommandContext,
  connection: Connection,
  heading?: string,
): Promise<void> {
  const document = await connectionDocument(context, connection);
  print(context, document, describeConnection(document, heading));
}
