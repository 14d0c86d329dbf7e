/**
 * An organization with two domains and two OpenID connections, the old one everybody's and the new one nobody's, and people who come back
 * from whichever provider they are sent to with what a test has it say. It must not know what a test moves where.
 */
import { expect } from '@jest/globals';
import type { EvilProvider } from '../attacks/evil-provider.ts';
import type { Visitor } from '../tenants/visitor.ts';
import { sessionOf, type CutoverScene, type SignedIn } from './cutover-scene.ts';

export class MovingOrganization {
  readonly slug: string;
  readonly id: string;
  readonly oldId: string;
  readonly newId: string;
  readonly #scene: CutoverScene;
  readonly #providers: readonly EvilProvider[];

  /**
   * @param users of the organization, by domain and name
   * @param others providers beside the two that people may be sent to
   */
  static async add(
    scene: CutoverScene,
    slug: string,
    { users, others = [] }: { readonly users: readonly string[]; readonly others?: readonly EvilProvider[] },
  ): Promise<MovingOrganization> {
    const domains = [`a.${slug}.example`, `b.${slug}.example`];
    const organization = await scene.gateway.addOrganization(slug, { domains });
    for (const user of users) await scene.gateway.addUser(organization, `${user}.${slug}.example`);
    const ids = { id: organization.id, oldId: await scene.add(slug, scene.old) };
    const newId = await scene.add(slug, scene.next);
    return new MovingOrganization(scene, { slug, ...ids, newId }, [scene.old, scene.next, ...others]);
  }

  private constructor(
    scene: CutoverScene,
    ids: Readonly<Record<'slug' | 'id' | 'oldId' | 'newId', string>>,
    providers: readonly EvilProvider[],
  ) {
    this.#scene = scene;
    this.#providers = providers;
    ({ slug: this.slug, id: this.id, oldId: this.oldId, newId: this.newId } = ids);
  }

  at(domain: string, name = 'ada'): string {
    return `${name}@${domain}.${this.slug}.example`;
  }

  cutover(command: string, ...args: readonly string[]): Promise<unknown> {
    return this.#scene.run('cutover', command, this.slug, ...args);
  }

  start(...args: readonly string[]): Promise<unknown> {
    return this.cutover('start', '--from', this.oldId, '--to', this.newId, ...args);
  }

  /** Whatever provider the person is sent to says this of them. */
  async comeBack(
    email: string,
    claims: object = {},
  ): Promise<{ readonly visitor: Visitor; readonly callback: URL }> {
    const visitor = this.#scene.visitor();
    const bend = { claims: (usual: object) => ({ ...usual, ...claims }) };
    for (const provider of this.#providers) provider.bend = bend;
    return { visitor, callback: await visitor.startAtOpenId(email) };
  }

  async signIn(email: string, claims: object = {}): Promise<SignedIn> {
    const { visitor, callback } = await this.comeBack(email, claims);
    const answer = await visitor.request(callback);
    expect({ email, status: answer.status, body: answer.body }).toEqual({ email, status: 303, body: '' });
    return sessionOf(visitor);
  }
}
