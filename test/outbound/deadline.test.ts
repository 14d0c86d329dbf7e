/** One deadline over several calls: nobody waits longer than it, whatever the other side does. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { GatewayError, type FailureCode } from '../../src/errors.ts';
import { OUTBOUND_DEADLINE_MS, withinDeadline } from '../../src/outbound/deadline.ts';
import { guardedFetch } from '../../src/outbound/guarded-fetch.ts';

const TIMEOUT: FailureCode = 'identity_provider_timeout';
const never = () => new Promise<never>(() => undefined);
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Code of the failure, and after how many milliseconds it came. */
async function failure(
  work: () => Promise<unknown>,
): Promise<{ readonly code: string; readonly afterMs: number }> {
  const start = performance.now();
  const error: unknown = await work().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  const code = error instanceof GatewayError ? error.code : `none: ${String(error)}`;
  return { code, afterMs: performance.now() - start };
}

describe('a deadline', () => {
  it('leaves five seconds to the whole answer', () => {
    expect(OUTBOUND_DEADLINE_MS).toBeLessThan(5_000);
  });

  it('passes on what the work brings, and what it throws', async () => {
    expect(await withinDeadline(() => Promise.resolve('done'))).toBe('done');
    await expect(withinDeadline(() => Promise.reject(new Error('own')))).rejects.toThrow('own');
  });
});

describe('F-19 X-12 when the other side does not answer', () => {
  const server = createServer((request, response) => {
    if (request.url === '/hang') return;
    response.writeHead(200, { 'content-type': 'application/json' });
    if (request.url === '/half') response.write('{');
    if (request.url !== '/drip') return;
    const drip = setInterval(() => response.write(' '), 50);
    response.once('close', () => {
      clearInterval(drip);
    });
  });
  let origin = '';
  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const fetchIt = guardedFetch({ allowPrivateNetworks: true });

  it('every way of waiting ends in time', async () => {
    const slowSteps = async () => {
      // Each is quick enough; together they are not.
      for (let step = 0; step < 4; step++) await pause(1_500);
    };
    const waits = await Promise.all([
      ...['/hang', '/half', '/drip'].map((path) => failure(() => fetchIt(origin + path))),
      failure(() => withinDeadline(() => fetchIt(`${origin}/hang`))),
      failure(() => withinDeadline(never)),
      failure(() => withinDeadline(slowSteps)),
    ]);
    for (const { code, afterMs } of waits) {
      expect(code).toBe(TIMEOUT);
      expect(afterMs).toBeGreaterThan(OUTBOUND_DEADLINE_MS - 100);
      expect(afterMs).toBeLessThan(5_000);
    }
  });

  it('a call may have a limit of its own, and no longer than the deadline that it is under', async () => {
    const hang = (limitMs: number) => fetchIt(`${origin}/hang`, {}, { limitMs });
    const [less, more, under] = await Promise.all([
      failure(() => hang(300)),
      failure(() => hang(OUTBOUND_DEADLINE_MS + 1_000)),
      failure(() => withinDeadline(() => hang(OUTBOUND_DEADLINE_MS + 1_000))),
    ]);
    for (const { code } of [less, more, under]) expect(code).toBe(TIMEOUT);
    expect(less.afterMs).toBeLessThan(OUTBOUND_DEADLINE_MS);
    expect(more.afterMs).toBeGreaterThan(OUTBOUND_DEADLINE_MS + 900);
    expect(under.afterMs).toBeLessThan(5_000);
  });

  it('a call ends in time though the garbage is collected meanwhile', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    let isQuick = true;
    const mixed = guardedFetch({
      allowPrivateNetworks: true,
      fetch: (url, options) => (isQuick ? Promise.resolve(new Response('{}')) : fetch(url, options)),
    });
    // Code that runs often is compiled anew, and holds on to nothing that it does not need.
    for (let calls = 0; calls < 20_000; calls++) await mixed(origin);
    isQuick = false;
    const collecting = setInterval(collectGarbage, 100);
    const tooLate = pause(OUTBOUND_DEADLINE_MS + 1_500).then(() => ({
      code: 'still waiting',
      afterMs: Infinity,
    }));
    const calls = ['/hang', '/half'].map((path) =>
      Promise.race([failure(() => mixed(origin + path)), tooLate]),
    );
    expect((await Promise.all(calls)).map(({ code }) => code)).toEqual([TIMEOUT, TIMEOUT]);
    clearInterval(collecting);
  });
});
