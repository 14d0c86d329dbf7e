/**
 * Recomputes the audit trail's chains from the events and compares them with what was sealed: each event at its place and as it was, no place
 * empty, each chain as long as SECRET_KEY says. One snapshot of the database, a page in memory at a time.
 */
import type { SecretBox } from '../secret-box.ts';
import {
  chainDigest,
  CHAIN_OF_NONE,
  EMPTY_CHAIN,
  isSameEnd,
  openEnd,
  TRAIL,
  trailDigest,
  type ChainEnd,
} from './audit-chain.ts';
import { SEALING_BEGUN } from './seal-store.ts';
import type { Place, StoredSeal, TrailSnapshot } from './trail-store.ts';

export type TrailProblem =
  | 'event_changed'
  | 'event_missing'
  | 'place_empty'
  | 'end_differs'
  | 'end_missing'
  | 'end_unopened'
  | 'end_outdated'
  | 'not_sealed'
  | 'not_as_exported';

/** The first fault of a chain, or of the chain of all seals (TRAIL). */
export interface TrailFault {
  readonly chain: string;
  readonly problem: TrailProblem;
  readonly position: number | undefined;
  readonly eventId: string | undefined;
}

/** A line of an earlier export. */
export interface ExportedPlace extends Place {
  readonly digest: Buffer;
  readonly eventId: string;
}

export interface VerifiedTrail {
  readonly events: number;
  readonly chains: number;
  /** Undefined: nothing is sealed. */
  readonly beginning: Beginning | undefined;
  /** Places of the earlier export that were compared. */
  readonly compared: number;
  /** By chain; at most MOST_FAULTS of them. */
  readonly faults: ReadonlyMap<string, TrailFault>;
}

/** Since when events are sealed. */
export interface Beginning {
  /** RFC 3339. */
  readonly since: string;
  /** Whether there were events already, which are sealed as they were found. */
  readonly hadEvents: boolean;
}

export interface TrailVerification {
  readonly secrets: SecretBox;
  /** Undefined: all. */
  readonly chain: string | undefined;
  /** Pages of an earlier export. */
  readonly against: AsyncIterable<readonly ExportedPlace[]> | undefined;
  /** Hears how many more rows were looked at. */
  readonly onProgress: (rows: number) => void;
}

const MOST_FAULTS = 1_000;

export async function verifyTrail(
  trail: TrailSnapshot,
  verification: TrailVerification,
): Promise<VerifiedTrail> {
  const { chain: only, against, onProgress } = verification;
  const faults = new Map<string, TrailFault>();
  const note = (fault: TrailFault) => {
    if (!faults.has(fault.chain) && faults.size < MOST_FAULTS) faults.set(fault.chain, fault);
  };
  const counts = await verifyChains(trail, verification, note);
  // Also for one chain: all of it, or its end with the encrypted one that it had, can be put back without any other.
  await verifyWhole(trail, verification, note);
  const beginning = await readBeginning(trail, note);
  for await (const { seen, unsealed } of trail.unsealedPages(only)) {
    onProgress(seen);
    for (const { chain, eventId } of unsealed)
      note({ chain, problem: 'not_sealed', position: undefined, eventId });
  }
  let compared = 0;
  for await (const places of against ?? []) {
    const wanted = places.filter(({ chain }) => only === undefined || chain === only);
    compared += wanted.length;
    const digests = await trail.digestsAt(wanted);
    for (const [index, { chain, position, digest, eventId }] of wanted.entries()) {
      if (digests[index]?.equals(digest) !== true)
        note({ chain, problem: 'not_as_exported', position, eventId });
    }
  }
  return { ...counts, beginning, compared, faults };
}

type Note = (fault: TrailFault) => void;

async function readBeginning(trail: TrailSnapshot, note: Note): Promise<Beginning | undefined> {
  const seal = await trail.firstSeal();
  if (seal === undefined) return undefined;
  const { fault } = takeSeal(startOf(seal.chain), seal);
  if (fault !== undefined) note(fault);
  const { at, action } = seal.event ?? {};
  if (fault !== undefined || at === undefined) return undefined;
  return { since: at, hadEvents: action === SEALING_BEGUN };
}

