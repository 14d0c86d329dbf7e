/**
 * What the token endpoint writes: codes and tokens under grants, and the use of what they were issued for. Each writing is one
 * conditional statement, on any number of nodes: all of it happens or none.
 */
import type { Database } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import {
  digestOf,
  digestTextOf,
  IS_LIVE,
  type GrantTokenName,
  type LiveGrant,
  type Payload,
} from './grant-store.ts';

/** The library names a code or a token by its value, of which nothing but the digest is stored. */
const withoutValue = ({ jti: _value, ...rest }: Payload): Payload => rest;

interface NewToken {
  readonly value: string;
  readonly payload: Payload;
  readonly ttlSeconds: number;
}

const OPEN_GRANT = `
  INSERT INTO grants (id, organization_id, session_id, client_id, payload)
  SELECT CAST(:grantId AS text), s.organization_id, s.id, CAST(:clientId AS text), CAST(:grantPayload AS jsonb)
  FROM sessions s WHERE s.id = CAST(:sessionId AS uuid) AND (s.expires_at > now()) IS TRUE
  FOR KEY SHARE OF s
  RETURNING id, organization_id, session_id`;

const SIGNED_IN = `
  INSERT INTO audit_events (action, outcome, organization_id, connection_id, user_id, email, client_id)
  SELECT 'application.signed_in', 'success', s.organization_id, s.connection_id, s.user_id, u.email, CAST(:clientId AS text)
  FROM opened JOIN sessions s ON s.id = opened.session_id
  JOIN users u ON u.organization_id = s.organization_id AND u.id = s.user_id
  RETURNING 1`;

const INSERT_CODE = statement(
  'insert-code',
  `WITH opened AS (${OPEN_GRANT}), code AS (
     INSERT INTO grant_tokens (digest, kind, grant_id, payload, expires_at)
     SELECT CAST(:digest AS bytea), 'AuthorizationCode', opened.id, CAST(:payload AS jsonb),
            now() + make_interval(secs => CAST(:ttlSeconds AS float8))
     FROM opened
   )
   ${SIGNED_IN}`,
);

/**
 * Writes a code, its grant and the audit event of both.
 * @returns false if the session has ended meanwhile; nothing was written then
 */
export async function insertCodeWithGrant(
  database: Database,
  code: NewToken,
  grant: {
    readonly id: string;
    readonly clientId: string;
    readonly sessionId: string;
    readonly payload: Payload;
  },
): Promise<boolean> {
  const rows = await database.query<unknown>(INSERT_CODE, {
    grantId: grant.id,
    clientId: grant.clientId,
    sessionId: grant.sessionId,
    grantPayload: JSON.stringify(grant.payload),
    digest: digestOf('AuthorizationCode', code.value),
    payload: JSON.stringify(withoutValue(code.payload)),
    ttlSeconds: code.ttlSeconds,
  });
  return rows.length > 0;
}

/** A token under a grant that is there already. */
export interface IssuedToken extends NewToken, GrantTokenName {
  readonly grantId: string;
}

const ISSUE = `
  INSERT INTO grant_tokens (digest, kind, grant_id, payload, expires_at)
  SELECT decode(digest, 'hex'), kind, grant_id, payload, now() + make_interval(secs => ttl)
  FROM jsonb_to_recordset(CAST(:tokens AS jsonb)) AS t (digest text, kind text, grant_id text, payload jsonb, ttl float8, used text)`;

const ISSUE_ALONE = statement('issue-tokens', ISSUE);

/** @param used digest of what it is issued for, where that is used in the same statement */
const issuedRow = (token: IssuedToken, used?: string) => ({
  digest: digestTextOf(token),
  kind: token.kind,
  grant_id: token.grantId,
  payload: withoutValue(token.payload),
  ttl: token.ttlSeconds,
  used,
});

const issueParameter = (tokens: readonly IssuedToken[]) =>
  JSON.stringify(tokens.map((token) => issuedRow(token)));

/** @throws pg.DatabaseError for a broken reference if the grant has ended meanwhile */
export async function issueTokens(database: Database, tokens: readonly IssuedToken[]): Promise<void> {
  await database.query(ISSUE_ALONE, { tokens: issueParameter(tokens) });
}

const OPEN_GRANT_WITH_TOKENS = statement(
  'open-grant',
  `WITH opened AS (${OPEN_GRANT}), issued AS (${ISSUE} WHERE EXISTS (SELECT FROM opened))
   ${SIGNED_IN}`,
);

/**
 * Writes a new grant, what is issued under it and the audit event of both.
 * @returns false if the session has ended meanwhile; nothing was written then
 */
export async function openGrantWithTokens(
  database: Database,
  { id, clientId, payload, holder }: LiveGrant,
  tokens: readonly IssuedToken[],
): Promise<boolean> {
  const rows = await database.query<unknown>(OPEN_GRANT_WITH_TOKENS, {
    grantId: id,
    clientId,
    sessionId: holder.sessionId,
    grantPayload: JSON.stringify(payload),
    tokens: issueParameter(tokens),
  });
  return rows.length > 0;
}

