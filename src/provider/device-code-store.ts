/**
 * Device codes in PostgreSQL (RFC 8628): what a program asked for, which browser may decide about it, and how often the program
 * may ask. Every step is one conditional statement by the database's clock, so any number of nodes agree. Approving one writes
 * the grant and the token that the program redeems; from then on grant-store.ts rules it.
 */
import type { Database } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import { digestOf } from './grant-store.ts';
import { userCodeDigest, type UserCode } from './user-code.ts';

type Payload = Readonly<Record<string, unknown>>;

/** Of whom the program wants an answer. */
interface DeviceDemands {
  /** Slug of the organization whose people are asked for. */
  readonly organization?: string | undefined;
  readonly loginHint?: string | undefined;
}

/** Where a program runs, as far as we can tell. */
export interface DevicePlace {
  /** As rate limits count it. */
  readonly addressBlock: string;
  readonly userAgent: string | undefined;
}

export interface NewDeviceCode {
  readonly value: string;
  readonly userCode: UserCode;
  readonly clientId: string;
  readonly payload: { readonly token: Payload; readonly grant: Payload; readonly demands: DeviceDemands };
  readonly codeChallenge: string | undefined;
  readonly place: DevicePlace;
  readonly ttlSeconds: number;
  readonly intervalSeconds: number;
}

/**
 * Keeps a new device code, and lets go of some that ended an hour ago: anybody can ask for codes, so they must not pile up.
 * @returns false if another code has its user code; nothing was written then
 */
export async function insertDeviceCode(database: Database, code: NewDeviceCode): Promise<boolean> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: unknown[] }>(
      `WITH forgotten AS (
         DELETE FROM device_codes WHERE digest IN (
           SELECT digest FROM device_codes WHERE expires_at < now() - interval '1 hour'
           ORDER BY expires_at LIMIT 10 FOR UPDATE SKIP LOCKED)
       )
       INSERT INTO device_codes (digest, user_code_digest, client_id, payload, code_challenge, address_block, user_agent,
                                 poll_interval, expires_at)
       VALUES (:digest, :userCode, :clientId, :payload, :codeChallenge, :addressBlock, :userAgent,
               make_interval(secs => CAST(:intervalSeconds AS float8)),
               now() + make_interval(secs => CAST(:ttlSeconds AS float8)))
       ON CONFLICT DO NOTHING RETURNING 1`,
      {
        digest: digestOf('DeviceCode', code.value),
        userCode: userCodeDigest(code.userCode),
        clientId: code.clientId,
        payload: JSON.stringify(code.payload),
        codeChallenge: code.codeChallenge ?? null,
        addressBlock: code.place.addressBlock,
        userAgent: code.place.userAgent ?? null,
        intervalSeconds: code.intervalSeconds,
        ttlSeconds: code.ttlSeconds,
      },
    ),
  );
  return rows.length > 0;
}

/** What a poll finds. `early`: undecided, and asked again too soon. */
export type DevicePoll = 'pending' | 'early' | 'approved' | 'denied' | 'expired' | 'used';

const POLL = statement(
  'poll-device-code',
  `WITH code AS (
     SELECT d.digest, CASE WHEN t.consumed_at IS NOT NULL THEN 'used'
                           WHEN d.decision = 'denied' THEN 'denied'
                           WHEN d.expires_at <= now() THEN 'expired'
                           WHEN d.decision = 'approved' THEN 'approved'
                           WHEN d.next_poll_at > now() + interval '0.5 seconds' THEN 'early'
                           ELSE 'pending' END AS state
     FROM device_codes d LEFT JOIN grant_tokens t ON t.digest = d.digest
     WHERE d.digest = :digest AND d.client_id = :clientId
       AND d.code_challenge IS NOT DISTINCT FROM CAST(:codeChallenge AS text)
     FOR UPDATE OF d
   ), noted AS (
     UPDATE device_codes d
     SET poll_interval = d.poll_interval + wait.added, next_poll_at = now() + d.poll_interval + wait.added
     FROM code, LATERAL (SELECT CASE code.state WHEN 'early' THEN interval '5 seconds' ELSE interval '0' END AS added) wait
     WHERE d.digest = code.digest AND code.state IN ('pending', 'early')
   )
   SELECT state FROM code`,
);

