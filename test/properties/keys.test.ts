/** T-12 as a law: whatever is put together of parts comes apart in one way only, so that nobody is found under somebody else's. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { memoryKey } from '../../src/hosts/verify-cookie.ts';
import { addressBlock } from '../../src/http/request-facts.ts';
import { refreshTokenPlace } from '../../src/sessions/session.ts';
import { hostileText } from './hostile.ts';

const RUNS = { numRuns: 1_000 };

describe('keys of several parts', () => {
  const canonicalHost = fc.domain().chain((text) => fc.constantFrom(text, `${text}:8443`));

  it('T-12 a host and a digest, an organization and a connection and a session, come apart in one way', () => {
    const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(canonicalHost, digest, canonicalHost, digest, (host, one, other, two) => {
        expect(memoryKey(host, one) === memoryKey(other, two)).toBe(host === other && one.equals(two));
        expect(memoryKey(host, one.toString('hex'))).toBe(memoryKey(host, one));
      }),
      RUNS,
    );
    fc.assert(
      fc.property(fc.uuid(), fc.uuid(), fc.uuid(), fc.uuid(), (a, b, c, d) => {
        const secretDigest = randomBytes(32);
        const place = (organizationId: string, connectionId: string) =>
          refreshTokenPlace({ organizationId, connectionId, secretDigest });
        expect(place(a, b) === place(c, d)).toBe(a === c && b === d);
      }),
      { numRuns: 100 },
    );
  });

  it('D-04 T-12 every spelling of an address is in one block, and two sites never are', () => {
    const ipv6 = fc.array(fc.oneof(fc.constant(0), fc.nat({ max: 0xffff })), { minLength: 8, maxLength: 8 });
    const spell = (groups: readonly number[]) => groups.map((group) => group.toString(16)).join(':');
    fc.assert(
      fc.property(ipv6, ipv6, (one, other) => {
        const mapped = (groups: readonly number[]) => groups.slice(0, 6).join() === '0,0,0,0,0,65535';
        fc.pre(!mapped(one) && !mapped(other));
        const isOneSite = one.slice(0, 4).join() === other.slice(0, 4).join();
        expect(addressBlock(spell(one)) === addressBlock(spell(other))).toBe(isOneSite);
        const spellings = [
          spell(one),
          new URL(`http://[${spell(one)}]`).hostname,
          `[${spell(one)}]:443`,
          spell(one).toUpperCase(),
        ];
        expect(
          new Set(spellings.map((text) => addressBlock(text.replace(/^\[([^\]]*)\]$/, '$1')))).size,
        ).toBe(1);
      }),
      RUNS,
    );
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV4(), (one, other) => {
        expect(addressBlock(one) === addressBlock(`::ffff:${other}`)).toBe(one === other);
        expect(addressBlock(`${one}:443`)).toBe(one);
      }),
      RUNS,
    );
    fc.assert(
      fc.property(fc.option(hostileText(), { nil: undefined }), (text) => {
        expect(typeof addressBlock(text)).toBe('string');
      }),
      RUNS,
    );
  });
});
