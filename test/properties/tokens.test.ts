/**
 * Tokens of every kind as laws: whatever somebody sends, and whatever a customer's provider signed, it is a person or one of the
 * documented refusals; and a person is who the token says, by one spelling.
 */
import type { KeyObject } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ConnectionOf } from '../../src/connections/connection.ts';
import { openIdTokenConnector } from '../../src/connections/id-token/connector.ts';
import {
  decodeCallbackToken,
  verifyCallbackToken,
} from '../../src/connections/jwt-callback/callback-token.ts';
import { numericDate } from '../../src/connections/jwt-rules.ts';
import { requireStrictIdToken, usableEmail } from '../../src/connections/oidc/id-token-rules.ts';
import type { ProviderKeys } from '../../src/connections/provider-keys.ts';
import { verifySignature } from '../../src/connections/signed-token.ts';
import { GatewayError } from '../../src/errors.ts';
import { canonicalEmail } from '../../src/organizations/email-address.ts';
import { parseJsonObject } from '../../src/strict-json.ts';
import { displayName } from '../../src/users/user.ts';
import { encodePart, makeToken, signedBy } from '../attacks/jwt-tokens.ts';
import { rsaKeyPair } from '../support/test-gateway.ts';
import { claims, EMAILS, NOW, orRefused } from './claims.ts';
import { damaged, hostileObject, hostileText, hostileValue, respelled } from './hostile.ts';
import { expectLinearTime } from './proportion.ts';

const RUNS = { numRuns: 300 };
const { privateKey, publicKey } = rsaKeyPair();

const jwtCallback = {
  id: 'connection',
  organizationId: 'organization',
  kind: 'jwt-callback',
  settings: { loginUrl: 'https://login.example/', audience: 'gatehouse', keys: [] },
} as unknown as ConnectionOf<'jwt-callback'>;

const verifyCallback = (token: string, key: KeyObject = publicKey) =>
  orRefused(['malformed_request', 'payload_too_large', 'token_invalid', 'token_expired'], () =>
    verifyCallbackToken(token, {
      connection: jwtCallback,
      keys: [key],
      publicUrl: 'https://sso.example',
      callbackUrl: new URL('https://sso.example/v3/api/user/sso/acme.example/authenticate'),
      nowSeconds: NOW,
    }),
  );

describe('a callback token', () => {
  it('J-17 J-19 J-20 J-22 J-24 J-26 E-01 whatever was signed is its person, for ten minutes at most, or refused', async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(claims, async (payload) => {
        const identity = await verifyCallback(makeToken({ payload, signer: signedBy(privateKey) }));
        if (identity === undefined) return;
        accepted += 1;
        expect(identity.email).toEqual(canonicalEmail(payload['email']));
        expect(identity.subject).toBe(identity.email.address);
        const { exp } = payload as { exp: number };
        expect(exp > NOW && exp <= NOW + 600).toBe(true);
        expect(identity.singleUse.every(({ digest }) => /^[\w-]{43}$/.test(digest))).toBe(true);
        expect(identity.name).toBe(displayName(payload['name']));
      }),
      RUNS,
    );
    expect(accepted).toBeGreaterThan(3);
  });

  it('J-02 J-03 J-05 J-11 J-25 H-15 any text and any header is refused, and nothing else is thrown', async () => {
    const good = makeToken({ payload: { exp: NOW + 60, email: EMAILS[0] }, signer: signedBy(privateKey) });
    const header = fc.oneof(
      hostileObject,
      hostileValue,
      hostileText(6),
      fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    );
    const made = fc.tuple(header, header, hostileText(4)).map(([head, payload, signature]) => {
      const part = (value: unknown) => encodePart(Buffer.isBuffer(value) ? value : JSON.stringify(value));
      return `${part(head)}.${part(payload)}.${signature}`;
    });
    await fc.assert(
      fc.asyncProperty(fc.oneof(hostileText(), made, respelled(good)), async (token) => {
        fc.pre(token !== good);
        expect(await verifyCallback(token)).toBeUndefined();
      }),
      RUNS,
    );
  });

  it('J-29 damaged it is refused, or its second use is known for one', async () => {
    const good = makeToken({
      payload: { exp: NOW + 60, email: EMAILS[0], aud: 'gatehouse' },
      signer: signedBy(privateKey),
    });
    const first = await verifyCallback(good);
    expect(first?.email.address).toBe(EMAILS[0]);
    await fc.assert(
      fc.asyncProperty(damaged(good), async (token) => {
        const identity = await verifyCallback(token);
        if (identity !== undefined) expect(identity.singleUse).toEqual(first?.singleUse);
      }),
      RUNS,
    );
  });

  it('T-12 J-30 two ids are one use if and only if issuer and id are the same', async () => {
    const id = fc.oneof(fc.constantFrom('a', 'b', 'a"', 'a","b', 'ab', ''), hostileText(2));
    const useOf = async (iss: string, jti: string) => {
      const payload = { exp: NOW + 60, email: EMAILS[0], aud: 'gatehouse', iss, jti };
      const identity = await verifyCallback(makeToken({ payload, signer: signedBy(privateKey) }));
      return identity?.singleUse.find(({ purpose }) => purpose === 'jwt-id')?.digest;
    };
    await fc.assert(
      fc.asyncProperty(id, id, id, id, async (a, b, c, d) => {
        const [one, other] = [await useOf(a, b), await useOf(c, d)];
        if (one !== undefined && other !== undefined) expect(one === other).toBe(a === c && b === d);
      }),
      { numRuns: 200 },
    );
  });
});

