/** How long a provider's keys are kept: one fetch for all who need them at once, and no bad document in place of a good one. */
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { providerKeys } from '../../src/connections/provider-keys.ts';
import { GatewayError } from '../../src/errors.ts';

const HOUR_MS = 60 * 60 * 1000;

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
  return { keys: providerKeys(fetchKeys), fetchKeys };
}

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
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('K-04 are fetched once for all who need them at once, and again for the next', async () => {
    const { keys, fetchKeys } = keysFrom(Response.json(setOf('a')), Response.json(setOf('b')));
    const sets = await Promise.all(Array.from({ length: 20 }, () => keys.current()));
    expect(new Set(sets)).toEqual(new Set([setOf('a')]));
    expect(fetchKeys).toHaveBeenCalledTimes(1);
    expect(await keys.current()).toEqual(setOf('b'));
    expect(fetchKeys).toHaveBeenCalledTimes(2);
  });

  it('K-04 fail once for all who need them at once, and are fetched again for the next', async () => {
    const { keys, fetchKeys } = keysFrom(unreachable, Response.json(setOf('a')));
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => keys.current()));
    for (const outcome of outcomes) expect(outcome).toEqual({ status: 'rejected', reason: unreachable });
    expect(fetchKeys).toHaveBeenCalledTimes(1);
    expect(await keys.current()).toEqual(setOf('a'));
  });

  it.each(FAILURES)('%s does not take the place of a good document', async (_what, failure) => {
    const { keys, fetchKeys } = keysFrom(
      Response.json(setOf('good')),
      failure(),
      Response.json(setOf('next')),
    );
    expect(await keys.current()).toEqual(setOf('good'));
    expect(await keys.current()).toEqual(setOf('good'));
    expect(await keys.current()).toEqual(setOf('next'));
    expect(fetchKeys).toHaveBeenCalledTimes(3);
  });

  it.each(FAILURES)('%s is a failure where there was no good document', async (_what, failure) => {
    await expect(keysFrom(failure()).keys.current()).rejects.toBeInstanceOf(GatewayError);
  });

  it('K-07 a key that was taken away is gone with the next document', async () => {
    const { keys } = keysFrom(Response.json(setOf('a', 'b')), Response.json(setOf('b')));
    await keys.current();
    expect(await keys.current()).toEqual(setOf('b'));
  });

  it('K-06 a good document serves for a day and no longer, failures in between notwithstanding', async () => {
    const html = () => text('<p>', 'text/html');
    const { keys } = keysFrom(Response.json(setOf('good')), html(), html(), html());
    const clock = jest.spyOn(performance, 'now');
    const at = (hours: number) => clock.mockReturnValue(1_000 + hours * HOUR_MS);
    at(0);
    await keys.current();
    at(12);
    expect(await keys.current()).toEqual(setOf('good'));
    at(23.9);
    expect(await keys.current()).toEqual(setOf('good'));
    at(24.1);
    await expect(keys.current()).rejects.toEqual(
      refusal('the key endpoint (jwks_uri) answered with text/html instead of JSON'),
    );
  });

  it('a fault of ours is not hidden behind a good document', async () => {
    const fault = new TypeError('a mistake');
    const { keys } = keysFrom(Response.json(setOf('good')), fault);
    await keys.current();
    await expect(keys.current()).rejects.toBe(fault);
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
