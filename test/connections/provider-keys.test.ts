/** How long a provider's keys are kept: one fetch for all who need them at once, no key for longer than it is published, and no bad
 * document in place of a good one. */
import { describe, expect, it, jest } from '@jest/globals';
import { keyIdIn, providerKeys } from '../../src/connections/provider-keys.ts';
import { GatewayError } from '../../src/errors.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

const setOf = (...kids: readonly string[]) => ({ keys: kids.map((kid) => ({ kty: 'OKP', kid })) });
const text = (body: string, type = 'application/json', status = 200) =>
  new Response(body, { status, headers: { 'content-type': type } });
const unreachable = new GatewayError('identity_provider_timeout', { reason: 'no answer in time' });

/** Keys of a provider that answers the first call with the first of these, and so on. */
function keysFrom(...answers: readonly (Response | Error)[]) {
  const left = [...answers];
  const fetchKeys = jest.fn(() => {
    const answer = left.shift() ?? new Error('asked too often');
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  });
  let nowMs = 5_000;
  const keys = providerKeys(fetchKeys, { now: () => nowMs });
  const passMs = (ms: number) => {
    nowMs += ms;
  };
  /** Whose keys they are, for documents of one key. */
  const current = async (kid?: string) => (await keys.current(kid)).keys.map((key) => key['kid']).join();
  return { keys, current, fetchKeys, passMs };
}

const good = (kid: string) => Response.json(setOf(kid));
/** What happens behind somebody's back has happened after this. */
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

const refusal = (reason: string) =>
  expect.objectContaining({
    code: 'identity_provider_error',
    context: expect.objectContaining({ reason }) as unknown,
  }) as unknown;

const FAILURES: readonly (readonly [string, () => Response | Error])[] = [
  ['K-10 an empty set', () => Response.json({ keys: [] })],
  ['K-10 HTML', () => text('<p>Maintenance', 'text/html')],
  ['K-10 HTML that says it is JSON', () => text('<p>Maintenance')],
  ['K-10 status 500', () => text('{}', 'application/json', 500)],
  ['F-17 101 keys', () => Response.json(setOf(...Array.from({ length: 101 }, (_, kid) => `${kid}`)))],
  ['F-17 a kid of 2 kB', () => Response.json(setOf('k'.repeat(2_048)))],
  ['F-18 the keys twice', () => text('{"keys":[],"keys":[{"kty":"OKP"}]}')],
  ['K-06 no answer', () => unreachable],
];

