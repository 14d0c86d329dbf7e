/**
 * A link by which anybody who has it tries one connection, for a day: what it holds is sealed. It signs nobody in and shows its
 * bearer nothing but what the provider says of themselves, so it may be used again and again.
 */
import * as z from 'zod';
import type { SecretBox } from '../secret-box.ts';

export const TEST_LINK_TTL_SECONDS = 86_400;
const PLACE = 'link';

const ticketShape = z.object({ connectionId: z.string(), expiresAtSeconds: z.number() });

export type TestTicket = Readonly<z.infer<typeof ticketShape>>;

/** Path below PUBLIC_URL. */
export function testPath(secrets: SecretBox, ticket: TestTicket): string {
  return `/sso/test/${secrets.seal('test-link', PLACE, JSON.stringify(ticket))}`;
}

/** What was sealed, be it over or not; undefined for anything else. */
export function openTestTicket(secrets: SecretBox, sealed: string): TestTicket | undefined {
  const text = secrets.open('test-link', PLACE, sealed);
  return text === undefined ? undefined : ticketShape.safeParse(JSON.parse(text)).data;
}
