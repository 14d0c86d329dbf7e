/**
 * A browser's cookie jar, as far as a sign-in needs it (RFC 6265bis): cookies belong to a host and a path, not to a
 * port; loopback counts as secure; SameSite and the __Host- prefix are obeyed. Domain cookies are not supported: who
 * sets one gets an error, because nothing here should.
 */
interface Cookie {
  readonly name: string;
  readonly value: string;
  readonly host: string;
  readonly path: string;
  readonly isSecure: boolean;
  readonly sameSite: 'strict' | 'lax' | 'none';
  /** Milliseconds since the epoch; undefined: until the browser closes. */
  readonly expiresAt: number | undefined;
}

/** What decides whether a SameSite cookie travels along. */
interface CookieRequest {
  readonly method: string;
  readonly isCrossSite: boolean;
}

function isTrustworthy(url: URL): boolean {
  return url.protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
}

function defaultPath(url: URL): string {
  const end = url.pathname.lastIndexOf('/');
  return end <= 0 ? '/' : url.pathname.slice(0, end);
}

function pathMatches(path: string, cookiePath: string): boolean {
  if (!path.startsWith(cookiePath)) return false;
  return path.length === cookiePath.length || cookiePath.endsWith('/') || path[cookiePath.length] === '/';
}

function expiry(attributes: ReadonlyMap<string, string>): number | undefined {
  const maxAge = attributes.get('max-age');
  if (maxAge !== undefined && /^-?\d+$/.test(maxAge)) return Date.now() + Number(maxAge) * 1000;
  const expires = Date.parse(attributes.get('expires') ?? '');
  return Number.isNaN(expires) ? undefined : expires;
}

function parseSetCookie(url: URL, header: string): Cookie {
  const [pair = '', ...rest] = header.split(';').map((part) => part.trim());
  const attributes = new Map(
    rest.map((part) => {
      const [key = '', ...value] = part.split('=');
      return [key.trim().toLowerCase(), value.join('=').trim()];
    }),
  );
  if (attributes.has('domain')) throw new Error(`a cookie for a whole domain was set at ${url.href}`);
  const path = attributes.get('path') ?? '';
  const sameSite = attributes.get('samesite')?.toLowerCase();
  const separator = pair.indexOf('=');
  return {
    name: pair.slice(0, separator),
    value: pair.slice(separator + 1),
    host: url.hostname,
    path: path.startsWith('/') ? path : defaultPath(url),
    isSecure: attributes.has('secure'),
    sameSite: sameSite === 'strict' || sameSite === 'none' ? sameSite : 'lax',
    expiresAt: expiry(attributes),
  };
}

function isAcceptable(url: URL, cookie: Cookie): boolean {
  if (cookie.isSecure && !isTrustworthy(url)) return false;
  if (cookie.name.startsWith('__Host-')) return cookie.isSecure && cookie.path === '/';
  return !cookie.name.startsWith('__Secure-') || cookie.isSecure;
}

function travels(cookie: Cookie, request: CookieRequest): boolean {
  if (!request.isCrossSite || cookie.sameSite === 'none') return true;
  return cookie.sameSite === 'lax' && request.method === 'GET';
}

export class CookieJar {
  readonly #cookies = new Map<string, Cookie>();

  /** Keeps, replaces or deletes what one answer's Set-Cookie headers say. */
  store(url: URL, setCookies: readonly string[]): void {
    for (const header of setCookies) {
      const cookie = parseSetCookie(url, header);
      if (!isAcceptable(url, cookie)) continue;
      const key = [cookie.host, cookie.path, cookie.name].join(' ');
      if (cookie.expiresAt !== undefined && cookie.expiresAt <= Date.now()) this.#cookies.delete(key);
      else this.#cookies.set(key, cookie);
    }
  }

  /** The Cookie header of a request, longest paths first; undefined when there is nothing to send. */
  header(url: URL, request: CookieRequest): string | undefined {
    const fitting = [...this.#cookies.values()]
      .filter((cookie) => cookie.host === url.hostname && pathMatches(url.pathname, cookie.path))
      .filter((cookie) => cookie.expiresAt === undefined || cookie.expiresAt > Date.now())
      .filter((cookie) => (!cookie.isSecure || isTrustworthy(url)) && travels(cookie, request))
      .sort((one, other) => other.path.length - one.path.length);
    if (fitting.length === 0) return undefined;
    return fitting.map(({ name, value }) => `${name}=${value}`).join('; ');
  }
}
