/** Client secrets as commands print them: what they are called and how long they are good, and nothing of what they are. */
import type { SealedSecret } from '../connections/client-secret.ts';
import type { Connection } from '../connections/connection.ts';
import { listRefusedSecrets, type RefusedSecret } from '../connections/refused-secret-store.ts';
import type { Database } from '../database/database.ts';

export interface SecretDocument {
  readonly id: string;
  readonly added_at: string | null;
  readonly expires_at: string | null;
  /** Since when the provider refuses it. */
  readonly refused_at: string | null;
}

export function secretDocument(
  { id, addedAt, expiresAt }: SealedSecret,
  refused?: RefusedSecret,
): SecretDocument {
  return {
    id,
    added_at: addedAt?.toISOString() ?? null,
    expires_at: expiresAt?.toISOString() ?? null,
    refused_at: refused?.refusedAt.toISOString() ?? null,
  };
}

/** Those of a connection, in the order in which they were added. */
export async function secretDocuments(
  database: Database,
  connection: Connection,
): Promise<readonly SecretDocument[]> {
  if (connection.sealedSecrets.length === 0) return [];
  const refused = await listRefusedSecrets(database, connection);
  return connection.sealedSecrets.map((secret) =>
    secretDocument(
      secret,
      refused.find(({ secretId }) => secretId === secret.id),
    ),
  );
}

/** For people, in one line. */
export function showSecrets(documents: readonly SecretDocument[]): string {
  return documents
    .map(({ id, expires_at: expires, refused_at: refused }) => {
      const until = expires === null ? id : `${id} until ${expires}`;
      return refused === null ? until : `${until}, refused since ${refused}`;
    })
    .join('; ');
}
