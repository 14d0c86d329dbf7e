/**
 * Step 6 of the flow, whole: in one statement, and so in one transaction and one round trip, asks for admission, uses up what may
 * be used once, finds or makes the user and the identity, ends the browser's previous session, opens the new one and writes the
 * audit event. Each part reads the one before it: where one yields no row, nothing after it happens.
 */
import { causeOf, sqlState, UNIQUE_VIOLATION, type Database } from '../database/database.ts';
import { statement, type Statement } from '../database/statement.ts';
import { ADMISSION, LAPSED_SINCE, type AdmissionQuestion } from './admission-store.ts';
import { issuedBeforeRestore } from '../sessions/restore-store.ts';
import type { Answered } from './admit-identity.ts';

/** A use, as it is written. */
export interface TokenUseRow {
  readonly purpose: string;
  readonly digest: string;
  /** Seconds since the epoch before which nobody can have had it; absent where that is not known. */
  readonly issuedAtSeconds?: number;
  /** Seconds since the epoch; absent where it is counted from now. */
  readonly expiresAtSeconds?: number;
  /** Seconds from now. */
  readonly forSeconds?: number;
}

/** What a session has of the provider that vouched for its person. */
export interface ProviderPart {
  /** What the provider calls its session. */
  readonly providerSessionId: string | null;
  /** When the provider's session ends, in seconds since the epoch; null: it does not say. */
  readonly providerExpiresAtSeconds: number | null;
  /** Encrypted. */
  readonly sealedIdToken: string | null;
  /** Encrypted; null where the provider is not followed. */
  readonly sealedRefreshToken: string | null;
  /** How often the provider is asked; null with the token. */
  readonly followSeconds: number | null;
}

export interface FinishLogin {
  readonly question: AdmissionQuestion;
  readonly provider: ProviderPart;
  /** What the session's beginning is called in the audit trail. */
  readonly action: 'login.succeeded' | 'break_glass.used';
  readonly name: string | null;
  /** Digests are hexadecimal. */
  readonly uses: readonly TokenUseRow[];
  readonly sessionDigest: Buffer;
  readonly sessionTtlSeconds: number;
  readonly sessionIdleTtlSeconds: number;
  /** Of the callback that proved the identity; null where none did. */
  readonly callbackDigest: Buffer | null;
  readonly authenticationMethods: readonly string[];
  /** The application that showed a token; null for a browser. */
  readonly clientId: string | null;
  /** The session that this browser had until now. */
  readonly previousDigest: Buffer | null;
}

export interface FinishedLogin extends Answered {
  /** Purposes of what was used before. */
  readonly taken: readonly string[];
  /** Purposes of what is over by the database's clock, whose uses may be forgotten by now: a node's own clock may be behind. */
  readonly over: readonly string[];
  /** Whether everything could be used that had to be. */
  readonly isFresh: boolean;
  readonly sessionId: string | null;
  /** Where people of the organization land by default. */
  readonly returnUrl: string | null;
}

/** SQL: the columns of uses that come as JSON. */
export const USE_COLUMNS = `
  purpose text COLLATE "C", digest text, "issuedAtSeconds" float8, "expiresAtSeconds" float8, "forSeconds" float8`;
/** And what they are read as. */
export const READ_USE = `
  u.purpose, decode(u.digest, 'hex') AS digest, u."issuedAtSeconds" AS issued_at,
  coalesce(to_timestamp(u."expiresAtSeconds"), now() + make_interval(secs => u."forSeconds")) AS expires_at`;

const LATEST_END = `least(now() + make_interval(secs => CAST(:sessionTtlSeconds AS float8)),
                        to_timestamp(CAST(:providerExpiresAtSeconds AS float8)))`;
const FIRST_CHECK = `now() + make_interval(secs => CAST(:followSeconds AS float8) * (0.9 + 0.1 * random()))`;

/**
 * What is used, is used all together or not at all. Whatever is taken already ends it; where somebody else takes one of them at
 * this moment, the insertion breaks the whole statement, and another try finds it taken.
 */
