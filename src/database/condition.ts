/** Whether the database can be worked with, beside being there: asked again and again, so it is one small query. */
import { GatewayError } from '../errors.ts';
import { sqlState, UNDEFINED_TABLE, type Database } from './database.ts';
import { knownMigrations, MIGRATIONS_TABLE } from './migrator.ts';

export interface DatabaseCondition {
  /** A standby, or a server that was told to take no writes. */
  readonly isReadOnly: boolean;
  /** Whether it lacks migrations of this release, as a back-up that was restored may. */
  readonly isBehind: boolean;
}

/** They change with the release, and not while it runs. */
let known: ReturnType<typeof knownMigrations> | undefined;

/** @throws GatewayError `temporarily_unavailable` */
export async function readCondition(database: Database): Promise<DatabaseCondition> {
  const names = await (known ??= knownMigrations());
  try {
    const { rows } = await database.run((db) =>
      db.raw<{ rows: DatabaseCondition[] }>(
        `SELECT current_setting('transaction_read_only') = 'on' AS "isReadOnly",
                (SELECT count(*) FROM ${MIGRATIONS_TABLE} WHERE name = ANY (CAST(:names AS text[]))) < :count AS "isBehind"`,
        { names: [...names], count: names.length },
      ),
    );
    return rows[0] ?? { isReadOnly: false, isBehind: true };
  } catch (error) {
    const cause = error instanceof GatewayError ? error.cause : error;
    if (sqlState(cause) === UNDEFINED_TABLE) return { isReadOnly: false, isBehind: true };
    throw error;
  }
}
