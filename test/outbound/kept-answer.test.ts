/** What is kept of an answer from outside, where the one who gives it has just failed. */
import { expect, it } from '@jest/globals';
import { KeptAnswer } from '../../src/outbound/kept-answer.ts';

const RULES = { renewAfterMs: 1_000, freshForMs: 2_000, usableForMs: 3_000, isTrouble: () => true };

/** Answers of somebody who is asked, settled by hand, and a clock that is set by hand. */
function scene() {
  const asked: { answer: (text: string) => void; fail: (error: Error) => void }[] = [];
  let nowMs = 0;
  const kept = new KeptAnswer(
    () =>
      new Promise<string>((answer, fail) => {
        asked.push({ answer, fail });
      }),
    RULES,
    { now: () => nowMs },
  );
  return {
    kept,
    asked,
    passMs: (ms: number) => {
      nowMs += ms;
    },
  };
}

it('whoever comes while one asks again after a failure learns of the failure at once', async () => {
  const { kept, asked, passMs } = scene();
  const first = kept.get();
  asked[0]?.fail(new Error('hangs'));
  await expect(first).rejects.toThrow('hangs');
  passMs(2_001);
  const one = kept.get();
  expect(asked).toHaveLength(2);
  await expect(kept.get()).rejects.toThrow('hangs');
  asked[1]?.answer('is back');
  await expect(one).resolves.toBe('is back');
  await expect(kept.get()).resolves.toBe('is back');
});

it('whoever comes long after a failure waits with the one who asks', async () => {
  const { kept, asked, passMs } = scene();
  const first = kept.get();
  asked[0]?.fail(new Error('hangs'));
  await expect(first).rejects.toThrow('hangs');
  passMs(15_001);
  const both = [kept.get(), kept.get()];
  expect(asked).toHaveLength(2);
  asked[1]?.answer('is back');
  await expect(Promise.all(both)).resolves.toEqual(['is back', 'is back']);
});

it('what is young is there at once', async () => {
  const { kept, asked, passMs } = scene();
  expect(kept.young()).toBeUndefined();
  const first = kept.get();
  asked[0]?.answer('good');
  await first;
  expect(kept.young()).toBe('good');
  passMs(1_001);
  expect(kept.young()).toBeUndefined();
});

it.each([
  [
    'an answer',
    (asked: { answer: (text: string) => void }) => {
      asked.answer('good');
    },
  ],
  [
    'a failure',
    (asked: { fail: (error: Error) => void }) => {
      asked.fail(new Error('hangs'));
    },
  ],
] as const)('those who waited for %s go on one after the other, and others in between', async (_, settle) => {
  const { kept, asked } = scene();
  let turns = 0;
  const wentOnIn: number[] = [];
  const waiting = Array.from({ length: 20 }, () =>
    kept.get().then(
      () => wentOnIn.push(turns),
      () => wentOnIn.push(turns),
    ),
  );
  const [only] = asked;
  if (only === undefined) throw new Error('nobody was asked');
  settle(only);
  const count = () => {
    turns++;
    if (wentOnIn.length < 20) setImmediate(count);
  };
  setImmediate(count);
  await Promise.all(waiting);
  expect(new Set(wentOnIn).size).toBe(20);
});
