/**
 * Secrets at rest and in cookies: AES-256-GCM under a key derived for one purpose (HKDF, RFC 5869). The purpose and
 * the place where a value belongs are authenticated with it, so that nothing sealed for one use opens in another.
 * The first of the configured keys seals, all of them open.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  hkdfSync,
  randomBytes,
  randomFillSync,
} from 'node:crypto';
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Refusal } from './errors.ts';
import { makeFolder } from './make-folder.ts';

const KEY_BYTES = 32;
const BASE64_KEY = /^[A-Za-z0-9+/_-]{43}=?$/;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Purposes of what is kept in the database. Where each is kept is said in keys/sealed-columns.ts, which the compiler keeps complete. */
export type StoredSealPurpose =
  | 'client-secret'
  | 'application-secret'
  | 'signing-key'
  | 'id-token'
  | 'refresh-token'
  | 'host-tokens'
  | 'audit-head';

/** What a sealed value is for. A value sealed for one purpose never opens for another. */
export type SealPurpose =
  | StoredSealPurpose
  | 'login-transaction'
  | 'login-confirmation'
  | 'logout-request'
  | 'authorization-request'
  | 'host-request'
  | 'host-ticket'
  | 'test-attempt'
  | 'test-link'
  | 'break-glass';

/** Keys from SECRET_KEY: base64 of 32 bytes each, comma separated; undefined if any is not. */
export function parseSecretKeys(text: string): readonly Buffer[] | undefined {
  const items = text.trim().split(/\s*,\s*/);
  // Node reads base64 leniently; a key that is read as another loses all that it sealed.
  if (!items.every((item) => BASE64_KEY.test(item))) return undefined;
  return items.map((item) => Buffer.from(item, 'base64'));
}

/** The key of a first try: made once in `dataDir`, readable by its owner alone, and found again afterwards. */
function developmentKey(dataDir: string): Buffer {
  const file = join(dataDir, 'secret-key');
  // Whole under another name first: of two that start at once, neither reads what the other has not written to its end, and a
  // full disk leaves no half of one.
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    makeFolder(dataDir);
    if (!existsSync(file)) {
      writeFileSync(draft, `${randomBytes(KEY_BYTES).toString('base64')}\n`, { flag: 'wx', mode: 0o600 });
      linkSync(draft, file);
    }
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException;
    if (!existsSync(file))
      throw new Refusal(
        `Cannot write a key to DATA_DIR ${resolve(dataDir)} (${code}). Make it writable, or set SECRET_KEY.`,
      );
  } finally {
    rmSync(draft, { force: true });
  }
  const [key] = parseSecretKeys(readFileSync(file, 'utf8')) ?? [];
  if (key === undefined) throw new Error(`${file} does not hold a key; remove it to make a new one`);
  return key;
}

/** The box of a configuration: its keys, or on loopback the development key. */
export function openSecretBox(config: {
  readonly secretKeys: readonly Buffer[] | undefined;
  readonly dataDir: string;
}): SecretBox {
  return new SecretBox(config.secretKeys ?? [developmentKey(config.dataDir)]);
}

/** Names a key in what it sealed, without saying anything about it. */
function keyId(key: Buffer): string {
  return createHash('sha256').update('gatehouse key id').update(key).digest('base64url').slice(0, 8);
}

/** Names the key that sealed a value, whether we have it or not; empty for what was never sealed. */
export function keyIdOf(sealed: string): string {
  return sealed.slice(0, Math.max(sealed.indexOf('.'), 0));
}

export class SecretBox {
  readonly #keys: ReadonlyMap<string, Buffer>;
  readonly #currentKeyId: string;
  readonly #derived = new Map<string, Buffer>();
  /** Of the value that is being sealed, filled anew for each. */
  readonly #nonce = Buffer.alloc(NONCE_BYTES);

  /** Names the key that seals. */
  get currentKeyId(): string {
    return this.#currentKeyId;
  }

  get keyCount(): number {
    return this.#keys.size;
  }

  /** Whether one of our keys is called so. */
  hasKey(id: string): boolean {
    return this.#keys.has(id);
  }

  constructor(keys: readonly Buffer[]) {
    const [first] = keys;
    if (first === undefined) throw new Error('a secret box needs a key');
    this.#keys = new Map(keys.map((key) => [keyId(key), key]));
    this.#currentKeyId = keyId(first);
  }

  /**
   * Encrypts `plaintext` for one purpose and one place.
   * @param place what the value belongs to (an organization and connection, a cookie's name)
   * @returns `<key id>.<base64url of nonce, ciphertext and tag>`
   */
  seal(purpose: SealPurpose, place: string, plaintext: string): string {
    const nonce = randomFillSync(this.#nonce);
    const cipher = createCipheriv('aes-256-gcm', this.#keyFor(this.#currentKeyId, purpose), nonce);
    cipher.setAAD(Buffer.from(JSON.stringify([purpose, place])));
    const sealed = Buffer.concat([
      nonce,
      cipher.update(plaintext, 'utf8'),
      cipher.final(),
      cipher.getAuthTag(),
    ]);
    return `${this.#currentKeyId}.${sealed.toString('base64url')}`;
  }

  /** The plaintext, or undefined for anything that was not sealed here for this purpose and place. */
  open(purpose: SealPurpose, place: string, sealed: string): string | undefined {
    const id = keyIdOf(sealed);
    const text = sealed.slice(id.length + 1);
    const bytes = Buffer.from(text, 'base64url');
    if (!this.#keys.has(id) || bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
    // Node reads many spellings of the same bytes; one is ours, and what has been changed at all does not open.
    if (bytes.toString('base64url') !== text) return undefined;
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', this.#keyFor(id, purpose), nonce, {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(JSON.stringify([purpose, place])));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      return (
        decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
      );
    } catch {
      return undefined;
    }
  }

  #keyFor(id: string, purpose: SealPurpose): Buffer {
    const name = `${id} ${purpose}`;
    const known = this.#derived.get(name);
    if (known !== undefined) return known;
    const key = this.#keys.get(id);
    if (key === undefined) throw new Error(`no key ${id}`);
    const derived = Buffer.from(hkdfSync('sha256', key, '', `gatehouse ${purpose}`, KEY_BYTES));
    this.#derived.set(name, derived);
    return derived;
  }
}
