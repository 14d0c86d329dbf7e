/** What the schema itself forbids, whatever the code above it does: rows across organizations, and doubles. */
import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

const FOREIGN_KEY = '23503';
const UNIQUE = '23505';
const CHECK = '23514';
const NOT_NULL = '23502';

interface Tenant {
  readonly id: string;
  readonly connection: string;
  readonly user: string;
}

let testDatabase: TestDatabase;
let acme: Tenant;
let brand: Tenant;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  acme = await insertTenant('acme');
  brand = await insertTenant('brand');
});
afterAll(() => testDatabase.drop());

const sql = (text: string, ...values: unknown[]) => testDatabase.query<{ id: string }>(text, values);

async function insertTenant(slug: string): Promise<Tenant> {
  const id = String(
    (await sql(`INSERT INTO organizations (slug, name) VALUES ($1, $1) RETURNING id`, slug))[0]?.id,
  );
  const connection = randomUUID();
  await sql(
    `INSERT INTO connections (id, organization_id, kind, settings) VALUES ($1, $2, 'oidc', '{}')`,
    connection,
    id,
  );
  const [user] = await sql(
    'INSERT INTO users (organization_id, email) VALUES ($1, $2) RETURNING id',
    id,
    `ada@${slug}.example`,
  );
  return { id, connection, user: String(user?.id) };
}

const IDENTITY = `INSERT INTO identities (organization_id, connection_id, issuer, subject, user_id)
  VALUES ($1, $2, 'https://idp.example', $3, $4)`;
const SESSION = `INSERT INTO sessions (secret_digest, organization_id, user_id, connection_id, idle_expires_at, expires_at)
  VALUES ($1, $2, $3, $4, now() + '1h', now() + '1h')`;

async function refusedWith(code: string, statement: string, ...values: unknown[]): Promise<void> {
  await expect(sql(statement, ...values)).rejects.toMatchObject({ code });
}

describe('no row points across organizations', () => {
  it('an identity: not to a connection or a user of another, not for another', async () => {
    await refusedWith(FOREIGN_KEY, IDENTITY, acme.id, brand.connection, 's', acme.user);
    await refusedWith(FOREIGN_KEY, IDENTITY, acme.id, acme.connection, 's', brand.user);
    await refusedWith(FOREIGN_KEY, IDENTITY, brand.id, acme.connection, 's', acme.user);
    await refusedWith(FOREIGN_KEY, IDENTITY, brand.id, brand.connection, 's', acme.user);
  });

  it('a session: not to a connection or a user of another, not for another', async () => {
    const digest = () => randomBytes(32);
    await refusedWith(FOREIGN_KEY, SESSION, digest(), acme.id, acme.user, brand.connection);
    await refusedWith(FOREIGN_KEY, SESSION, digest(), acme.id, brand.user, acme.connection);
    await refusedWith(FOREIGN_KEY, SESSION, digest(), brand.id, acme.user, acme.connection);
  });

  it('nor can a row be moved there afterwards', async () => {
    await sql(IDENTITY, acme.id, acme.connection, 'moved', acme.user);
    await sql(SESSION, randomBytes(32), acme.id, acme.user, acme.connection);
    for (const table of ['users', 'connections', 'identities', 'sessions']) {
      await refusedWith(
        FOREIGN_KEY,
        `UPDATE ${table} SET organization_id = $1 WHERE organization_id = $2`,
        brand.id,
        acme.id,
      );
    }
    await refusedWith(FOREIGN_KEY, 'UPDATE identities SET user_id = $1', brand.user);
    await refusedWith(FOREIGN_KEY, 'UPDATE sessions SET connection_id = $1', brand.connection);
  });

  it.each([
    ['domains', `INSERT INTO domains (organization_id, name) VALUES ($1, 'absent.example')`],
    ['users', `INSERT INTO users (organization_id, email) VALUES ($1, 'ada@absent.example')`],
    [
      'connections',
      `INSERT INTO connections (id, organization_id, kind, settings) VALUES ($1, $1, 'oidc', '{}')`,
    ],
  ])('nothing in %s belongs to an organization that there is not', async (_, statement) => {
    await refusedWith(FOREIGN_KEY, statement, randomUUID());
  });

  it('every table with an organization refers to it, but for what outlives it', async () => {
    const rows = await testDatabase.query<{ table_name: string }>(
      `SELECT table_name FROM information_schema.columns
       WHERE table_schema = current_schema() AND column_name = 'organization_id' ORDER BY 1`,
    );
    const loose = await testDatabase.query<{ name: string }>(
      `SELECT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
       WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
         AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey))
       ORDER BY 1`,
    );
    expect(rows.length).toBeGreaterThan(5);
    // The trail, notices to applications of sessions that ended because the organization was removed, and what was used.
    expect(loose.map(({ name }) => name)).toEqual(['audit_events', 'logout_notices', 'single_use_tokens']);
  });
});

