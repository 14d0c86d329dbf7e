/**
 * How a browser comes by a host's own cookie: it is sent from the host to Gatehouse with a request, signs in there if it has to,
 * and goes back with a ticket. Both travel sealed in a URL. The ticket is good once, for a minute, at that host, and for the
 * browser alone that holds the nonce which the host's cookie keeps meanwhile; so nobody can be signed in as somebody else by a link.
 */
import { createHash, randomBytes } from 'node:crypto';
import * as z from 'zod';
import type { SecretBox } from '../secret-box.ts';
import { parseJsonObject } from '../strict-json.ts';

/** How long signing in may take. */
export const HOST_REQUEST_TTL_SECONDS = 600;
const TICKET_TTL_SECONDS = 60;
const NONCE = /^[A-Za-z0-9_-]{43}$/;

const requestShape = z.object({
  host: z.string(),
  scheme: z.enum(['http', 'https']),
  /** Where at the host the person was going. */
  path: z.string(),
  nonceDigest: z.string(),
  expiresAtSeconds: z.number(),
});
const ticketShape = requestShape.extend({ id: z.string(), sessionId: z.string() });

/** What a browser at a host asks for. */
export type HostRequest = Readonly<z.infer<typeof requestShape>>;
/** What it is given. */
export type HostTicket = Readonly<z.infer<typeof ticketShape>>;

export function newNonce(): string {
  return randomBytes(32).toString('base64url');
}

export function isNonce(text: string): boolean {
  return NONCE.test(text);
}

export function nonceDigest(nonce: string): string {
  return createHash('sha256').update(nonce).digest('base64url');
}

/** What is written down of a ticket when it is used. */
export function ticketDigest({ id }: HostTicket): Buffer {
  return createHash('sha256').update(`host ticket ${id}`).digest();
}

/** Whatever is sealed says itself for whom it is. */
const PLACE = 'any host';

export function sealHostRequest(
  secrets: SecretBox,
  request: Omit<HostRequest, 'expiresAtSeconds'>,
  nowSeconds: number,
): string {
  const sealed: HostRequest = { ...request, expiresAtSeconds: nowSeconds + HOST_REQUEST_TTL_SECONDS };
  return secrets.seal('host-request', PLACE, JSON.stringify(sealed));
}

/** Undefined for what was not sealed here, or is over. */
export function openHostRequest(
  secrets: SecretBox,
  sealed: string,
  nowSeconds: number,
): HostRequest | undefined {
  return current(requestShape, secrets.open('host-request', PLACE, sealed), nowSeconds);
}

export function sealTicket(
  secrets: SecretBox,
  request: HostRequest,
  { sessionId, nowSeconds }: { readonly sessionId: string; readonly nowSeconds: number },
): string {
  const ticket: HostTicket = {
    ...request,
    id: randomBytes(16).toString('base64url'),
    sessionId,
    expiresAtSeconds: nowSeconds + TICKET_TTL_SECONDS,
  };
  return secrets.seal('host-ticket', PLACE, JSON.stringify(ticket));
}

/** Undefined for what was not sealed here, or is over. */
export function openTicket(secrets: SecretBox, sealed: string, nowSeconds: number): HostTicket | undefined {
  return current(ticketShape, secrets.open('host-ticket', PLACE, sealed), nowSeconds);
}

function current<Value extends { readonly expiresAtSeconds: number }>(
  shape: z.ZodType<Value>,
  text: string | undefined,
  nowSeconds: number,
): Value | undefined {
  const value = text === undefined ? undefined : shape.safeParse(parseJsonObject(text)).data;
  return value !== undefined && value.expiresAtSeconds > nowSeconds ? value : undefined;
}
