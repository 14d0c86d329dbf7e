/**
 * The end of a sign-in of somebody of whom nothing is new, which is nearly everybody: known to the connection by the name and address
 * that they come with, where it is there for everybody and no other connection has a say. Those who come at once are asked for in one
 * statement. Whoever is not found here has used up nothing, and is asked for by the whole statement (finish-login-store.ts).
 */
import { statement } from '../database/statement.ts';
import { sqlState, type Database } from '../database/database.ts';
import { together } from '../database/together.ts';
import { issuedBeforeRestore } from '../sessions/restore-store.ts';
import {
  isWorthAnotherTry,
  READ_USE,
  USE_COLUMNS,
  type FinishedLogin,
  type FinishLogin,
} from './finish-login-store.ts';

/**
 * Each condition here has to imply that the whole statement would admit the person (admission-store.ts) and change nothing of them.
 * Nothing waits for another transaction, for others would wait with it: what somebody else holds is passed over. What is looked up is
 * fenced, so that it is found by its whole key and not by a plan that was made while a table had next to nothing in it.
 */
const FINISH_FOR_KNOWN = statement(
  'finish-logins-for-known',
  `WITH logins AS MATERIALIZED (
     SELECT * FROM jsonb_to_recordset(CAST(:logins AS jsonb)) AS l (
       session text, organization_id uuid, connection_id uuid, revision integer,
       email text COLLATE "C", domain text COLLATE "C", issuer text COLLATE "C", subject text COLLATE "C", name text,
       ttl float8, idle_ttl float8, provider_session text, provider_expires_at float8, sealed_id_token text,
       authentication_methods text[], sealed_refresh_token text, follow_seconds float8, action text, client_id text)
   ),
   uses AS MATERIALIZED (
     SELECT u.session, u.organization_id, ${READ_USE}
     FROM jsonb_to_recordset(CAST(:uses AS jsonb)) AS u (session text, organization_id uuid, ${USE_COLUMNS})
   ),
   spoiled AS MATERIALIZED (
     SELECT session FROM uses WHERE expires_at <= now() OR ${issuedBeforeRestore('issued_at')}
     UNION ALL
     SELECT uses.session FROM uses CROSS JOIN LATERAL (
       SELECT FROM single_use_tokens t
       WHERE t.organization_id = uses.organization_id AND t.purpose = uses.purpose AND t.digest = uses.digest
       OFFSET 0
     ) AS taken
   ),
   allowed AS MATERIALIZED (
     SELECT l.*, u.id AS user_id, way.return_url
     FROM logins l
     -- First: for who is not known nothing is locked, and so nothing written.
     CROSS JOIN LATERAL (
       SELECT i.user_id FROM identities i
       WHERE i.connection_id = l.connection_id AND i.issuer = l.issuer AND i.subject = l.subject
       OFFSET 0
     ) AS known
     CROSS JOIN LATERAL (
       SELECT o.return_url
       FROM connections c JOIN organizations o ON o.id = c.organization_id
       WHERE c.organization_id = l.organization_id AND c.id = l.connection_id AND c.status = 'active' AND c.login_revision <= l.revision
         AND o.region IS NULL AND o.disabled_at IS NULL
       FOR KEY SHARE OF c, o SKIP LOCKED
     ) AS way
     CROSS JOIN LATERAL (
       SELECT u.id FROM users u
       WHERE u.organization_id = l.organization_id AND u.id = known.user_id
         AND u.disabled_at IS NULL AND u.email = l.email AND (u.name IS NOT NULL OR l.name IS NULL)
       FOR SHARE SKIP LOCKED
     ) AS u
     WHERE EXISTS (SELECT FROM (SELECT * FROM domains d WHERE d.name = l.domain OFFSET 0) AS d
                   WHERE d.organization_id = l.organization_id AND d.verified_at IS NOT NULL)
       AND EXISTS (SELECT FROM connection_routes r WHERE r.organization_id = l.organization_id
                     AND r.kind = 'everybody' AND r.value = '' AND (r.connection_id = l.connection_id) IS TRUE OFFSET 0)
       AND NOT EXISTS (SELECT FROM connection_routes r WHERE r.organization_id = l.organization_id
                         AND (r.kind = 'address' OR r.connection_id <> l.connection_id) OFFSET 0)
       AND NOT EXISTS (SELECT FROM spoiled WHERE spoiled.session = l.session)
   ),
   used AS (
     INSERT INTO single_use_tokens (organization_id, purpose, digest, expires_at)
     SELECT uses.organization_id, uses.purpose, uses.digest, uses.expires_at
     FROM uses JOIN allowed ON allowed.session = uses.session
     -- In one order, so that no two wait for each other.
     ORDER BY uses.organization_id, uses.purpose, uses.digest
   ),
   opened AS (
     INSERT INTO sessions (secret_digest, organization_id, user_id, connection_id, idle_expires_at, expires_at,
                           provider_issuer, provider_subject, provider_session, sealed_id_token, authentication_methods,
                           sealed_refresh_token, next_check_at)
     SELECT decode(session, 'hex'), organization_id, user_id, connection_id,
            now() + make_interval(secs => idle_ttl),
            least(now() + make_interval(secs => ttl), to_timestamp(provider_expires_at)),
            issuer, subject, provider_session, sealed_id_token, authentication_methods,
            sealed_refresh_token, now() + make_interval(secs => follow_seconds * (0.9 + 0.1 * random()))
     FROM allowed
     RETURNING id, secret_digest
   ),
   events AS (
     INSERT INTO audit_events (action, outcome, organization_id, connection_id, user_id, email, client_id)
     SELECT action, 'success', organization_id, connection_id, user_id, email, client_id FROM allowed
   )
   SELECT allowed.session, opened.id AS "sessionId", allowed.return_url AS "returnUrl"
   FROM opened JOIN allowed ON decode(allowed.session, 'hex') = opened.secret_digest`,
);

