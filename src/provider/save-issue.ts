/** What an answer of the token endpoint holds is written when it is ready, with the use of what it was asked with: all of it or nothing. */
import { errors } from 'oidc-provider';
import { endReplayedGrant, findGrantToken } from './grant-store.ts';
import {
  issueTokens,
  openGrantWithTokens,
  redeemToken,
  repeatRefresh,
  type Redemption,
} from './issue-store.ts';
import { oauthFailure } from './oauth-failure.ts';
import { endGrant, REFRESH_GRACE_SECONDS, type AdapterParts } from './provider-adapter.ts';
import type { RequestState } from './request-state.ts';

/**
 * Writes what an answer of the token endpoint holds and uses up what it was asked with, in one statement; a use that lost a
 * race is refused.
 * @throws errors.OIDCProviderError
 */
export async function saveIssue(
  parts: Pick<AdapterParts, 'database' | 'memory' | 'tokens'>,
  { issue: { used, grant, tokens }, found }: Pick<RequestState, 'issue' | 'found'>,
): Promise<void> {
  const { database, memory } = parts;
  try {
    if (grant !== undefined) {
      if (await openGrantWithTokens(database, grant, tokens)) return;
      throw new errors.InvalidGrant('the session has ended');
    }
    if (used === undefined) {
      if (tokens.length > 0) await issueTokens(database, tokens);
      return;
    }
    memory.drop(used.value);
    // Together with others first, and by itself where that was not to be: then it waits for whoever holds what it needs.
    const isRedeemed =
      (await parts.tokens.redeem({ used, tokens })) || (await redeemToken(database, used, tokens));
    if (!isRedeemed) await repeatUse(parts, { used, tokens });
    else if (found !== undefined) {
      for (const token of tokens) if (token.kind === 'RefreshToken') memory.holdRefreshToken(token, found);
    }
  } catch (error) {
    throw oauthFailure(error);
  }
}

/** What was used before, or is over. @throws errors.InvalidGrant unless it is repeated in time */
async function repeatUse(
  parts: Pick<AdapterParts, 'database' | 'memory'>,
  { used, tokens }: Redemption,
): Promise<void> {
  if (used.kind !== 'RefreshToken') throw new errors.InvalidGrant('the code was used already');
  const { database } = parts;
  const stored = await findGrantToken(database, used);
  if (stored === undefined) throw new errors.InvalidGrant('refresh token not found');
  const repeat = { tokens, graceSeconds: REFRESH_GRACE_SECONDS };
  if (await repeatRefresh(database, used.value, repeat)) return;
  await endGrant(parts, stored.grant.id, endReplayedGrant);
  throw new errors.InvalidGrant('refresh token already used');
}
