/** `audit verify`: is the trail as it was written? And `audit reseal`, for when its key was lost. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import * as z from 'zod';
import { CHAIN_OF_NONE, TRAIL } from '../audit/audit-chain.ts';
import { resealEnds } from '../audit/reseal-store.ts';
import { isKnownChain, withTrailSnapshot } from '../audit/trail-store.ts';
import {
  verifyTrail,
  type Beginning,
  type ExportedPlace,
  type TrailFault,
  type TrailProblem,
  type VerifiedTrail,
} from '../audit/verify-trail.ts';
import { isId } from '../connections/connection-store.ts';
import { Refusal } from '../errors.ts';
import { findOrganization, requireOrganization } from '../organizations/organization-store.ts';
import { openSecretBox } from '../secret-box.ts';
import { parseJsonObject } from '../strict-json.ts';
import {
  confirm,
  print,
  progressBar,
  requireFileName,
  table,
  withDatabase,
  type CommandContext,
  type Terminal,
} from './terminal.ts';

interface VerifyOptions {
  readonly organization?: string;
  readonly against?: string;
  readonly json?: boolean;
}

export function verifyCommand(audit: Command, terminal: Terminal): void {
  audit
    .command('verify')
    .option('--organization <slug>', 'the chain of one organization; the id of one that was removed')
    .option('--against <file>', 'an earlier export: is all of it still there? - for standard input')
    .option('--json', 'print JSON')
    .description(
      'recompute the chains of the audit trail; exit 1 if an event was changed, removed or put in before others',
    )
    .action((options: VerifyOptions) =>
      withDatabase(terminal, options, async (context) => {
        const chain = await chainNamed(context, options.organization);
        const against = options.against === undefined ? undefined : exportedPlaces(terminal, options.against);
        const verified = await withTrailSnapshot(context.database, async (trail) => {
          // Chains, the chain of all seals, and events without a seal.
          const bar = progressBar(terminal, PROGRESS, 3 * (await trail.count()));
          try {
            const secrets = openSecretBox(context.config);
            const onProgress = (rows: number) => bar?.increment(rows);
            return await verifyTrail(trail, { secrets, chain, against, onProgress });
          } finally {
            bar?.stop();
          }
        });
        if (against !== undefined && verified.compared === 0 && verified.faults.size === 0)
          throw new Refusal('The export has no line to compare. Was it written? See: gatehouse audit export');
        await report(context, verified);
      }),
    );
}

const PROGRESS = 'Verifying {bar} {percentage}% | {eta_formatted} left';

/** Organizations by slug, those that are gone by id. */
export async function chainNamed(
  { database }: CommandContext,
  organization: string | undefined,
): Promise<string | undefined> {
  if (organization === undefined) return undefined;
  if (isId(organization)) {
    if (await isKnownChain(database, organization)) return organization;
    throw new Refusal(`Nothing is known of an organization ${organization}. See: gatehouse org list`);
  }
  return (await requireOrganization(database, organization)).id;
}

const placeShape = z.object({
  chain: z.string().refine(isId),
  position: z.int().positive(),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  id: z.string(),
});
const LINES_AT_ONCE = 500;

/** @throws Refusal for what is no export */
async function* exportedPlaces(terminal: Terminal, file: string): AsyncGenerator<readonly ExportedPlace[]> {
  if (file !== '-') requireFileName(file);
  const input = file === '-' ? terminal.stdin : createReadStream(file);
  let places: ExportedPlace[] = [];
  let line = 0;
  try {
    for await (const text of createInterface({ input, crlfDelay: Infinity })) {
      line += 1;
      const place = placeShape.safeParse(parseJsonObject(text)).data;
      if (place === undefined)
        throw new Refusal(`Line ${line} of the export is not one that audit export wrote.`);
      const { chain, position, digest, id } = place;
      places.push({ chain, position, digest: Buffer.from(digest, 'hex'), eventId: id });
      if (places.length < LINES_AT_ONCE) continue;
      yield places;
      places = [];
    }
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(`Cannot read ${file} (${(error as NodeJS.ErrnoException).code ?? 'error'}).`);
  }
  yield places;
}

