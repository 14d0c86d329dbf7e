/** What browsers carry for us, as laws: a sealed value opens where it was sealed, as what it was, or not at all. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { openHostRequest, openTicket, sealHostRequest, sealTicket } from '../../src/hosts/host-sign-in.ts';
import { newBreakGlassTicket, openBreakGlassTicket, breakGlassPath } from '../../src/login/break-glass.ts';
import { openConfirmation, sealConfirmation } from '../../src/login/login-confirmation.ts';
import { newAttempt, openTransactions, sealTransaction } from '../../src/login/login-transaction.ts';
import { openTestTicket, testPath } from '../../src/login/test-link.ts';
import type { LoginParts } from '../../src/login/login-parts.ts';
import { acceptedReturnTo } from '../../src/login/return-to.ts';
import { adoptedRequest, placeOf, requestAgain } from '../../src/provider/authorization-request.ts';
import { parseSecretKeys, SecretBox, type SealPurpose } from '../../src/secret-box.ts';
import { damaged, hostileText, respelled } from './hostile.ts';

const RUNS = { numRuns: 1_000 };
const NOW = 1_800_000_000;
const box = new SecretBox([randomBytes(32), randomBytes(32)]);

/** One that is missing here does not compile. */
const ALL_PURPOSES: Readonly<Record<SealPurpose, true>> = {
  'client-secret': true,
  'application-secret': true,
  'signing-key': true,
  'id-token': true,
  'refresh-token': true,
  'host-tokens': true,
  'audit-head': true,
  'login-transaction': true,
  'login-confirmation': true,
  'logout-request': true,
  'authorization-request': true,
  'host-request': true,
  'host-ticket': true,
  'test-attempt': true,
  'test-link': true,
  'break-glass': true,
};
const PURPOSES = Object.keys(ALL_PURPOSES) as SealPurpose[];
const purpose = fc.constantFrom(...PURPOSES);

describe('a sealed value', () => {
  const place = fc.oneof(hostileText(6), fc.constantFrom('a', 'a"', 'a","b', '["a"]', ''));

  it('S-04 T-12 opens for its purpose and its place, and for no other', () => {
    fc.assert(
      fc.property(
        fc.tuple(purpose, place),
        fc.tuple(purpose, place),
        hostileText(),
        (sealing, opening, text) => {
          const [[one, here], [other, there]] = [sealing, opening];
          const plaintext = text.toWellFormed();
          const opened = box.open(other, there, box.seal(one, here, plaintext));
          expect(opened).toBe(one === other && here === there ? plaintext : undefined);
          expect(box.open(one, here, box.seal(one, here, plaintext))).toBe(plaintext);
        },
      ),
      RUNS,
    );
  });

  it('S-07 does not open damaged, in any other spelling, or made up', () => {
    const sealed = box.seal('login-transaction', 'place', 'a plaintext');
    fc.assert(
      fc.property(fc.oneof(damaged(sealed), hostileText(), respelled(sealed)), (text) => {
        fc.pre(text !== sealed);
        expect(box.open('login-transaction', 'place', text)).toBeUndefined();
      }),
      RUNS,
    );
  });

  it('S-07 does not open under a key that is not in the list', () => {
    const others = new SecretBox([randomBytes(32)]);
    fc.assert(
      fc.property(purpose, place, (one, here) => {
        expect(others.open(one, here, box.seal(one, here, 'x'))).toBeUndefined();
      }),
      { numRuns: 100 },
    );
  });

  it('any text is a list of keys or none: nothing is thrown, and no key is shorter than it should be', () => {
    const key = fc
      .uint8Array({ minLength: 30, maxLength: 34 })
      .map((bytes) => Buffer.from(bytes).toString('base64'));
    fc.assert(
      fc.property(
        fc.oneof(
          hostileText(),
          fc.array(key).map((keys) => keys.join(',')),
          key.chain((text) => respelled(text)),
        ),
        (text) => {
          const keys = parseSecretKeys(text);
          if (keys === undefined) return;
          expect(keys.every(({ length }) => length === 32)).toBe(true);
          expect(keys.length).toBe(text.split(',').length);
        },
      ),
      RUNS,
    );
  });
});

const transaction = (more: object = {}) => ({
  ...newAttempt(),
  organizationId: 'organization',
  connectionId: 'connection',
  revision: 1,
  isFromAnotherSite: false,
  startedAtSeconds: NOW,
  ...more,
});
const hostRequest = { host: 'app.example', scheme: 'https', path: '/', nonceDigest: 'digest' } as const;

/** Everything that a browser carries sealed, and who opens it. */
const attempt = transaction();
const testAttempt = transaction({ isTest: true });
const identity = { email: { address: 'ada@acme.example' } } as unknown as Parameters<
  typeof sealConfirmation
