/** Sealed values open for what they were sealed for, with a key of the list, untouched, and not otherwise. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { openSecretBox, parseSecretKeys, SecretBox, type SealPurpose } from '../src/secret-box.ts';

const key = (fill: number) => Buffer.alloc(32, fill);
const base64 = (fill: number) => key(fill).toString('base64');
const PURPOSES: readonly SealPurpose[] = ['client-secret', 'login-transaction', 'login-confirmation'];

describe('a sealed value', () => {
  const box = new SecretBox([key(1)]);
  const sealed = box.seal('client-secret', 'acme', 'a secret');

  it.each(['', 'a', 'a client secret', 'grün \u{1f511}', '{"json":true}', 'x'.repeat(20_000)])(
    'opens where it was sealed (%#)',
    (plaintext) => {
      const text = box.seal('client-secret', 'acme', plaintext);
      expect(box.open('client-secret', 'acme', text)).toBe(plaintext);
      if (plaintext.length > 1) expect(text).not.toContain(plaintext);
    },
  );

  it('is another text each time', () => {
    expect(new Set(Array.from({ length: 100 }, () => box.seal('client-secret', 'acme', 'x'))).size).toBe(100);
  });

  it('fits a cookie', () => {
    expect(sealed).toMatch(/^[A-Za-z0-9._-]+$/);
  });

  it.each(PURPOSES)('S-04 opens for its own purpose only: %s', (purpose) => {
    const text = box.seal(purpose, 'here', 'value');
    expect(PURPOSES.filter((other) => box.open(other, 'here', text) !== undefined)).toEqual([purpose]);
  });

  it.each(['', 'acm', 'acme ', 'ACME', 'acme\0', 'other', '["client-secret","acme"]'])(
    'S-04 does not open in another place: %j',
    (place) => {
      expect(box.open('client-secret', place, sealed)).toBeUndefined();
    },
  );

  it('T-12 keeps purpose and place apart, whatever they are called', () => {
    const text = box.seal('login-transaction', 'a","b', 'value');
    expect(box.open('login-transaction', 'a', text)).toBeUndefined();
    expect(box.open('login-transaction', 'a","b', text)).toBe('value');
  });

  it('S-07 does not open with any bit changed', () => {
    const [id = '', body = ''] = sealed.split('.');
    const bytes = Buffer.from(body, 'base64url');
    for (let index = 0; index < bytes.length * 8; index += 1) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(index >> 3) ^ (1 << (index & 7)), index >> 3);
      expect(box.open('client-secret', 'acme', `${id}.${changed.toString('base64url')}`)).toBeUndefined();
    }
  });

  it('S-07 does not open cut off anywhere, nor with more at its end', () => {
    for (let length = 0; length < sealed.length; length += 1) {
      expect(box.open('client-secret', 'acme', sealed.slice(0, length))).toBeUndefined();
    }
    expect(box.open('client-secret', 'acme', `${sealed}AAAA`)).toBeUndefined();
    expect(box.open('client-secret', 'acme', sealed + sealed)).toBeUndefined();
  });

  it.each([
    ['nothing', ''],
    ['a dot', '.'],
    ['no dot', 'abcdefgh'],
    ['a key that nobody has', `AAAAAAAA.${sealed.split('.')[1] ?? ''}`],
    ['no key', `.${sealed.split('.')[1] ?? ''}`],
    ['a member of every object', `__proto__.${sealed.split('.')[1] ?? ''}`],
    ['bytes that are no text', '\ud800\u0000'],
    ['a long text', 'x'.repeat(100_000)],
  ])('S-07 does not open, nor throw, when it is %s', (_, text) => {
    expect(box.open('client-secret', 'acme', text)).toBeUndefined();
  });
});

describe('a list of keys', () => {
  const [first, second, third] = [key(1), key(2), key(3)];

  it('opens what any of them sealed, and seals with the first', () => {
    const before = new SecretBox([first]);
    const during = new SecretBox([second, first]);
    const after = new SecretBox([second]);
    const old = before.seal('client-secret', 'acme', 'old');
    const fresh = during.seal('client-secret', 'acme', 'new');
    expect(during.open('client-secret', 'acme', old)).toBe('old');
    expect(after.open('client-secret', 'acme', fresh)).toBe('new');
    expect(after.open('client-secret', 'acme', old)).toBeUndefined();
    expect(before.open('client-secret', 'acme', fresh)).toBeUndefined();
  });

  it('X-26 opens nothing that a lost key sealed', () => {
    const sealed = new SecretBox([first]).seal('client-secret', 'acme', 'value');
    expect(new SecretBox([second, third]).open('client-secret', 'acme', sealed)).toBeUndefined();
  });

  it('does not believe another key behind the right name', () => {
    const [ownId = ''] = new SecretBox([first]).seal('client-secret', 'acme', 'x').split('.');
    const [, foreign = ''] = new SecretBox([second]).seal('client-secret', 'acme', 'x').split('.');
    expect(new SecretBox([first]).open('client-secret', 'acme', `${ownId}.${foreign}`)).toBeUndefined();
  });

  it('needs a key', () => {
    expect(() => new SecretBox([])).toThrow('needs a key');
  });
});

describe('SECRET_KEY', () => {
  it.each([
    ['one key', base64(1), 1],
    ['two', `${base64(1)},${base64(2)}`, 2],
    ['space around the commas', ` ${base64(1)} , ${base64(2)}\n`, 2],
    ['without padding', base64(1).replace('=', ''), 1],
  ])('reads %s', (_, text, count) => {
    const keys = parseSecretKeys(text);
    expect(keys?.map((one) => one.readUInt8(0))).toEqual([1, 2].slice(0, count));
    expect(keys?.every((one) => one.length === 32)).toBe(true);
  });

  it.each([
    ['nothing', ''],
    ['31 bytes', Buffer.alloc(31, 1).toString('base64')],
    ['33 bytes', Buffer.alloc(33, 1).toString('base64')],
    ['64 hexadecimal digits', key(1).toString('hex')],
    ['a passphrase', 'correct horse battery staple'],
    ['an empty item', `${base64(1)},`],
    ['a good and a bad item', `${base64(1)},${base64(2).slice(4)}`],
    ['a list with spaces', `${base64(1)} ${base64(2)}`],
    ['a list with semicolons', `${base64(1)};${base64(2)}`],
    ['something after the key', `${base64(1)}garbage`],
    ['characters that are not base64', `${base64(1).slice(0, 20)}!*${base64(1).slice(20)}`],
  ])('X-34 refuses %s', (_, text) => {
    expect(parseSecretKeys(text)).toBeUndefined();
  });
});

describe('the development key', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-key-'));
  const file = join(dataDir, 'made', 'secret-key');
  const open = () => openSecretBox({ secretKeys: undefined, dataDir: join(dataDir, 'made') });

  afterEach(() => {
    rmSync(join(dataDir, 'made'), { recursive: true, force: true });
  });

  it('is made once, for its owner alone, and found again', () => {
    const sealed = open().seal('client-secret', 'acme', 'value');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(open().open('client-secret', 'acme', sealed)).toBe('value');
    // X-10 It was whole before it had this name.
    expect(readdirSync(join(dataDir, 'made'))).toEqual(['secret-key']);
  });

  it('is not replaced when the file was damaged', () => {
    open();
    writeFileSync(file, 'half a ke');
    expect(open).toThrow('does not hold a key');
    expect(readFileSync(file, 'utf8')).toBe('half a ke');
    try {
      open();
    } catch (error) {
      expect(String(error)).not.toContain('half a ke');
    }
  });

  it('says what to do where it cannot be written', () => {
    const nowhere = { secretKeys: undefined, dataDir: '/proc/absent' };
    expect(() => openSecretBox(nowhere)).toThrow(
      'Cannot write a key to DATA_DIR /proc/absent (ENOENT). Make it writable, or set SECRET_KEY.',
    );
  });

  it('is not made where the configuration has keys', () => {
    openSecretBox({ secretKeys: [key(1)], dataDir: join(dataDir, 'made') });
    expect(() => statSync(file)).toThrow('ENOENT');
  });
});
