/**
 * The chain that makes the audit trail's past unchangeable: each event of an organization has a position, and a digest over itself and the
 * digest before. It knows no database; whoever has an export can compute the same with any library.
 */
import { hash } from 'node:crypto';
import * as z from 'zod';
import type { SecretBox } from '../secret-box.ts';
import { parseJsonObject } from '../strict-json.ts';

/** The chain of events that belong to no organization: the nil UUID (RFC 9562 section 5.9). Others are called by their organization's id. */
export const CHAIN_OF_NONE = '00000000-0000-0000-0000-000000000000';

/** What position 1 follows: 32 zero bytes. */
const BEFORE_THE_FIRST = Buffer.alloc(32);

/**
 * An event as it is chained: what is known of it, without what is not. `at` has microseconds (RFC 3339, UTC), the id is decimal. A member that
 * a later release adds changes no digest of events that lack it.
 */
export type ChainedEvent = Readonly<Partial<Record<EventMember, string>>> & { readonly id: string };

/** In the order of their code points. */
export const EVENT_MEMBERS = [
  'action',
  'actor',
  'application',
  'at',
  'code',
  'connection_id',
  'email',
  'id',
  'organization_id',
  'outcome',
  'reason',
  'reference',
  'user_id',
] as const;
export type EventMember = (typeof EVENT_MEMBERS)[number];

/** The canonical JSON of an event (RFC 8785): members in the order of their names, no blanks. */
function canonicalJson(event: ChainedEvent): string {
  return JSON.stringify(event, [...EVENT_MEMBERS]);
}

/** SHA-256 over the digest before and the event's canonical JSON. */
export function chainDigest(previous: Buffer, event: ChainedEvent): Buffer {
  return hash('sha256', Buffer.concat([previous, Buffer.from(canonicalJson(event))]), 'buffer');
}

/** SHA-256 over the one before and the digest of the next seal, whichever chain that is of. */
export function trailDigest(previous: Buffer, sealDigest: Buffer): Buffer {
  return hash('sha256', Buffer.concat([previous, sealDigest]), 'buffer');
}

/** Where a chain ends: how many it has, and the last digest. */
export interface ChainEnd {
  /** 0: there is none. */
  readonly position: number;
  readonly digest: Buffer;
}

export const EMPTY_CHAIN: ChainEnd = { position: 0, digest: BEFORE_THE_FIRST };

const endShape = z.object({ position: z.int(), digest: z.string() });

/** Of the chain of all seals. */
export const TRAIL = 'trail';

/** The place of a chain's end in the secret box: an organization's id, CHAIN_OF_NONE or TRAIL. */
export const headPlace = (chain: string) => `audit/${chain}`;

export function sealEnd(secrets: SecretBox, chain: string, { position, digest }: ChainEnd): string {
  return secrets.seal(
    'audit-head',
    headPlace(chain),
    JSON.stringify({ position, digest: digest.toString('hex') }),
  );
}

/** Undefined if no key that we have opens it. */
export function openEnd(secrets: SecretBox, chain: string, sealed: string): ChainEnd | undefined {
  const text = secrets.open('audit-head', headPlace(chain), sealed);
  const end = text === undefined ? undefined : endShape.safeParse(parseJsonObject(text)).data;
  return end && { position: end.position, digest: Buffer.from(end.digest, 'hex') };
}

export function isSameEnd(one: ChainEnd, other: ChainEnd): boolean {
  return one.position === other.position && one.digest.equals(other.digest);
}