/**
 * Looks at a code for the program that polls, and notes the poll while nobody has decided. One that came too soon makes the
 * interval longer (RFC 8628 section 3.5); programs that are exact to the second are not meant, so half of one is let pass.
 * @param codeChallenge of the verifier that came with the poll; one that does not fit finds nothing and changes nothing
 */
export async function pollDeviceCode(
  database: Database,
  {
    value,
    clientId,
    codeChallenge,
  }: { readonly value: string; readonly clientId: string; readonly codeChallenge: string | undefined },
): Promise<DevicePoll | undefined> {
  const [row] = await database.query<{ state: DevicePoll }>(POLL, {
    digest: digestOf('DeviceCode', value),
    clientId,
    codeChallenge: codeChallenge ?? null,
  });
  return row?.state;
}

/** A device code as a browser finds it by its user code. */
export interface FoundDeviceCode {
  readonly clientId: string;
  readonly state: 'pending' | 'approved' | 'denied' | 'expired';
  /** Whether this browser is the one that may decide. */
  readonly isOurs: boolean;
  /** Whether it is pending and no browser has claimed it. */
  readonly isFree: boolean;
  /** Whether the application is for people of the organization. */
  readonly isAllowed: boolean;
  readonly demands: DeviceDemands;
  readonly place: DevicePlace;
  readonly startedAt: Date;
}

interface FoundRow {
  readonly client_id: string;
  readonly state: FoundDeviceCode['state'];
  readonly is_ours: boolean;
  readonly is_free: boolean;
  readonly is_allowed: boolean;
  readonly demands: DeviceDemands;
  readonly address_block: string;
  readonly user_agent: string | null;
  readonly created_at: Date;
}

/** A user code in the hands of a browser. */
export interface DeviceClaim {
  readonly userCode: UserCode;
  /** Digest of the browser's secret. */
  readonly claimDigest: Buffer;
  /** Of the live session there. */
  readonly sessionId: string | undefined;
}

/**
 * Finds the code that a person opened or typed, and claims it for their browser if no other has: the first one decides. It is
 * known by its secret or, where it opens a code twice at once and has no cookie yet, by the session that claimed.
 * @param options.organizationId of the person who is signed in
 */
export async function findDeviceCode(
  database: Database,
  { userCode, claimDigest, sessionId }: DeviceClaim,
  options: { readonly organizationId: string | undefined; readonly mayClaim: boolean },
): Promise<FoundDeviceCode | undefined> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: FoundRow[] }>(
      `WITH code AS (
         SELECT *, coalesce(decision, CASE WHEN expires_at <= now() THEN 'expired' ELSE 'pending' END) AS state
         FROM device_codes WHERE user_code_digest = :userCode FOR UPDATE
       ), claimed AS (
         UPDATE device_codes d SET claimed_by = CAST(:claim AS bytea), claimed_session = CAST(:sessionId AS uuid)
         FROM code WHERE d.digest = code.digest AND code.claimed_by IS NULL AND code.state = 'pending'
           AND CAST(:mayClaim AS boolean)
         RETURNING d.digest
       )
       SELECT d.client_id, d.address_block, d.user_agent, d.created_at, d.payload -> 'demands' AS demands, d.state,
              coalesce(d.claimed_by = CAST(:claim AS bytea), false)
                OR coalesce(d.claimed_session = CAST(:sessionId AS uuid), false)
                OR EXISTS (SELECT FROM claimed) AS is_ours,
              d.claimed_by IS NULL AND d.state = 'pending' AND NOT EXISTS (SELECT FROM claimed) AS is_free,
              NOT a.is_limited OR EXISTS (SELECT FROM application_organizations l
                                          WHERE l.client_id = a.client_id
                                            AND l.organization_id = CAST(:organizationId AS uuid)) AS is_allowed
       FROM code d JOIN applications a ON a.client_id = d.client_id AND a.disabled_at IS NULL`,
      {
        userCode: userCodeDigest(userCode),
        claim: claimDigest,
        sessionId: sessionId ?? null,
        mayClaim: options.mayClaim,
        organizationId: options.organizationId ?? null,
      },
    ),
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    clientId: row.client_id,
    state: row.state,
    isOurs: row.is_ours,
    isFree: row.is_free,
    isAllowed: row.is_allowed,
    demands: row.demands,
    place: { addressBlock: row.address_block, userAgent: row.user_agent ?? undefined },
    startedAt: row.created_at,
  };
}

