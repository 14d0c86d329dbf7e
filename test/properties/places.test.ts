/** Group R as laws: whatever is asked for, a browser stays on an allowed origin, by the URL standard's parser and not by ours. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { safeHref, safeImageSource } from '../../src/http/pages/safe-href.ts';
import { placeBoundHere, returnToForUrl } from '../../src/login/return-to-elsewhere.ts';
import { acceptedReturnTo } from '../../src/login/return-to.ts';
import { parseUrl } from '../../src/parse-url.ts';
import { repeated } from '../http/growth.ts';
import { hostileText, hostileValue, respelled } from './hostile.ts';
import { expectGrowthBelow, expectLinearTime } from './proportion.ts';

const RUNS = { numRuns: 3_000 };
const OWN = 'https://sso.example';
const APPS = ['https://app.example', 'http://localhost:8080'];
const ALLOWED = [OWN, ...APPS];

const BEGINNINGS = [
  ...['', '/', '//', '/\\', '/.', '/./', '/.//', '/..//', '///', '\\', '?', '#', '@', '.', '\t/', ' /'],
  ...ALLOWED,
  ...ALLOWED.map((origin) => `${origin}/`),
  ...ALLOWED.map((origin) => `${origin}@`),
  ...ALLOWED.map((origin) => origin.replace('://', '://user@')),
  ...[
    'https:',
    'https:/',
    'http://sso.example/',
    'HTTPS://SSO.EXAMPLE/',
    'https://evil.example/',
    'javascript:',
  ],
];
const place = fc
  .tuple(fc.constantFrom(...BEGINNINGS), hostileText(10))
  .map((parts) => parts.join(''))
  .chain((text) => respelled(text, 2));

/** How a browser at our origin reads a Location, and how one reads the path of it again. */
function expectStays(found: string): void {
  expect(found).not.toMatch(/^[/\\]{2}|[\\\s\p{Cc}]|[^\x21-\x7e]/u);
  const url = new URL(found, `${OWN}/v3/api/user`);
  expect(ALLOWED).toContain(url.origin);
  expect([url.username, url.password]).toEqual(['', '']);
  expect(/^https?:$/.test(url.protocol)).toBe(true);
  if (!found.startsWith('/')) return;
  expect(url.origin).toBe(OWN);
  expect(new URL(url.pathname, OWN).origin).toBe(OWN);
}

describe('return_to', () => {
  it('R-01 R-02 R-03 R-04 R-05 R-06 R-07 R-08 R-09 never leads away from the allowed origins', () => {
    let accepted = 0;
    fc.assert(
      fc.property(place, (text) => {
        const found = acceptedReturnTo(text, OWN, APPS);
        if (found === undefined) return;
        accepted += 1;
        expectStays(found);
        expect(found.length).toBeLessThanOrEqual(2_048);
      }),
      RUNS,
    );
    expect(accepted).toBeGreaterThan(50);
  });

  it('R-06 R-07 is the place that a browser would have gone to itself', () => {
    fc.assert(
      fc.property(place, (text) => {
        const found = acceptedReturnTo(text, OWN, APPS);
        if (found === undefined) return;
        // An empty query or fragment leads nowhere else.
        const [reached, asked] = [found, text].map((it) => new URL(it, OWN).href.replace(/\??#?$/, ''));
        expect(reached).toBe(asked);
      }),
      RUNS,
    );
  });

  it('R-11 what was accepted is accepted again, unchanged', () => {
    fc.assert(
      fc.property(place, (text) => {
        const found = acceptedReturnTo(text, OWN, APPS);
        if (found !== undefined) expect(acceptedReturnTo(found, OWN, APPS)).toBe(found);
      }),
      RUNS,
    );
  });

  it('R-10 H-15 any value is a place or none: nothing is thrown', () => {
    fc.assert(
      fc.property(fc.oneof(hostileValue, hostileText(300), fc.webUrl()), (value) => {
        const found = acceptedReturnTo(value, OWN, APPS);
        if (found !== undefined) expectStays(found);
      }),
      RUNS,
    );
  });

  it('R-13 what is inside of a place is not unwrapped', () => {
    fc.assert(
      fc.property(hostileText(6), (text) => {
        const asked = `/a?next=${encodeURIComponent(text.toWellFormed())}`;
        expect(acceptedReturnTo(asked, OWN, APPS)).toBe(new URL(asked, OWN).href.slice(OWN.length));
      }),
      RUNS,
    );
  });
});

describe('return_to of another region', () => {
  const someone = fc.constantFrom(
    'ada@acme.example',
    'ada%40acme.example',
    'ada%2540acme.example',
    'a%25%34%30b',
  );
  const request = fc
    .tuple(
      fc.constantFrom('/', '/oidc/auth', '/device', 'https://app.example/', 'https://evil.example/x'),
      fc.array(
        fc.tuple(
          fc.constantFrom('login_hint', 'id_token_hint', 'login%5Fhint', 'state', 'a'),
          fc.oneof(someone, hostileText(4)),
        ),
        { maxLength: 4 },
      ),
      fc.oneof(fc.constant(''), someone, hostileText(3)),
    )
    .map(([path, query, hash]) => `${path}?${query.map((pair) => pair.join('=')).join('&')}#${hash}`);

  /** However often it is encoded, found by decoding until nothing changes. */
  function decodedWhole(text: string): string {
    const once = text.replace(/%[0-9a-f]{2}/gi, (escape) =>
      String.fromCharCode(Number.parseInt(escape.slice(1), 16)),
    );
    return once === text ? text : decodedWhole(once);
  }

  it('R-13 goes into a URL without a person, and to where it would have gone', () => {
    let kept = 0;
    fc.assert(
      fc.property(fc.oneof(request, place), (text) => {
        const found = returnToForUrl(text, OWN);
        if (found === undefined) return;
        kept += 1;
        const [url, asked] = [new URL(found, OWN), new URL(text, OWN)];
        expect([url.origin, url.pathname]).toEqual([asked.origin, asked.pathname]);
        expect(url.searchParams.has('login_hint') || url.searchParams.has('id_token_hint')).toBe(false);
        for (const part of [url.pathname, url.search, url.hash]) {
          expect(decodedWhole(part)).not.toMatch(/[^\s@/?&=#]@[^\s@]/);
        }
        expect(returnToForUrl(found, OWN)).toBe(found);
      }),
      RUNS,
    );
    expect(kept).toBeGreaterThan(50);
  });

  it('R-06 what only this region knows is a path of this origin', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          place,
          hostileText(3).map((text) => `/device${text}`),
        ),
        (text) => {
          const found = placeBoundHere(text, OWN);
          if (found === undefined) return;
          expectStays(found);
          expect(['/device', '/auth/host']).toContain(new URL(found, OWN).pathname);
        },
      ),
      RUNS,
    );
  });
});

