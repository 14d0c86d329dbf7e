/**
 * The certificate that a host shows, read by a TLS handshake and nothing more: no request is sent. The same rules as for calls
 * (guarded-fetch.ts) say where one may be made, and the socket is connected to the addresses that were judged.
 */
import { isIP } from 'node:net';
import { isNativeError } from 'node:util/types';
import { connect, type TLSSocket } from 'node:tls';
import { findGatewayError, GatewayError } from '../errors.ts';
import { callLimit, OUTBOUND_DEADLINE_MS } from './deadline.ts';
import { urlObjection, type OutboundPolicy } from './guarded-fetch.ts';
import { openResolver } from './resolver.ts';

export interface PeerCertificate {
  readonly validUntil: Date;
  /** Whether a call would trust it: issued by somebody known, for this name, good now. */
  readonly trusted: boolean;
  /** Why not, in words for the operator. */
  readonly problem?: string;
}

/**
 * Reads the certificate of a URL's host; undefined for http, which has none.
 * @throws GatewayError `identity_provider_error` if the host may not be called, does not answer or shows none;
 * `identity_provider_timeout` if it takes too long
 */
export async function peerCertificate(
  target: string | URL,
  policy: OutboundPolicy,
): Promise<PeerCertificate | undefined> {
  const objection = urlObjection(String(target), policy);
  if (objection !== undefined) throw failure(`the URL ${objection}`);
  const url = new URL(target);
  if (url.protocol !== 'https:') return undefined;
  const { signal, release } = callLimit(OUTBOUND_DEADLINE_MS);
  const hostname = url.hostname.replace(/^\[|\]$/g, '');
  const socket = connect({
    host: hostname,
    port: url.port === '' ? 443 : Number(url.port),
    // Names alone are sent and compared (RFC 6066 section 3).
    ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
    lookup: (policy.resolver ?? openResolver(policy)).lookup,
    ALPNProtocols: ['http/1.1'],
    // What is not trusted is looked at as well; nothing is sent to it.
    rejectUnauthorized: false,
  });
  try {
    await handshake(socket, signal);
    return readCertificate(socket, hostname);
  } catch (error) {
    throw findGatewayError(error) ?? unanswered(error, signal);
  } finally {
    release();
    socket.destroy();
  }
}

const failure = (reason: string) => new GatewayError('identity_provider_error', { reason });

function unanswered(error: unknown, { aborted }: AbortSignal): GatewayError {
  const code = aborted ? 'identity_provider_timeout' : 'identity_provider_error';
  const reason = aborted ? 'no answer in time' : `the TLS handshake failed (${errorCode(error)})`;
  return new GatewayError(code, { reason, isUnanswered: true }, error);
}

/** A system's error code says enough; its message may quote the address. */
function errorCode(error: unknown): string {
  // Where a name has several addresses, each of them failed.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  return (isNativeError(first) ? (first as NodeJS.ErrnoException).code : undefined) ?? 'broken';
}

function handshake(socket: TLSSocket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(new Error('no answer in time'));
    };
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    socket.once('secureConnect', resolve);
    // It stays: a socket that is thrown away may fail once more.
    socket.on('error', reject);
    socket.once('close', () => {
      reject(new Error('closed'));
    });
  });
}

function readCertificate(socket: TLSSocket, hostname: string): PeerCertificate {
  const validUntil = new Date(socket.getPeerX509Certificate()?.validTo ?? Number.NaN);
  if (Number.isNaN(validUntil.getTime())) throw failure('the host shows no certificate that can be read');
  if (socket.authorized) return { validUntil, trusted: true };
  // The types say Error; what is there is its code.
  const code = String(socket.authorizationError);
  return { validUntil, trusted: false, problem: problemOf(code, hostname) };
}

function problemOf(code: string, hostname: string): string {
  return code === 'ERR_TLS_CERT_ALTNAME_INVALID'
    ? `the certificate is not for ${hostname}`
    : (PROBLEMS[code] ?? `the certificate is not trusted (${code})`);
}

const UNKNOWN_ISSUER =
  'the issuer of the certificate is not known: the host does not send its intermediate certificate, or the issuer is a ' +
  'private one (NODE_EXTRA_CA_CERTS)';
const SELF_SIGNED =
  'the certificate is signed by itself, or by a private issuer that is not known here (NODE_EXTRA_CA_CERTS)';

/** By OpenSSL's code for what a verification failed with. */
const PROBLEMS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'the certificate, or one that it rests on, has expired',
  CERT_NOT_YET_VALID: 'the certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: SELF_SIGNED,
  SELF_SIGNED_CERT_IN_CHAIN: SELF_SIGNED,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_ISSUER,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_ISSUER,
};