describe('the keys of a provider', () => {
  it('K-04 are fetched once for all who need them at once, and serve for five minutes', async () => {
    const { keys, current, fetchKeys, passMs } = keysFrom(good('a'), good('b'));
    const sets = await Promise.all(Array.from({ length: 500 }, () => keys.current('a')));
    expect(new Set(sets).size).toBe(1);
    passMs(4 * MINUTE_MS - 1);
    expect(await current()).toBe('a');
    expect(fetchKeys).toHaveBeenCalledTimes(1);
  });

  it('are fetched again after four minutes, behind the back of who asks', async () => {
    const { current, fetchKeys, passMs } = keysFrom(good('a'), good('b'));
    await current();
    passMs(4 * MINUTE_MS);
    expect([await current(), await current()]).toEqual(['a', 'a']);
    await nextTurn();
    expect(await current()).toBe('b');
    expect(fetchKeys).toHaveBeenCalledTimes(2);
  });

  it('K-07 are asked for after five minutes before any is used: one that was taken away is gone', async () => {
    const { current, fetchKeys, passMs } = keysFrom(Response.json(setOf('a', 'b')), good('b'));
    expect(await current('a')).toBe('a,b');
    passMs(5 * MINUTE_MS);
    expect(await Promise.all([current(), current('b'), current('a')])).toEqual(['b', 'b', 'b']);
    expect(fetchKeys).toHaveBeenCalledTimes(2);
  });

  it('K-07 are as old as the question that they answer', async () => {
    let answer: ((response: Response) => void) | undefined;
    let nowMs = 0;
    const fetchKeys = jest.fn(
      () =>
        new Promise<Response>((resolve) => {
          answer = resolve;
        }),
    );
    const keys = providerKeys(fetchKeys, { now: () => nowMs });
    const first = keys.current();
    await nextTurn();
    nowMs = 4_000;
    answer?.(good('a'));
    await first;
    nowMs = 5 * MINUTE_MS;
    const second = keys.current();
    await nextTurn();
    answer?.(good('b'));
    expect(await second).toEqual(setOf('b'));
    expect(fetchKeys).toHaveBeenCalledTimes(2);
  });

  it('K-01 K-02 are fetched for a kid that is not there, ten seconds after the last time', async () => {
    const { current, fetchKeys, passMs } = keysFrom(good('a'), good('b'), good('c'));
    await current();
    passMs(10 * SECOND_MS);
    expect(await current('b')).toBe('b');
    passMs(9_999);
    expect(await current('c')).toBe('b');
    expect(fetchKeys).toHaveBeenCalledTimes(2);
    passMs(1);
    expect(await Promise.all([current('c'), current('c')])).toEqual(['c', 'c']);
    expect(fetchKeys).toHaveBeenCalledTimes(3);
  });

  it('K-03 are fetched every ten seconds, whatever kids tokens name', async () => {
    const documents = Array.from({ length: 4 }, () => good('a'));
    const { current, fetchKeys, passMs } = keysFrom(...documents);
    await current();
    for (let token = 0; token < 30_000; token++) {
      passMs(1);
      expect(await current(`random ${token}`)).toBe('a');
    }
    expect(fetchKeys).toHaveBeenCalledTimes(4);
  });

  it('K-03 K-06 are fetched every ten seconds for a kid that is not there though that fails', async () => {
    const failures = Array.from({ length: 3 }, () => unreachable);
    const { current, fetchKeys, passMs } = keysFrom(good('a'), ...failures);
    await current();
    for (let token = 0; token < 3_000; token++) {
      passMs(10);
      expect(await current(`random ${token}`)).toBe('a');
    }
    expect(fetchKeys.mock.calls.length).toBeLessThanOrEqual(4);
  });

  it('K-04 fail once for all who need them, for two seconds', async () => {
    const { current, fetchKeys, passMs } = keysFrom(unreachable, good('a'));
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => current()));
    for (const outcome of outcomes) expect(outcome).toEqual({ status: 'rejected', reason: unreachable });
    passMs(1_999);
    await expect(current('a')).rejects.toBe(unreachable);
    expect(fetchKeys).toHaveBeenCalledTimes(1);
    passMs(1);
    expect(await current()).toBe('a');
  });

  it.each(FAILURES)('%s does not take the place of a good document', async (_what, failure) => {
    const { current, fetchKeys, passMs } = keysFrom(good('good'), failure(), failure(), good('next'));
    await current();
    passMs(5 * MINUTE_MS);
    expect(await current()).toBe('good');
    passMs(9_999);
    expect(await current()).toBe('good');
    expect(fetchKeys).toHaveBeenCalledTimes(2);
    passMs(1);
    expect(await current()).toBe('good');
    passMs(10 * SECOND_MS);
    expect(await current()).toBe('next');
    expect(fetchKeys).toHaveBeenCalledTimes(4);
  });

  it.each(FAILURES)('%s is a failure where there was no good document', async (_what, failure) => {
    await expect(keysFrom(failure()).keys.current()).rejects.toBeInstanceOf(GatewayError);
  });

  it('K-06 a good document serves for a day and no longer, failures in between notwithstanding', async () => {
    const html = () => text('<p>', 'text/html');
    const { keys, current, passMs } = keysFrom(good('good'), html(), html(), html());
    await current();
    passMs(12 * HOUR_MS);
    expect(await current()).toBe('good');
    passMs(11.9 * HOUR_MS);
    expect(await current()).toBe('good');
    passMs(0.1 * HOUR_MS);
    await expect(keys.current()).rejects.toEqual(
      refusal('the key endpoint (jwks_uri) answered with text/html instead of JSON'),
    );
  });

  it('K-06 an endpoint that hangs is not waited for long while there is a good document', async () => {
    const fetchKeys = jest
      .fn<() => Promise<Response>>()
      .mockResolvedValueOnce(good('good'))
      .mockReturnValue(new Promise(() => undefined));
    let nowMs = 0;
    const keys = providerKeys(fetchKeys, { now: () => nowMs });
    await keys.current();
    nowMs = 5 * MINUTE_MS;
    const waiting = keys.current();
    // Whoever comes two seconds later has nothing to wait for.
    nowMs += 2 * SECOND_MS;
    expect(await keys.current()).toEqual(setOf('good'));
    expect(await waiting).toEqual(setOf('good'));
    expect(fetchKeys).toHaveBeenCalledTimes(2);
  });

  it('a fault of ours is not hidden behind a good document', async () => {
    const fault = new TypeError('a mistake');
    const { keys, current, passMs } = keysFrom(good('good'), fault);
    await current();
    passMs(5 * MINUTE_MS);
    await expect(keys.current()).rejects.toBe(fault);
  });

  it.each([
    [{ kid: 'a', alg: 'RS256' }, 'a'],
    [{ alg: 'RS256' }, undefined],
    [{ kid: 7 }, undefined],
    [{ kid: 'k'.repeat(2_048) }, undefined],
  ])('a token with the header %j needs the one of kid %s', (header, kid) => {
    expect(keyIdIn(header)).toBe(kid);
  });

  it('K-09 keys that verify nothing are left out, and the others stay as they are', async () => {
    const good = [
      { kty: 'OKP', kid: 'a', key_ops: ['verify'] },
      { kty: 'EC', kid: 'b', use: 'sig', x: 'any' },
    ];
    const bad = [
      { kty: 'oct', k: 'AAAA' },
      { kty: 'OKP', d: '' },
      { kty: 'OKP', use: 'enc' },
      { kty: 'OKP', use: null },
      { kty: 'OKP', key_ops: ['encrypt'] },
      { kty: 'RSA', e: 'AQAB' },
      { kty: 'RSA', e: 'AQAB', n: 1 },
    ];
    const { keys } = keysFrom(Response.json({ keys: [bad, null, 'key', ...bad, ...good] }));
    expect(await keys.current()).toEqual({ keys: good });
  });

  it.each([
    ['2,047 bits', 0x7f, 256, false],
    ['2,048 bits', 0x80, 256, true],
    ['8,192 bits', 0xff, 1_024, true],
  ])('K-09 RSA of %s', async (_what, first, bytes, isUsed) => {
    const n = Buffer.concat([Buffer.of(first), Buffer.alloc(bytes - 1, 0xff)]).toString('base64url');
    const { keys } = keysFrom(Response.json({ keys: [{ kty: 'RSA', e: 'AQAB', n }] }));
    expect((await keys.current()).keys).toHaveLength(isUsed ? 1 : 0);
  });

  it('F-17 RSA of 8,193 bits is refused with all the others', async () => {
    const n = Buffer.concat([Buffer.of(1), Buffer.alloc(1_024, 0xff)]).toString('base64url');
    const { keys } = keysFrom(Response.json({ keys: [{ kty: 'RSA', e: 'AQAB', n }, ...setOf('a').keys] }));
    await expect(keys.current()).rejects.toEqual(
      refusal('the key endpoint (jwks_uri) has a key of more than 8192 bits'),
    );
  });
});
