/**
 * What every refused token exchange has in common, asserted in one place: the answer of RFC 6749 section 5.2 with our code and a
 * reference, one audit event under that reference that says whom it concerns and why, and nothing else that is there now and
 * was not before.
 */
import { expect } from '@jest/globals';
import type { FailureCode } from '../../src/errors.ts';
import { publicFailures } from '../../src/http/failure-texts.ts';
import { eventsAfter, whatExists, type StoredEvent } from '../attacks/refusal.ts';
import { APP, type Exchanged, type TokenScene } from './token-scene.ts';

export interface ExpectedTokenRefusal {
  /** `token_invalid` if it is not here. */
  readonly code?: FailureCode;
  /** The operator's precise reason. */
  readonly reason: RegExp | string;
  /** Id of the organization in the audit trail; Acme's if it is not here. */
  readonly organizationId?: string | null;
  /** Id of the connection in the audit trail; some connection if it is not here. */
  readonly connectionId?: string | null;
  readonly clientId?: string;
}

/** How the protocol says it (RFC 6749 section 5.2); whatever is not here is the token's fault. */
const IN_THE_PROTOCOL: Partial<Record<FailureCode, { readonly status: number; readonly error: string }>> = {
  malformed_request: { status: 400, error: 'invalid_request' },
  identity_provider_error: { status: 502, error: 'temporarily_unavailable' },
  identity_provider_timeout: { status: 504, error: 'temporarily_unavailable' },
};

/** Nothing else may use the gateway meanwhile. */
export async function expectTokenRefusal(
  scene: TokenScene,
  attack: () => Promise<Exchanged>,
  expected: ExpectedTokenRefusal,
): Promise<StoredEvent | undefined> {
  const before = await whatExists(scene.gateway);
  const answer = await attack();
  const reference = expectRefusedAnswer(answer, expected.code);
  const after = await whatExists(scene.gateway);
  const { connectionId, reason } = expected;
  const events = await eventsAfter(scene.gateway, before.lastEvent);
  expect(events).toEqual([
    {
      action: 'login.failed',
      outcome: 'failure',
      code: expected.code ?? 'token_invalid',
      reason: typeof reason === 'string' ? reason : expect.stringMatching(reason),
      reference,
      organization_id: expected.organizationId === undefined ? scene.acme.id : expected.organizationId,
      connection_id: connectionId === undefined ? expect.any(String) : connectionId,
      email: events[0]?.email ?? null,
      client_id: expected.clientId ?? APP,
    },
  ]);
  expect(JSON.parse(after.things)).toEqual(JSON.parse(before.things));
  expect(after.singleUses).toBe(before.singleUses);
  return events[0];
}

/** Asserts what the answer alone shows, and returns its reference: for attacks that are many at once. */
export function expectRefusedAnswer(
  { status, headers, body }: Exchanged,
  code: FailureCode = 'token_invalid',
): string {
  const { status: shown, error } = IN_THE_PROTOCOL[code] ?? { status: 400, error: 'invalid_grant' };
  expect({ status, ...body }).toEqual({
    status: shown,
    error,
    error_description: publicFailures[code].sentence,
    code,
    reference: expect.stringMatching(/^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/),
  });
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('set-cookie')).toBeNull();
  return String(body['reference']);
}
