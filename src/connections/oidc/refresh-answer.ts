/**
 * The refresh token in the answer to a refresh, noted before anything else of the answer is judged: from then on the one that
 * was shown may be spent. openid-client hands out all of an answer or nothing of it.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

interface RefreshAnswer {
  /** Undefined while there is no answer, or where it holds none. */
  refreshToken: string | undefined;
}

const answers = new AsyncLocalStorage<RefreshAnswer>();

/** Runs one refresh. The answer is its own, whoever else asks the same provider meanwhile. */
export function withRefreshAnswer<Result>(
  work: (answer: Readonly<RefreshAnswer>) => Promise<Result>,
): Promise<Result> {
  const answer: RefreshAnswer = { refreshToken: undefined };
  return answers.run(answer, () => work(answer));
}

/** Notes what the provider gave. What is no token is left to openid-client, which refuses it. */
export function noteRefreshToken(value: unknown): void {
  const answer = answers.getStore();
  if (answer !== undefined && typeof value === 'string' && value !== '') answer.refreshToken = value;
}
