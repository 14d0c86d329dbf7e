/**
 * Where oidc-provider keeps its records: a room for each of its models. Sessions are Gatehouse's own and only looked at;
 * interactions are not kept at all, because a person who has to sign in first comes back to the same authorization request.
 * Every fault of the database is an answer that says to try again.
 */
import Provider, { errors, type Adapter, type AdapterPayload } from 'oidc-provider';
import { isPromise } from 'node:util/types';
import type { Database } from '../database/database.ts';
import {
  deleteGrantToken,
  endReplayedGrant,
  findGrant,
  revokeGrant,
  type FoundGrantToken,
  type GrantTokenKind,
  type GrantTokenName,
} from './grant-store.ts';
import { useClientAssertion } from './client-assertion-store.ts';
import { deviceCodeRoom } from './device-code-room.ts';
import type { GrantMemory, SeenGrantToken } from './grant-memory.ts';
import { grantPayload } from './grant-payload.ts';
import { insertCodeWithGrant } from './issue-store.ts';
import { oauthFailure } from './oauth-failure.ts';
import { requestState, type RequestState } from './request-state.ts';
import type { TokenQuestions } from './token-questions.ts';

/** How long the same successor is given to who repeats a refresh: two tabs, a lost answer, a retry. */
export const REFRESH_GRACE_SECONDS = 10;
/** How often the database is asked whether a code's use or this request was first. */
const MOST_CLOCK_QUESTIONS = 5;

export interface AdapterParts {
  readonly database: Database;
  readonly memory: GrantMemory;
  readonly tokens: TokenQuestions;
}

export function providerAdapter(parts: AdapterParts): (model: string) => Adapter {
  return (model) => guarded(roomOf(model, parts));
}

/** Like an adapter; what is known at once is answered at once, for each promise costs the library two more. */
type Room = {
  readonly [Method in keyof Adapter]?: (
    ...given: Parameters<Adapter[Method]>
  ) => ReturnType<Adapter[Method]> | Awaited<ReturnType<Adapter[Method]>>;
};

function roomOf(model: string, parts: AdapterParts): Room {
  const { database } = parts;
  switch (model) {
    case 'Session':
      return sessionAdapter();
    case 'Grant':
      return {
        find: (id) => currentState().grants.get(id)?.payload ?? findGrantPayload(database, id),
        destroy: (id) => endGrant(parts, id, revokeGrant),
      };
    case 'AuthorizationCode':
      return { ...tokenAdapter(parts, model), ...codeAdapter(parts) };
    case 'RefreshToken':
      return { ...tokenAdapter(parts, model), ...refreshTokenAdapter(parts) };
    case 'AccessToken':
      return tokenAdapter(parts, model);
    case 'DeviceCode':
      return { ...tokenAdapter(parts, model), ...deviceCodeRoom(database) };
    case 'ReplayDetection':
      return assertionAdapter(database);
    default:
      return {};
  }
}

const METHODS = [
  'upsert',
  'find',
  'findByUid',
  'findByUserCode',
  'consume',
  'destroy',
  'revokeByGrantId',
] as const satisfies readonly (keyof Adapter)[];

/** What a room does not say is not kept there. */
function guarded(room: Room): Adapter {
  const methods = METHODS.map((name) => {
    const work = room[name] as ((...given: unknown[]) => unknown) | undefined;
    const method = (...given: unknown[]) => {
      try {
        const answer = work?.(...given);
        return isPromise(answer) ? answer.catch(refuse) : answer;
      } catch (error) {
        return refuse(error);
      }
    };
    return [name, method] as const;
  });
  return Object.fromEntries(methods) as unknown as Adapter;
}

function refuse(error: unknown): never {
  throw oauthFailure(error);
}

/** Of the request that is being answered; an empty one for what the process does by itself. */
const currentState = (): RequestState => requestState(Provider.ctx?.req);

const seconds = (date: Date) => Math.floor(date.getTime() / 1000);

/** The browser's Gatehouse session as the library wants to see it. It cannot be written from there. */
function sessionAdapter(): Room {
  return {
    find: (id) => {
      const { session } = currentState();
      return (
        session && {
          kind: 'Session',
          jti: id,
          uid: session.id,
          accountId: session.user.id,
          loginTs: seconds(session.authenticatedAt),
          amr: [...session.authenticationMethods],
          iat: seconds(session.authenticatedAt),
          exp: seconds(session.expiresAt),
          authorizations: {},
        }
      );
    },
  };
}

async function findGrantPayload(database: Database, id: string): Promise<AdapterPayload | undefined> {
  const grant = await findGrant(database, id);
  if (grant === undefined) return undefined;
  currentState().grants.set(id, grant);
  return grant.payload;
}

