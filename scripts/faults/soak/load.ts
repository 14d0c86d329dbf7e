/** People who sign in and pages that ask who is signed in, as fast as they are answered or at a steady rate. */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { addressAt, type Company, type JwtCompany, type OpenIdCompany } from '../companies.ts';
import type { Ledger } from '../ledger.ts';
import { Person } from '../person.ts';
import { hostileVisit } from './hostile.ts';

const BROWSERS = 200;
const AT_ONCE = 16;
/** A node that is slower than the rate is not buried under what waits. */
const MOST_UNDER_WAY = 300;
const KEPT_CALLBACKS = 500;

export interface LoadParts {
  readonly url: string;
  readonly callbackPath: string;
  readonly acme: OpenIdCompany;
  readonly brand: JwtCompany;
  readonly ledger: Ledger;
}

export class Load {
  readonly #parts: LoadParts;
  readonly #browsers: (Person | undefined)[] = [];
  readonly #used: URL[] = [];
  /** What should not have been answered so. */
  readonly faults: string[] = [];
  /** Milliseconds that journeys took, since they were taken away. */
  #durations: number[] = [];
  #hostile = 0;
  #journeys = 0;

  constructor(parts: LoadParts) {
    this.#parts = parts;
  }

  /** What happened since it was asked before. */
  takeCounts() {
    const counts = { journeys: this.#journeys, hostile: this.#hostile, durations: this.#durations };
    [this.#journeys, this.#hostile, this.#durations] = [0, 0, []];
    return counts;
  }

  /** As many journeys as the machine can do, for so long. @returns how many a second */
  async flatOut(seconds: number): Promise<number> {
    const until = performance.now() + seconds * 1_000;
    this.takeCounts();
    const lives = Array.from({ length: AT_ONCE }, async () => {
      while (performance.now() < until) await this.#journey();
    });
    await Promise.all(lives);
    return this.takeCounts().journeys / seconds;
  }

  /** So many visits a second, whether they are answered or not; one in ten is hostile. */
  async steadily(perSecond: number, seconds: number): Promise<void> {
    const startedAt = performance.now();
    const underWay = new Set<Promise<void>>();
    for (let count = 0; count < perSecond * seconds; count++) {
      const waitMs = startedAt + (count * 1_000) / perSecond - performance.now();
      if (waitMs > 1) await sleep(waitMs);
      while (underWay.size >= MOST_UNDER_WAY) await Promise.race(underWay);
      const visit = (count % 10 === 9 ? this.#attack() : this.#journey()).finally(() =>
        underWay.delete(visit),
      );
      underWay.add(visit);
    }
    await Promise.all(underWay);
  }

  async #attack(): Promise<void> {
    this.#hostile += 1;
    const fault = await hostileVisit({ ...this.#parts, used: this.#used }, this.#hostile);
    if (fault !== undefined) this.faults.push(fault);
  }

  /** Four of ten sign in by a custom JWT, two by OpenID Connect, four look who they are. */
  async #journey(): Promise<void> {
    const startedAt = performance.now();
    const lot = randomInt(10);
    if (lot < 4) await this.#signIn(this.#parts.brand);
    else if (lot < 6) await this.#signIn(this.#parts.acme);
    else await this.#look();
    this.#durations.push(performance.now() - startedAt);
    this.#journeys += 1;
  }

  /** Half of the time in a browser that has been here before. */
  async #signIn(company: Company): Promise<void> {
    const slot = company === this.#parts.acme ? randomInt(BROWSERS / 2) * 2 : randomInt(BROWSERS / 2) * 2 + 1;
    const { url, ledger } = this.#parts;
    const known = this.#browsers[slot];
    const person =
      known !== undefined && randomInt(2) === 0
        ? known
        : new Person(company, addressAt(company.slug, slot), { ledger, gatewayUrl: url });
    // Two tabs of one browser at once would be another test.
    this.#browsers[slot] = undefined;
    const callback = await person.start();
    const outcome = callback instanceof URL ? await person.finish(callback) : callback;
    if (outcome.kind !== 'finished')
      this.faults.push(`a sign-in at ${company.slug}: ${JSON.stringify(outcome)}`);
    if (callback instanceof URL) this.#used[randomInt(KEPT_CALLBACKS)] = callback;
    this.#browsers[slot] = person;
  }

  async #look(): Promise<void> {
    const person = this.#browsers[randomInt(BROWSERS)];
    if (person !== undefined && !(await person.check())) this.faults.push('GET /session was not answered');
  }
}
