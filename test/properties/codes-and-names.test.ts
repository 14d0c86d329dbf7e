/** What people type and are called, as laws: a user code has one canonical form, and a name shows as it is or not at all. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalUserCode, spelledUserCode, userCodeDigest } from '../../src/provider/user-code.ts';
import { displayName } from '../../src/users/user.ts';
import { hostileText, hostileValue, respelled } from './hostile.ts';
import { expectLinearTime } from './proportion.ts';

const RUNS = { numRuns: 1_000 };

describe('a user code', () => {
  const code = fc.string({
    unit: fc.constantFrom(...'BCDFGHJKLMNPQRSTVWXZ'.split('')),
    minLength: 8,
    maxLength: 8,
  });
  const noise = fc.constantFrom('', ' ', '-', '\u2013', '\u00a0', '\t');

  it('P-21 is one code in every case and with every hyphen, and another for another', () => {
    fc.assert(
      fc.property(code, code, fc.array(noise, { minLength: 8, maxLength: 8 }), (one, other, between) => {
        const spelled = Array.from(
          one,
          (letter, at) => (at % 2 === 0 ? letter.toLowerCase() : letter) + (between[at] ?? ''),
        ).join('');
        const read = canonicalUserCode(spelled);
        expect(read).toBe(one);
        if (read === undefined) return;
        expect(canonicalUserCode(spelledUserCode(read))).toBe(read);
        const second = canonicalUserCode(other);
        expect(second !== undefined && userCodeDigest(second).equals(userCodeDigest(read))).toBe(
          one === other,
        );
      }),
      RUNS,
    );
  });

  it('P-21 any value is a code or none: no letter of another alphabet becomes one of a code', () => {
    const text = fc.oneof(
      hostileValue,
      hostileText(10),
      code.chain((letters) => respelled(letters)),
    );
    fc.assert(
      fc.property(text, (value) => {
        const read = canonicalUserCode(value);
        if (read === undefined) return;
        expect(
          String(value)
            .replace(/[^A-Za-z]/g, '')
            .toUpperCase(),
        ).toBe(read);
      }),
      RUNS,
    );
  });
});

describe('a name', () => {
  it('W-07 any value is a name or none, and one is neither empty nor reorders what is around it', () => {
    fc.assert(
      fc.property(fc.oneof(hostileValue, hostileText(), hostileText(300)), (value) => {
        const name = displayName(value);
        if (name === undefined) return;
        expect(displayName(name)).toBe(name);
        expect(name.isWellFormed()).toBe(true);
        expect(name).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069]|^\s|\s$|^$/u);
      }),
      RUNS,
    );
  });

  it.each([
    ['a code', canonicalUserCode],
    ['a name', displayName],
  ])('D-08 is read in time that grows in proportion to it: %s', (_, read) => {
    expectLinearTime(read, { heads: ['', 'B', ' '] });
  });
});
