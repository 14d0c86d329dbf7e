/** The keys that a provider publishes (JWKS): which are none, which documents are none, and how often they are fetched. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Bends } from './evil-provider.ts';
import { publicJwk, signingKey, type Json } from './evil-tokens.ts';
import { expectSignedIn, newEmail, openScene, type Company, type Scene } from './oidc-scene.ts';
import { expectRefusal, type Refusal } from './refusal.ts';

const PROVIDER = { status: 502, code: 'identity_provider_error', uses: 1 } as const;
const INVALID = { status: 401, code: 'token_invalid', uses: 1 } as const;

const weakKey = signingKey('RS256', 1024);
const anotherKey = signingKey();

/** An RSA key of so many bits that nobody has; making a real one takes minutes. */
const rsaOf = (bits: number): Json => ({
  kty: 'RSA',
  kid: 'huge',
  alg: 'RS256',
  use: 'sig',
  e: 'AQAB',
  n: Buffer.alloc(bits / 8, 0xff).toString('base64url'),
});
/** The provider's keys, with others after them. */
const beside = (...others: readonly Json[]): Bends => ({
  jwks: ({ keys }) => ({ keys: [...keys, ...others] }),
});
/** The provider's only key as it should not be published. */
const published = (change: (jwk: Json) => Json): Bends => ({
  jwks: ({ keys }) => ({ keys: keys.map(change) }),
});
const privateJwk = (jwk: Json): Json => ({
  ...anotherKey.privateKey.export({ format: 'jwk' }),
  kid: jwk['kid'],
});

/** What begins a SHA-256 digest in a signature of PKCS #1 version 1.5. */
const SHA256_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex');

/** With exponent 1 a signature is what it signs: nobody needs a private key for it. */
function signedForExponent1(token: string): string {
  const signed = token.slice(0, token.lastIndexOf('.'));
  const digest = createHash('sha256').update(signed).digest();
  const end = Buffer.concat([Buffer.of(0), SHA256_INFO, digest]);
  const signature = Buffer.concat([Buffer.of(0, 1), Buffer.alloc(254 - end.length, 0xff), end]);
  return `${signed}.${signature.toString('base64url')}`;
}