/** What must be true of a decision at the moment it is taken: still open, this browser's, and a session that is good. */
const DECIDED = `
  deciding AS (
    SELECT s.id, s.organization_id, s.user_id, s.connection_id, s.authenticated_at, s.authentication_methods, u.email, o.slug
    FROM sessions s
    JOIN users u ON u.organization_id = s.organization_id AND u.id = s.user_id
    JOIN organizations o ON o.id = s.organization_id
    JOIN connections c ON c.organization_id = s.organization_id AND c.id = s.connection_id
    WHERE s.id = CAST(:sessionId AS uuid) AND (s.expires_at > now()) IS TRUE AND s.idle_expires_at > now()
      AND u.disabled_at IS NULL AND o.disabled_at IS NULL AND o.region IS NULL AND c.status IN ('active', 'retiring')
    FOR KEY SHARE OF s
  ), decided AS (
    UPDATE device_codes d SET decision = :decision
    FROM deciding s, applications a
    WHERE d.user_code_digest = :userCode AND (d.claimed_by = :claim OR d.claimed_session = s.id)
      AND d.decision IS NULL AND (d.expires_at > now()) IS TRUE
      AND a.client_id = d.client_id AND a.disabled_at IS NULL
      AND (NOT a.is_limited OR EXISTS (SELECT FROM application_organizations l
                                       WHERE l.client_id = a.client_id AND l.organization_id = s.organization_id))
      AND coalesce(d.payload -> 'demands' ->> 'organization' = s.slug, true)
    RETURNING d.digest, d.client_id, d.payload, d.expires_at, s.*, a.settings ->> 'backchannelLogoutUri' AS logout_uri
  )`;

const decisionParameters = ({ userCode, claimDigest }: DeviceClaim, sessionId: string) => ({
  userCode: userCodeDigest(userCode),
  claim: claimDigest,
  sessionId,
});

/**
 * Approves a code for the person of a session: writes the grant, the token that the program redeems, and the audit event.
 * @param grant id, and what its payload holds of the person
 * @returns false if it was not open to this browser and this person; nothing was written then
 */
export async function approveDeviceCode(
  database: Database,
  claim: DeviceClaim,
  grant: { readonly id: string; readonly sessionId: string; readonly payload: Payload },
): Promise<boolean> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: unknown[] }>(
      `WITH ${DECIDED}, opened AS (
         INSERT INTO grants (id, organization_id, session_id, client_id, payload)
         SELECT CAST(:grantId AS text), organization_id, id, client_id, payload -> 'grant' || CAST(:grantPayload AS jsonb)
         FROM decided RETURNING id
       ), token AS (
         INSERT INTO grant_tokens (digest, kind, grant_id, payload, expires_at)
         SELECT digest, 'DeviceCode', opened.id,
                payload -> 'token' || jsonb_build_object(
                  'grantId', opened.id, 'accountId', user_id, 'sessionUid', decided.id,
                  'authTime', floor(extract(epoch FROM authenticated_at)),
                  'amr', coalesce(authentication_methods, '{fed}'))
                || CASE WHEN logout_uri IS NULL THEN '{}' ELSE jsonb_build_object('sid', decided.id) END,
                expires_at
         FROM decided, opened
       )
       INSERT INTO audit_events (action, outcome, organization_id, connection_id, user_id, email, client_id)
       SELECT 'application.signed_in', 'success', organization_id, connection_id, user_id, email, client_id FROM decided
       RETURNING 1`,
      {
        ...decisionParameters(claim, grant.sessionId),
        decision: 'approved',
        grantId: grant.id,
        grantPayload: JSON.stringify(grant.payload),
      },
    ),
  );
  return rows.length > 0;
}

/**
 * Denies a code: the program is told so. Like approving it, only the person that the browser showed it to can.
 * @returns false if it was not open to this browser and this person
 */
export async function denyDeviceCode(
  database: Database,
  claim: DeviceClaim,
  sessionId: string,
): Promise<boolean> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: unknown[] }>(
      `WITH ${DECIDED}
       INSERT INTO audit_events (action, outcome, code, organization_id, connection_id, user_id, email, client_id)
       SELECT 'application.denied', 'failure', 'oauth:access_denied', organization_id, connection_id, user_id, email, client_id
       FROM decided RETURNING 1`,
      { ...decisionParameters(claim, sessionId), decision: 'denied' },
    ),
  );
  return rows.length > 0;
}
