/** What contenders share: a PostgreSQL with a database for each, one fast provider, organizations by number. */
import type { BenchProvider } from './provider.ts';

export interface World {
  readonly provider: BenchProvider;
  /** Organizations by number from 0, each with a provider and a domain of its own. */
  readonly organizations: number;
  /** Of those, the ones that people sign in at. */
  readonly signInOrganizations: number;
  /** The URL of a new, empty database. */
  newDatabase(name: string): Promise<string>;
}

export const domainOf = (organization: number) => `c${organization}.example`;
export const emailOf = (organization: number, person: number) => `p${person}@${domainOf(organization)}`;
