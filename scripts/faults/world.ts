/**
 * What all scenarios play in: a PostgreSQL, a site of two nodes, three companies, and people. It knows who was told what, and
 * after each scenario it asks all of them whether that is still so.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { addressAt, JwtCompany, OpenIdCompany, type Company } from './companies.ts';
import { Ledger } from './ledger.ts';
import type { NodeProcess } from './node-process.ts';
import { Person } from './person.ts';
import { openPostgres, type Postgres } from './postgres.ts';
import { Site } from './site.ts';
import { until } from './until.ts';

const PEOPLE = 2_000;
const PAUSE_MS = 40;
/** Longest that anything is left alone after its fault, and then some: a provider's keys are looked for every ten seconds. */
const RECOVERY_MS = 15_000;
/** Of those who could not sign in during a fault, so many try again after it. */
const MOST_WHO_RETRY = 12;

export class World {
  readonly postgres: Postgres;
  readonly site: Site;
  readonly acme = new OpenIdCompany('acme', PEOPLE);
  readonly brand = new JwtCompany('brand');
  /** The company whose provider is the one in trouble. */
  readonly wobbly = new OpenIdCompany('wobbly', PEOPLE);
  /** Of the scenario that is playing. */
  ledger = new Ledger();
  /** Of people at other sites than the usual one, whose database is not the one that is looked into. */
  #elsewhere = new Ledger();
  #people: Person[] = [];
  #numbers = 0;
  #signInsBefore = 0;

  static async open(databaseUrl: string | undefined): Promise<World> {
    const postgres = await openPostgres(databaseUrl);
    const site = await Site.open(postgres, { database: `gatehouse_faults_${process.pid}`, nodes: 2 });
    const world = new World(postgres, site);
    await Promise.all([world.acme.start(), world.wobbly.start()]);
    await site.json(['migrate']);
    await Promise.all([site.addOpenId(world.acme), site.addJwt(world.brand), site.addOpenId(world.wobbly)]);
    await site.startNodes();
    return world;
  }

  private constructor(postgres: Postgres, site: Site) {
    this.postgres = postgres;
    this.site = site;
  }

  /** The server, where it is the harness's own. @throws where it is somebody else's */
  get server() {
    const { own } = this.postgres;
    if (own === undefined) throw new Error('DATABASE_URL names a server that is not ours to stop');
    return own;
  }

