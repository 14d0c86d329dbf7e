/**
 * Gatehouse's cookies. On https every one has the `__Host-` prefix, so no subdomain and no plain connection can
 * plant it. A name that arrives twice is as good as absent: one of the two is not ours.
 */
import type { Request, Response } from 'express';
import { TRANSACTION_TTL_SECONDS } from '../login/login-transaction.ts';

const SAFE_VALUE = /^[A-Za-z0-9._-]+$/;
const ATTEMPT_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** Longer than a device code lives. */
const DEVICE_CLAIM_TTL_SECONDS = 600;

/** A cut-over takes weeks. */
const LOT_TTL_SECONDS = 90 * 86_400;

export interface Cookies {
  readonly sessionName: string;
  /** Of a browser at a protected host. Cookies are not kept apart by port, so the name is. */
  readonly hostName: (host: string) => string;
  session(request: Request): string | undefined;
  setSession(response: Response, secret: string, ttlSeconds: number): void;
  clearSession(response: Response): void;
  /** Attempts in flight: id to sealed transaction. */
  attempts(request: Request): ReadonlyMap<string, string>;
  setAttempt(response: Response, id: string, sealed: string): void;
  confirmation(request: Request, id: string): string | undefined;
  setConfirmation(response: Response, id: string, sealed: string): void;
  /** What this browser claims device codes with. */
  deviceClaim(request: Request): string | undefined;
  setDeviceClaim(response: Response, secret: string): void;
  /** A whole number below 10,000 that a browser without an address drew (start-in-browser.ts). */
  lot(request: Request): number | undefined;
  setLot(response: Response, lot: number): void;
  /** Forgets an attempt and its confirmation. */
  clearAttempt(response: Response, id: string): void;
  host(request: Request, host: string): string | undefined;
  setHost(response: Response, host: string, secret: string, ttlSeconds: number): void;
  clearHost(response: Response, host: string): void;
  /** The nonce that a browser at a host keeps while it signs in. */
  hostNonce(request: Request, host: string): string | undefined;
  setHostNonce(response: Response, host: string, nonce: string, ttlSeconds: number): void;
  clearHostNonce(response: Response, host: string): void;
}

export function gatehouseCookies(isHttps: boolean): Cookies {
  const prefix = `${isHttps ? '__Host-' : ''}gatehouse-`;
  const names = {
    session: `${prefix}session`,
    attempt: (id: string) => `${prefix}login-${id}`,
    confirmation: (id: string) => `${prefix}confirm-${id}`,
    host: (host: string) => `${prefix}host${portOf(host)}`,
    hostNonce: (host: string) => `${prefix}nonce${portOf(host)}`,
    deviceClaim: `${prefix}device`,
    lot: `${prefix}lot`,
  };
  const attributes = `Path=/; HttpOnly; ${isHttps ? 'Secure; ' : ''}SameSite=Lax`;
  // Names and values of ours hold nothing that would have to be encoded.
  const set = (response: Response, name: string, value: string, ttlSeconds: number) => {
    response.appendHeader('Set-Cookie', `${name}=${value}; Max-Age=${ttlSeconds}; ${attributes}`);
  };
  const clear = (response: Response, name: string) => {
    response.appendHeader('Set-Cookie', `${name}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; ${attributes}`);
  };
  return {
    sessionName: names.session,
    hostName: names.host,
    session: (request) => readCookies(request).get(names.session),
    setSession(response, secret, ttlSeconds) {
      set(response, names.session, secret, ttlSeconds);
    },
    clearSession(response) {
      clear(response, names.session);
    },
    attempts(request) {
      const cookies = readCookies(request);
      if (cookies.size === 0) return cookies;
      const start = names.attempt('');
      const found = [...cookies].filter(([name]) => name.startsWith(start));
      return new Map(found.map(([name, value]) => [name.slice(start.length), value]));
    },
    setAttempt(response, id, sealed) {
      set(response, names.attempt(id), sealed, TRANSACTION_TTL_SECONDS);
    },
    confirmation: (request, id) => readCookies(request).get(names.confirmation(id)),
    setConfirmation(response, id, sealed) {
      set(response, names.confirmation(id), sealed, TRANSACTION_TTL_SECONDS);
    },
    deviceClaim: (request) => readCookies(request).get(names.deviceClaim),
    setDeviceClaim(response, secret) {
      set(response, names.deviceClaim, secret, DEVICE_CLAIM_TTL_SECONDS);
    },
    lot(request) {
      const value = readCookies(request).get(names.lot) ?? '';
      return /^\d{1,4}$/.test(value) ? Number(value) : undefined;
    },
    setLot(response, lot) {
      set(response, names.lot, String(lot), LOT_TTL_SECONDS);
    },
    clearAttempt(response, id) {
      if (!ATTEMPT_ID.test(id)) return;
      clear(response, names.attempt(id));
      clear(response, names.confirmation(id));
    },
    ...hostCookies(names, { set, clear }),
  };
}

type HostCookies = Pick<
  Cookies,
  'host' | 'setHost' | 'clearHost' | 'hostNonce' | 'setHostNonce' | 'clearHostNonce'
>;

/** Those of a browser at a protected host. */
function hostCookies(
  names: Readonly<Record<'host' | 'hostNonce', (host: string) => string>>,
  {
    set,
    clear,
  }: {
    readonly set: (response: Response, name: string, value: string, ttlSeconds: number) => void;
    readonly clear: (response: Response, name: string) => void;
  },
): HostCookies {
  return {
    host: (request, host) => readCookies(request).get(names.host(host)),
    setHost(response, host, secret, ttlSeconds) {
      set(response, names.host(host), secret, ttlSeconds);
    },
    clearHost(response, host) {
      clear(response, names.host(host));
    },
    hostNonce: (request, host) => readCookies(request).get(names.hostNonce(host)),
    setHostNonce(response, host, nonce, ttlSeconds) {
      set(response, names.hostNonce(host), nonce, ttlSeconds);
    },
    clearHostNonce(response, host) {
      clear(response, names.hostNonce(host));
    },
  };
}

const portOf = (host: string) => {
  const [, port] = /:(\d+)$/.exec(host) ?? [];
  return port === undefined ? '' : `-${port}`;
};

/** The value of one cookie out of a request's header, by the rules of `readCookies`, for who cannot wait for all of them. */
export function cookieValue(header: string | undefined, name: string): string | undefined {
  if (header?.includes(name) !== true) return undefined;
  return parseCookies(header).get(name);
}

/**
 * Cookies that came exactly once and hold nothing that we would not have written. Only what HTTP calls white space is
 * stripped: a name behind any other space is another name to the browser, and anybody's to set.
 */
function parseCookies(header: string): ReadonlyMap<string, string> {
  const cookies = new Map<string, string>();
  const seen = new Set<string>();
  const repeated = new Set<string>();
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, Math.max(equals, 0)).replace(/^[ \t]+/, '');
    const value = pair.slice(equals + 1).replace(/[ \t]+$/, '');
    if (seen.has(name)) repeated.add(name);
    seen.add(name);
    if (name !== '' && SAFE_VALUE.test(value)) cookies.set(name, value);
  }
  for (const name of repeated) cookies.delete(name);
  return cookies;
}

const NO_COOKIES: ReadonlyMap<string, string> = new Map();

function readCookies({ headers: { cookie } }: Request): ReadonlyMap<string, string> {
  return cookie === undefined ? NO_COOKIES : parseCookies(cookie);
}
