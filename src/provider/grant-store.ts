/**
 * What applications were issued, in PostgreSQL: grants, and the codes and tokens under them. What is asked here is only ever
 * found while its session, user, organization, connection and application are good, by the database's clock; so nothing that
 * was disabled can be used through something issued before. What is written of them when they are issued and used: issue-store.ts.
 */
import { hash } from 'node:crypto';
import type { ConnectionKind } from '../connections/connection.ts';
import type { Database } from '../database/database.ts';
import { statement } from '../database/statement.ts';

export type GrantTokenKind = 'AuthorizationCode' | 'RefreshToken' | 'AccessToken' | 'DeviceCode';

export type Payload = Readonly<Record<string, unknown>>;

/** Whose grant it is. */
interface GrantHolder {
  readonly sessionId: string;
  readonly userId: string;
  readonly email: string | undefined;
  readonly name: string | undefined;
  readonly organization: { readonly id: string; readonly slug: string; readonly name: string };
  readonly connection: { readonly id: string; readonly kind: ConnectionKind };
  readonly authenticatedAt: Date;
  readonly sessionExpiresAt: Date;
}

/** Names a code or a token by what its bearer has. */
export interface GrantTokenName {
  readonly kind: GrantTokenKind;
  readonly value: string;
}

export interface LiveGrant {
  readonly id: string;
  readonly clientId: string;
  readonly payload: Payload;
  readonly holder: GrantHolder;
}

export interface FoundGrantToken {
  readonly payload: Payload;
  readonly grant: LiveGrant;
  /** Seconds since it was used; undefined if it was not. */
  readonly consumedSecondsAgo: number | undefined;
  /** Seconds until it ends by itself, or its session does. */
  readonly secondsLeft: number;
}

/** A value is 256 bits of randomness or as good as that, so a plain digest tells nothing about it. */
export const digestOf = (kind: GrantTokenKind, value: string) => hash('sha256', `${kind} ${value}`, 'buffer');

/** The same in hexadecimal. */
export const digestTextOf = ({ kind, value }: GrantTokenName) => hash('sha256', `${kind} ${value}`, 'hex');

/** From a grant to what it rests on; it is live where all of it is. */
export const IS_LIVE = `
  JOIN sessions s ON s.organization_id = g.organization_id AND s.id = g.session_id
  JOIN users u ON u.organization_id = s.organization_id AND u.id = s.user_id
  JOIN organizations o ON o.id = s.organization_id
  JOIN connections c ON c.organization_id = s.organization_id AND c.id = s.connection_id
  JOIN applications a ON a.client_id = g.client_id
    AND g.revoked_at IS NULL AND (s.expires_at > now()) IS TRUE
    AND u.disabled_at IS NULL AND o.disabled_at IS NULL AND o.region IS NULL AND c.status IN ('active', 'retiring') AND a.disabled_at IS NULL
    AND (NOT a.is_limited OR EXISTS (SELECT FROM application_organizations l
                                     WHERE l.client_id = a.client_id AND l.organization_id = o.id))`;

const GRANT_COLUMNS = `
  g.id AS grant_id, g.client_id, g.payload AS grant_payload, s.id AS session_id, u.id AS user_id, u.email, u.name AS user_name,
  o.id AS organization_id, o.slug, o.name AS organization_name, c.id AS connection_id, c.kind AS connection_kind,
  s.authenticated_at, s.expires_at AS session_expires_at`;

interface GrantRow {
  readonly grant_id: string;
  readonly client_id: string;
  readonly grant_payload: Payload;
  readonly session_id: string;
  readonly user_id: string;
  readonly email: string | null;
  readonly user_name: string | null;
  readonly organization_id: string;
  readonly slug: string;
  readonly organization_name: string;
  readonly connection_id: string;
  readonly connection_kind: ConnectionKind;
  readonly authenticated_at: Date;
  readonly session_expires_at: Date;
}

const grantFromRow = (row: GrantRow): LiveGrant => ({
  id: row.grant_id,
  clientId: row.client_id,
  payload: row.grant_payload,
  holder: {
    sessionId: row.session_id,
    userId: row.user_id,
    email: row.email ?? undefined,
    name: row.user_name ?? undefined,
    organization: { id: row.organization_id, slug: row.slug, name: row.organization_name },
    connection: { id: row.connection_id, kind: row.connection_kind },
    authenticatedAt: row.authenticated_at,
    sessionExpiresAt: row.session_expires_at,
  },
});

