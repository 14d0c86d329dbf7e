/** ID tokens whose claims are wrong, though the provider's own token endpoint handed them out with a good signature. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Bends } from './evil-provider.ts';
import { atHash, type Json } from './evil-tokens.ts';
import { CLIENT_ID, openScene, type Scene } from './oidc-scene.ts';

const MINUTE = 60;
const DAY = 24 * 60 * MINUTE;
const now = () => Math.floor(Date.now() / 1000);

/** Changes some claims; undefined leaves one out. */
const claims = (changes: () => Json): Bends => ({ claims: (good) => ({ ...good, ...changes() }) });
const claim = (name: string, value: unknown): Bends => claims(() => ({ [name]: value }));

describe('the claims of an ID token', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await openScene();
  });
  afterEach(() => {
    scene.provider.straighten();
  });
  afterAll(() => scene.close());

  it.each<readonly [string, Bends]>([
    ['O-01 with the nonce of another sign-in', claim('nonce', 'oGKEwIlHmXCy8bLGnYqZkv0Iv8E8Zyzn3SBLGnQNyBo')],
    [
      'O-01 with a nonce that is longer by one',
      { claims: (good) => ({ ...good, nonce: `${String(good['nonce'])}1` }) },
    ],
    ['O-01 with a nonce in an array', { claims: (good) => ({ ...good, nonce: [good['nonce']] }) }],
    ['O-01 with an empty nonce', claim('nonce', '')],
    ['O-01 with a nonce of null', claim('nonce', null)],
    ['O-01 without a nonce', claim('nonce', undefined)],
    ['O-12 of another issuer', claim('iss', 'https://login.brand.example')],
    ['O-12 of the issuer with a slash', { claims: (good) => ({ ...good, iss: `${String(good['iss'])}/` }) }],
    [
      'O-12 of the issuer in capitals',
      { claims: (good) => ({ ...good, iss: String(good['iss']).toUpperCase() }) },
    ],
    ['O-12 without an issuer', claim('iss', undefined)],
    ['O-12 with the issuer in an array', { claims: (good) => ({ ...good, iss: [good['iss']] }) }],
    ['O-12 for another client', claim('aud', 'another client')],
    ['O-12 for our client in capitals', claim('aud', CLIENT_ID.toUpperCase())],
    ['O-12 for nobody', claim('aud', [])],
    ['O-12 without an audience', claim('aud', undefined)],
    ['O-12 with a number for an audience', claim('aud', 7)],
    ['O-12 with an audience in two arrays', claim('aud', [[CLIENT_ID]])],
    ['O-13 with a second audience', claim('aud', [CLIENT_ID, 'another client'])],
    ['O-13 with a second audience that is us again', claim('aud', [CLIENT_ID, CLIENT_ID])],
    [
      'O-13 with a second audience and an azp',
      claims(() => ({ aud: [CLIENT_ID, 'another client'], azp: CLIENT_ID })),
    ],
    ['O-14 with an empty sub', claim('sub', '')],
    ['O-14 with a sub of spaces', claim('sub', '   ')],
    ['O-14 with a sub of no-break spaces', claim('sub', '\u00a0\u2003')],
    ['O-14 with a sub of 256 characters', claim('sub', 's'.repeat(256))],
    ['O-14 with a NUL in sub', claim('sub', 'ada\0')],
    ['O-14 with a line break in sub', claim('sub', 'ada\nroot')],
    ['O-14 with a lone surrogate in sub', claim('sub', 'ada\ud800')],
    ['O-14 with a number for sub', claim('sub', 7)],
    ['O-14 with sub null', claim('sub', null)],
    ['O-14 with an array for sub', claim('sub', ['ada'])],
    ['O-14 without a sub', claim('sub', undefined)],
    ['O-15 from next year', claims(() => ({ iat: now() + 365 * DAY, exp: now() + 366 * DAY }))],
    ['O-15 from a minute ahead', claims(() => ({ iat: now() + MINUTE }))],
    ['O-15 in milliseconds', claims(() => ({ iat: Date.now() }))],
    ['O-15 a week old', claims(() => ({ iat: now() - 7 * DAY }))],
    ['O-15 an hour old', claims(() => ({ iat: now() - 60 * MINUTE }))],
    ['O-15 from 1970', claim('iat', 0)],
    ['O-15 without iat', claim('iat', undefined)],
    ['O-15 with iat in quotes', claims(() => ({ iat: String(now()) }))],
    ['O-15 with iat null', claim('iat', null)],
    ['O-13 that expired a minute ago', claims(() => ({ exp: now() - MINUTE }))],
    ['O-13 with exp 0', claim('exp', 0)],
    ['O-13 without exp', claim('exp', undefined)],
    ['O-13 with exp in quotes', claims(() => ({ exp: String(now() + 300) }))],
    ['O-13 with exp null', claim('exp', null)],
    ['O-13 that is not valid yet', claims(() => ({ nbf: now() + 5 * MINUTE }))],
    ['O-13 with nbf in quotes', claims(() => ({ nbf: String(now()) }))],
    ['O-16 issued for another client (azp)', claim('azp', 'another client')],
    [
      'O-16 issued for another client (azp), aud an array',
      claims(() => ({ aud: [CLIENT_ID], azp: 'another client' })),
    ],
    ['O-16 with an empty azp', claim('azp', '')],
    ['O-16 with azp in an array', claim('azp', [CLIENT_ID])],
    ['with the at_hash of another access token', claim('at_hash', atHash('another access token'))],
    ['with an empty at_hash', claim('at_hash', '')],
    ['with at_hash null', claim('at_hash', null)],
    ['with an auth_time that is no number', claim('auth_time', 'yesterday')],
    ['whose claims are an array', { claims: (good) => [good] }],
    ['whose claims are null', { claims: () => null }],
  ])('%s are refused with 401', async (_what, bend) => {
    await scene.refuses(bend, { status: 401, code: 'token_invalid' });
  });

  it.each<readonly [string, Bends, RegExp]>([
    ['nonce', claim('nonce', 'another'), /nonce/],
    ['issuer', claim('iss', 'https://another.example'), /\biss|issuer/],
    ['audience', claim('aud', 'another'), /\baud/],
    ['missing subject', claim('sub', undefined), /\bsub/],
    ['end', claim('exp', 1), /\bexp/],
    ['age', claim('iat', 1), /\biat/],
    ['authorized party', claim('azp', 'another'), /\bazp/],
  ])('the operator learns that it was the %s', async (_what, bend, reason) => {
    await scene.refuses(bend, { status: 401, code: 'token_invalid', reason });
  });

  it('O-15 an iat that was in order when the sign-in began is judged when the token comes', async () => {
    const { acme, provider, gateway } = scene;
    const refusal = await scene.refuses(
      claims(() => ({ iat: now() - 16 * MINUTE })),
      { status: 401, code: 'token_invalid', reason: /old/ },
    );
    expect(refusal.event).toMatchObject({
      organization_id: acme.organization.id,
      connection_id: acme.connection.id,
    });
    expect(provider.calls).toMatchObject({ token: 1, userinfo: 0 });
    expect(gateway.logLines.join('')).not.toContain('subject of');
  });
});
