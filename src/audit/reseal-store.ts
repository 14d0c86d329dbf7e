/** Ends of chains that nothing vouches for any more, sealed anew as they are, on an operator's word: SECRET_KEY was lost, or a fault was looked into. */
import type { Knex } from 'knex';
import type { Database } from '../database/database.ts';
import type { SecretBox } from '../secret-box.ts';
import { isSameEnd, openEnd, sealEnd, TRAIL, type ChainEnd } from './audit-chain.ts';
import { insertAuditEvent } from './audit-store.ts';
import { writeHeads } from './seal-store.ts';
import { trailSnapshot } from './trail-store.ts';
import { walkTrail } from './verify-trail.ts';

const PAGE = 1_000;

interface EndRow {
  readonly chain: string;
  readonly position: string;
  readonly digest: Buffer;
  readonly sealed: string | null;
}

/** @returns how many ends were sealed anew, that of the trail as a whole included */
export async function resealEnds(database: Database, secrets: SecretBox, actor: string): Promise<number> {
  return database.transaction(async (db) => {
    // Somebody may have taken the row away, or put its mark where nothing is sealed; from 0 on everything is looked at once.
    await db('audit_sealing').insert({ id: true }).onConflict('id').ignore();
    await db.raw(
      `UPDATE audit_sealing SET through = 0, next_through = 0, next_horizon = NULL
       WHERE greatest(through, next_through) > coalesce((SELECT max(event_id) FROM audit_seals), 0)`,
    );
    // Nobody else seals meanwhile.
    const row = await db('audit_sealing').forUpdate().first<{ readonly sealed: string | null }>('sealed');
    const { end } = await walkTrail(trailSnapshot(db), () => undefined);
    let resealed = 0;
    if (end.position > 0 && !says(secrets, TRAIL, { sealed: row.sealed, end })) {
      await db('audit_sealing').update({ sealed: sealEnd(secrets, TRAIL, end) });
      resealed += 1;
    }
    for (let after: string | undefined, isLast = false; !isLast;) {
      const rows = await endsAfter(db, after);
      const heads = rows.flatMap(({ chain, position, digest, sealed }) => {
        const actual = { position: Number(position), digest };
        return says(secrets, chain, { sealed, end: actual })
          ? []
          : [{ chain, sealed: sealEnd(secrets, chain, actual) }];
      });
      await writeHeads(db, heads);
      resealed += heads.length;
      after = rows.at(-1)?.chain;
      isLast = rows.length < PAGE;
    }
    if (resealed > 0)
      await insertAuditEvent(db, { action: 'audit.resealed', reason: `ends of chains: ${resealed}`, actor });
    return resealed;
  });
}

function says(
  secrets: SecretBox,
  chain: string,
  { sealed, end }: { readonly sealed: string | null; readonly end: ChainEnd },
): boolean {
  const said = sealed === null ? undefined : openEnd(secrets, chain, sealed);
  return said !== undefined && isSameEnd(said, end);
}

/** Where chains end, by their last seals. */
async function endsAfter(db: Knex, after: string | undefined): Promise<readonly EndRow[]> {
  const { rows } = await db.raw<{ rows: EndRow[] }>(
    `SELECT c.chain, c.position, s.digest, h.sealed
     FROM (SELECT chain, max(position) AS position FROM audit_seals
           ${after === undefined ? '' : 'WHERE chain > CAST(:after AS uuid)'}
           GROUP BY chain ORDER BY chain LIMIT ${PAGE}) AS c
     JOIN audit_seals s ON s.chain = c.chain AND s.position = c.position
     LEFT JOIN audit_heads h ON h.chain = c.chain
     ORDER BY c.chain`,
    after === undefined ? {} : { after },
  );
  return rows;
}
