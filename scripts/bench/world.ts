/** What contenders share: a PostgreSQL with a database for each, one fast provider, organizations by number. */
import { randomInt } from 'node:crypto';
import type { BenchProvider } from './provider.ts';

export interface World {
  readonly provider: BenchProvider;
  /** Organizations by number from 0, each with an OpenID Provider and a domain of its own. */
  readonly organizations: number;
  /** Those whose people sign in: the first ones. */
  readonly signInOrganizations: number;
  /** The URL of a new, empty database. */
  newDatabase(name: string): Promise<string>;
}

/** People of each organization. */
export const PEOPLE = 20;

/** Further organizations, whose people bring a custom JWT. */
export const TOKEN_ORGANIZATIONS = 20;

export const domainOf = (organization: number) => `c${organization}.example`;
export const tokenDomainOf = (organization: number) => `j${organization}.example`;

export const emailOf = (organization: number, person: number): string =>
  `p${person}@${domainOf(organization)}`;

/** @param organizations how many there are to choose from */
export const somebodyOf = (
  organizations: number,
): { readonly organization: number; readonly email: string } => {
  const organization = randomInt(organizations);
  return { organization, email: emailOf(organization, randomInt(PEOPLE)) };
};

export const tokenPerson = (): { readonly domain: string; readonly email: string } => {
  const domain = tokenDomainOf(randomInt(TOKEN_ORGANIZATIONS));
  return { domain, email: `p${randomInt(PEOPLE)}@${domain}` };
};