  /** Somebody who was not here before, at a site that need not be the usual one. */
  person(company: Company, site: Site = this.site): Person {
    this.#numbers += 1;
    const email = addressAt(company.slug, this.#numbers % PEOPLE);
    const isHere = site === this.site;
    const ledger = isHere ? this.ledger : this.#elsewhere;
    const person = new Person(company, email, { ledger, gatewayUrl: site.url });
    if (isHere) this.#people.push(person);
    return person;
  }

  /**
   * Somebody whom a node has taken to the point where only the callback is missing.
   * @param at the node, or which of the two
   */
  async arrived(company: Company, at: number | NodeProcess): Promise<readonly [Person, URL]> {
    this.site.balancer.pin(typeof at === 'number' ? this.site.member(at).node : at);
    const person = this.person(company);
    const callback = await person.start();
    if (!(callback instanceof URL))
      throw new Error(`no sign-in could be started: ${JSON.stringify(callback)}`);
    return [person, callback];
  }

  /** A whole sign-in that has to work. */
  async mustSignIn(company: Company): Promise<Person> {
    const person = this.person(company);
    const outcome = await person.signIn();
    if (outcome.kind !== 'finished')
      throw new Error(`a sign-in at ${company.slug} ended so: ${JSON.stringify(outcome)}`);
    return person;
  }

  /** From now on all requests go to this node; undefined: to both in turn. */
  pin(index: number | undefined): void {
    this.site.balancer.pin(index === undefined ? undefined : this.site.member(index).node);
  }

  /** Does something while people sign in, at companies with healthy providers, one sign-in after the other each. */
  async underLoad<Result>(work: () => Promise<Result>, people = 6): Promise<Result> {
    let isOver = false;
    const isTrue = () => isOver;
    const lives = Array.from({ length: people }, async (_, index) => {
      while (!isTrue()) {
        await this.person(index % 2 === 0 ? this.acme : this.brand).signIn();
        await sleep(PAUSE_MS);
      }
    });
    try {
      return await work();
    } finally {
      isOver = true;
      await Promise.all(lives);
    }
  }

  async begin(): Promise<void> {
    this.ledger = new Ledger();
    this.#elsewhere = new Ledger();
    this.#people = [];
    this.#signInsBefore = await this.#signIns();
  }

  /** The fault is over: everything works, and everybody is who and where they were told. */
  async settle(): Promise<void> {
    const { site, ledger } = this;
    this.pin(undefined);
    await Promise.all(site.members.map(({ node }) => node.ready(RECOVERY_MS)));
    for (const index of site.members.keys()) {
      this.pin(index);
      for (const company of [this.acme, this.brand, this.wobbly])
        await this.#signInSoon(this.person(company));
    }
    this.pin(undefined);
    const unlucky = this.#people.filter((person) => !person.isSignedIn).slice(0, MOST_WHO_RETRY);
    for (const person of unlucky) await this.#signInSoon(person);
    for (const person of this.#people) {
      await until('GET /session answers', RECOVERY_MS, () => person.check()).catch(() => {
        ledger.lost.push(`${person.email}: no answer to GET /session`);
      });
    }
    await this.#lookForDuplicates();
    ledger.add(this.#elsewhere);
  }

  /** After a scenario that failed half-way: the next one finds everything as it has to be. */
  async repair(): Promise<void> {
    const { own } = this.postgres;
    for (const company of [this.acme, this.wobbly]) company.interfere = () => false;
    if (own?.isRunning() === false) await own.start();
    await Promise.all(this.site.members.map(({ line }) => line.reopen()));
    for (const { node } of this.site.members) {
      if (!node.isRunning) node.start();
      await node.moveClock(0);
    }
    this.pin(undefined);
    await Promise.all(this.site.members.map(({ node }) => node.ready()));
  }

  async #signInSoon(person: Person): Promise<void> {
    await until('a person can sign in', RECOVERY_MS, async () => {
      const { kind } = await person.signIn();
      if (kind !== 'finished') await sleep(200);
      return kind === 'finished';
    }).catch(() => {
      this.ledger.lost.push(`${person.email}: cannot sign in though the fault is over`);
    });
  }

  async #signIns(): Promise<number> {
    const [row] = await this.site.query(
      `SELECT count(*)::int AS count FROM audit_events WHERE action = 'login.succeeded'`,
    );
    return Number(row?.['count']);
  }

  async #lookForDuplicates(): Promise<void> {
    const { ledger, site } = this;
    const happened = (await this.#signIns()) - this.#signInsBefore;
    // Whoever was cut off or told to come back may have been signed in all the same, once.
    if (happened > ledger.finished + ledger.uncertain)
      ledger.duplicated.push(
        `${happened} sessions were opened, and ${ledger.finished} people were told of one`,
      );
    if (happened < ledger.finished)
      ledger.lost.push(`${ledger.finished} people were told of a session, and ${happened} were opened`);
    const twice = await site.query(
      `SELECT 'user ' || email AS what FROM users GROUP BY organization_id, email HAVING count(*) > 1
       UNION ALL
       SELECT 'identity of ' || user_id FROM identities GROUP BY connection_id, user_id HAVING count(*) > 1`,
    );
    for (const { what } of twice) ledger.duplicated.push(`${String(what)} is there twice`);
  }

  async close(): Promise<void> {
    const { own } = this.postgres;
    if (own?.isRunning() === false) await own.start();
    await this.site.close();
    await Promise.all([this.acme.stop(), this.wobbly.stop()]);
    await this.postgres.close();
  }
}
