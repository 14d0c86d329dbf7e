/** What is known of one request to the OpenID Provider while it is answered, beside what the library keeps of it. */
import type { IncomingMessage } from 'node:http';
import { newReference } from '../audit/audit-event.ts';
import type { Session } from '../sessions/session.ts';
import type { DevicePlace } from './device-code-store.ts';
import type { GrantTokenName, LiveGrant } from './grant-store.ts';
import type { IssuedToken } from './issue-store.ts';
import type { SeenGrantToken } from './grant-memory.ts';

/** A class, as making an object with a getter anew for each request is dear. */
export class RequestState {
  /** The live session of the browser; undefined at endpoints that browsers do not visit. */
  readonly session: Session | undefined;
  /** The browser's cookies as they came: the library sees another. */
  readonly cookie: string | undefined;
  /** Where the request came from. */
  readonly place: () => DevicePlace;
  /** Milliseconds on the process's monotonic clock. */
  readonly startedAtMs: number;
  /** Grants that were found with a token in this request, by id: they are not asked for again. */
  readonly grants = new Map<string, LiveGrant>();
  /** The code or token that was found last. */
  found: SeenGrantToken | undefined = undefined;
  /** What the answer of the token endpoint uses up and holds. */
  readonly issue: Issue = { used: undefined, grant: undefined, tokens: [] };
  /** What the library reported as the reason of its refusal. */
  failure: unknown = undefined;
  #reference: string | undefined = undefined;

  constructor({ session, cookie, place, startedAtMs }: Beginning) {
    this.session = session;
    this.cookie = cookie;
    this.place = place;
    this.startedAtMs = startedAtMs;
  }

  /** Short name of that refusal, on its page and in the audit trail. */
  get reference(): string {
    return (this.#reference ??= newReference());
  }
}

interface Issue {
  used: GrantTokenName | undefined;
  /** The grant that all of it is under, where it is new. */
  grant: LiveGrant | undefined;
  readonly tokens: IssuedToken[];
}

const NOWHERE: DevicePlace = { addressBlock: 'unknown', userAgent: undefined };

/** On the request itself: a WeakMap of all of them costs the garbage collector more than the rest of it. */
const STATE = Symbol('state of a request to the OpenID Provider');

interface Known extends IncomingMessage {
  [STATE]?: RequestState;
}

type Beginning = Pick<RequestState, 'session' | 'cookie' | 'place' | 'startedAtMs'>;

export function beginRequest(request: IncomingMessage, beginning: Beginning): void {
  (request as Known)[STATE] = new RequestState(beginning);
}

/** An empty state for what the process does by itself. */
export function requestState(request: IncomingMessage | undefined): RequestState {
  return (
    (request as Known | undefined)?.[STATE] ??
    new RequestState({
      session: undefined,
      cookie: undefined,
      place: () => NOWHERE,
      startedAtMs: performance.now(),
    })
  );
}