describe('a provider’s keys', () => {
  let scene: Scene;
  let count = 0;
  beforeAll(async () => {
    scene = await openScene();
  });
  afterAll(() => scene.close());

  /** Keys are kept, so what is wrong with them shows at a provider that nobody used yet. */
  const newCompany = (): Promise<Company> => scene.addCompany(`keys${(count += 1)}`);
  const emailAt = ({ organization }: Company) => newEmail(`${organization.slug}.example`);

  async function refuses(bend: Bends, expected: typeof PROVIDER | typeof INVALID): Promise<Refusal> {
    const company = await newCompany();
    company.provider.bend = bend;
    const visitor = scene.visitor();
    const callback = await visitor.goToProvider(emailAt(company));
    const refusal = await expectRefusal(scene.gateway, () => visitor.send(callback), expected);
    expect(await visitor.session()).toBeUndefined();
    return refusal;
  }

  async function admits(bend: Bends): Promise<void> {
    const company = await newCompany();
    company.provider.bend = bend;
    const visitor = scene.visitor();
    expectSignedIn(await visitor.send(await visitor.goToProvider(emailAt(company))));
  }

  it('K-04 are fetched once, however many sign in at once', async () => {
    const company = await newCompany();
    const visitors = Array.from({ length: 20 }, () => scene.visitor());
    const callbacks = await Promise.all(visitors.map((visitor) => visitor.goToProvider(emailAt(company))));
    expect(company.provider.calls.jwks).toBe(0);
    const answers = await Promise.all(visitors.map((visitor, index) => visitor.send(callbacks[index] ?? '')));
    answers.forEach(expectSignedIn);
    expect(company.provider.calls.jwks).toBe(1);
  });

  it.each<readonly [string, Bends, string]>([
    ['F-17 one of 16,384 bits', beside(rsaOf(16_384)), 'has a key of more than 8192 bits'],
    [
      'F-17 101 of them',
      beside(...Array.from({ length: 100 }, (_, index) => ({ ...publicJwk(anotherKey), kid: `${index}` }))),
      'has more than 100 keys',
    ],
    [
      'F-17 one with a kid of 2 kB',
      beside({ ...publicJwk(anotherKey), kid: 'k'.repeat(2_048) }),
      'has a key with a huge kid',
    ],
    ['K-10 none', { jwks: () => ({ keys: [] }) }, 'has no keys'],
    ['K-10 a document without them', { jwks: () => ({}) }, 'has no keys'],
    ['K-10 an object', { jwks: () => ({ keys: {} }) }, 'has no keys'],
    ['K-10 HTML', { types: { jwks: 'text/html' } }, 'answered with text/html instead of JSON'],
  ])('%s are refused whole', async (_what, bend, reason) => {
    const { event } = await refuses(bend, PROVIDER);
    expect(event?.reason).toBe(`the key endpoint (jwks_uri) ${reason}`);
  });

  it.each<readonly [string, Bends]>([
    ['F-18 with the keys twice', { jwks: (set) => `{"keys":[],${JSON.stringify(set).slice(1)}` }],
    ['F-18 with a byte order mark', { jwks: (set) => `\ufeff${JSON.stringify(set)}` }],
    ['F-18 as a list', { jwks: ({ keys }) => keys }],
  ])('%s are refused whole', async (_what, bend) => {
    const { event } = await refuses(bend, PROVIDER);
    expect(event?.reason).toBe(
      'the answer of the key endpoint (jwks_uri) is not a JSON object, or an ambiguous one',
    );
  });

  it.each<readonly [string, Bends]>([
    [
      'published with its private half',
      {
        ...published(privateJwk),
        signWith: anotherKey.privateKey,
      },
    ],
    [
      'that is a shared secret (oct)',
      {
        header: (good) => ({ ...good, alg: 'HS256' }),
        signWith: 'a secret that everybody can read',
        ...published(({ kid }) => ({
          kty: 'oct',
          kid,
          alg: 'HS256',
          k: Buffer.from('a secret that everybody can read').toString('base64url'),
        })),
      },
    ],
    ['for encryption (use)', published((jwk) => ({ ...jwk, use: 'enc' }))],
    ['for no known use', published((jwk) => ({ ...jwk, use: 'SIG' }))],
    ['for encryption (key_ops)', published((jwk) => ({ ...jwk, key_ops: ['encrypt'] }))],
    ['with operations that are no list', published((jwk) => ({ ...jwk, key_ops: 'verify' }))],
    [
      'of 1,024 bits',
      { ...published(({ kid }) => ({ ...publicJwk(weakKey), kid })), signWith: weakKey.privateKey },
    ],
    [
      'of 1,024 bits with zeros in front',
      {
        ...published(({ kid }) => {
          const jwk = publicJwk(weakKey);
          const modulus = Buffer.from(String(jwk['n']), 'base64url');
          return { ...jwk, kid, n: Buffer.concat([Buffer.alloc(128), modulus]).toString('base64url') };
        }),
        signWith: weakKey.privateKey,
      },
    ],
    ['with exponent 1', { ...published((jwk) => ({ ...jwk, e: 'AQ' })), idToken: signedForExponent1 }],
    [
      'with exponent 1 and zeros in front',
      { ...published((jwk) => ({ ...jwk, e: 'AAAB' })), idToken: signedForExponent1 },
    ],
    ['without an exponent', published(({ e: _none, ...jwk }) => jwk)],
    ['for another algorithm', published((jwk) => ({ ...jwk, alg: 'RS512' }))],
    ['that is null', { jwks: () => ({ keys: [null] }) }],
  ])('K-09 a key %s verifies nothing', async (_what, bend) => {
    const { event } = await refuses(bend, INVALID);
    expect(event?.reason).toMatch(/^the signature is not good: |alg of the ID token/);
  });

  it.each<readonly [string, Bends]>([
    ['a shared secret', beside({ kty: 'oct', k: 'AAAA', kid: 'o' })],
    [
      'a private key of another kid',
      beside({ ...anotherKey.privateKey.export({ format: 'jwk' }), kid: 'p' }),
    ],
    [
      'one of its kid that is for encryption',
      { jwks: ({ keys }) => ({ keys: [...keys.map((jwk) => ({ ...jwk, use: 'enc' })), ...keys] }) },
    ],
    ['a weak one', beside(publicJwk(weakKey))],
    ['what is no key', beside({}, { kty: 'new' }, { kty: 1, kid: 2 })],
    ['one of 8,192 bits', beside(rsaOf(8_192))],
  ])('K-09 a good key works beside %s', async (_what, bend) => {
    await admits(bend);
  });

  it('K-08 two good keys of one kid are one too many', async () => {
    const twin = { jwks: ({ keys }: { keys: readonly Json[] }) => ({ keys: [...keys, ...keys] }) };
    const { event } = await refuses(twin, INVALID);
    expect(event?.reason).toBe(
      'the signature is not good: more than one of the keys of the provider fits the token (kid)',
    );
  });

  it('K-08 an ID token without kid is good where there is one key, and not where there are two', async () => {
    const header = ({ kid: _none, ...good }: Json): Json => good;
    await admits({ header });
    await refuses({ header, ...beside(publicJwk(anotherKey)) }, INVALID);
  });
});
