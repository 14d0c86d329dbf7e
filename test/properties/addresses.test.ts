/** Groups D and E as laws: one canonical spelling for everybody and every domain, and nobody shares one with somebody else. */
import { domainToUnicode } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalHost } from '../../src/hosts/host.ts';
import { canonicalDomain, type DomainName } from '../../src/organizations/domain-name.ts';
import { canonicalEmail } from '../../src/organizations/email-address.ts';
import { isSlug } from '../../src/organizations/organization.ts';
import { hostileText, hostileValue, respelled } from './hostile.ts';
import { expectLinearTime } from './proportion.ts';

const RUNS = { numRuns: 2_000 };

const ADDRESSES = [
  'ada@acme.example',
  'ADA@ACME.EXAMPLE',
  'kim.sam+news@acme.example',
  "o'neil@b\u00fccher.example",
  'o\u0027neil@xn--bcher-kva.example',
  '__proto__@acme.example',
  'constructor@sub.acme.example',
  'fiss@stra\u00dfe.example',
  'fiss@strasse.example',
  'a@\u05d0.example',
  'a@\u03c3.example',
  'a@\u03c2.example',
];
const address = fc.constantFrom(...ADDRESSES).chain((text) => respelled(text));

/** The URL standard's own reading of a host: Node's parser, by another door than the product's. */
function hostOf(domain: string): string | undefined {
  try {
    return new URL(`https://${domain}/`).hostname;
  } catch {
    return undefined;
  }
}

/** A to Z folded by their numbers, and nothing else. */
const folded = (text: string) =>
  Array.from(text, (character) =>
    character >= 'A' && character <= 'Z' ? String.fromCharCode(character.charCodeAt(0) + 32) : character,
  ).join('');

/** Whom an address names, found without the product. */
function personOf(text: string): string {
  const at = text.lastIndexOf('@');
  return `${folded(text.slice(0, at))}@${String(hostOf(text.slice(at + 1)))}`;
}

describe('addresses', () => {
  it('E-01 E-11 any value is an address or is not: nothing is thrown', () => {
    fc.assert(
      fc.property(fc.oneof(hostileValue, hostileText(300), address), (value) => {
        const read = canonicalEmail(value);
        if (read === undefined) return;
        expect(typeof value).toBe('string');
        expect(read.address).toMatch(/^[\x21-\x7e]{3,254}$/);
        expect(read.address.endsWith(`@${read.domain}`)).toBe(true);
      }),
      RUNS,
    );
  });

  it('E-14 E-17 what is canonical stays as it is', () => {
    fc.assert(
      fc.property(address, (text) => {
        const once = canonicalEmail(text);
        if (once !== undefined) expect(canonicalEmail(once.address)).toEqual(once);
      }),
      RUNS,
    );
  });

  it('E-12 E-13 E-15 E-16 E-18 two spellings are one person if and only if they name one', () => {
    let same = 0;
    let different = 0;
    fc.assert(
      fc.property(address, address, (one, other) => {
        const [first, second] = [canonicalEmail(one)?.address, canonicalEmail(other)?.address];
        if (first === undefined || second === undefined) return;
        const isOnePerson = personOf(one) === personOf(other);
        if (isOnePerson) same += 1;
        else different += 1;
        expect(first === second).toBe(isOnePerson);
      }),
      { numRuns: 4_000 },
    );
    expect(same).toBeGreaterThan(20);
    expect(different).toBeGreaterThan(200);
  });

  it('E-05 E-06 E-10 E-12 what it accepts differs from its canonical form in the case of A to Z and in A-labels alone', () => {
    fc.assert(
      fc.property(address, (text) => {
        const read = canonicalEmail(text);
        if (read === undefined) return;
        const [local, domain] = folded(text).split('@', 2);
        expect(read.address.split('@')[0]).toBe(local);
        expect([read.domain, domainToUnicode(read.domain)]).toContain(domain);
      }),
      RUNS,
    );
  });

  it('E-02 E-08 an address has one domain, whatever is before it', () => {
    fc.assert(
      fc.property(hostileText(6), hostileText(6), (before, between) => {
        const read = canonicalEmail(`${before}@${between}@acme.example`);
        expect(read).toBeUndefined();
        const plain = canonicalEmail(`${before}@acme.example`);
        if (plain !== undefined) expect(plain.domain).toBe('acme.example');
      }),
      RUNS,
    );
  });
});

