/**
 * Which domains an organization can have at all, whoever vouches for it: none under which others have names of their own, none at
 * which anybody gets an address, and none of Gatehouse's own names. The one rule, for claims as for transfers.
 */
import { Refusal } from '../errors.ts';
import { parseUrl } from '../parse-url.ts';
import { canonicalDomain, type DomainName } from './domain-name.ts';

/**
 * @param publicUrl Gatehouse's own origin
 * @throws Refusal that says why the domain can be nobody's
 */
export async function requireClaimable(name: DomainName, publicUrl: string): Promise<void> {
  const reason = isOwn(name, publicUrl)
    ? `is a name of Gatehouse itself (PUBLIC_URL)`
    : await whyEverybodys(name);
  if (reason !== undefined) throw new Refusal(`${name} ${reason}, so it can belong to no organization.`);
}

function isOwn(name: DomainName, publicUrl: string): boolean {
  // An address or localhost is no domain, and so nobody can claim it anyway.
  const own = canonicalDomain(parseUrl(publicUrl)?.hostname);
  return own !== undefined && (name === own || name.endsWith(`.${own}`));
}

async function whyEverybodys(name: DomainName): Promise<string | undefined> {
  // Loaded on demand: nothing but a claim needs the lists.
  const [{ parse }, { isFreeMail }] = await Promise.all([import('tldts'), import('./free-mail-domain.ts')]);
  // Names such as github.io, under which a company lets others have theirs, are in the private part of the list.
  const { domain, domainWithoutSuffix, isIcann, isPrivate } = parse(name, { allowPrivateDomains: true });
  if (domain === null) return 'is a public suffix, under which anybody can have a name (publicsuffix.org)';
  const registrable = {
    label: domainWithoutSuffix ?? '',
    isBelowKnownSuffix: isIcann === true || isPrivate === true,
  };
  return isFreeMail(name, registrable)
    ? 'is a domain, or below one, at which anybody can get an address'
    : undefined;
}
