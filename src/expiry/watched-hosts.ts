/** The hosts whose TLS certificates a connection's sign-ins depend on. */
import type { Connection } from '../connections/connection.ts';
import { parseUrl } from '../parse-url.ts';

export interface WatchedHost {
  /** Of https. */
  readonly origin: string;
  /** Whether Gatehouse itself calls it; only browsers visit the others, which may be inside the company and known there alone. */
  readonly isCalled: boolean;
}

/** Those of https, each once. */
export function watchedHosts(connection: Connection): readonly WatchedHost[] {
  const { urls, isCalled } = urlsOf(connection);
  const origins = urls.flatMap((url) => {
    const { protocol, origin } = parseUrl(url) ?? {};
    return protocol === 'https:' && origin !== undefined ? [origin] : [];
  });
  return [...new Set(origins)].map((origin) => ({ origin, isCalled }));
}

function urlsOf({ kind, settings }: Connection) {
  switch (kind) {
    case 'oidc':
      return { urls: [settings.discoveryUrl, ...settings.endpointOrigins], isCalled: true };
    case 'jwt-callback':
      return { urls: [settings.loginUrl], isCalled: false };
    case 'id-token':
      return { urls: [settings.jwksUri], isCalled: true };
    case 'opaque-token':
      return { urls: [settings.verifyUrl], isCalled: true };
  }
}