interface OpenedRow {
  readonly session: string;
  readonly sessionId: string;
  readonly returnUrl: string | null;
}

/** Who comes with a session goes on with it or ends it, and who has no address is known by a subject alone: not asked for here. */
export const mayBeKnown = ({ previousDigest, question: { email, issuer } }: FinishLogin): boolean =>
  previousDigest === null && email !== null && issuer !== null;

/** @returns what signs one in, or says with `undefined` that it did not */
export function knownLogins(database: Database): (login: FinishLogin) => Promise<FinishedLogin | undefined> {
  return together(async (logins) => {
    try {
      return await finishTogether(database, logins);
    } catch (error) {
      // One of them cannot be written, and nobody has to answer for another's: each is tried by itself. A database that is away, or
      // too slow, is so for all.
      if (sqlState(error) === undefined && !isWorthAnotherTry(error)) throw error;
      return logins.map(() => undefined);
    }
  });
}

async function finishTogether(
  database: Database,
  logins: readonly FinishLogin[],
): Promise<readonly (FinishedLogin | undefined)[]> {
  const taken = new Set<string>();
  // Of two that use the same thing the first counts.
  const counted = logins.filter(({ question, uses }) => {
    const names = uses.map(({ purpose, digest }) => `${question.organizationId} ${purpose} ${digest}`);
    if (names.some((name) => taken.has(name))) return false;
    for (const name of names) taken.add(name);
    return true;
  });
  const rows = await database.query<OpenedRow>(FINISH_FOR_KNOWN, {
    logins: JSON.stringify(counted.map(loginRow)),
    uses: JSON.stringify(counted.flatMap(useRows)),
  });
  const opened = new Map(rows.map((row) => [row.session, row]));
  return logins.map((login) => {
    const row = opened.get(sessionName(login));
    return row && { ...ADMITTED, sessionId: row.sessionId, returnUrl: row.returnUrl };
  });
}

const ADMITTED = { answer: 'admitted', lapsedSince: null, taken: [], over: [], isFresh: true } as const;

const sessionName = ({ sessionDigest }: FinishLogin) => sessionDigest.toString('hex');

const loginRow = (login: FinishLogin) => {
  const { question, provider } = login;
  return {
    session: sessionName(login),
    organization_id: question.organizationId,
    connection_id: question.connectionId,
    revision: question.revision,
    email: question.email,
    domain: question.domain,
    issuer: question.issuer,
    subject: question.subject,
    name: login.name,
    ttl: login.sessionTtlSeconds,
    idle_ttl: login.sessionIdleTtlSeconds,
    provider_session: provider.providerSessionId,
    provider_expires_at: provider.providerExpiresAtSeconds,
    sealed_id_token: provider.sealedIdToken,
    authentication_methods: login.authenticationMethods,
    sealed_refresh_token: provider.sealedRefreshToken,
    follow_seconds: provider.followSeconds,
    action: login.action,
    client_id: login.clientId,
  };
};

const useRows = (login: FinishLogin) =>
  login.uses.map((use) => ({
    session: sessionName(login),
    organization_id: login.question.organizationId,
    ...use,
  }));
