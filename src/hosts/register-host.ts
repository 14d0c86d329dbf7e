/** The rules of "add a host", once. */
import { resourceObjection } from '../applications/application.ts';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import { canonicalHost, type Host } from './host.ts';
import { insertHost } from './host-store.ts';

export interface HostRegistration {
  readonly name: string;
  readonly resource: string | undefined;
  /** Undefined: all organizations. */
  readonly organizationIds: readonly string[] | undefined;
}

export interface HostParts {
  readonly database: Database;
  /** Origin of this gateway. */
  readonly publicUrl: string;
  readonly actor: string;
}

/** @throws Refusal if anything is not fit, or the host is there already */
export async function addHost(parts: HostParts, { name: text, ...rest }: HostRegistration): Promise<Host> {
  const name = canonicalHost(text);
  if (name === undefined) {
    throw new Refusal('A host is a name without a scheme and a path, such as wiki.vendor.example.');
  }
  if (name === new URL(parts.publicUrl).host) {
    throw new Refusal(`${name} is Gatehouse's own host: a proxy there can ask about it as it is.`);
  }
  const objection = rest.resource === undefined ? undefined : resourceObjection(rest.resource);
  if (objection !== undefined) throw new Refusal(`--resource ${objection}.`);
  return insertHost(parts.database, { name, ...rest }, parts.actor);
}
