/**
 * The question of admit-identity.ts as SQL: common table expressions that end in `admission(answer)`. Sign-ins and
 * `explain` share them, so that what is explained is what happens.
 *
 * Rows of users are locked against being disabled until the statement is over; what a statement sees is one moment.
 */
import type { Knex } from 'knex';
import type { UserPolicy } from '../connections/connection.ts';
import type { Database } from '../database/database.ts';
import type { Admission } from './admit-identity.ts';

/** Bindings that ADMISSION reads. */
export interface AdmissionQuestion extends UserPolicy {
  readonly organizationId: string;
  readonly connectionId: string;
  /** Revision of the connection that the sign-in was started with. */
  readonly revision: number;
  /** Null, with the domain, for somebody without an address. */
  readonly email: string | null;
  readonly domain: string | null;
  /** Null, with the subject: not known yet. */
  readonly issuer: string | null;
  readonly subject: string | null;
}

export const ADMISSION = `
  facts AS MATERIALIZED (
    SELECT o.region IS NOT NULL AS lives_elsewhere, o.disabled_at IS NOT NULL AS organization_disabled, o.provisioning, o.return_url,
           c.status, c.login_revision,
           CAST(:domain AS text) IS NULL OR EXISTS (
                   SELECT FROM domains d
                   WHERE d.organization_id = o.id AND d.name = :domain AND d.verified_at IS NOT NULL) AS domain_proved
    FROM connections c JOIN organizations o ON o.id = c.organization_id
    WHERE c.organization_id = :organizationId AND c.id = :connectionId
  ),
  linked AS MATERIALIZED (
    SELECT u.id, u.email, u.disabled_at IS NOT NULL AS disabled
    FROM identities i JOIN users u ON u.organization_id = i.organization_id AND u.id = i.user_id
    WHERE i.organization_id = :organizationId AND i.connection_id = :connectionId AND i.issuer = :issuer AND i.subject = :subject
    FOR SHARE OF u
  ),
  named AS MATERIALIZED (
    SELECT u.id, u.disabled_at IS NOT NULL AS disabled
    FROM users u WHERE u.organization_id = :organizationId AND u.email = :email
    FOR SHARE OF u
  ),
  admission AS MATERIALIZED (
    SELECT CASE
      WHEN NOT EXISTS (SELECT FROM facts) THEN 'connection_missing'
      WHEN (SELECT lives_elsewhere FROM facts) THEN 'organization_elsewhere'
      WHEN (SELECT organization_disabled FROM facts) THEN 'organization_disabled'
      WHEN (SELECT status FROM facts) <> 'active' THEN 'connection_disabled'
      WHEN (SELECT login_revision FROM facts) > :revision THEN 'connection_changed'
      WHEN NOT (SELECT domain_proved FROM facts) THEN 'domain_not_proved'
      WHEN (SELECT disabled FROM linked) THEN 'user_disabled'
      WHEN (SELECT id FROM linked) <> (SELECT id FROM named) THEN 'address_taken'
      WHEN EXISTS (SELECT FROM linked) THEN 'admitted'
      WHEN (SELECT disabled FROM named) THEN 'user_disabled'
      WHEN EXISTS (SELECT FROM identities i JOIN named ON named.id = i.user_id
                   WHERE i.connection_id = :connectionId AND (i.issuer, i.subject) <> (:issuer, :subject)) THEN 'identity_conflict'
      WHEN EXISTS (SELECT FROM named) AND NOT CAST(:linksByEmail AS boolean) THEN 'user_not_linkable'
      WHEN EXISTS (SELECT FROM named) THEN 'admitted'
      WHEN CAST(:creates AS text) = 'always' THEN 'admitted'
      WHEN CAST(:creates AS text) = 'organization' AND (SELECT provisioning FROM facts) = 'just-in-time' THEN 'admitted'
      ELSE 'user_unknown'
    END AS answer
  )`;

/** What would become of a sign-in; with a null subject, as far as it can be said without one. */
export async function askAdmission(
  database: Database,
  question: AdmissionQuestion,
): Promise<{ readonly answer: Admission; readonly userExists: boolean }> {
  const { rows } = await database.run((db: Knex) =>
    db.raw<{ rows: { answer: Admission; userExists: boolean }[] }>(
      `WITH ${ADMISSION} SELECT answer, EXISTS (SELECT FROM named) AS "userExists" FROM admission`,
      { ...question },
    ),
  );
  const [row] = rows;
  if (row === undefined) throw new Error('the admission question has no answer');
  return row;
}
