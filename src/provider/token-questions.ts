/** What is asked of the database about codes and tokens by many at once. */
import { sqlState, type Database } from '../database/database.ts';
import { together } from '../database/together.ts';
import { findGrantTokens, type FoundGrantToken, type GrantTokenName } from './grant-store.ts';
import { redeemTokens, type Redemption } from './issue-store.ts';

export interface TokenQuestions {
  /** A code or a token that is good, or was good before it was used. */
  readonly find: (name: GrantTokenName) => Promise<FoundGrantToken | undefined>;
  /**
   * Uses a code or a refresh token and writes what is issued for it, both or neither.
   * @returns false if somebody else uses or has used it, or what it rests on is being changed; nothing was written then
   */
  readonly redeem: (redemption: Redemption) => Promise<boolean>;
}

export function tokenQuestions(database: Database): TokenQuestions {
  return {
    find: together((names) => findGrantTokens(database, names)),
    redeem: together(async (redemptions) => {
      try {
        return await redeemTokens(database, redemptions);
      } catch (error) {
        // One of them cannot be written, and nobody has to answer for another's: each is tried by itself.
        if (sqlState(error) === undefined) throw error;
        return redemptions.map(() => false);
      }
    }),
  };
}
