/**
 * What was found out about tokens that applications have, held in memory while the change feed lives: what userinfo answered to an
 * access token, and refresh tokens that this process issued, until they come back. Whether a refresh token is still good is the
 * database's word all the same, in the statement that uses it up (issue-store.ts).
 */
import { hash } from 'node:crypto';
import type { Change, ChangeFeed } from '../database/change-feed.ts';
import { dependentMemory, type Moment } from '../database/dependent-memory.ts';
import type { FoundGrantToken, LiveGrant, Payload } from './grant-store.ts';

/** Each of the two counts changes by itself. */
interface GrantMoment {
  readonly answers: Moment;
  readonly refreshTokens: Moment;
}

/** What was found, and when the looking began. */
export interface SeenGrantToken extends FoundGrantToken {
  readonly seenAt: GrantMoment;
}

interface UserinfoAnswer {
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly body: string;
}

export interface GrantMemory {
  /** To be called before a token is looked for. */
  moment(): GrantMoment;
  /** What userinfo answers to an access token; undefined if that is not known, or it may be another answer by now. */
  userinfo(token: string): UserinfoAnswer | undefined;
  holdUserinfo(answer: UserinfoAnswer, to: SeenGrantToken): void;
  refreshToken(token: string): SeenGrantToken | undefined;
  /** @param predecessor what it was issued for, under the same grant: what was seen with that is as old for this one */
  holdRefreshToken(
    token: { readonly value: string; readonly payload: Payload },
    predecessor: SeenGrantToken,
  ): void;
  /** A token was used or ended by this very process. */
  drop(token: string): void;
  /** A session or a grant was ended by this very process, which need not wait to hear of it. */
  forget(id: string): void;
}

/** @param most of each */
export function grantMemory(feed: ChangeFeed, most: number): GrantMemory {
  const answers = dependentMemory<UserinfoAnswer>({ feed, name: 'userinfo', most, concerns });
  const refreshTokens = dependentMemory<SeenGrantToken>({ feed, name: 'refresh_tokens', most, concerns });
  const alike = headersOnce();
  return {
    moment: () => ({ answers: answers.moment(), refreshTokens: refreshTokens.moment() }),
    userinfo: (token) => answers.recall(keyOf(token)),
    holdUserinfo({ headers, body }, { payload, grant, secondsLeft, seenAt }) {
      answers.hold(keyOf(String(payload['jti'])), {
        value: { headers: alike(headers), body },
        restsOn: dependenciesOf(grant),
        ttlSeconds: secondsLeft,
        moment: seenAt.answers,
      });
    },
    refreshToken: (token) => refreshTokens.recall(keyOf(token)),
    holdRefreshToken({ value, payload }, { grant, secondsLeft, seenAt }) {
      refreshTokens.hold(keyOf(value), {
        value: {
          payload: { ...payload, jti: value },
          grant,
          consumedSecondsAgo: undefined,
          secondsLeft,
          seenAt,
        },
        restsOn: dependenciesOf(grant),
        ttlSeconds: secondsLeft,
        moment: seenAt.refreshTokens,
      });
    },
    drop(token) {
      answers.drop(keyOf(token));
      refreshTokens.drop(keyOf(token));
    },
    forget(id) {
      answers.forget(id);
      refreshTokens.forget(id);
    },
  };
}

/** Hexadecimal at once: making a Buffer costs seven times as much. */
const keyOf = (token: string) => hash('sha256', token, 'hex');

/** Headers are the same with almost every answer: they are kept once. */
function headersOnce() {
  let last: readonly string[] = [];
  return (headers: readonly string[]): readonly string[] => {
    const isSame = headers.length === last.length && headers.every((text, index) => text === last[index]);
    if (!isSame) last = headers;
    return last;
  };
}

const KEYED_TABLES: ReadonlySet<string> = new Set([
  'sessions',
  'users',
  'connections',
  'applications',
  'application_organizations',
  'grants',
  // They name their grant.
  'grant_tokens',
]);

function concerns({ table, organizationId, key }: Change): { readonly id: string } | undefined {
  if (table === 'organizations') return { id: organizationId ?? key };
  return KEYED_TABLES.has(table) ? { id: key } : undefined;
}

const dependenciesOf = ({ id, clientId, holder }: LiveGrant): readonly string[] => [
  id,
  clientId,
  holder.sessionId,
  holder.userId,
  holder.organization.id,
  holder.connection.id,
];
