/** The line to a provider: how many calls are under way, who waits, and when the provider is left alone. */
import { describe, expect, it } from '@jest/globals';
import { GatewayError } from '../../src/errors.ts';
import type { CallLimits } from '../../src/outbound/guarded-fetch.ts';
import { ProviderLine } from '../../src/outbound/provider-line.ts';

const AT_ONCE = 32;
const WAITING = 1_000;
const URL = 'https://login.acme.example/token';
const NOON_MS = Date.parse('2026-03-01T12:00:00Z');

const unanswered = (code: 'identity_provider_error' | 'identity_provider_timeout', reason: string) =>
  new GatewayError(code, { reason, isUnanswered: true });
const reset = unanswered('identity_provider_error', 'the connection failed (ECONNRESET)');
const silence = unanswered('identity_provider_timeout', 'no answer in time');
const tooLarge = new GatewayError('identity_provider_error', { reason: 'the answer is larger than 256 KiB' });
const status = (code: number) => new Response(null, { status: code });

interface Call {
  readonly limits: CallLimits;
  answer(what: Response | Error): void;
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A line whose provider answers when, and what, the test says, on a clock that the test moves. */
function openLine() {
  const calls: Call[] = [];
  let nowMs = 1_000;
  const line = new ProviderLine(
    (_url, _options, limits = {}) =>
      new Promise((resolve, reject) => {
        const answer = (what: Response | Error) => {
          if (what instanceof Error) reject(what);
          else resolve(what);
        };
        calls.push({ limits, answer });
      }),
    { clock: { now: () => nowMs }, now: () => NOON_MS + nowMs },
  );
  const passMs = (ms: number) => {
    nowMs += ms;
  };
  /** What becomes of a call: the status of its answer, or the reason of its failure. */
  const send = (limits?: CallLimits, options?: RequestInit): Promise<number | string> =>
    line.fetch(URL, options, limits).then(
      (response) => response.status,
      (error: unknown) =>
        error instanceof GatewayError ? (error.context.reason ?? error.code) : 'a mistake',
    );
  /** One call after the other, each answered with the next of these. */
  async function answered(...answers: readonly (Response | Error)[]): Promise<readonly (number | string)[]> {
    const outcomes: (number | string)[] = [];
    for (const answer of answers) {
      const outcome = send();
      await nextTurn();
      if (answer === silence) passMs(4_800);
      calls.at(-1)?.answer(answer);
      outcomes.push(await outcome);
    }
    return outcomes;
  }
  return { line, calls, send, answered, passMs };
}

const times = <What>(count: number, make: () => What) => Array.from({ length: count }, make);
const LEFT_ALONE =
  /^the provider is in trouble since 2026-03-01T12:00:01\.000Z and is left alone for some seconds: /;

describe('calls at once', () => {
  it(`are ${AT_ONCE}, and as many wait as there is room for, in their order`, async () => {
    const { line, calls, send } = openLine();
    const outcomes = times(AT_ONCE + WAITING, () => send());
    await nextTurn();
    expect(calls).toHaveLength(AT_ONCE);
    expect(line.counts()).toMatchObject({ inFlight: AT_ONCE, waiting: WAITING });
    expect(await send()).toBe('too many calls to the provider are waiting already');
    for (let next = 0; next < outcomes.length; next++) {
      calls[next]?.answer(status(200 + (next % 2)));
      expect(await outcomes[next]).toBe(200 + (next % 2));
      await nextTurn();
      expect(calls).toHaveLength(Math.min(outcomes.length, AT_ONCE + next + 1));
    }
    const answered = AT_ONCE + WAITING;
    expect(line.counts()).toEqual({ inFlight: 0, waiting: 0, answered, failed: 0, notSent: 1 });
    expect(line.trouble()).toBeUndefined();
  });

  it('give up waiting with their own time, keep nobody behind them waiting, and blame no provider', async () => {
    const { line, calls, send } = openLine();
    const first = times(AT_ONCE, () => send());
    await nextTurn();
    const impatient = times(20, () => send({ limitMs: 20 }));
    const gone = new AbortController();
    const aborted = send({}, { signal: gone.signal });
    const late = send({}, { signal: AbortSignal.abort() });
    const patient = send();
    gone.abort();
    const gaveUp = await Promise.all([...impatient, aborted, late]);
    expect(new Set(gaveUp)).toEqual(new Set(['no answer in time: too many calls are under way']));
    expect(calls).toHaveLength(AT_ONCE);
    for (const call of calls) call.answer(status(200));
    await Promise.all(first);
    await nextTurn();
    expect(calls).toHaveLength(AT_ONCE + 1);
    calls.at(-1)?.answer(status(200));
    expect(await patient).toBe(200);
    expect(line.trouble()).toBeUndefined();
  });

  it('have what is left of their time once they have waited', async () => {
    const { calls, send, passMs } = openLine();
    const all = times(AT_ONCE + 1, () => send({ limitMs: 3_000 }));
    await nextTurn();
    passMs(1_200);
    for (const call of calls) call.answer(status(200));
    await nextTurn();
    expect(calls.at(-1)?.limits.limitMs).toBe(1_800);
    calls.at(-1)?.answer(status(200));
    await Promise.all(all);
  });
});

describe('a provider is left alone', () => {
  it.each<readonly [string, Response | Error, string]>([
    ['resets', reset, 'the connection failed (ECONNRESET)'],
    ['status 500', status(500), 'an answer with status 500'],
    ['status 503', status(503), 'an answer with status 503'],
  ])('after five failures in a row: %s', async (_what, failure, reason) => {
    const { line, calls, answered, send } = openLine();
    await answered(...times(4, () => failure), status(200), ...times(4, () => failure));
    expect(line.trouble()).toBeUndefined();
    await answered(failure);
    expect(line.trouble()).toEqual({ sinceMs: NOON_MS + 1_000, reason });
    const before = calls.length;
    const refusals = await Promise.all(times(50, () => send()));
    expect(new Set(refusals).size).toBe(1);
    expect(refusals[0]).toMatch(LEFT_ALONE);
    expect(refusals[0]).toContain(reason);
    expect(line.counts()).toMatchObject({ answered: 1, failed: 9, notSent: 50 });
    expect(calls).toHaveLength(before);
  });

  it('after five calls without an answer in time', async () => {
    const { line, answered } = openLine();
    await answered(...times(5, () => silence));
    expect(line.trouble()?.reason).toBe('no answer in time');
  });

  it('X-14 after five failures out of the last ten, and not after four', async () => {
    const flapping = openLine();
    await flapping.answered(...times(5, () => [status(200), reset]).flat());
    expect(flapping.line.trouble()).toBeDefined();
    const good = openLine();
    await good.answered(...times(10, () => [status(200), reset, status(200)]).flat());
    expect(good.line.trouble()).toBeUndefined();
  });

  it.each<readonly [string, Response | Error]>([
    ['status 400', status(400)],
    ['status 404', status(404)],
    ['status 429', status(429)],
    ['too much', tooLarge],
    ['a mistake of ours', new TypeError('a mistake')],
  ])('for no other answer: %s', async (_what, answer) => {
    const { line, answered } = openLine();
    await answered(...times(20, () => answer));
    expect(line.trouble()).toBeUndefined();
  });

  it('for no call that had hardly any time', async () => {
    const { line, calls, send, passMs } = openLine();
    for (let tries = 0; tries < 20; tries++) {
      const outcome = send({ limitMs: 1_900 });
      await nextTurn();
      passMs(1_900);
      calls.at(-1)?.answer(silence);
      await outcome;
    }
    expect(line.trouble()).toBeUndefined();
  });

  it('by all who wait as well, at once', async () => {
    const { calls, send } = openLine();
    const all = times(AT_ONCE + 100, () => send());
    await nextTurn();
    for (const call of calls.slice(0, 5)) call.answer(reset);
    const waiting = await Promise.all(all.slice(AT_ONCE + 5));
    for (const outcome of waiting) expect(outcome).toMatch(LEFT_ALONE);
    // Those that came in the place of the first ones, before it was clear.
    expect(calls).toHaveLength(AT_ONCE + 4);
    for (const call of calls) call.answer(reset);
    await Promise.all(all);
  });
});

describe('after five seconds', () => {
  async function leftAlone() {
    const opened = openLine();
    await opened.answered(...times(5, () => reset));
    opened.passMs(4_999);
    expect(await opened.send()).toMatch(LEFT_ALONE);
    opened.passMs(1);
    opened.calls.length = 0;
    return opened;
  }

  it('one call alone tries whether the provider is back, and all others wait for what it finds', async () => {
    const { line, calls, send } = await leftAlone();
    const all = times(10, () => send());
    await nextTurn();
    expect(calls).toHaveLength(1);
    calls[0]?.answer(status(404));
    expect(await all[0]).toBe(404);
    await nextTurn();
    expect(calls).toHaveLength(10);
    expect(line.trouble()).toBeUndefined();
    for (const call of calls) call.answer(status(200));
    expect(await Promise.all(all.slice(1))).toEqual(times(9, () => 200));
  });

  it('it is left alone again if the call fails, and those who waited learn so at once', async () => {
    const { line, calls, send, passMs } = await leftAlone();
    const all = times(10, () => send());
    await nextTurn();
    calls[0]?.answer(status(502));
    const [first, ...others] = await Promise.all(all);
    expect(first).toBe(502);
    for (const outcome of others) expect(outcome).toMatch(LEFT_ALONE);
    expect(calls).toHaveLength(1);
    // Since when it is in trouble stays.
    expect(line.trouble()).toEqual({ sinceMs: NOON_MS + 1_000, reason: 'an answer with status 502' });
    passMs(5_000);
    const again = send();
    await nextTurn();
    calls[1]?.answer(status(200));
    expect(await again).toBe(200);
    expect(line.trouble()).toBeUndefined();
  });

  it('who waits for that call gives up with their own time, and another may try where it says nothing', async () => {
    const { line, calls, send } = await leftAlone();
    const first = send();
    expect(await send({ limitMs: 20 })).toBe('no answer in time: too many calls are under way');
    const third = send();
    await nextTurn();
    expect(calls).toHaveLength(1);
    calls[0]?.answer(silence);
    expect(await first).toBe('no answer in time');
    await nextTurn();
    expect(calls).toHaveLength(2);
    expect(line.trouble()).toBeDefined();
    calls[1]?.answer(status(200));
    expect(await third).toBe(200);
    expect(line.trouble()).toBeUndefined();
  });

  it('calls that hang since before neither keep it from being tried nor count when they end', async () => {
    const { line, calls, send, passMs } = openLine();
    const all = times(AT_ONCE, () => send());
    await nextTurn();
    for (const call of calls.slice(0, 5)) call.answer(reset);
    await Promise.all(all.slice(0, 5));
    const hanging = calls.slice(5);
    passMs(5_000);
    const probe = send();
    await nextTurn();
    expect(calls).toHaveLength(AT_ONCE + 1);
    for (const call of hanging.slice(10)) call.answer(reset);
    await nextTurn();
    calls.at(-1)?.answer(status(200));
    expect(await probe).toBe(200);
    for (const call of hanging) call.answer(reset);
    await Promise.all(all);
    expect(line.trouble()).toBeUndefined();
    expect(line.counts().inFlight).toBe(0);
  });
});

describe('what is remembered', () => {
  it('K-06 is left alone after two failures, and calls that people wait for go on', async () => {
    const { line, calls, send, answered } = openLine();
    for (const failure of [status(500), reset]) {
      const outcome = send({ isRemembered: true });
      await nextTurn();
      calls.at(-1)?.answer(failure);
      await outcome;
    }
    expect(line.trouble()?.reason).toBe('the connection failed (ECONNRESET)');
    expect(await send({ isRemembered: true })).toMatch(LEFT_ALONE);
    expect(await answered(status(200), status(400))).toEqual([200, 400]);
  });
});
