/** what becomes of the log while nobody takes it. */
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { logOutput } from '../src/log-output.ts';
import { endProcesses, startServer } from './cli/processes.ts';
import { createTestDatabase } from './support/test-database.ts';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** A disk with room for so many bytes. */
function disk() {
  let taken = '';
  let room = 0;
  return {
    give(bytes: number) {
      room += bytes;
    },
    write(bytes: Buffer) {
      if (room === 0) throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
      const written = bytes.subarray(0, room);
      room -= written.length;
      taken += written.toString();
      return written.length;
    },
    lines: () => taken.split('\n').slice(0, -1),
  };
}

it('X-10 what has no room waits, in order, and is written once there is some', () => {
  const full = disk();
  const output = logOutput((bytes) => full.write(bytes));
  output.write('one\n');
  output.write('two\n');
  expect(full.lines()).toEqual([]);
  full.give(6);
  jest.advanceTimersByTime(100);
  expect(full.lines()).toEqual(['one']);
  full.give(1_000);
  output.write('three\n');
  jest.advanceTimersByTime(100);
  expect(full.lines()).toEqual(['one', 'two', 'three']);
});

it('X-10 beyond a megabyte lines are lost, which is said, and the log goes on', () => {
  const full = disk();
  const output = logOutput((bytes) => full.write(bytes));
  const line = `${'x'.repeat(999)}\n`;
  for (let count = 0; count < 2_000; count++) output.write(line);
  full.give(10_000_000);
  jest.advanceTimersByTime(100);
  const lines = full.lines();
  expect(lines).toHaveLength(1_048 + 1);
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ level: 'warn', lines: 2_000 - 1_048 });
  output.write('and on\n');
  expect(full.lines().at(-1)).toBe('and on');
});

it('X-10 a reader who stands still holds nobody up, neither a request nor the end', async () => {
  jest.useRealTimers();
  const database = await createTestDatabase();
  try {
    const server = await startServer({ DATABASE_URL: database.url, LOG_LEVEL: 'info' });
    server.child.stdout.removeAllListeners('data').pause();
    // More than a pipe and the reader's own buffer hold.
    for (let round = 0; round < 40; round++) {
      const answers = await Promise.all(
        Array.from({ length: 50 }, () => fetch(`http://127.0.0.1:${server.port}/nowhere/${'x'.repeat(100)}`)),
      );
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([404]));
    }
    expect((await fetch(`http://127.0.0.1:${server.port}/health/live`)).status).toBe(200);
    const ended = new Promise((resolve) => server.child.once('exit', resolve));
    server.child.kill('SIGTERM');
    expect(await ended).toBe(0);
  } finally {
    await endProcesses();
    await database.drop();
  }
});
