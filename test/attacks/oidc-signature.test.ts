/** ID tokens with good claims whose header or signature proves nothing. */
import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals';
import type { Bends } from './evil-provider.ts';
import { publicJwk, signingKey, type Json } from './evil-tokens.ts';
import { CLIENT_SECRET, openScene, type Scene } from './oidc-scene.ts';

const header = (changes: Json): Bends => ({ header: (good) => ({ ...good, ...changes }) });
const otherKey = signingKey();
const ecKey = signingKey('ES256');

describe('an ID token', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await openScene();
  });
  afterEach(() => {
    scene.provider.straighten();
  });
  afterAll(() => scene.close());

  it.each<readonly [string, Bends]>([
    ['O-17 signed with another key', { signWith: otherKey.privateKey }],
    [
      'O-17 whose claims were changed after it was signed',
      { idToken: (token) => replacePayload(token, { sub: 'mallory' }) },
    ],
    ['O-17 with an empty signature', { idToken: (token) => token.replace(/[^.]+$/, '') }],
    ['O-17 with one bit of the signature changed', { idToken: flipSignature }],
    [
      'O-17 whose key is in its own header (jwk)',
      { ...header({ jwk: publicJwk(otherKey) }), signWith: otherKey.privateKey },
    ],
    [
      'O-17 of a key that is not published',
      { ...header({ kid: otherKey.kid }), signWith: otherKey.privateKey },
    ],
    ['O-17 with a kid that is no word', header({ kid: { $ne: null } })],
    ['O-17 with the kid __proto__', header({ kid: '__proto__' })],
    ['O-18 with alg none and no signature', header({ alg: 'none' })],
    ['O-18 with alg None', header({ alg: 'None' })],
    ['O-18 with alg nOnE', header({ alg: 'nOnE' })],
    ['O-18 without alg', header({ alg: undefined })],
    ['O-18 with alg null', header({ alg: null })],
    ['O-18 with alg in an array', header({ alg: ['RS256'] })],
    ['O-18 with HS256 and our client secret', { ...header({ alg: 'HS256' }), signWith: CLIENT_SECRET }],
    ['O-18 with HS256 and an empty key', { ...header({ alg: 'HS256' }), signWith: '' }],
    ['O-18 with RS384 by the right key', header({ alg: 'RS384' })],
    ['O-18 with PS256 by the right key', header({ alg: 'PS256' })],
    [
      'O-18 with ES256 where RS256 was agreed',
      {
        ...header({ alg: 'ES256', kid: ecKey.kid }),
        signWith: ecKey.privateKey,
        jwks: () => ({ keys: [publicJwk(ecKey)] }),
      },
    ],
    ['with a critical extension', header({ crit: ['exp'] })],
    ['with an unencoded payload (b64)', header({ b64: false, crit: ['b64'] })],
    ['of two parts', { idToken: (token) => token.split('.').slice(0, 2).join('.') }],
    ['of four parts', { idToken: (token) => `${token}.${token.split('.')[2] ?? ''}` }],
    ['that is encrypted', { idToken: (token) => `${token}.AAAA.AAAA` }],
  ])('%s is refused with 401', async (_what, bend) => {
    await scene.refuses(bend, { status: 401, code: 'token_invalid' });
  });

  it.each<readonly [string, Bends, RegExp]>([
    ['signature', { signWith: otherKey.privateKey }, /signature/],
    ['algorithm', header({ alg: 'none' }), /\balg/],
    ['key', header({ kid: 'unknown' }), /\bkey/i],
  ])('the operator learns that it was the %s', async (_what, bend, reason) => {
    await scene.refuses(bend, { status: 401, code: 'token_invalid', reason });
  });
});

function replacePayload(token: string, changes: Json): string {
  const [head = '', payload = '', signature = ''] = token.split('.');
  const good = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Json;
  const bad = Buffer.from(JSON.stringify({ ...good, ...changes })).toString('base64url');
  return `${head}.${bad}.${signature}`;
}

function flipSignature(token: string): string {
  const [head = '', payload = '', signature = ''] = token.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  return `${head}.${payload}.${bytes.toString('base64url')}`;
}