const FINISH = `
  WITH ${ADMISSION},
  uses AS MATERIALIZED (
    SELECT ${READ_USE} FROM jsonb_to_recordset(CAST(:uses AS jsonb)) AS u (${USE_COLUMNS})
  ),
  taken AS MATERIALIZED (
    SELECT t.purpose
    FROM uses CROSS JOIN LATERAL (
      SELECT t.* FROM single_use_tokens t
      WHERE t.organization_id = :organizationId AND t.purpose = uses.purpose AND t.digest = uses.digest
      OFFSET 0
    ) AS t
    WHERE NOT coalesce(t.failed_use = CAST(:callbackDigest AS bytea), false)
      -- What the token may be used for after its while is not ours to say.
      AND NOT (t.purpose = 'opaque-token' AND t.expires_at <= now())
    UNION
    SELECT purpose FROM uses WHERE ${issuedBeforeRestore('issued_at')}
  ),
  over AS MATERIALIZED (
    SELECT purpose FROM uses WHERE expires_at <= now()
  ),
  used AS (
    INSERT INTO single_use_tokens (organization_id, purpose, digest, expires_at)
    SELECT CAST(:organizationId AS uuid), purpose, digest, expires_at FROM admission, uses
    WHERE admission.answer = 'admitted' AND NOT EXISTS (SELECT FROM taken) AND NOT EXISTS (SELECT FROM over)
    ORDER BY purpose, digest
    -- when taken
    RETURNING purpose
  ),
  fresh AS (
    SELECT FROM admission
    WHERE answer = 'admitted' AND (SELECT count(*) FROM used) = (SELECT count(*) FROM uses)
  ),
  created AS (
    INSERT INTO users (organization_id, email, name)
    SELECT CAST(:organizationId AS uuid), CAST(:email AS text), CAST(:name AS text) FROM fresh
    WHERE NOT EXISTS (SELECT FROM linked) AND NOT EXISTS (SELECT FROM named)
    -- Somebody else's first sign-in of the same person may be creating it: then take that row.
    ON CONFLICT (organization_id, email) DO UPDATE SET email = excluded.email
    RETURNING id, disabled_at, xmax = 0 AS is_new
  ),
  person AS (
    SELECT coalesce((SELECT id FROM linked), (SELECT id FROM named),
                    (SELECT id FROM created WHERE disabled_at IS NULL)) AS id
    FROM fresh
  ),
  updated AS (
    UPDATE users u SET email = coalesce(CAST(:email AS text), u.email), name = coalesce(u.name, CAST(:name AS text))
    FROM person WHERE u.organization_id = :organizationId AND u.id = person.id
      AND ((CAST(:email AS text) IS NOT NULL AND u.email IS DISTINCT FROM :email) OR (u.name IS NULL AND CAST(:name AS text) IS NOT NULL))
    RETURNING u.id
  ),
  identity AS (
    INSERT INTO identities (organization_id, connection_id, issuer, subject, user_id)
    SELECT CAST(:organizationId AS uuid), CAST(:connectionId AS uuid),
           CAST(:issuer AS text), CAST(:subject AS text), person.id
    FROM person WHERE person.id IS NOT NULL AND NOT EXISTS (SELECT FROM linked) AND CAST(:issuer AS text) IS NOT NULL
    -- Where somebody else's first sign-in of the same person makes it at this moment, this breaks the whole statement, the
    -- user that it may have made included; another try finds the identity.
    RETURNING user_id
  ),
  allowed AS (
    SELECT person.id FROM person
    -- Without an issuer nobody vouched for the person but an operator.
    WHERE CAST(:issuer AS text) IS NULL OR person.id = coalesce((SELECT id FROM linked), (SELECT user_id FROM identity))
  ),
  -- The same person signs in again in the same browser: the session goes on under a new secret, with what it gave to
  -- applications.
  renewed AS (
    UPDATE sessions s SET
      secret_digest = CAST(:sessionDigest AS bytea), connection_id = CAST(:connectionId AS uuid), authenticated_at = now(),
      idle_expires_at = now() + make_interval(secs => CAST(:sessionIdleTtlSeconds AS float8)),
      expires_at = ${LATEST_END},
      provider_issuer = :issuer, provider_subject = :subject, provider_session = CAST(:providerSessionId AS text),
      sealed_id_token = CAST(:sealedIdToken AS text), authentication_methods = CAST(:authenticationMethods AS text[]),
      sealed_refresh_token = CAST(:sealedRefreshToken AS text), next_check_at = ${FIRST_CHECK}, check_failures = 0
    FROM allowed
    -- Looked up by its digest alone, and never among all of the person or the organization.
    WHERE s.secret_digest = :previousDigest AND s.organization_id IS NOT DISTINCT FROM CAST(:organizationId AS uuid)
      AND s.user_id IS NOT DISTINCT FROM allowed.id AND (s.expires_at > now()) IS TRUE
    RETURNING s.id, s.user_id
  ),
  previous AS (
    DELETE FROM sessions s USING allowed
    WHERE s.secret_digest = :previousDigest AND NOT EXISTS (SELECT FROM renewed WHERE renewed.id = s.id)
  ),
  opened AS (
    INSERT INTO sessions (secret_digest, organization_id, user_id, connection_id, idle_expires_at, expires_at,
                          provider_issuer, provider_subject, provider_session, sealed_id_token, authentication_methods,
                          sealed_refresh_token, next_check_at)
    SELECT CAST(:sessionDigest AS bytea), CAST(:organizationId AS uuid), allowed.id, CAST(:connectionId AS uuid),
           now() + make_interval(secs => CAST(:sessionIdleTtlSeconds AS float8)),
           ${LATEST_END},
           CAST(:issuer AS text), CAST(:subject AS text), CAST(:providerSessionId AS text),
           CAST(:sealedIdToken AS text), CAST(:authenticationMethods AS text[]),
           CAST(:sealedRefreshToken AS text), ${FIRST_CHECK}
    FROM allowed
    WHERE NOT EXISTS (SELECT FROM renewed)
    RETURNING id, user_id
  ),
  session AS (SELECT * FROM renewed UNION ALL SELECT * FROM opened),
  events AS (
    INSERT INTO audit_events (action, outcome, organization_id, connection_id, user_id, email, client_id)
    SELECT happened.action, 'success', CAST(:organizationId AS uuid), CAST(:connectionId AS uuid),
           happened.user_id, CAST(:email AS text), CAST(:clientId AS text)
    FROM (
      SELECT 1 AS rank, 'user.added' AS action, session.user_id
      FROM created JOIN session ON session.user_id = created.id AND created.is_new
      UNION ALL
      SELECT 2, 'user.email_changed', updated.id FROM updated JOIN linked ON linked.id = updated.id
      WHERE CAST(:email AS text) IS NOT NULL AND linked.email IS DISTINCT FROM :email
      UNION ALL
      SELECT 3, CAST(:action AS text), session.user_id FROM session
    ) AS happened
    ORDER BY rank
  )
  SELECT admission.answer, ${LAPSED_SINCE}, ARRAY(SELECT purpose FROM taken) AS taken,
         ARRAY(SELECT purpose FROM over) AS over, EXISTS (SELECT FROM fresh) AS "isFresh",
         (SELECT id FROM session) AS "sessionId", (SELECT return_url FROM facts) AS "returnUrl"
  FROM admission`;

