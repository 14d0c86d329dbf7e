/**
 * An organization with two domains and several connections of the custom JWT kind, told apart by the path of their login page: where its
 * people are sent, and that `explain` and `connection list` say so. It must not know what a test routes where.
 */
import { expect } from '@jest/globals';
import type { Answer, Visitor } from '../tenants/visitor.ts';
import type { CutoverScene } from './cutover-scene.ts';

/** What `explain --json` prints. */
export interface Explained {
  readonly code?: string;
  readonly connection?: { readonly id: string };
  readonly choice?: readonly { readonly id: string }[];
  readonly steps: readonly string[];
}

type JwtOptions = Parameters<CutoverScene['addJwt']>[2];

export class RoutedOrganization {
  readonly slug: string;
  readonly #scene: CutoverScene;
  /** Path of the login page to id. */
  readonly #ids = new Map<string, string>();

  /** With the connections `alpha`, which is everybody's, and `beta`, which is nobody's. */
  static async add(scene: CutoverScene, slug: string): Promise<RoutedOrganization> {
    await scene.gateway.addOrganization(slug, { domains: [`a.${slug}.example`, `b.${slug}.example`] });
    const organization = new RoutedOrganization(scene, slug);
    await organization.addConnection('alpha', { args: ['--label', 'Alpha & Sons'] });
    await organization.addConnection('beta');
    return organization;
  }

  private constructor(scene: CutoverScene, slug: string) {
    this.#scene = scene;
    this.slug = slug;
  }

  async addConnection(path: string, options?: JwtOptions): Promise<void> {
    this.#ids.set(path, await this.#scene.addJwt(this.slug, path, options));
  }

  async addUser(email: string): Promise<void> {
    await this.#scene.cli.json(['user', 'add', this.slug, email]);
  }

  at(domain: string, name = 'ada'): string {
    return `${name}@${domain}.${this.slug}.example`;
  }

  idOf(path: string): string {
    return this.#ids.get(path) ?? path;
  }

  route(path: string, ...args: readonly string[]): Promise<unknown> {
    return this.#scene.run('connection', 'route', this.idOf(path), ...args);
  }

  unroute(path: string, ...args: readonly string[]): Promise<unknown> {
    return this.#scene.run('connection', 'unroute', this.idOf(path), ...args);
  }

  /** Path of the login page that an answer leads to, all those that it offers, or the code of its refusal. */
  wayOf(answer: Answer): string {
    const location = answer.headers.get('location');
    if (location !== null) return new URL(location).pathname.slice(1);
    const found = JSON.parse(answer.body) as {
      redirect_url?: string;
      connections?: readonly { id: string }[];
      code?: string;
    };
    if (found.redirect_url !== undefined) return new URL(found.redirect_url).pathname.slice(1);
    return found.connections === undefined ? String(found.code) : this.#pathsOf(found.connections);
  }

  /** Where a start leads, which is where `explain` says that it does. */
  async expectWay(email: string, way: string): Promise<Explained> {
    const answer = await this.#scene.visitor().typeAddress(email);
    expect({ email, way: this.wayOf(answer) }).toEqual({ email, way });
    const explained = await this.#scene.cli.json<Explained>(['explain', email]);
    const { choice, connection, code } = explained;
    const meant = choice ?? (connection === undefined ? [] : [connection]);
    expect(meant.length === 0 ? code : this.#pathsOf(meant)).toBe(way);
    return explained;
  }

  /** Where the entry link leads. */
  async entry(query = '', visitor: Visitor = this.#scene.visitor()): Promise<string> {
    return this.wayOf(await visitor.request(`/sso/${this.slug}${query}`));
  }

  /** Who goes where, as `connection list` has it. */
  async who(): Promise<Readonly<Record<string, string>>> {
    const all = await this.#scene.cli.json<{ id: string; people: string }[]>([
      'connection',
      'list',
      this.slug,
    ]);
    return Object.fromEntries(all.map((one) => [this.#pathsOf([one]), one.people]));
  }

  #pathsOf(connections: readonly { readonly id: string }[]): string {
    const paths = new Map([...this.#ids].map(([path, id]) => [id, path]));
    return connections
      .map(({ id }) => paths.get(id) ?? id)
      .sort()
      .join(' or ');
  }
}
