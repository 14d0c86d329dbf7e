/** What a PostgreSQL server says of itself, of the account that asks, and of the connection between them. */
import type { Database } from './database.ts';

export interface ServerFacts {
  /** Such as 160004. */
  readonly versionNumber: number;
  /** Settings that are off and without which a crash may undo what was answered. */
  readonly unsafeSettings: readonly string[];
  readonly account: string;
  /** What the account may do beside its work: `SUPERUSER` and the like. */
  readonly attributes: readonly string[];
  /** Whether what is said on the connection leaves this machine without TLS. */
  readonly isExposed: boolean;
  /** How many connections this account may have, all its programs together. */
  readonly mostConnections: number;
  /** The server's clock, in milliseconds since the epoch. */
  readonly clockMs: number;
}

/** @throws GatewayError `temporarily_unavailable` */
export async function readServerFacts(database: Database): Promise<ServerFacts> {
  const { rows } = await database.run((db) =>
    db.raw<{ rows: ServerFacts[] }>(
      `SELECT CAST(current_setting('server_version_num') AS integer) AS "versionNumber",
              ARRAY(SELECT name FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AS name
                    WHERE current_setting(name) = 'off') AS "unsafeSettings",
              r.rolname AS account,
              array_remove(ARRAY[CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
                                 CASE WHEN r.rolcreatedb THEN 'CREATEDB' END, CASE WHEN r.rolreplication THEN 'REPLICATION' END,
                                 CASE WHEN r.rolbypassrls AND NOT r.rolsuper THEN 'BYPASSRLS' END], NULL) AS attributes,
              NOT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
                AND NOT coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true) AS "isExposed",
              least(CAST(current_setting('max_connections') AS integer)
                      - CAST(current_setting('superuser_reserved_connections') AS integer)
                      - coalesce(CAST(current_setting('reserved_connections', true) AS integer), 0),
                    nullif(r.rolconnlimit, -1),
                    (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())) AS "mostConnections",
              CAST(1000 * extract(epoch FROM clock_timestamp()) AS float8) AS "clockMs"
       FROM pg_roles r WHERE r.rolname = current_user`,
    ),
  );
  const [facts] = rows;
  if (facts === undefined) throw new Error('the server does not know who asks');
  return facts;
}