const FIND_GRANT_TOKENS = statement(
  'find-grant-tokens',
  `SELECT CAST(asked.place AS integer) AS place, found.*
   -- Of JSON the planner does not count the members: of an array it would, and plan anew each time.
   FROM jsonb_array_elements_text(CAST(:digests AS jsonb)) WITH ORDINALITY AS asked (digest, place)
   CROSS JOIN LATERAL (
     SELECT t.payload, CAST(extract(epoch FROM clock_timestamp() - t.consumed_at) AS float8) AS consumed_seconds_ago,
            CAST(extract(epoch FROM least(t.expires_at, s.expires_at) - now()) AS float8) AS seconds_left, ${GRANT_COLUMNS}
     FROM grant_tokens t JOIN grants g ON g.id = t.grant_id ${IS_LIVE}
     -- Looked up by its digest alone, and never among all that are not over.
     WHERE t.digest = decode(asked.digest, 'hex') AND (t.expires_at > now()) IS TRUE
     -- Planned for one, however many are asked for.
     OFFSET 0
   ) AS found`,
);

interface TokenRow extends GrantRow {
  /** From 1. */
  readonly place: number;
  readonly payload: Payload;
  readonly consumed_seconds_ago: number | null;
  readonly seconds_left: number;
}

/** Codes or tokens that are good, or were good before they were used, in the order of their names. */
export async function findGrantTokens(
  database: Database,
  names: readonly GrantTokenName[],
): Promise<readonly (FoundGrantToken | undefined)[]> {
  const digests = names.map(digestTextOf);
  const rows = await database.query<TokenRow>(FIND_GRANT_TOKENS, { digests: JSON.stringify(digests) });
  const byPlace = new Map(rows.map((row) => [row.place, row]));
  return names.map(({ value }, index) => {
    const row = byPlace.get(index + 1);
    return (
      row && {
        payload: { ...row.payload, jti: value },
        grant: grantFromRow(row),
        consumedSecondsAgo: row.consumed_seconds_ago ?? undefined,
        secondsLeft: row.seconds_left,
      }
    );
  });
}

export async function findGrantToken(
  database: Database,
  name: GrantTokenName,
): Promise<FoundGrantToken | undefined> {
  const [found] = await findGrantTokens(database, [name]);
  return found;
}

const FIND_GRANT = statement(
  'find-grant',
  `SELECT ${GRANT_COLUMNS} FROM grants g ${IS_LIVE} WHERE g.id = :id`,
);

export async function findGrant(database: Database, id: string): Promise<LiveGrant | undefined> {
  const rows = await database.query<GrantRow>(FIND_GRANT, { id });
  return rows[0] === undefined ? undefined : grantFromRow(rows[0]);
}
/** Ends a grant and everything under it; what was issued a moment ago is as dead as the rest. */
export async function revokeGrant(database: Database, id: string): Promise<void> {
  await database.run((db) =>
    db('grants').where({ id }).whereNull('revoked_at').update({ revoked_at: db.fn.now() }),
  );
}

/** Ends a grant because a code or a refresh token of it was used twice: one of the two who had it should not have. */
export async function endReplayedGrant(database: Database, id: string): Promise<void> {
  await database.run((db) =>
    db.raw(
      `WITH ended AS (
         UPDATE grants SET revoked_at = now(), replayed_at = now() WHERE id = :id AND revoked_at IS NULL
         RETURNING organization_id, session_id, client_id
       )
       INSERT INTO audit_events (action, outcome, organization_id, connection_id, user_id, client_id)
       SELECT 'application.token_reused', 'success', s.organization_id, s.connection_id, s.user_id, ended.client_id
       FROM ended JOIN sessions s ON s.organization_id = ended.organization_id AND s.id = ended.session_id`,
      { id },
    ),
  );
}

export async function deleteGrantToken(database: Database, { kind, value }: GrantTokenName): Promise<void> {
  await database.run((db) =>
    db('grant_tokens')
      .where({ digest: digestOf(kind, value) })
      .delete(),
  );
}
