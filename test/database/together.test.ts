/** Questions that are asked at once share a statement, and nobody waits for another's. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import { together } from '../../src/database/together.ts';

it('asks at once what nothing is before, and together what comes meanwhile', async () => {
  const statements: (readonly number[])[] = [];
  const double = together<number, number>(async (numbers) => {
    statements.push(numbers);
    await sleep(5);
    return numbers.map((number) => 2 * number);
  });
  expect(await Promise.all([1, 2, 3, 4].map(double))).toEqual([2, 4, 6, 8]);
  expect(await double(5)).toBe(10);
  expect(statements).toEqual([[1], [2, 3, 4], [5]]);
});

it('sends half of many, so that one half is at work here while the other is in the database', async () => {
  const sizes: number[] = [];
  const echo = together<number, number>(async (numbers) => {
    sizes.push(numbers.length);
    await sleep(1);
    return numbers;
  });
  const askAgain = async (number: number) => {
    for (let time = 0; time < 6; time++) expect(await echo(number)).toBe(number);
  };
  await Promise.all(Array.from({ length: 16 }, (_, number) => askAgain(number)));
  expect(sizes.slice(0, 9)).toEqual([1, 8, 8, 8, 8, 8, 8, 8, 8]);
  expect(sizes.reduce((sum, size) => sum + size)).toBe(16 * 6);
});

it('a statement that hangs holds up nobody who comes after it', async () => {
  const never = new Promise<never>(() => undefined);
  const echo = together<string, string>((texts) => (texts.includes('hang') ? never : Promise.resolve(texts)));
  void echo('hang');
  expect(await Promise.all([echo('one'), echo('two')])).toEqual(['one', 'two']);
  expect(await echo('three')).toBe('three');
});

it('what is thrown is the answer to all of one statement, and to no other', async () => {
  const echo = together<string, string>(async (texts) => {
    await sleep(1);
    if (texts.includes('bad')) throw new Error('refused');
    return texts;
  });
  const answers = await Promise.allSettled(['first', 'bad', 'beside'].map(echo));
  expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
  expect(await echo('next')).toBe('next');
});
