/** What the providers of demonstration, harness and benchmark sign: a JWT with RS256 (RFC 7515 section 3.1). */
import { sign, type KeyObject } from 'node:crypto';

/** @param header beside `alg` and `typ` */
export function signToken(claims: object, privateKey: KeyObject, header: object = {}): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const signed = `${encode({ typ: 'JWT', alg: 'RS256', ...header })}.${encode(claims)}`;
  return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), privateKey).toString('base64url')}`;
}