/**
 * Whoever lost a race for the code of this very callback may have failed before this success. The attempt is all that such a
 * sign-in uses.
 */
const FINISH_AFTER_LOST_RACE = FINISH.replace(
  '-- when taken',
  `ON CONFLICT (organization_id, purpose, digest) DO UPDATE SET failed_use = NULL
      WHERE single_use_tokens.failed_use = CAST(:callbackDigest AS bytea)`,
);

/** A token whose end is not ours to know may be used again after a while. It is all that such a sign-in uses. */
const FINISH_BY_OPAQUE_TOKEN = FINISH.replace(
  '-- when taken',
  `ON CONFLICT (organization_id, purpose, digest) DO UPDATE SET expires_at = excluded.expires_at
      WHERE single_use_tokens.purpose = 'opaque-token' AND single_use_tokens.expires_at <= now()`,
);

const MOST_TRIES = 3;
/** Serialization failure, deadlock, and a row that appeared between our look and our write. */
const WORTH_ANOTHER_TRY: ReadonlySet<string | undefined> = new Set(['40001', '40P01', UNIQUE_VIOLATION]);

/** Whether a statement failed because of what somebody else did at the same moment. */
export const isWorthAnotherTry = (error: unknown): boolean => WORTH_ANOTHER_TRY.has(sqlState(causeOf(error)));

/** @throws GatewayError `temporarily_unavailable`; nothing was written then, or everything was */
export async function finishLoginWhole(database: Database, login: FinishLogin): Promise<FinishedLogin> {
  const finishing = statementFor(login);
  const bindings: Readonly<Record<string, unknown>> = {
    isTest: false,
    ...login.question,
    ...login.provider,
    ...login,
    uses: JSON.stringify(login.uses),
    authenticationMethods: [...login.authenticationMethods],
  };
  for (let tries = 1; ; tries++) {
    try {
      const [row] = await database.query<FinishedLogin>(finishing, bindings);
      if (row !== undefined) return row;
      throw new Error('the statement that finishes a sign-in has no answer');
    } catch (error) {
      if (tries >= MOST_TRIES || !isWorthAnotherTry(error)) throw error;
    }
  }
}

const BY_TOKEN = statement('finish-login', FINISH);
const BY_CODE = statement('finish-login-by-code', FINISH_AFTER_LOST_RACE);
const BY_OPAQUE_TOKEN = statement('finish-login-by-opaque-token', FINISH_BY_OPAQUE_TOKEN);

function statementFor({ callbackDigest, uses }: FinishLogin): Statement {
  if (callbackDigest !== null) return BY_CODE;
  return uses.length === 1 && uses[0]?.purpose === 'opaque-token' ? BY_OPAQUE_TOKEN : BY_TOKEN;
}