/** The use of a code or a refresh token. */
export interface Redemption {
  readonly used: GrantTokenName;
  readonly tokens: readonly IssuedToken[];
}

/**
 * Nothing here waits for another transaction, for others would wait with it: what somebody else holds is passed over. The rows that
 * issued tokens refer to are locked before, in the way in which their insertion does it.
 */
const REDEEM_TOGETHER = statement(
  'redeem-tokens',
  `WITH unused AS MATERIALIZED (
     SELECT digest, grant_id FROM grant_tokens
     WHERE digest = ANY(ARRAY(SELECT decode(name, 'hex') FROM jsonb_array_elements_text(CAST(:digests AS jsonb)) AS name))
       AND consumed_at IS NULL AND (expires_at > now()) IS TRUE
     FOR NO KEY UPDATE SKIP LOCKED
   ), live AS MATERIALIZED (
     SELECT unused.* FROM unused
     CROSS JOIN LATERAL (SELECT FROM grants g ${IS_LIVE} WHERE g.id = unused.grant_id OFFSET 0) AS found
   ), held AS MATERIALIZED (
     SELECT id FROM grants WHERE id = ANY(ARRAY(SELECT grant_id FROM live)) FOR KEY SHARE SKIP LOCKED
   ), used AS (
     UPDATE grant_tokens SET consumed_at = clock_timestamp()
     WHERE digest = ANY(ARRAY(SELECT digest FROM live WHERE grant_id IN (SELECT id FROM held)))
     RETURNING digest
   ), issued AS (${ISSUE} WHERE decode(used, 'hex') IN (SELECT digest FROM used))
   SELECT encode(digest, 'hex') AS digest FROM used`,
);

/**
 * Uses codes or refresh tokens that are still good and writes what is issued for each, both or neither.
 * @returns of each in turn whether that was done; it was not where somebody else has used it, it is over, or it is being changed
 */
export async function redeemTokens(
  database: Database,
  redemptions: readonly Redemption[],
): Promise<readonly boolean[]> {
  // Of two uses of one token the first counts.
  const byDigest = new Map<string, Redemption>();
  const names = redemptions.map((redemption) => {
    const name = digestTextOf(redemption.used);
    if (!byDigest.has(name)) byDigest.set(name, redemption);
    return name;
  });
  const tokens = [...byDigest].flatMap(([name, redemption]) =>
    redemption.tokens.map((token) => issuedRow(token, name)),
  );
  const rows = await database.query<{ digest: string }>(REDEEM_TOGETHER, {
    digests: JSON.stringify([...byDigest.keys()]),
    tokens: JSON.stringify(tokens),
  });
  const done = new Set(rows.map(({ digest }) => digest));
  return redemptions.map((redemption, index) => {
    const name = names[index] ?? '';
    return byDigest.get(name) === redemption && done.has(name);
  });
}

const REDEEM = statement(
  'redeem-token',
  `WITH used AS (
     UPDATE grant_tokens SET consumed_at = clock_timestamp()
     WHERE digest = :digest AND consumed_at IS NULL AND (expires_at > now()) IS TRUE
       AND EXISTS (SELECT FROM grants g ${IS_LIVE} WHERE g.id = grant_id)
     RETURNING 1
   ), issued AS (${ISSUE} WHERE EXISTS (SELECT FROM used))
   SELECT FROM used`,
);

/**
 * Uses a code or a refresh token that is still good and writes what is issued for it, both or neither.
 * @returns false if somebody else has used it, or it is over; nothing was written then
 * @throws pg.DatabaseError for a broken reference if the grant has ended meanwhile
 */
export async function redeemToken(
  database: Database,
  { kind, value }: GrantTokenName,
  tokens: readonly IssuedToken[],
): Promise<boolean> {
  const rows = await database.query<unknown>(REDEEM, {
    digest: digestOf(kind, value),
    tokens: issueParameter(tokens),
  });
  return rows.length > 0;
}

/**
 * Writes what is issued for a refresh token that was used a moment ago. Its successor follows from it and is there already.
 * @returns false if it was used longer ago than that; nothing was written then
 */
export async function repeatRefresh(
  database: Database,
  value: string,
  { tokens, graceSeconds }: { readonly tokens: readonly IssuedToken[]; readonly graceSeconds: number },
): Promise<boolean> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: unknown[] }>(
      `WITH used AS (
         SELECT FROM grant_tokens
         WHERE digest = :digest AND consumed_at > clock_timestamp() - make_interval(secs => CAST(:graceSeconds AS float8))
       ), issued AS (${ISSUE} WHERE EXISTS (SELECT FROM used) ON CONFLICT DO NOTHING)
       SELECT FROM used`,
      { digest: digestOf('RefreshToken', value), graceSeconds, tokens: issueParameter(tokens) },
    ),
  );
  return rows.length > 0;
}
