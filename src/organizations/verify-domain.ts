/** `domain verify`: asks DNS what it holds, and makes of it a proof of the domain, a finished transfer, or a reason why it is neither. */
import { Refusal } from '../errors.ts';
import { checkDomainProof, holds, type CheckedProof, type ProofParts } from './check-domain-proof.ts';
import { recordName, type Domain } from './domain.ts';
import type { DomainName } from './domain-name.ts';
import { domainToProve } from './domain-store.ts';
import { finishTransfer, type DoneTransfer } from './domain-transfer-store.ts';

export type Verification =
  | { readonly kind: 'transferred'; readonly done: DoneTransfer }
  | {
      readonly kind: 'checked';
      /** As it was before. */
      readonly domain: Domain & { readonly challenge: string };
      readonly checked: CheckedProof;
    };

/** @throws Refusal if nobody claims the domain, or it was changed meanwhile */
export async function verifyDomain(
  parts: ProofParts,
  name: DomainName,
  actor: string,
): Promise<Verification> {
  const domain = await domainToProve(parts.database, name, actor);
  const answer = await parts.askTxt(recordName(name));
  const { transfer, challenge } = domain;
  if (transfer !== undefined && holds(answer, transfer.challenge)) {
    const done = await finishTransfer(parts.database, name, transfer.challenge, actor);
    return { kind: 'transferred', done };
  }
  const checked = await checkDomainProof(parts, { name, challenge }, { answer, actor });
  if (checked === undefined) throw new Refusal(`${name} was changed at the same time. Try again.`);
  return { kind: 'checked', domain, checked };
}