/** What the token endpoint uses and issues is written when its answer is ready (save-issue.ts). */
function tokenAdapter(parts: AdapterParts, kind: GrantTokenKind): Room {
  const { database, memory } = parts;
  return {
    upsert(value, payload, ttlSeconds = 0) {
      const grantId = String(payload.grantId);
      currentState().issue.tokens.push({ kind, value, grantId, payload, ttlSeconds });
    },
    find: async (value) => (await look(parts, { kind, value }))?.payload,
    consume(value) {
      currentState().issue.used = { kind, value };
    },
    async destroy(value) {
      await deleteGrantToken(database, { kind, value });
      memory.drop(value);
    },
    // Of the library's own at the token endpoint: a code or a refresh token came again.
    revokeByGrantId: (grantId) =>
      endGrant(parts, grantId, Provider.ctx?.oidc.route === 'token' ? endReplayedGrant : revokeGrant),
  };
}

/** Ends a grant for a reason of the protocol. */
export async function endGrant(
  { database, memory }: Pick<AdapterParts, 'database' | 'memory'>,
  id: string,
  end: typeof revokeGrant,
): Promise<void> {
  await end(database, id);
  memory.forget(id);
}

function remembered(seen: SeenGrantToken): SeenGrantToken {
  const state = currentState();
  state.found = seen;
  state.grants.set(seen.grant.id, seen.grant);
  return seen;
}

async function look(
  { tokens, memory }: AdapterParts,
  name: GrantTokenName,
): Promise<SeenGrantToken | undefined> {
  const seenAt = memory.moment();
  const found = await tokens.find(name);
  return found && remembered({ ...found, seenAt });
}

const asConsumed = ({ payload, consumedSecondsAgo = 0 }: FoundGrantToken): AdapterPayload => ({
  ...payload,
  consumed: Math.floor(Date.now() / 1000 - consumedSecondsAgo),
});

/** A code and its grant are written together, and used once: a use that came too late for a race revokes what the first got. */
function codeAdapter(parts: AdapterParts): Room {
  const { database } = parts;
  return {
    async upsert(id, payload, ttlSeconds = 0) {
      const grant = Provider.ctx?.oidc.entities.Grant;
      const { session } = currentState();
      if (grant === undefined || session === undefined)
        throw new Error('a code without a session or a grant');
      const wasOpen = await insertCodeWithGrant(
        database,
        { value: id, payload: { ...payload }, ttlSeconds },
        {
          id: grant.jti,
          clientId: String(grant.clientId),
          sessionId: session.id,
          payload: grantPayload(grant, session.expiresAt),
        },
      );
      if (!wasOpen) throw new errors.LoginRequired('the session has ended');
    },
    async find(id) {
      const { startedAtMs } = currentState();
      for (let asked = 0; asked < MOST_CLOCK_QUESTIONS; asked++) {
        const askedAtMs = performance.now();
        const found = await look(parts, { kind: 'AuthorizationCode', value: id });
        if (found?.consumedSecondsAgo === undefined) return found?.payload;
        // The database's clock said it somewhere between the question and its answer: asked again where that is not exact enough.
        const usedAgoMs = found.consumedSecondsAgo * 1000;
        if (performance.now() - usedAgoMs < startedAtMs) return asConsumed(found);
        if (askedAtMs - usedAgoMs > startedAtMs) return undefined;
      }
      return undefined;
    },
  };
}

/** Who repeats a refresh within the grace gets the same successor. */
function refreshTokenAdapter(parts: AdapterParts): Room {
  return {
    find(id) {
      // Whether it was used elsewhere is known where it is used.
      const isToBeUsed = Provider.ctx?.oidc.route === 'token';
      const held = isToBeUsed ? parts.memory.refreshToken(id) : undefined;
      return held === undefined ? lookForRefreshToken(parts, id) : remembered(held).payload;
    },
  };
}

async function lookForRefreshToken(parts: AdapterParts, value: string): Promise<AdapterPayload | undefined> {
  const found = await look(parts, { kind: 'RefreshToken', value });
  if (found?.consumedSecondsAgo === undefined) return found?.payload;
  return found.consumedSecondsAgo < REFRESH_GRACE_SECONDS ? found.payload : asConsumed(found);
}

function assertionAdapter(database: Database): Room {
  return {
    async upsert(id, payload, ttlSeconds = 0) {
      const assertion = { clientId: String(payload.iss), id };
      if (!(await useClientAssertion(database, assertion, ttlSeconds))) {
        throw new errors.InvalidClientAuth('client assertion tokens must only be used once');
      }
    },
  };
}
