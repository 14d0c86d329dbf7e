/**
 * What is stored of a custom JWT connection: where its people sign in, and the public keys that its tokens may be signed
 * with. Several keys may be valid at once, so that a customer can roll over without an outage.
 */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import * as z from 'zod';
import { Refusal } from '../../errors.ts';
import { keyName } from '../../key-name.ts';

const publicKey = z.object({
  keyId: z.string(),
  /** SubjectPublicKeyInfo as PEM. */
  pem: z.string(),
  addedAt: z.string(),
});

export const jwtCallbackSettings = z.object({
  loginUrl: z.string(),
  issuer: z.string().optional(),
  audience: z.string().optional(),
  keys: z.array(publicKey).readonly(),
});

export type CallbackKey = Readonly<z.infer<typeof publicKey>>;
export type JwtCallbackSettings = Readonly<z.infer<typeof jwtCallbackSettings>>;

const SMALLEST_MODULUS_BITS = 2048;
const LARGEST_MODULUS_BITS = 8192;
const LARGEST_PEM = 16 * 1024;

/**
 * Reads a public key as `openssl rsa -pubout` writes it.
 * @param pem `BEGIN PUBLIC KEY` or `BEGIN RSA PUBLIC KEY`, and nothing beside it
 * @throws Refusal for anything but an RSA public key of 2048 to 8192 bits; its message never quotes the text
 */
export function readPublicKey(pem: string, addedAt: Date): CallbackKey {
  if (pem.includes('PRIVATE KEY')) {
    throw new Refusal(
      'This is a private key. It was not stored. Keep it with the customer and give the public half: ' +
        'openssl rsa -in private.pem -pubout -out public.pem',
    );
  }
  if (pem.includes('CERTIFICATE')) {
    throw new Refusal(
      'This is a certificate. Give its public key: openssl x509 -in certificate.pem -pubkey -noout > public.pem',
    );
  }
  const key = parseKey(pem);
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  const exponent = key.asymmetricKeyDetails?.publicExponent ?? 0n;
  if (bits < SMALLEST_MODULUS_BITS || bits > LARGEST_MODULUS_BITS) {
    throw new Refusal(
      `The key has ${bits} bits; it must have ${SMALLEST_MODULUS_BITS} to ${LARGEST_MODULUS_BITS}.`,
    );
  }
  if (exponent < 65_537n || exponent % 2n === 0n)
    throw new Refusal('The key has a weak exponent; make one with openssl.');
  const der = key.export({ type: 'spki', format: 'der' });
  return {
    keyId: keyName(createHash('sha256').update(der).digest('base64url')),
    pem: key.export({ type: 'spki', format: 'pem' }).toString(),
    addedAt: addedAt.toISOString(),
  };
}

function parseKey(pem: string): KeyObject {
  const text = pem.trim();
  const isOnePublicKey =
    text.length <= LARGEST_PEM &&
    /^-----BEGIN (RSA )?PUBLIC KEY-----[^-]+-----END \1PUBLIC KEY-----$/.test(text);
  try {
    const key = isOnePublicKey ? createPublicKey(text) : undefined;
    if (key?.asymmetricKeyType === 'rsa') return key;
  } catch {
    // OpenSSL's message says nothing that the sentence below does not.
  }
  throw new Refusal('This is not an RSA public key in PEM (-----BEGIN PUBLIC KEY-----).');
}
