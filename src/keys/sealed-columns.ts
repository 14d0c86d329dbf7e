/**
 * Everything that is kept in the database under SECRET_KEY, in one list: where it is, what its place in the secret box is, whose it is, and what
 * helps where its key is lost. A purpose of stored values that is missing here does not compile.
 */
import { applicationSecretPlace } from '../applications/application.ts';
import { CHAIN_OF_NONE, headPlace, TRAIL } from '../audit/audit-chain.ts';
import { secretColumns, secretsFromColumns, type SecretColumns } from '../connections/client-secret.ts';
import { connectionPlace, secretPlace } from '../connections/connection.ts';
import { hostTokensPlace } from '../hosts/host-tokens.ts';
import { signingKeyPlace } from '../provider/signing-key-store.ts';
import type { StoredSealPurpose } from '../secret-box.ts';
import { NOT_BEING_CHECKED } from '../sessions/followed-session-store.ts';
import { refreshTokenPlace } from '../sessions/session.ts';

export type SealedRow = Readonly<Record<string, unknown>>;

/** Whose a value is. */
export interface Owner {
  /** A connection, an application, a signing key, a host or a chain. */
  readonly subject: string;
  readonly organizationId?: string | undefined;
}

interface Described {
  readonly table: string;
  /** Primary key, and its type in SQL. */
  readonly key: readonly [name: string, type: 'uuid' | 'text' | 'bytea' | 'boolean'];
  /** What `place` and `owner` look at besides. */
  readonly others: readonly string[];
  readonly place: (row: SealedRow) => string;
  readonly owner: (row: SealedRow) => Owner;
  /** What is to be done where no key opens it. */
  readonly remedy: (owner: Owner) => string;
  /** Whether it is over within the life of a session, and comes to be anew. */
  readonly isPassing?: boolean;
}

/** A column that is one sealed value, or null. */
export interface SealedText extends Described {
  readonly column: string;
  /** SQL: condition under which it may be written. */
  readonly writable?: string;
}

/** Columns with several sealed values in JSON. */
export interface SealedLists extends Described {
  readonly columns: readonly { readonly name: string; readonly type: 'text' | 'jsonb' }[];
  readonly values: (row: SealedRow) => readonly string[];
  /** The columns with other values, in the same order. */
  readonly withValues: (row: SealedRow, values: readonly string[]) => Readonly<Record<string, unknown>>;
}

export type SealedColumn = SealedText | SealedLists;

const text = (row: SealedRow, name: string) => String(row[name]);
const bytes = (row: SealedRow, name: string) => row[name] as Buffer;
const connectionOf = (row: SealedRow) => ({
  organizationId: text(row, 'organization_id'),
  connectionId: text(row, 'connection_id'),
});
const ownerByConnection = (row: SealedRow): Owner => ({
  subject: text(row, 'connection_id'),
  organizationId: text(row, 'organization_id'),
});

const session = {
  table: 'sessions',
  key: ['id', 'uuid'],
  owner: ownerByConnection,
  isPassing: true,
} as const;

interface ListedSecret {
  readonly sealed: string;
}
const listed = (row: SealedRow) => row['sealed_secrets'] as readonly ListedSecret[];

export const sealedColumns: Readonly<Record<StoredSealPurpose, readonly SealedColumn[]>> = {
  'client-secret': [
    {
      table: 'connections',
      key: ['id', 'uuid'],
      others: ['organization_id'],
      columns: [
        { name: 'sealed_secret', type: 'text' },
        { name: 'client_secrets', type: 'jsonb' },
      ],
      values: (row) => secretsFromColumns(row as unknown as SecretColumns).map(({ sealed }) => sealed),
      // Each keeps its id, by which nodes, commands and verdicts know it.
      withValues: (row, values) =>
        secretColumns(
          secretsFromColumns(row as unknown as SecretColumns).map((secret, index) => ({
            ...secret,
            sealed: values[index] ?? secret.sealed,
          })),
        ),
      place: (row) => secretPlace({ organizationId: text(row, 'organization_id'), id: text(row, 'id') }),
      owner: (row) => ({ subject: text(row, 'id'), organizationId: text(row, 'organization_id') }),
      remedy: ({ subject }) => `gatehouse connection update ${subject} --client-secret-file <file>`,
    },
  ],
  'application-secret': [
    {
      table: 'applications',
      key: ['client_id', 'text'],
      others: [],
      columns: [{ name: 'sealed_secrets', type: 'jsonb' }],
      values: (row) => listed(row).map(({ sealed }) => sealed),
      withValues: (row, values) => ({
        sealed_secrets: JSON.stringify(
          listed(row).map((secret, index) => ({ ...secret, sealed: values[index] ?? secret.sealed })),
        ),
      }),
      place: (row) => applicationSecretPlace(text(row, 'client_id')),
      owner: (row) => ({ subject: text(row, 'client_id') }),
      remedy: ({ subject }) =>
        `gatehouse app update ${subject} --secret-file <file>, and --retire-old-secret afterwards`,
    },
  ],
  'signing-key': [
    {
      table: 'signing_keys',
      key: ['kid', 'text'],
      others: [],
      column: 'sealed_jwk',
      place: (row) => signingKeyPlace(text(row, 'kid')),
      owner: (row) => ({ subject: text(row, 'kid') }),
      remedy: () => 'gatehouse keys rotate --after 0s; what the old keys signed is no longer good then',
    },
  ],
  'id-token': [
    {
      ...session,
      column: 'sealed_id_token',
      others: ['organization_id', 'connection_id'],
      place: (row) => connectionPlace(connectionOf(row)),
      remedy: () => 'nothing: signing out of these sessions asks at the provider, until they end',
    },
  ],
  'refresh-token': [
    {
      ...session,
      column: 'sealed_refresh_token',
      others: ['organization_id', 'connection_id', 'secret_digest'],
      writable: NOT_BEING_CHECKED,
      place: (row) => refreshTokenPlace({ ...connectionOf(row), secretDigest: bytes(row, 'secret_digest') }),
      remedy: () =>
        'gatehouse session revoke, or wait for their absolute end: their provider cannot be asked about these sessions',
    },
  ],
  'host-tokens': [
    {
      table: 'host_sessions',
      key: ['secret_digest', 'bytea'],
      others: ['organization_id', 'host'],
      column: 'sealed_tokens',
      isPassing: true,
      place: (row) => hostTokensPlace({ host: text(row, 'host'), digest: bytes(row, 'secret_digest') }),
      owner: (row) => ({ subject: text(row, 'host'), organizationId: text(row, 'organization_id') }),
      remedy: () => 'nothing: these browsers are sent to sign in again',
    },
  ],
  'audit-head': [
    {
      table: 'audit_heads',
      key: ['chain', 'uuid'],
      others: [],
      column: 'sealed',
      place: (row) => headPlace(text(row, 'chain')),
      owner: (row) => ({
        subject: text(row, 'chain'),
        organizationId: row['chain'] === CHAIN_OF_NONE ? undefined : text(row, 'chain'),
      }),
      remedy: () => 'gatehouse audit reseal',
    },
    {
      table: 'audit_sealing',
      key: ['id', 'boolean'],
      others: [],
      column: 'sealed',
      place: () => headPlace(TRAIL),
      owner: () => ({ subject: TRAIL }),
      remedy: () => 'gatehouse audit reseal',
    },
  ],
};
