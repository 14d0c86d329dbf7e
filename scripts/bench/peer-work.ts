/** What the workloads of peers share: whom they ask for, and sessions that were made before. */
import { Line } from './line.ts';

/** People of an organization. */
const PEOPLE = 10_000;
const SESSIONS = 64;
const SIGN_INS_AT_ONCE = 8;

export const randomBelow = (limit: number): number => Math.floor(Math.random() * limit);
export const randomPerson = (): number => randomBelow(PEOPLE);

/** On a connection of its own. */
export async function onLine<T>(origin: string, use: (line: Line) => Promise<T>): Promise<T> {
  const line = new Line(origin);
  try {
    return await use(line);
  } finally {
    await line.close();
  }
}

/** Sessions of one workload, as whoever made them knows them. */
export class SessionPool<T> {
  #sessions: readonly T[] = [];

  /** Anew each time: a peer may forget those of before. */
  async fill(origin: string, signIn: (line: Line) => Promise<T>): Promise<void> {
    const each = Array.from({ length: SIGN_INS_AT_ONCE }, () =>
      onLine(origin, async (line) => {
        const made: T[] = [];
        while (made.length < SESSIONS / SIGN_INS_AT_ONCE) made.push(await signIn(line));
        return made;
      }),
    );
    this.#sessions = (await Promise.all(each)).flat();
  }

  pick(): T {
    const session = this.#sessions[randomBelow(this.#sessions.length)];
    if (session === undefined) throw new Error('no sessions were made');
    return session;
  }
}

/** The same with one character of its middle changed. */
export function tampered(text: string): string {
  const middle = text.length >> 1;
  return text.slice(0, middle) + (text[middle] === 'A' ? 'B' : 'A') + text.slice(middle + 1);
}

/** @throws unless it holds */
export function insist(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

/** What an authorization request brings against forged callbacks, in words. */
export function protectionsOf(authorizationUrl: string): string {
  const { searchParams } = new URL(authorizationUrl);
  const all = { PKCE: 'code_challenge', state: 'state', nonce: 'nonce' };
  const names = Object.entries(all).map(([name, parameter]) =>
    searchParams.has(parameter) ? name : `no ${name}`,
  );
  return names.join(', ');
}
