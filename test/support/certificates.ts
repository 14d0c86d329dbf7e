/** Certificates made on the spot (RFC 5280), with any dates, names and issuer; nobody knows their issuers but who is told. */
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';

const DAY_MS = 86_400_000;

export interface Certificate {
  /** PEM. */
  readonly key: string;
  readonly cert: string;
  readonly name: string;
  readonly privateKey: KeyObject;
}

interface CertificateOptions {
  /** Names and IPv4 addresses that it is for. */
  readonly names?: readonly string[];
  readonly fromDays?: number;
  /** Until when it is good, in days from now. */
  readonly untilDays?: number;
  /** Itself, if it is left out. */
  readonly issuer?: Certificate;
  /** Whether it may issue others. */
  readonly isIssuer?: boolean;
}

export function makeCertificate(options: CertificateOptions = {}): Certificate {
  const { names = ['localhost', '127.0.0.1'], fromDays = -10, untilDays = 60, issuer } = options;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = `test ${randomBytes(4).toString('hex')}`;
  const content = der(
    SEQUENCE,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ECDSA_WITH_SHA256,
    commonName(issuer?.name ?? name),
    der(SEQUENCE, utcTime(fromDays), utcTime(untilDays)),
    commonName(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(SEQUENCE, options.isIssuer === true ? BASIC_CONSTRAINTS : alternativeNames(names))),
  );
  const signature = sign('sha256', content, issuer?.privateKey ?? privateKey);
  const whole = der(
    SEQUENCE,
    content,
    ECDSA_WITH_SHA256,
    der(0x03, Buffer.concat([Buffer.from([0]), signature])),
  );
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${whole.toString('base64')}\n-----END CERTIFICATE-----\n`,
    name,
    privateKey,
  };
}

/** One DER element (X.690): tag, length, content. */
function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const size = body.length;
  const length =
    size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, Math.floor(size / 0x100), size % 0x100];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const SEQUENCE = 0x30;
const identifier = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const ECDSA_WITH_SHA256 = der(SEQUENCE, identifier('2a8648ce3d040302'));
/** Critical: it is an issuer. */
const BASIC_CONSTRAINTS = der(
  SEQUENCE,
  identifier('551d13'),
  der(0x01, Buffer.from([0xff])),
  der(0x04, der(SEQUENCE, der(0x01, Buffer.from([0xff])))),
);

const commonName = (text: string) =>
  der(SEQUENCE, der(0x31, der(SEQUENCE, identifier('550403'), der(0x0c, Buffer.from(text)))));

function alternativeNames(names: readonly string[]): Buffer {
  const all = names.map((name) =>
    isIP(name) === 4 ? der(0x87, Buffer.from(name.split('.').map(Number))) : der(0x82, Buffer.from(name)),
  );
  return der(SEQUENCE, identifier('551d11'), der(0x04, der(SEQUENCE, ...all)));
}

function utcTime(offsetDays: number): Buffer {
  const at = new Date(Date.now() + offsetDays * DAY_MS).toISOString().replace(/\D/g, '');
  return der(0x17, Buffer.from(`${at.slice(2, 14)}Z`));
}