const idToken = {
  id: 'connection',
  organizationId: 'organization',
  kind: 'id-token',
  settings: {
    jwksUri: 'https://issuer.example/keys',
    issuer: 'https://issuer.example',
    audience: 'gatehouse',
    match: 'sub',
    trustsEmail: false,
    applications: [],
  },
} as unknown as ConnectionOf<'id-token'>;

const publicJwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k' };
const keysOf = (...keys: readonly unknown[]): ProviderKeys => ({
  current: () => Promise.resolve({ keys: keys as Record<string, unknown>[] }),
});

describe('an ID token', () => {
  const connector = openIdTokenConnector(idToken, {
    keysAt: () => keysOf(publicJwk),
    now: () => NOW * 1000,
  } as unknown as Parameters<typeof openIdTokenConnector>[1]);
  const verify = async (token: string, externalId: string) =>
    orRefused(['token_invalid', 'token_expired', 'email_not_allowed'], async () =>
      (await connector).verify({ token, externalId, nonce: undefined }),
    );

  it('V-02 V-03 V-04 V-05 V-07 whatever was signed is its person, who was asked for, or refused', async () => {
    let accepted = 0;
    const externalId = fc.oneof({ weight: 3, arbitrary: fc.constant('a subject') }, hostileText(3));
    await fc.assert(
      fc.asyncProperty(claims, externalId, async (payload, wanted) => {
        const identity = await verify(makeToken({ payload, signer: signedBy(privateKey) }), wanted);
        if (identity === undefined) return;
        accepted += 1;
        expect([identity.subject, payload['sub']]).toEqual([wanted, wanted]);
        expect([payload['iss'], payload['aud']].flat()).toEqual(['https://issuer.example', 'gatehouse']);
        expect(identity.email).toEqual(canonicalEmail(payload['email']));
        expect([undefined, true, 'true']).toContain(payload['email_verified']);
      }),
      RUNS,
    );
    expect(accepted).toBeGreaterThan(3);
  });

  it('J-11 K-09 H-15 any token and any keys are refused, and nothing else is thrown', async () => {
    const good = makeToken({ payload: { a: 1 }, signer: signedBy(privateKey) });
    const header = fc.oneof(
      hostileObject,
      fc.record({
        alg: fc.constantFrom('RS256', 'ES256', 'EdDSA', 'PS512', 'HS256', 'none'),
        kid: hostileValue,
      }),
    );
    const token = fc.oneof(
      hostileText(),
      damaged(good),
      header.map((head) => makeToken({ header: head, payload: { a: 1 }, signer: signedBy(privateKey) })),
    );
    const jwk = fc.oneof(
      hostileObject,
      fc.record({
        kty: fc.constantFrom('RSA', 'EC', 'OKP', 'oct'),
        crv: hostileText(2),
        n: hostileText(4),
        e: hostileText(2),
        x: hostileText(4),
      }),
      fc.record({
        kty: fc.constant('RSA'),
        n: fc.constant(publicJwk.n),
        e: hostileValue,
        alg: hostileValue,
        use: hostileValue,
      }),
    );
    await fc.assert(
      fc.asyncProperty(token, fc.array(jwk, { maxLength: 2 }), async (text, keys) => {
        await orRefused(['token_invalid'], () =>
          verifySignature(text, { keys: keysOf(...keys), type: /^jwt$/i }),
        );
      }),
      RUNS,
    );
  });

  it('J-24 V-09 a time is a finite number or refused', async () => {
    await fc.assert(
      fc.asyncProperty(
        hostileObject,
        fc.constantFrom('exp', 'iat', '__proto__', 'toString'),
        async (object, name) => {
          const read = parseJsonObject(JSON.stringify(object)) ?? {};
          const found = await orRefused(['token_invalid'], () => numericDate(read, name));
          if (found !== undefined) expect(Number.isFinite(found)).toBe(true);
        },
      ),
      RUNS,
    );
  });

  it('O-14 O-15 O-16 O-22 the rules beyond the library refuse, and never throw anything else', async () => {
    const facts = {
      idToken: makeToken({ payload: {}, signer: () => 'x' }),
      accessToken: 'access',
      clientId: 'gatehouse',
      nowSeconds: NOW,
    };
    await fc.assert(
      fc.asyncProperty(
        claims,
        fc.option(hostileObject, { nil: undefined }),
        hostileText(),
        async (payload, userInfo, text) => {
          await orRefused(['token_invalid'], () => {
            requireStrictIdToken(payload, facts);
          });
          await orRefused(['token_invalid'], () => {
            requireStrictIdToken(payload, { ...facts, idToken: text });
          });
          for (const claim of ['email', 'upn', '__proto__', 'constructor']) {
            const found = await orRefused(['email_not_allowed'], () => usableEmail(claim, payload, userInfo));
            const word = (userInfo ?? payload)['email_verified'];
            if (found !== undefined) expect([undefined, true, 'true']).toContain(word);
          }
        },
      ),
      RUNS,
    );
  });
});

describe('a callback token', () => {
  it('D-08 J-40 is read in time that grows in proportion to it', () => {
    const heads = ['', 'eyJ9.', `${encodePart({})}.`] as const;
    const read = (token: string) => {
      try {
        decodeCallbackToken(token);
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
      }
    };
    expectLinearTime(read, { heads });
    expectLinearTime(read, { heads, longest: 8_192 });
  });
});
