/** A flood of failures: written one by one, then counted, and nothing lost. */
import { describe, expect, it } from '@jest/globals';
import { failureTally, type FailureKind } from '../../src/audit/failure-tally.ts';

const KIND: FailureKind = { organizationId: 'one', code: 'token_invalid', addressBlock: '203.0.113.7' };
const WRITTEN_ONE_BY_ONE = 600;

function startTally() {
  const clock = { ms: 1_000 };
  const counts: { kind: FailureKind; reference: string; count: number }[] = [];
  const tally = failureTally(
    (kind, reference, count) => {
      counts.push({ kind, reference, count });
      return Promise.resolve();
    },
    { now: () => clock.ms },
  );
  const noteMany = (times: number, kind = KIND) =>
    Array.from({ length: times }, (_, index) => tally.note(kind, `reference ${index + 1}`));
  return { tally, clock, counts, noteMany };
}

describe('the tally of failures', () => {
  it('lets each of as many as people cause be an event of its own', async () => {
    const { tally, counts, noteMany } = startTally();
    expect(new Set(noteMany(WRITTEN_ONE_BY_ONE))).toEqual(new Set([undefined]));
    await tally.close();
    expect(counts).toEqual([]);
  });

  it('counts the rest under the reference of the last that was written', async () => {
    const { tally, counts, noteMany } = startTally();
    noteMany(WRITTEN_ONE_BY_ONE);
    const reference = `reference ${WRITTEN_ONE_BY_ONE}`;
    expect(noteMany(25)).toEqual(Array.from({ length: 25 }, () => reference));
    await tally.close();
    expect(counts).toEqual([{ kind: KIND, reference, count: 25 }]);
  });

  it.each<FailureKind>([
    { ...KIND, organizationId: 'another' },
    { ...KIND, organizationId: undefined },
    { ...KIND, code: 'token_expired' },
    { ...KIND, addressBlock: '203.0.113.8' },
  ])('counts %j apart', async (other) => {
    const { tally, noteMany } = startTally();
    noteMany(WRITTEN_ONE_BY_ONE + 1);
    expect(noteMany(1, other)).toEqual([undefined]);
    await tally.close();
  });

  it('begins anew each minute, and writes the count of the last', async () => {
    const { tally, clock, counts, noteMany } = startTally();
    noteMany(WRITTEN_ONE_BY_ONE + 3);
    clock.ms += 61_000;
    expect(noteMany(1)).toEqual([undefined]);
    expect(counts.map(({ count }) => count)).toEqual([3]);
    await tally.close();
    expect(counts).toHaveLength(1);
  });
});
