/**
 * Users in PostgreSQL. Every query names the organization; there is no way to ask for a user of "any" organization.
 */
import { insertAuditEvent } from '../audit/audit-store.ts';
import { sqlState, UNIQUE_VIOLATION, type Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import type { EmailAddress } from '../organizations/email-address.ts';
import { lockHome } from '../organizations/home-region-store.ts';
import type { Organization } from '../organizations/organization.ts';
import type { User, UserKey } from './user.ts';

interface UserRow {
  readonly id: string;
  readonly organization_id: string;
  readonly email: EmailAddress | null;
  readonly name: string | null;
  readonly disabled_at: Date | null;
  readonly created_at: Date;
}

const userFromRow = (row: UserRow): User => ({
  id: row.id,
  organizationId: row.organization_id,
  email: row.email ?? undefined,
  name: row.name ?? undefined,
  enabled: row.disabled_at === null,
  createdAt: row.created_at,
});

export interface NewUser {
  readonly email: EmailAddress;
  readonly name: string | undefined;
}

/** @throws Refusal if the organization has a user of that address */
export async function insertUser(
  database: Database,
  organization: Organization,
  user: NewUser,
  actor: string,
): Promise<User & NewUser> {
  try {
    return await database.transaction(async (db) => {
      await lockHome(db, organization.id);
      const [row] = await db<UserRow>('users')
        .insert({ organization_id: organization.id, email: user.email, name: user.name ?? null })
        .returning('*');
      if (row === undefined) throw new Error('INSERT returned no row');
      await insertAuditEvent(db, {
        action: 'user.added',
        organizationId: organization.id,
        userId: row.id,
        email: user.email,
        actor,
      });
      return { ...userFromRow(row), ...user };
    });
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
    throw new Refusal(`${user.email} is a user of ${organization.slug} already.`);
  }
}

/**
 * Adds many users with one audit event, all or none. `batches` is read as it comes, so that a file need not fit in memory.
 * @returns how many were new; the others were there before and are as they were
 */
export async function insertUsers(
  database: Database,
  organization: Organization,
  batches: AsyncIterable<readonly NewUser[]>,
  actor: string,
): Promise<number> {
  return database.transaction(async (db) => {
    await lockHome(db, organization.id);
    let added = 0;
    for await (const batch of batches) {
      const rows = await db('users')
        .insert(
          batch.map(({ email, name }) => ({ organization_id: organization.id, email, name: name ?? null })),
          'id',
        )
        .onConflict(['organization_id', 'email'])
        .ignore();
      added += rows.length;
    }
    await insertAuditEvent(db, {
      action: 'user.imported',
      reason: `${added} added`,
      organizationId: organization.id,
      actor,
    });
    return added;
  });
}

export async function listUsers(database: Database, organization: Organization): Promise<readonly User[]> {
  const rows = await database.run((db) =>
    db<UserRow>('users').where({ organization_id: organization.id }).orderBy('email'),
  );
  return rows.map(userFromRow);
}

/** @throws Refusal if the organization has no such user */
export async function requireUser(
  database: Database,
  organization: Organization,
  { email, userId }: UserKey,
): Promise<User> {
  const key = email === undefined ? { id: userId } : { email };
  const row = await database.run((db) =>
    db<UserRow>('users')
      .where({ organization_id: organization.id, ...key })
      .first(),
  );
  if (row !== undefined) return userFromRow(row);
  throw new Refusal(
    email === undefined
      ? `${organization.slug} has no user ${userId}. See them with: user list ${organization.slug}`
      : `${organization.slug} has no user ${email}. Add one with: user add ${organization.slug} ${email}`,
  );
}

/** Enables or disables; disabling ends every session of the user. */
export async function setUserEnabled(
  database: Database,
  user: User,
  enabled: boolean,
  actor: string,
): Promise<void> {
  await database.transaction(async (db) => {
    const key = { organization_id: user.organizationId, id: user.id };
    await db('users')
      .where(key)
      .update({ disabled_at: enabled ? null : db.fn.now() });
    if (!enabled) {
      await db('sessions').where({ organization_id: user.organizationId, user_id: user.id }).delete();
    }
    await insertAuditEvent(db, {
      action: enabled ? 'user.enabled' : 'user.disabled',
      organizationId: user.organizationId,
      userId: user.id,
      email: user.email,
      actor,
    });
  });
}

/** Removes the user, the identities and the sessions. */
export async function deleteUser(database: Database, user: User, actor: string): Promise<void> {
  await database.transaction(async (db) => {
    await db('users').where({ organization_id: user.organizationId, id: user.id }).delete();
    await insertAuditEvent(db, {
      action: 'user.removed',
      organizationId: user.organizationId,
      userId: user.id,
      email: user.email,
      actor,
    });
  });
}
