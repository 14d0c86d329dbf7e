/** A domain as an operator types it. */
import { Refusal } from '../errors.ts';
import { canonicalDomain, type DomainName } from '../organizations/domain-name.ts';

/** @throws Refusal if it is none */
export function checkedDomain(text: string): DomainName {
  const name = canonicalDomain(text);
  if (name === undefined) throw new Refusal('This is not a domain name such as company.example.');
  return name;
}