>[2];
const SEALED = {
  attempt: sealTransaction(box, attempt),
  'test attempt': sealTransaction(box, testAttempt),
  confirmation: sealConfirmation(box, attempt, identity),
  'host request': sealHostRequest(box, hostRequest, NOW),
  'host ticket': sealTicket(
    box,
    { ...hostRequest, expiresAtSeconds: NOW + 1 },
    { sessionId: 'id', nowSeconds: NOW },
  ),
  'test link': testPath(box, { connectionId: 'id', expiresAtSeconds: NOW }).split('/').at(-1) ?? '',
  'break-glass link':
    breakGlassPath(
      box,
      newBreakGlassTicket({
        organizationId: 'id',
        organization: 'acme',
        email: 'ada@acme.example',
        expiresAtSeconds: NOW,
      }),
    )
      .split('/')
      .at(-1) ?? '',
  'newer than':
    new URLSearchParams(requestAgain(box, new URLSearchParams('a=b'), undefined)).get('newer_than') ?? '',
};
/** The only one that says why not. */
function breakGlassTicket(text: string): unknown {
  try {
    return openBreakGlassTicket({ secrets: box, now: () => 0 } as LoginParts, text);
  } catch (error) {
    expect(error).toMatchObject({ name: 'GatewayError', code: 'malformed_request' });
    return undefined;
  }
}

const OPENERS: Readonly<Record<string, (text: string) => unknown>> = {
  attempt: (text) => openTransactions(box, new Map([[attempt.id, text]]), NOW)[0],
  'test attempt': (text) => openTransactions(box, new Map([[testAttempt.id, text]]), NOW)[0],
  confirmation: (text) => openConfirmation(box, attempt, text),
  'host request': (text) => openHostRequest(box, text, NOW),
  'host ticket': (text) => openTicket(box, text, NOW),
  'test link': (text) => openTestTicket(box, text),
  'break-glass link': (text) => breakGlassTicket(text),
  'newer than': (text) => box.open('authorization-request', placeOf(new URLSearchParams('a=b')), text),
};

describe('what a browser carries', () => {
  const cases = Object.entries(OPENERS);

  it.each(cases)('S-04 opens in its own place and in none of the others: %s', (name, open) => {
    const found = Object.entries(SEALED).filter(([, text]) => open(text) !== undefined);
    expect(found.map(([key]) => key)).toEqual([name]);
  });

  it.each(cases)('S-07 R-11 is as good as absent when it was damaged: %s', (name, open) => {
    const sealed = SEALED[name as keyof typeof SEALED];
    fc.assert(
      fc.property(fc.oneof(damaged(sealed), hostileText(), respelled(sealed)), (text) => {
        fc.pre(text !== sealed);
        expect(open(text)).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  it('O-11 an attempt opens under its own name alone, and while it is young', () => {
    fc.assert(
      fc.property(respelled(attempt.id), fc.integer({ min: -700, max: 700 }), (id, passed) => {
        const found = openTransactions(box, new Map([[id, SEALED.attempt]]), NOW + passed);
        expect(found.length).toBe(id === attempt.id && passed < 600 ? 1 : 0);
      }),
      RUNS,
    );
  });
});

describe('an authorization request', () => {
  const request = fc
    .array(fc.tuple(fc.constantFrom('client_id', 'scope', 'state', 'newer_than', 'a'), hostileText(3)), {
      maxLength: 4,
    })
    .map(
      (pairs) =>
        new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, value.toWellFormed()])),
    );

  it('T-12 two that differ have different places', () => {
    fc.assert(
      fc.property(request, request, (one, other) => {
        const isSame = JSON.stringify([...one]) === JSON.stringify([...other]);
        expect(placeOf(one) === placeOf(other)).toBe(isSame);
      }),
      RUNS,
    );
  });

  it('P-01 what is sealed about one opens for that one alone', () => {
    fc.assert(
      fc.property(request, request, (one, other) => {
        const place = placeOf(one);
        const again = requestAgain(box, new URLSearchParams(one), undefined);
        const sealed = new URL(again, 'https://sso.example').searchParams.get('newer_than') ?? '';
        expect(again.startsWith('/oidc/auth?')).toBe(true);
        expect(box.open('authorization-request', place, sealed)).toMatch(/^\d+$/);
        if (placeOf(other) !== place) {
          expect(box.open('authorization-request', placeOf(other), sealed)).toBeUndefined();
        }
      }),
      { numRuns: 300 },
    );
  });

  it('R-03 one that another region sent goes on at the same path, and anything else stays what it is', () => {
    const place = request.map((parameters) => `/oidc/auth?${parameters.toString()}`);
    fc.assert(
      fc.property(
        fc.oneof(
          place,
          hostileText(6).map((text) => `/oidc/auth?newer_than=${text}`),
          fc.webUrl(),
        ),
        (text) => {
          const accepted = acceptedReturnTo(text, 'https://sso.example', []);
          const adopted = adoptedRequest(box, accepted, undefined);
          if (accepted?.includes('newer_than') === true) expect(adopted).toMatch(/^\/oidc\/auth\?/);
          else expect(adopted).toBe(accepted);
        },
      ),
      RUNS,
    );
  });
});
