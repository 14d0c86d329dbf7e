/** Group F as laws: where calls may go, against the registries' own arithmetic and the URL parser of Node. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { urlObjection, type OutboundPolicy } from '../../src/outbound/guarded-fetch.ts';
import { isPublicAddress } from '../../src/outbound/public-address.ts';
import { hostileText, respelled } from './hostile.ts';
import { expectLinearTime } from './proportion.ts';

const RUNS = { numRuns: 2_000 };
const OWN = 'https://sso.example';
const outside: OutboundPolicy = { allowPrivateNetworks: false, publicUrl: OWN };
const inside: OutboundPolicy = { allowPrivateNetworks: true, publicUrl: OWN };

/** IANA's special-purpose registry of IPv4 (RFC 6890) and multicast, as first number, last number. */
const SPECIAL = [
  ...[
    '0.0.0.0-0.255.255.255',
    '10.0.0.0-10.255.255.255',
    '100.64.0.0-100.127.255.255',
    '127.0.0.0-127.255.255.255',
  ],
  ...[
    '169.254.0.0-169.254.255.255',
    '172.16.0.0-172.31.255.255',
    '192.0.0.0-192.0.0.255',
    '192.0.2.0-192.0.2.255',
  ],
  ...['192.88.99.0-192.88.99.255', '192.168.0.0-192.168.255.255', '198.18.0.0-198.19.255.255'],
  ...['198.51.100.0-198.51.100.255', '203.0.113.0-203.0.113.255', '224.0.0.0-255.255.255.255'],
  '168.63.129.16-168.63.129.16',
].map((range) => range.split('-').map(numberOf));

function numberOf(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

const isSpecial = (number: number) =>
  SPECIAL.some(([first = 0, last = 0]) => first <= number && number <= last);
const dotted = (number: number) => [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.');

/** Any address, and those at the edges of the ranges more often. */
const ipv4 = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  fc
    .tuple(fc.constantFrom(...SPECIAL.flat()), fc.integer({ min: -2, max: 2 }))
    .map(([edge, step]) => Math.min(2 ** 32 - 1, Math.max(0, edge + step))),
);

/** Other spellings that the URL standard reads as the same address. */
const spelledInUrl = (number: number) => {
  const bytes = [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff);
  const low = (number & 0xffffff) >>> 0;
  return fc.constantFrom(
    dotted(number),
    String(number),
    `0x${number.toString(16)}`,
    `0${number.toString(8)}`,
    `${String(bytes[0])}.${low}`,
    bytes.map((byte) => `0x${byte.toString(16)}`).join('.'),
    bytes.map((byte) => `0${byte.toString(8)}`).join('.'),
    `${dotted(number)}.`,
    dotted(number).replaceAll('.', '\u3002'),
    dotted(number).replace(/\d/g, (digit) => String.fromCharCode(0xff10 + Number(digit))),
  );
};

describe('an address', () => {
  it('F-03 F-05 F-06 is public if and only if no registry keeps it for something else', () => {
    fc.assert(
      fc.property(ipv4, (number) => {
        expect(isPublicAddress(dotted(number))).toBe(!isSpecial(number));
      }),
      RUNS,
    );
  });

  it('F-04 of IPv6 that holds another is not public, whatever it holds', () => {
    fc.assert(
      fc.property(ipv4, fc.constantFrom('::ffff:', '::', '64:ff9b::', '64:ff9b:1::'), (number, prefix) => {
        expect(isPublicAddress(prefix + dotted(number))).toBe(false);
      }),
      RUNS,
    );
    const group = fc.oneof(fc.constant(0), fc.nat({ max: 0xffff }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const [first = 0, second = 0] = groups;
        const isGlobal =
          first >= 0x2000 &&
          first <= 0x3fff &&
          !(first === 0x2001 && (second < 0x200 || second === 0xdb8)) &&
          first !== 0x2002 &&
          !(first === 0x3fff && second < 0x1000);
        expect(isPublicAddress(groups.map((part) => part.toString(16)).join(':'))).toBe(isGlobal);
      }),
      RUNS,
    );
  });

  it('H-15 any text is an address or is not: nothing is thrown', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          hostileText(),
          fc.ipV4().chain((text) => respelled(text)),
          fc.ipV6(),
        ),
        (text) => {
          if (isPublicAddress(text)) expect(text).toMatch(/^[\d.]+$|^[\da-fA-F:.]+$/);
        },
      ),
      RUNS,
    );
  });
});

describe('the URL of a call', () => {
  it('F-03 F-05 leads to no special address, in any spelling', () => {
    const spelled = ipv4.chain((number) => fc.tuple(fc.constant(number), spelledInUrl(number)));
    fc.assert(
      fc.property(spelled, ([number, text]) => {
        const url = `https://${text}/`;
        // What the parser reads as this address.
        expect(new URL(url).hostname).toBe(dotted(number));
        expect(urlObjection(url, outside) === undefined).toBe(!isSpecial(number));
      }),
      RUNS,
    );
  });

  it('F-01 F-02 F-20 F-23 is plain: https, no user, no fragment, nobody but a provider', () => {
    const text = fc.oneof(
      fc.webUrl({ withFragments: true, withQueryParameters: true }),
      fc.webUrl().chain((url) => respelled(url)),
      fc
        .constantFrom(
          `${OWN}/x`,
          'https://SSO.example',
          'https://sso.example.:443/',
          'https://sso.example:8443',
        )
        .chain((url) => respelled(url, 2)),
      hostileText().map((rest) => `https://issuer.example/${rest}`),
      hostileText(),
      fc
        .tuple(fc.constantFrom('https:', 'http:', 'file:', 'ftp:', 'data:', 'https:\\\\'), hostileText(4))
        .map((parts) => parts.join('//')),
    );
    let allowed = 0;
    fc.assert(
      fc.property(text, fc.constantFrom(outside, inside), (address, policy) => {
        const objection = urlObjection(address, policy);
        if (objection !== undefined) {
          expect(objection).toMatch(/^[a-zA-Z0-9 ,]{5,80}$/);
          return;
        }
        allowed += 1;
        const url = new URL(address);
        expect(policy.allowPrivateNetworks ? ['https:', 'http:'] : ['https:']).toContain(url.protocol);
        expect([url.username, url.password, url.hash]).toEqual(['', '', '']);
        const isOwn = url.protocol === 'https:' && url.port === '' && /^sso\.example\.?$/.test(url.hostname);
        expect(isOwn).toBe(false);
        expect(['22', '25', '5432', '6379']).not.toContain(url.port);
      }),
      RUNS,
    );
    expect(allowed).toBeGreaterThan(50);
  });

  it('D-08 is judged in time that grows in proportion to it', () => {
    expectLinearTime((text) => urlObjection(text, outside), {
      heads: ['', 'https://', 'https://a.example/', 'https://a.example/?'],
    });
  });
});