const WHAT: Readonly<Record<TrailProblem, string>> = {
  event_changed: 'is not the event that was sealed here',
  event_missing: 'the event that was sealed here is gone',
  place_empty: 'nothing is sealed here, though something is after it',
  end_differs: 'the chain ends here, and was sealed with another end',
  end_missing: 'the chain ends here, and what was sealed of its end is gone',
  end_unopened: 'no key of SECRET_KEY opens what was sealed of its end',
  end_outdated: 'the chain goes on after this, and its end was not sealed any more',
  not_sealed: 'has no place in the chain, and should have',
  not_as_exported: 'is not as the export has it',
};

const NEXT_STEP: Readonly<Partial<Record<TrailProblem, string>>> = {
  not_sealed:
    'start a server, which seals within a second, and read its log; if it stays, find out who could write to the database',
  end_unopened: 'put the key back into SECRET_KEY, then verify again; if it is lost: gatehouse audit reseal',
  end_outdated:
    'if a server lacked a key of SECRET_KEY for a while: gatehouse audit reseal; if not, find out who could write to the database',
};
const LOOK_INTO_IT = 'find out who could write to the database; a back-up or an export has what was there';

function since(beginning: Beginning | undefined): string {
  if (beginning === undefined) return 'Nothing is sealed yet.';
  const whatWasThere = beginning.hadEvents
    ? 'Events that were there already are sealed as they were found: whether they were changed before, only an earlier export shows.'
    : 'Nothing was sealed before.';
  return `Sealed since ${beginning.since}; a chain that began later, since its first event. ${whatWasThere}`;
}

async function report(context: CommandContext, verified: VerifiedTrail): Promise<void> {
  const { events, chains, beginning, compared, faults } = verified;
  const documents = [];
  for (const fault of faults.values()) documents.push(await faultDocument(context, fault));
  const rows = documents.map((fault) => [
    fault.organization ?? fault.chain,
    fault.position === null ? '-' : String(fault.position),
    fault.event_id ?? '-',
    fault.message,
    fault.next_step,
  ]);
  const headings = ['CHAIN', 'POSITION', 'EVENT', 'WHAT IS WRONG FIRST', 'WHAT TO DO'];
  const asExported = compared === 0 ? '' : ` Lines of the export that were compared: ${compared}.`;
  const whenGood = `All is as it was sealed: ${events} events in ${chains} chains.${asExported}`;
  print(
    context,
    {
      ...{ ok: faults.size === 0, events, chains, compared, faults: documents },
      sealed_since: beginning?.since ?? null,
      had_events_before: beginning?.hadEvents ?? null,
    },
    `${table(headings, rows, whenGood)}\n${since(beginning)}`,
  );
  if (faults.size > 0)
    throw new Refusal(
      `The audit trail is not as it was written: see ${faults.size === 1 ? 'the chain' : `the ${faults.size} chains`} above.`,
    );
}

async function faultDocument({ database }: CommandContext, fault: TrailFault) {
  const { chain, problem, position, eventId } = fault;
  const isOrganization = chain !== TRAIL && chain !== CHAIN_OF_NONE;
  return {
    chain,
    organization: isOrganization ? ((await findOrganization(database, chain))?.slug ?? null) : null,
    position: position ?? null,
    event_id: eventId ?? null,
    problem,
    message: WHAT[problem],
    next_step: NEXT_STEP[problem] ?? LOOK_INTO_IT,
  };
}

export function resealCommand(audit: Command, terminal: Terminal): void {
  audit
    .command('reseal')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .description(
      'vouch for the ends of all chains as they are, after their key was lost or a fault was looked into',
    )
    .action((options: { yes?: boolean; json?: boolean }) =>
      withDatabase(terminal, options, async (context) => {
        await confirm(
          context,
          options,
          'What was taken off the end of a chain until now is not noticed any more.',
        );
        const secrets = openSecretBox(context.config);
        const resealed = await resealEnds(context.database, secrets, context.actor);
        print(context, { resealed }, `Sealed ${resealed} ends anew. See: gatehouse audit verify`);
      }),
    );
}
