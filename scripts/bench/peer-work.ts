/** What the workloads of peers share: sessions that were made before, and what a proof looks at. */
import { once, type Line } from './line.ts';

const SESSIONS = 64;
const SIGN_INS_AT_ONCE = 8;

/** Sessions of one workload, as whoever made them knows them. */
export class SessionPool<T> {
  #sessions: readonly T[] = [];

  /** Anew each time: a peer may forget those of before. */
  async fill(origin: string, signIn: (line: Line) => Promise<T>): Promise<void> {
    const each = Array.from({ length: SIGN_INS_AT_ONCE }, () =>
      once(origin, async (line) => {
        const made: T[] = [];
        while (made.length < SESSIONS / SIGN_INS_AT_ONCE) made.push(await signIn(line));
        return made;
      }),
    );
    this.#sessions = (await Promise.all(each)).flat();
  }

  pick(): T {
    const session = this.#sessions[Math.floor(Math.random() * this.#sessions.length)];
    if (session === undefined) throw new Error('no sessions were made');
    return session;
  }
}

/** The same with one character of its middle changed; in hexadecimal digits too, whichever case they have. */
export function tampered(text: string): string {
  const middle = text.length >> 1;
  return text.slice(0, middle) + (text[middle] === '1' ? '2' : '1') + text.slice(middle + 1);
}

/** @param name how the name of the cookie that is changed ends */
export function withTampered(cookies: string, name: string): string {
  const all = cookies.split('; ').map((cookie) => {
    const [key = '', ...value] = cookie.split('=');
    return key.endsWith(name) ? `${key}=${tampered(value.join('='))}` : cookie;
  });
  const changed = all.join('; ');
  insist(changed !== cookies, `no cookie ${name} among ${cookies}`);
  return changed;
}

/** @throws unless it holds */
export function insist(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

/** What an authorization request brings against forged callbacks, in words. */
export function protectionsOf(authorizationUrl: string): string {
  const { searchParams } = new URL(authorizationUrl);
  const all = { PKCE: 'code_challenge', state: 'state', nonce: 'nonce' };
  return Object.entries(all)
    .map(([name, parameter]) => (searchParams.has(parameter) ? name : `no ${name}`))
    .join(', ');
}
