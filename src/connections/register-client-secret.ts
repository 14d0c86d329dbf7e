/** The rules of a connection's client secrets: two at most, so that one takes the other's place at the provider without an outage. */
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import type { SecretBox } from '../secret-box.ts';
import { openSecrets, sealSecret, type NewSecret, type SealedSecret } from './client-secret.ts';
import { secretPlace, type Connection, type ConnectionOf } from './connection.ts';
import { updateConnection } from './connection-store.ts';

interface SecretParts {
  readonly database: Database;
  readonly secrets: SecretBox;
  readonly actor: string;
}

/** What `connection update` says of the client secret. */
export interface SecretChange {
  /** Takes the place of all others. */
  readonly clientSecret?: string | undefined;
  /** Of that one, or of the only one that is there. */
  readonly secretExpiresAt?: Date | 'never' | undefined;
}

const MOST_SECRETS = 2;

/**
 * The secrets that are stored after a change; undefined: as before.
 * @throws Refusal if a date is given for one of two
 */
export function changedSecrets(
  { secrets }: Pick<SecretParts, 'secrets'>,
  connection: ConnectionOf<'oidc'>,
  { clientSecret: secret, secretExpiresAt }: SecretChange,
): readonly SealedSecret[] | undefined {
  const expiresAt = secretExpiresAt === 'never' ? undefined : secretExpiresAt;
  if (secret !== undefined) return [sealSecret(secrets, secretPlace(connection), { secret, expiresAt })];
  if (secretExpiresAt === undefined) return undefined;
  const [only, ...others] = connection.sealedSecrets;
  if (only === undefined || others.length > 0) {
    throw new Refusal(
      'The connection has two client secrets, and a date for one of them. ' +
        `Remove the one that is no longer used first: connection secret remove ${connection.id} <secret-id>`,
    );
  }
  return [{ ...only, expiresAt }];
}

/**
 * Adds a secret beside the one that is valid already. Sign-ins under way go on.
 * @throws Refusal if there are two, or it is there already
 */
export async function addClientSecret(
  parts: SecretParts,
  connection: ConnectionOf<'oidc'>,
  given: NewSecret,
): Promise<SealedSecret> {
  const { sealedSecrets: before } = connection;
  const place = secretPlace(connection);
  if (openSecrets(parts.secrets, place, before).some(({ secret }) => secret === given.secret)) {
    throw new Refusal('The connection has this client secret already.');
  }
  if (before.length >= MOST_SECRETS) {
    throw new Refusal(
      `The connection has ${MOST_SECRETS} client secrets already. Remove the one that is no longer used: ` +
        `connection secret remove ${connection.id} <secret-id>`,
    );
  }
  const added = sealSecret(parts.secrets, place, given);
  await write(parts, connection, { action: 'added', id: added.id, secrets: [...before, added] });
  return added;
}

/**
 * Takes a secret away: it is sent to nobody any more. Sign-ins under way go on.
 * @throws Refusal if it is not there, or the only one
 */
export async function removeClientSecret(
  parts: SecretParts,
  connection: ConnectionOf<'oidc'>,
  id: string,
): Promise<void> {
  const left = connection.sealedSecrets.filter((secret) => secret.id !== id);
  if (left.length === connection.sealedSecrets.length) {
    throw new Refusal(
      `The connection has no client secret ${id}. See them with: connection secret list ${connection.id}`,
    );
  }
  if (left.length === 0) {
    throw new Refusal(
      `This is the only client secret. Add its successor first: connection secret add ${connection.id} ` +
        '--client-secret-file <file>',
    );
  }
  await write(parts, connection, { action: 'removed', id, secrets: left });
}

interface Change {
  readonly action: 'added' | 'removed';
  readonly id: string;
  readonly secrets: readonly SealedSecret[];
}

function write(
  { database, actor }: SecretParts,
  connection: ConnectionOf<'oidc'>,
  { action, id, secrets }: Change,
): Promise<Connection> {
  const change = {
    action: `connection.secret_${action}`,
    settings: connection.settings,
    sealedSecrets: secrets,
    reason: id,
    endsLogins: false,
  } as const;
  return updateConnection(database, connection, change, actor);
}