describe('links of pages', () => {
  it('R-08 W-01 lead to a web page, a mailbox or a path of this host', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          place,
          fc.webUrl(),
          hostileText(6).map((text) => `mailto:${text}`),
        ),
        (text) => {
          const href = safeHref(text);
          if (href === undefined) return;
          expect(href).toBe(text);
          const url = parseUrl(href, `${OWN}/login`);
          expect(['https:', 'http:', 'mailto:']).toContain(url?.protocol);
          if (href.startsWith('/')) expect(url?.origin).toBe(OWN);
          if (safeImageSource(text) !== undefined) expect(url?.protocol).not.toBe('mailto:');
        },
      ),
      RUNS,
    );
  });
});

describe('URLs', () => {
  it('H-15 any text is a URL or none: nothing is thrown', () => {
    fc.assert(
      fc.property(
        fc.oneof(hostileText(), place),
        fc.option(fc.oneof(hostileText(4), fc.constant(OWN)), { nil: undefined }),
        (text, base) => {
          const url = parseUrl(text, base);
          if (url !== undefined) expect(parseUrl(url.href)?.href).toBe(url.href);
        },
      ),
      RUNS,
    );
  });
});

describe('time', () => {
  it.each([
    ['a place', (text: string) => acceptedReturnTo(text, OWN, APPS)],
    ['a link', safeHref],
    ['a place of another region', (text: string) => returnToForUrl(text, OWN)],
    ['a place of this region', (text: string) => placeBoundHere(text, OWN)],
  ])('D-08 grows in proportion to the text: %s', (_, read) => {
    const heads = ['/', '/?', '/#', `${OWN}/`] as const;
    expectLinearTime(read, { heads });
    // As long as a place may be.
    expectLinearTime(read, { heads, longest: 2_048 });
  });

  it('R-13 what is encoded too often to be read goes into no URL', () => {
    const encoded = (times: number) => `%2${'%3'.repeat(times)}5`;
    expect(returnToForUrl(`/x?a=${encoded(3)}&b=c`, OWN)).toBe(`/x?a=${encoded(3)}&b=c`);
    expect(returnToForUrl(`/x?a=${encoded(20)}&b=c`, OWN)).toBe('/x?b=c');
    expect(returnToForUrl(`/${encoded(20)}`, OWN)).toBeUndefined();
  });

  it.each([
    ['all at once', repeated('25', '/?ab=%', '40')],
    ['one after the other', repeated('%3', '/?ab=%2', '5')],
  ])('D-08 does not grow with how often a place is encoded: %s', (_, place) => {
    // It is about 5; what reads a place as often as it is encoded takes thirty times as long, or fifty.
    expectGrowthBelow(16, (text) => returnToForUrl(text, OWN), place, 2_048);
  });
});
