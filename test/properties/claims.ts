/** Claims of which most are as they should be and some are hostile, and what may become of the tokens that hold them. */
import { expect } from '@jest/globals';
import fc from 'fast-check';
import { GatewayError, type FailureCode } from '../../src/errors.ts';
import { hostileObject, hostileValue, respelled } from './hostile.ts';

/** What every clock says, in seconds. */
export const NOW = 1_800_000_000;

/** What the work gives, or undefined for one of these refusals; everything else that is thrown is a defect. */
export async function orRefused<Result>(
  codes: readonly FailureCode[],
  work: () => Result | Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    expect(codes).toContain(error.code);
    expect(error.context.reason).toMatch(/^[\x20-\x7e]{3,200}$/);
    return undefined;
  }
}

export const EMAILS = [
  'ada@acme.example',
  'ADA@Acme.example',
  "o'neil@b\u00fccher.example",
  '__proto__@acme.example',
];
const email = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...EMAILS) },
  { weight: 2, arbitrary: fc.constantFrom(...EMAILS).chain((text) => respelled(text)) },
  { weight: 1, arbitrary: hostileValue },
);
const time = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: NOW - 700, max: NOW + 700 }) },
  { weight: 1, arbitrary: fc.double({ min: NOW - 1, max: NOW + 1 }) },
  { weight: 1, arbitrary: hostileValue },
);

/** Claims of which most are as they should be, so that every rule is reached. */
export const claims = fc
  .tuple(
    fc.record(
      {
        email,
        exp: fc.oneof({ weight: 3, arbitrary: fc.constant(NOW + 60) }, time),
        iat: fc.oneof({ weight: 3, arbitrary: fc.constant(NOW) }, time),
        nbf: time,
        sub: fc.oneof({ weight: 3, arbitrary: fc.constant('a subject') }, hostileValue),
        iss: fc.oneof({ weight: 5, arbitrary: fc.constant('https://issuer.example') }, hostileValue),
        aud: fc.oneof({ weight: 5, arbitrary: fc.constant('gatehouse') }, hostileValue),
        jti: hostileValue,
        name: hostileValue,
        amr: hostileValue,
        email_verified: fc.oneof(fc.constant(true), hostileValue),
      },
      { requiredKeys: ['email', 'exp', 'iat', 'sub', 'iss', 'aud'] },
    ),
    fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, hostileObject),
  )
  .map(([usual, more]): Record<string, unknown> => ({ ...more, ...usual }));