async function verifyChains(
  trail: TrailSnapshot,
  { secrets, chain: only, onProgress }: TrailVerification,
  note: Note,
): Promise<{ readonly events: number; readonly chains: number }> {
  let events = 0;
  let chains = 0;
  let walk: ChainWalk | undefined;
  let heads = new Map<string, string>();
  const finish = async (walked: ChainWalk) => {
    chains += 1;
    const sealed = heads.get(walked.chain);
    heads.delete(walked.chain);
    const fault = walked.fault ?? (await chainEndFault(trail, secrets, { ...walked, sealed }));
    if (fault !== undefined) note(fault);
  };
  for await (const page of trail.chainPages(only)) {
    // Heads from the last chain of the page before on: it may have gone on here.
    const last = page.at(-1)?.chain;
    heads = new Map(await trail.heads(walk?.chain ?? only ?? CHAIN_OF_NONE, last));
    for (const seal of page) {
      if (walk !== undefined && walk.chain !== seal.chain) await finish(walk);
      walk = takeSeal(walk?.chain === seal.chain ? walk : startOf(seal.chain), seal);
    }
    noteLost(
      [...heads.keys()].filter((chain) => chain !== walk?.chain),
      note,
    );
    events += page.length;
    onProgress(page.length);
  }
  heads = new Map(await trail.heads(walk?.chain ?? only ?? CHAIN_OF_NONE, only));
  if (walk !== undefined) await finish(walk);
  noteLost([...heads.keys()], note);
  return { events, chains };
}

/** Chains of which only the ends are there. */
function noteLost(chains: readonly string[], note: Note): void {
  for (const chain of chains) note({ chain, problem: 'place_empty', position: 1, eventId: undefined });
}

interface ChainWalk {
  readonly chain: string;
  readonly end: ChainEnd;
  readonly fault: TrailFault | undefined;
}

const startOf = (chain: string): ChainWalk => ({ chain, end: EMPTY_CHAIN, fault: undefined });

/** What follows a fault says nothing any more. */
function takeSeal(walk: ChainWalk, { chain, position, digest, eventId, event }: StoredSeal): ChainWalk {
  if (walk.fault !== undefined) return walk;
  const expected = walk.end.position + 1;
  const faulty = (problem: TrailProblem, at: number) => ({
    ...walk,
    fault: { chain, problem, position: at, eventId: at === position ? eventId : undefined },
  });
  if (position !== expected) return faulty('place_empty', expected);
  if (event === undefined) return faulty('event_missing', position);
  if (!chainDigest(walk.end.digest, event).equals(digest)) return faulty('event_changed', position);
  return { ...walk, end: { position, digest } };
}

/** An end that the chain had once is told from one that it never had. */
async function chainEndFault(
  trail: TrailSnapshot,
  secrets: SecretBox,
  { chain, sealed, end }: ChainWalk & { readonly sealed: string | undefined },
): Promise<TrailFault | undefined> {
  const fault = endFault(secrets, chain, { sealed, end });
  const said = sealed === undefined ? undefined : openEnd(secrets, chain, sealed);
  if (fault === undefined || said === undefined || said.position >= end.position) return fault;
  const [digest] = await trail.digestsAt([{ chain, position: said.position }]);
  if (digest?.equals(said.digest) !== true) return fault;
  return { ...fault, problem: 'end_outdated', position: said.position };
}

function endFault(
  secrets: SecretBox,
  chain: string,
  { sealed, end }: { readonly sealed: string | null | undefined; readonly end: ChainEnd },
): TrailFault | undefined {
  const fault = (problem: TrailProblem) => ({
    ...{ chain, problem, position: end.position },
    eventId: undefined,
  });
  if (sealed === undefined || sealed === null) return end.position === 0 ? undefined : fault('end_missing');
  const said = openEnd(secrets, chain, sealed);
  if (said === undefined) return fault('end_unopened');
  return isSameEnd(said, end) ? undefined : fault('end_differs');
}

async function verifyWhole(
  trail: TrailSnapshot,
  { secrets, onProgress }: TrailVerification,
  note: Note,
): Promise<void> {
  const { end, emptyAt } = await walkTrail(trail, onProgress);
  if (emptyAt === undefined) {
    const fault = endFault(secrets, TRAIL, { sealed: await trail.trailHead(), end });
    if (fault !== undefined) note(fault);
  } else note({ chain: TRAIL, problem: 'place_empty', position: emptyAt, eventId: undefined });
}

/** The end of the chain of all seals, computed; `emptyAt`: the first number that is not there. */
export async function walkTrail(
  trail: TrailSnapshot,
  onProgress: (rows: number) => void,
): Promise<{ readonly end: ChainEnd; readonly emptyAt: number | undefined }> {
  let { position, digest } = EMPTY_CHAIN;
  let emptyAt: number | undefined;
  for await (const page of trail.trailPages()) {
    for (const seal of page) {
      if (seal.number !== position + 1) emptyAt ??= position + 1;
      position = seal.number;
      digest = trailDigest(digest, seal.digest);
    }
    onProgress(page.length);
  }
  return { end: { position, digest }, emptyAt };
}
