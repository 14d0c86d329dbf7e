/**
 * A cut-over: an organization moves from one connection to another, a share of its people at a time. Who is moved follows from
 * the address alone, so a person always goes the same way, and whoever is moved at one share is moved at every larger one.
 * Both connections sign people in throughout; it knows nothing of how they do.
 */
import { createHash } from 'node:crypto';
import type { EmailAddress } from '../organizations/email-address.ts';

/** `rolled_back`: everybody goes to the old connection again. */
export type CutoverState = 'running' | 'finished' | 'rolled_back';

/** Whose users the new provider may take over by their address: everybody's at a proved domain, or of those that are included. */
export type RelinkRule = 'domain' | 'list';

export interface Cutover {
  readonly id: string;
  readonly organizationId: string;
  readonly fromId: string;
  readonly toId: string;
  readonly state: CutoverState;
  /** Of a hundred people, how many are moved. */
  readonly share: number;
  readonly relink: RelinkRule;
  readonly startedAt: Date;
  readonly endedAt: Date | undefined;
}

/** A number of [0, 100) for life: an address draws it once per cut-over. The query of `cutover status` draws the same. */
export function lotOf(cutover: Pick<Cutover, 'id'>, address: EmailAddress): number {
  const digest = createHash('sha256').update(`${cutover.id} ${address}`).digest();
  return (digest.readUInt32BE(0) / 2 ** 32) * 100;
}

export type MoveReason = 'finished' | 'included' | 'excluded' | 'share';

/**
 * Whether somebody of the old connection goes to the new one, and why.
 * @param isNamed whether the person was included (true) or excluded (false); undefined: neither
 */
export function moveOf(
  { state, share }: Pick<Cutover, 'state' | 'share'>,
  lot: number,
  isNamed: boolean | undefined,
): { readonly isMoved: boolean; readonly why: MoveReason } {
  if (state === 'finished') return { isMoved: true, why: 'finished' };
  if (isNamed !== undefined) return { isMoved: isNamed, why: isNamed ? 'included' : 'excluded' };
  return { isMoved: lot < share, why: 'share' };
}
