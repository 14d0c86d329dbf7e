/** Asks DNS whether it holds what proves a domain, and writes down what was found: for the command line and for the server's own checks. */
import type { Database } from '../database/database.ts';
import type { AskTxt, TxtAnswer } from '../outbound/txt-records.ts';
import { recordName } from './domain.ts';
import { recordProofCheck, type ProofNews, type SoughtProof } from './domain-proof-store.ts';

export interface ProofParts {
  readonly database: Database;
  readonly askTxt: AskTxt;
  /** For how long nothing comes of it that a record is absent. */
  readonly graceSeconds: number;
}

export interface CheckedProof {
  readonly organizationId: string;
  readonly answer: TxtAnswer;
  readonly isPresent: boolean;
  readonly news: readonly ProofNews[];
}

/**
 * @param asked where DNS was asked already
 * @returns undefined if the domain was changed meanwhile; nothing was written then
 */
export async function checkDomainProof(
  { database, askTxt, graceSeconds }: ProofParts,
  proof: SoughtProof,
  asked: { readonly answer?: TxtAnswer; readonly actor?: string } = {},
): Promise<CheckedProof | undefined> {
  const { name, challenge } = proof;
  const answer = asked.answer ?? (await askTxt(recordName(name)));
  const isPresent = holds(answer, challenge);
  const found = isPresent ? 'present' : answer.kind === 'answered' ? 'absent' : 'unanswered';
  const recorded = await recordProofCheck(database, {
    name,
    challenge,
    found,
    graceSeconds,
    actor: asked.actor,
  });
  return recorded === undefined ? undefined : { ...recorded, answer, isPresent };
}

/** Whether one of the records is the challenge, character by character. */
export function holds(answer: TxtAnswer, challenge: string): boolean {
  return answer.kind === 'answered' && answer.values.includes(challenge);
}
