/** What reaches the log: short, on one line, and nothing that somebody else wrote. */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import { GatewayError } from '../src/errors.ts';
import { describeError, openLog } from '../src/log.ts';

function logged(write: (log: ReturnType<typeof openLog>) => void): readonly string[] {
  const lines: string[] = [];
  write(openLog('debug', { write: (line) => lines.push(line) }));
  return lines;
}

describe('the log', () => {
  it.each([
    ['line breaks', 'a\r\nb\u2028c\u2029d\u0085e'],
    ['terminal sequences', '\u001b[2J\u001b]0;title\u0007'],
    ['a NUL', 'a\u0000b'],
    ['a line of its own', '"}\n{"level":"error","msg":"forged"}'],
  ])('W-07 keeps %s inside one JSON line', (_, value) => {
    const lines = logged((log) => {
      log.info({ value }, 'said');
    });
    expect(lines).toHaveLength(1);
    const [line = ''] = lines;
    expect(line.trimEnd()).not.toMatch(/\p{Cc}/u);
    expect(JSON.parse(line)).toMatchObject({ level: 'info', name: 'gatehouse', msg: 'said', value });
  });

  it('says the level as a word and the time as ISO 8601', () => {
    const [line = ''] = logged((log) => {
      log.warn('said');
    });
    const { level, time } = JSON.parse(line) as { level: string; time: string };
    expect(level).toBe('warn');
    expect(new Date(time).toISOString()).toBe(time);
  });

  it.each(['cookie', 'authorization', 'token', 'secret', 'password'])('W-08 leaves out a %s', (name) => {
    const lines = logged((log) => {
      log.info({ request: { [name]: 'hunter2' } }, 'said');
    });
    expect(lines.join('')).not.toContain('hunter2');
  });

  it('is silent below its level', () => {
    const lines: string[] = [];
    openLog('warn', { write: (line) => lines.push(line) }).info('said');
    openLog('silent', { write: (line) => lines.push(line) }).fatal('said');
    expect(lines).toEqual([]);
  });
});

describe('describeError', () => {
  it('W-08 never repeats the message of somebody else', () => {
    const error = new Error('token eyJhbGciOi of ada@acme.example', {
      cause: new TypeError('secret hunter2'),
    });
    const text = describeError(error);
    expect(text).not.toMatch(/eyJ|ada@|hunter2/);
    expect(text).toMatch(/^Error .* < TypeError /);
  });

  it('names code, reason and causes of our own', () => {
    const cause = Object.assign(new Error('do not say'), { code: '57P01' });
    const error = new GatewayError('temporarily_unavailable', { reason: 'database' }, cause);
    expect(describeError(error)).toMatch(/^GatewayError temporarily_unavailable: database < Error 57P01/);
  });

  it('knows errors of another realm', () => {
    const foreign: unknown = runInNewContext('new RangeError("hunter2")');
    expect(describeError(foreign)).toMatch(/^RangeError/);
    expect(describeError(foreign)).not.toContain('hunter2');
  });

  it.each([
    ['a string', 'hunter2', 'string'],
    ['nothing', undefined, 'undefined'],
    ['null', null, 'object'],
    ['an object', { message: 'hunter2' }, 'object'],
  ])('says of %s only its type', (_, thrown, expected) => {
    expect(describeError(thrown)).toBe(expected);
  });

  it('W-07 stays short and on one line', () => {
    const long = new Error('x');
    long.name = 'E\n'.repeat(5_000);
    expect(describeError(long).length).toBeLessThanOrEqual(1_024);
    const circular = new Error('x');
    circular.cause = circular;
    expect(describeError(circular).length).toBeLessThanOrEqual(1_024);
  });

  it('survives an error that lies about itself', () => {
    const hostile = new Error('x');
    Object.defineProperty(hostile, 'stack', { value: undefined });
    Object.defineProperty(hostile, 'code', { value: { toString: () => 'hunter2' } });
    expect(describeError(hostile)).toBe('Error');
  });
});
