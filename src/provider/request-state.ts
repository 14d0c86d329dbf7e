/** What is known of one request to the OpenID Provider while it is answered, beside what the library keeps of it. */
import type { IncomingMessage } from 'node:http';
import { newReference } from '../audit/audit-event.ts';
import type { Session } from '../sessions/session.ts';
import type { DevicePlace } from './device-code-store.ts';
import type { GrantTokenName, LiveGrant } from './grant-store.ts';
import type { IssuedToken } from './issue-store.ts';
import type { SeenGrantToken } from './grant-memory.ts';

export interface RequestState {
  /** The live session of the browser; undefined at endpoints that browsers do not visit. */
  readonly session: Session | undefined;
  /** The browser's cookies as they came: the library sees another. */
  readonly cookie: string | undefined;
  /** Where the request came from. */
  readonly place: DevicePlace;
  /** Milliseconds on the process's monotonic clock. */
  readonly startedAtMs: number;
  /** Grants that were found with a token in this request, by id: they are not asked for again. */
  readonly grants: Map<string, LiveGrant>;
  /** The code or token that was found last. */
  found: SeenGrantToken | undefined;
  /** What the answer of the token endpoint uses up and holds. */
  readonly issue: {
    used: GrantTokenName | undefined;
    /** The grant that all of it is under, where it is new. */
    grant: LiveGrant | undefined;
    readonly tokens: IssuedToken[];
  };
  /** What the library reported as the reason of its refusal. */
  failure: unknown;
  /** Short name of that refusal, on its page and in the audit trail. */
  readonly reference: string;
}

const NOWHERE: DevicePlace = { addressBlock: 'unknown', userAgent: undefined };

/** On the request itself: a WeakMap of all of them costs the garbage collector more than the rest of it. */
const STATE = Symbol('state of a request to the OpenID Provider');

interface Known extends IncomingMessage {
  [STATE]?: RequestState;
}

type Beginning = Pick<RequestState, 'session' | 'cookie' | 'place' | 'startedAtMs'>;

export function beginRequest(request: IncomingMessage, beginning: Beginning): void {
  (request as Known)[STATE] = newState(beginning);
}

function newState(beginning: Beginning): RequestState {
  let reference: string | undefined;
  return {
    ...beginning,
    grants: new Map(),
    found: undefined,
    issue: { used: undefined, grant: undefined, tokens: [] },
    failure: undefined,
    get reference() {
      return (reference ??= newReference());
    },
  };
}

/** An empty state for what the process does by itself. */
export function requestState(request: IncomingMessage | undefined): RequestState {
  return (
    (request as Known | undefined)?.[STATE] ??
    newState({ session: undefined, cookie: undefined, place: NOWHERE, startedAtMs: performance.now() })
  );
}
