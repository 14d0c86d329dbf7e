/**
 * A person with a browser: starts at Gatehouse, proves at their company who they are, comes back, and looks who they became.
 * What the program says to them is compared with what they know: their own address.
 */
import { CookieJar } from '../demo/cookie-jar.ts';
import { ask, NoReply, type Asking, type Reply } from './ask.ts';
import { NO_ANSWER } from './balancer.ts';
import type { Company } from './companies.ts';
import type { Ledger, Outcome } from './ledger.ts';

const JSON_TYPE = 'application/json';
/** Stands where a refusal has a code of Gatehouse. */
const STARTED_ANEW = 'started_anew';

/** A request that failed in a way that ends the sign-in. */
class Ended extends Error {
  readonly outcome: Outcome;

  constructor(outcome: Outcome) {
    super(outcome.kind);
    this.outcome = outcome;
  }
}

export class Person {
  readonly email: string;
  readonly company: Company;
  readonly #jar = new CookieJar();
  readonly #ledger: Ledger;
  readonly #gatewayUrl: string;
  /** Of their company, where the sign-in was sent to. */
  #page: string | undefined;
  /** Whether they were told that they are signed in. */
  isSignedIn = false;

  constructor(
    company: Company,
    email: string,
    { ledger, gatewayUrl }: { readonly ledger: Ledger; readonly gatewayUrl: string },
  ) {
    this.company = company;
    this.email = email;
    this.#ledger = ledger;
    this.#gatewayUrl = gatewayUrl;
  }

  /** A whole sign-in; counted. */
  async signIn(): Promise<Outcome> {
    const callback = await this.start();
    return callback instanceof URL ? this.finish(callback) : callback;
  }

  /** Up to the callback, which is returned; a sign-in that does not get so far is counted. */
  async start(): Promise<URL | Outcome> {
    try {
      const body = JSON.stringify({ email: this.email });
      const headers = { 'content-type': JSON_TYPE };
      const reply = await this.#send(new URL('/login', this.#gatewayUrl), { method: 'POST', headers, body });
      if (reply.status !== 200) throw new Ended(refusalIn(reply));
      const { redirect_url: away } = JSON.parse(reply.body) as { redirect_url: string };
      [this.#page] = away.split('?');
      return await this.company.authenticate(new URL(away), this.email, (url, asking) =>
        this.#send(url, asking),
      );
    } catch (error) {
      const outcome = outcomeOf(error);
      this.#ledger.count(outcome, this.email, false);
      return outcome;
    }
  }

  /** The last step; counted. */
  async finish(callback: URL): Promise<Outcome> {
    const outcome = await this.#finish(callback).catch(outcomeOf);
    this.#ledger.count(outcome, this.email, true);
    if (outcome.kind !== 'finished') return outcome;
    this.isSignedIn = true;
    await this.check();
    return outcome;
  }

  async #finish(callback: URL): Promise<Outcome> {
    const reply = await this.#send(callback);
    const isWelcome = (reply.headers['set-cookie'] ?? []).some((cookie) =>
      /^(__Host-)?gatehouse-session=[^;]/.test(cookie),
    );
    if (reply.status === 303 && isWelcome) return { kind: 'finished' };
    return this.#isSentThere(reply) ? { kind: 'refused', status: 303, code: STARTED_ANEW } : refusalIn(reply);
  }

  /** A start only reads, so a node that has not heard of a token's use yet may send the person to their company once more. */
  #isSentThere({ status, headers: { location } }: Reply): boolean {
    return status === 303 && this.#page !== undefined && location?.split('?')[0] === this.#page;
  }

  /**
   * Who was told that they are signed in asks who they are. What cannot be answered now is no answer.
   * @returns whether there was one
   */
  async check(): Promise<boolean> {
    if (!this.isSignedIn) return true;
    const reply = await this.session();
    if (reply === undefined || reply.status >= 500) return false;
    if (reply.status === 401) {
      this.#ledger.lost.push(`${this.email}: was signed in and is not any more`);
      this.isSignedIn = false;
      return true;
    }
    const { user } = JSON.parse(reply.body) as { user?: { email?: string } };
    if (user?.email !== this.email)
      this.#ledger.wrongPerson.push(`${this.email} became ${String(user?.email)}`);
    return true;
  }

  /** GET /session with this person's cookies, or without an answer nothing. */
  session(): Promise<Reply | undefined> {
    return this.#send(new URL('/session', this.#gatewayUrl)).catch(() => undefined);
  }

  /** With the cookies of this browser. */
  async #send(url: URL, { headers = {}, ...asking }: Asking = {}): Promise<Reply> {
    const cookie = this.#jar.header(url, { method: asking.method ?? 'GET', isCrossSite: false });
    const startedAt = performance.now();
    const own = { accept: JSON_TYPE, ...headers, ...(cookie === undefined ? {} : { cookie }) };
    const reply = await ask(url, { ...asking, headers: own });
    this.#ledger.slowestMs = Math.max(this.#ledger.slowestMs, performance.now() - startedAt);
    this.#jar.store(url, reply.headers['set-cookie'] ?? []);
    return reply;
  }
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof Ended) return error.outcome;
  if (error instanceof NoReply) return { kind: error.kind };
  throw error;
}

/** An answer is clear with a code of ours, a reference, and, where it will pass by itself, a word about when. */
function refusalIn({ status, headers, body }: Reply): Outcome {
  if (headers[NO_ANSWER] !== undefined) return { kind: 'cut' };
  try {
    const { code, reference } = JSON.parse(body) as { code?: string; reference?: string };
    const saysWhen = status !== 503 || headers['retry-after'] !== undefined;
    if (code !== undefined && code !== 'internal_error' && reference !== undefined && saysWhen)
      return { kind: 'refused', status, code };
  } catch {
    // No JSON is no clear answer either.
  }
  return { kind: 'unclear', status };
}