describe('nothing is there twice', () => {
  it.each([
    ['a slug', `INSERT INTO organizations (slug, name) VALUES ('acme', 'Again')`, []],
    [
      'an address in an organization',
      'INSERT INTO users (organization_id, email) VALUES ($1, $2)',
      ['id', 'ada@acme.example'],
    ],
  ])('%s', async (_, statement, values) => {
    await refusedWith(UNIQUE, statement, ...values.map((value) => (value === 'id' ? acme.id : value)));
  });

  it('a domain, in whichever organization', async () => {
    const claim = 'INSERT INTO domains (organization_id, name) VALUES ($1, $2)';
    await sql(claim, acme.id, 'once.example');
    await refusedWith(UNIQUE, claim, brand.id, 'once.example');
    await refusedWith(UNIQUE, claim, acme.id, 'once.example');
  });

  it('a subject of a connection, and a user in a connection', async () => {
    const other = String(
      (
        await sql(
          `INSERT INTO users (organization_id, email) VALUES ($1, 'b@b.example') RETURNING id`,
          brand.id,
        )
      )[0]?.id,
    );
    await sql(IDENTITY, brand.id, brand.connection, 'once', brand.user);
    await refusedWith(UNIQUE, IDENTITY, brand.id, brand.connection, 'once', other);
    await refusedWith(UNIQUE, IDENTITY, brand.id, brand.connection, 'twice', brand.user);
  });

  it('a session, and the use of a token in an organization; in another it is another token', async () => {
    const digest = randomBytes(32);
    await sql(SESSION, digest, brand.id, brand.user, brand.connection);
    await refusedWith(UNIQUE, SESSION, digest, brand.id, brand.user, brand.connection);
    const use = `INSERT INTO single_use_tokens (organization_id, purpose, digest, expires_at) VALUES ($1, $2, $3, now())`;
    await sql(use, acme.id, 'jwt-id', digest);
    await refusedWith(UNIQUE, use, acme.id, 'jwt-id', digest);
    await sql(use, brand.id, 'jwt-id', digest);
    await sql(use, acme.id, 'login', digest);
  });
});

describe('values', () => {
  it.each([
    [
      'another policy',
      CHECK,
      `INSERT INTO organizations (slug, name, provisioning) VALUES ('x', 'x', 'auto')`,
    ],
    ['another status', CHECK, `UPDATE connections SET status = 'draft-ish'`],
    ['another outcome', CHECK, `INSERT INTO audit_events (action, outcome) VALUES ('x', 'maybe')`],
    ['no name', NOT_NULL, `INSERT INTO organizations (slug) VALUES ('x')`],
    ['no settings', NOT_NULL, `UPDATE connections SET settings = NULL`],
    ['an id that is none', '22P02', `UPDATE users SET id = 'x'`],
  ])('%s is refused', async (_, code, statement) => {
    await refusedWith(code, statement);
  });

  it('an audit event cannot choose its number', async () => {
    await refusedWith('428C9', `INSERT INTO audit_events (id, action, outcome) VALUES (1, 'x', 'success')`);
  });
});

describe('COLLATE "C"', () => {
  it.each([
    ['organizations', 'slug'],
    ['domains', 'name'],
    ['domain_proofs', 'challenge'],
    ['domain_transfers', 'challenge'],
    ['connections', 'kind'],
    ['users', 'email'],
    ['identities', 'issuer'],
    ['identities', 'subject'],
    ['single_use_tokens', 'purpose'],
    ['audit_events', 'action'],
    ['audit_events', 'code'],
    ['audit_events', 'reference'],
  ])('%s.%s is compared byte by byte', async (table, column) => {
    const rows = await testDatabase.query(
      `SELECT collation_name FROM information_schema.columns
       WHERE table_schema = current_schema() AND table_name = $1 AND column_name = $2`,
      [table, column],
    );
    expect(rows).toEqual([{ collation_name: 'C' }]);
  });

  it.each([
    ['case', 'ada@x.example', 'Ada@x.example'],
    ['the dotless i', 'admin@x.example', 'admın@x.example'],
    ['the Kelvin sign', 'k@x.example', '\u212a@x.example'],
    ['composed and decomposed letters', '\u00e9@x.example', 'e\u0301@x.example'],
    ['a blank at the end', 'b@x.example', 'b@x.example '],
  ])('E-01 addresses that differ by %s are two', async (_, one, other) => {
    const insert = 'INSERT INTO users (organization_id, email) VALUES ($1, $2)';
    await sql(insert, acme.id, one);
    await sql(insert, acme.id, other);
    expect(
      await sql('SELECT id FROM users WHERE organization_id = $1 AND email = $2', acme.id, one),
    ).toHaveLength(1);
  });
});

it('what belongs to an organization goes with it, and nothing of another', async () => {
  const gone = await insertTenant('gone');
  await sql(IDENTITY, gone.id, gone.connection, 's', gone.user);
  await sql(SESSION, randomBytes(32), gone.id, gone.user, gone.connection);
  const before = await counts();
  await sql('DELETE FROM organizations WHERE id = $1', gone.id);
  const after = await counts();
  for (const [table, count] of Object.entries(before)) expect(after[table]).toBe(count - 1);
});

async function counts(): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const table of ['organizations', 'connections', 'users', 'identities', 'sessions']) {
    found[table] = (await sql(`SELECT FROM ${table}`)).length;
  }
  return found;
}
