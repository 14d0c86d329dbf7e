/** What every refused sign-in has in common: its class, and that nothing came of it but one line in the audit trail. */
import { expect } from '@jest/globals';
import type { TestGateway } from '../support/test-gateway.ts';
import { problemOf, type Answer, type Visitor } from './visitor.ts';

export interface Refused {
  readonly status: number;
  readonly code: string;
  /** What the operator reads in the audit trail. */
  readonly reason?: RegExp;
  /** Organization whose trail the event is in; null: nobody's. */
  readonly organizationId?: string | null;
}

interface Event {
  readonly action: string;
  readonly outcome: string;
  readonly code: string | null;
  readonly reference: string | null;
  readonly reason: string | null;
  readonly organization_id: string | null;
}

interface Counts {
  readonly sessions: string;
  readonly users: string;
  readonly identities: string;
  readonly event: string;
}

async function count({ sql }: Pick<TestGateway, 'sql'>): Promise<Counts> {
  const [counts] = await sql<Counts & Record<string, unknown>>(
    `SELECT (SELECT count(*) FROM sessions) AS sessions, (SELECT count(*) FROM users) AS users,
            (SELECT count(*) FROM identities) AS identities,
            (SELECT coalesce(max(id), 0) FROM audit_events) AS event`,
  );
  if (counts === undefined) throw new Error('nothing was counted');
  return counts;
}

/** Asserts that `act` is refused so, and that nothing else happened. */
export async function expectRefusal(
  gateway: Pick<TestGateway, 'sql'>,
  visitor: Visitor,
  act: () => Promise<Answer>,
  refused: Refused,
): Promise<Answer> {
  const before = await count(gateway);
  const wasSignedIn = visitor.isSignedIn;
  const answer = await act();
  const problem = problemOf(answer);
  expect({ status: answer.status, code: problem.code }).toEqual({
    status: refused.status,
    code: refused.code,
  });
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
  expect(visitor.isSignedIn).toBe(wasSignedIn);
  const after = await count(gateway);
  expect({ ...after, event: undefined }).toEqual({ ...before, event: undefined });
  const events = await gateway.sql<Event & Record<string, unknown>>(
    'SELECT action, outcome, code, reference, reason, organization_id FROM audit_events WHERE id > $1',
    [before.event],
  );
  expect(events).toEqual([
    expect.objectContaining({
      action: 'login.failed',
      outcome: 'failure',
      code: refused.code,
      reference: problem.reference,
      reason: refused.reason === undefined ? expect.anything() : expect.stringMatching(refused.reason),
      ...(refused.organizationId === undefined ? {} : { organization_id: refused.organizationId }),
    }),
  ]);
  return answer;
}
