/**
 * A host: a name behind a reverse proxy that asks Gatehouse about each request. It belongs to the vendor and to no
 * organization, and may be limited to some. What browsers have at it is theirs by a cookie of its own, never by Gatehouse's.
 */
import { parseUrl } from '../parse-url.ts';

export interface Host {
  /** Canonical. */
  readonly name: string;
  /** Audience of the access tokens that its proxy is handed; undefined: it is handed none. */
  readonly resource: string | undefined;
  /** Organizations whose people may reach it; undefined: all. */
  readonly organizationIds: readonly string[] | undefined;
  readonly createdAt: Date;
}

const LONGEST_NAME = 260;
const PLAIN = /^[^\s/\\@?#,;%*]+$/u;

/**
 * The one spelling of a host: lower case, ASCII, with a port where it is not the one of http or https.
 * @returns undefined for what is no host
 */
export function canonicalHost(text: string): string | undefined {
  if (text.length > LONGEST_NAME || !PLAIN.test(text)) return undefined;
  const url = parseUrl(`https://${text}`);
  if (url === undefined || url.hostname === '' || url.hostname.endsWith('.')) return undefined;
  return url.port === '80' ? url.hostname : url.host;
}

/** Whether people of an organization may reach a host. */
export function isReachableFor({ organizationIds }: Host, organizationId: string): boolean {
  return organizationIds?.includes(organizationId) ?? true;
}
