/**
 * Very many organizations, each with a domain, a custom-JWT connection, a user and a session, as copies of one that was registered by
 * the rules. Written by PostgreSQL itself: a million of them take a minute or two.
 */
import { createHash } from 'node:crypto';
import pg from 'pg';

const ORIGINAL = 'j0';

/** The secret of a session, by its number from 1: long enough for a cookie, and of use to nobody but a benchmark. */
export const scaleSecret = (number: number) =>
  createHash('sha256').update(`scale ${number}`).digest('base64url');

export const scaleDomain = (number: number) => `s${number}.example`;

const SECRET = `translate(rtrim(encode(sha256(convert_to('scale ' || n, 'UTF8')), 'base64'), '='), '+/', '-_')`;

const TABLES = ['organizations', 'domains', 'connections', 'connection_routes', 'users', 'sessions'];

const COPY = `
  CREATE TEMPORARY TABLE copies ON COMMIT DROP AS
    SELECT n, gen_random_uuid() AS organization_id, gen_random_uuid() AS connection_id, gen_random_uuid() AS user_id
    FROM generate_series(1, $COUNT) AS n;
  INSERT INTO organizations (id, slug, name) SELECT organization_id, 's' || n, 's' || n FROM copies;
  INSERT INTO domains (name, organization_id, verified_at) SELECT 's' || n || '.example', organization_id, now() FROM copies;
  INSERT INTO connections (id, organization_id, kind, settings)
    SELECT connection_id, copies.organization_id, c.kind, c.settings
    FROM copies, connections c JOIN organizations o ON o.id = c.organization_id WHERE o.slug = '${ORIGINAL}';
  INSERT INTO connection_routes (organization_id, connection_id, kind, value)
    SELECT copies.organization_id, copies.connection_id, r.kind, r.value
    FROM copies, connection_routes r JOIN organizations o ON o.id = r.organization_id WHERE o.slug = '${ORIGINAL}';
  INSERT INTO users (id, organization_id, email) SELECT user_id, organization_id, 'p0@s' || n || '.example' FROM copies;
  INSERT INTO sessions (secret_digest, organization_id, user_id, connection_id, idle_expires_at, expires_at)
    SELECT sha256(convert_to(${SECRET}, 'UTF8')), organization_id, user_id, connection_id,
           now() + interval '2 hours', now() + interval '12 hours'
    FROM copies;`;

export async function fillScale(databaseUrl: string, count: number): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query('BEGIN');
    // Nobody listens yet who would have to hear of each row.
    for (const table of TABLES) await client.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
    await client.query(COPY.replace('$COUNT', String(count)));
    for (const table of TABLES) await client.query(`ALTER TABLE ${table} ENABLE TRIGGER USER`);
    await client.query('COMMIT');
    await client.query('VACUUM ANALYZE');
  } finally {
    await client.end();
  }
}