const DOMAINS = [
  'acme.example',
  'b\u00fccher.example',
  'xn--bcher-kva.example',
  'a-b--c.example',
  '3com.example',
];
const domain = fc
  .oneof(
    fc.constantFrom(...DOMAINS),
    fc.domain(),
    hostileText(8).map((text) => `${text}.example`),
  )
  .chain((text) => respelled(text));

describe('domains', () => {
  it('D-05 D-06 any value is a domain or is not, and what is canonical stays as it is', () => {
    fc.assert(
      fc.property(fc.oneof(hostileValue, hostileText(300), domain), (value) => {
        const name = canonicalDomain(value);
        if (name === undefined) return;
        expect(name).toMatch(/^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/);
        expect(name.length).toBeLessThanOrEqual(253);
        expect(canonicalDomain(name)).toBe(name);
        expect(canonicalDomain(`${name}.`)).toBe(name);
      }),
      RUNS,
    );
  });

  it('D-05 E-16 E-18 E-20 is the name that a URL of it leads to', () => {
    let found = 0;
    fc.assert(
      fc.property(domain, (text) => {
        const name = canonicalDomain(text);
        if (name === undefined) return;
        found += 1;
        expect(hostOf(text)?.replace(/\.$/, '')).toBe(name);
      }),
      RUNS,
    );
    expect(found).toBeGreaterThan(50);
  });

  it('D-06 a URL of it is never an IP address', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(fc.nat({ max: 300 }).map(String), fc.constantFrom('0x7f', '0x', '010', '1e2', 'a')),
          {
            minLength: 1,
            maxLength: 5,
          },
        ),
        (labels) => {
          const name = canonicalDomain(labels.join('.'));
          if (name !== undefined) expect(hostOf(name)).toBe(name);
          if (/^[\d.]+$/.test(hostOf(labels.join('.')) ?? '')) expect(name).toBeUndefined();
        },
      ),
      RUNS,
    );
  });
});

describe('names of organizations and hosts', () => {
  it('a slug is one DNS label, which stands in a URL as it is', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          hostileText(10),
          fc.domain().chain((text) => respelled(text)),
        ),
        (text) => {
          if (!isSlug(text)) return;
          expect(encodeURIComponent(text)).toBe(text);
          // One that looks like an A-label and is none is a slug, and no label of a domain.
          if (!text.startsWith('xn--'))
            expect(canonicalDomain(`${text}.example`)).toBe(`${text}.example` as DomainName);
        },
      ),
      RUNS,
    );
  });

  it('H-01 a host has one spelling, which is where a URL of it leads', () => {
    const host = fc
      .tuple(domain, fc.constantFrom('', ':80', ':443', ':8443', ':0', ':65536', ':08443'))
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.oneof(host, hostileText(8)), (text) => {
        const name = canonicalHost(text);
        if (name === undefined) return;
        expect(canonicalHost(name)).toBe(name);
        const url = new URL(`https://${name}/`);
        expect([url.host, url.pathname, url.search, url.username]).toEqual([name, '/', '', '']);
      }),
      RUNS,
    );
  });
});

describe('time', () => {
  const readers: readonly (readonly [string, (text: string) => unknown])[] = [
    ['an address', canonicalEmail],
    ['a domain', canonicalDomain],
    ['a host', canonicalHost],
    ['a slug', isSlug],
  ];

  it.each(readers)('D-08 grows in proportion to the text: %s', (_, read) => {
    expectLinearTime(read, { heads: ['', 'a@', 'a', 'a.'], tail: '@acme.example' });
  });
});
