/** Cookies as laws: what a browser sends is ours and the only one of its name, or as good as absent. */
import { randomBytes } from 'node:crypto';
import type { Request } from 'express';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { cookieValue, gatehouseCookies } from '../../src/http/cookies.ts';
import { sessionDigest } from '../../src/sessions/session.ts';
import { hostileText, respelled } from './hostile.ts';
import { expectLinearTime } from './proportion.ts';

const RUNS = { numRuns: 2_000 };

describe('cookies', () => {
  const cookies = gatehouseCookies(true);
  const asking = (cookie: string) => ({ headers: { cookie } }) as unknown as Request;
  const NAMES = ['session', 'login-a', 'login-', 'confirm-a', 'device', 'lot', 'host', 'nonce', 'host-8443'];
  const name = fc.oneof(
    fc.constantFrom(...NAMES).map((text) => `__Host-gatehouse-${text}`),
    fc.constantFrom('gatehouse-session', '__host-gatehouse-session', '__proto__', ''),
    fc.constant('__Host-gatehouse-session').chain((text) => respelled(text, 1)),
  );
  const value = fc.oneof(fc.constantFrom('abc', 'x.y-z_0', '17', ''), hostileText(4));
  const header = fc
    .array(
      fc.oneof(
        fc.tuple(name, value).map((pair) => pair.join('=')),
        hostileText(4),
      ),
      { maxLength: 6 },
    )
    .chain((pairs) => fc.constantFrom('; ', ';', ' ;\t').map((separator) => pairs.join(separator)));

  /** By the letter of RFC 6265 section 5.4: pairs with semicolons between them, and white space that means nothing. */
  function only(text: string, wanted: string): string | undefined {
    const values = text
      .split(';')
      .map((pair) => pair.replace(/^[ \t]+|[ \t]+$/g, ''))
      .filter((pair) => pair.startsWith(`${wanted}=`))
      .map((pair) => pair.slice(wanted.length + 1));
    return values.length === 1 ? values[0] : undefined;
  }

  it('S-06 S-07 H-15 a cookie is the only one of its name and of our letters, or absent', () => {
    let found = 0;
    fc.assert(
      fc.property(header, (text) => {
        const expected = only(text, cookies.sessionName);
        const read = cookies.session(asking(text));
        expect(read).toBe(
          expected !== undefined && /^[A-Za-z0-9._-]+$/.test(expected) ? expected : undefined,
        );
        expect(cookieValue(text, cookies.sessionName)).toBe(read);
        if (read !== undefined) found += 1;
      }),
      RUNS,
    );
    expect(found).toBeGreaterThan(30);
  });

  it('S-04 every other reader finds what is its own', () => {
    fc.assert(
      fc.property(header, (text) => {
        const request = asking(text);
        for (const [id, sealed] of cookies.attempts(request)) {
          expect(only(text, `__Host-gatehouse-login-${id}`)).toBe(sealed);
        }
        const lot = cookies.lot(request);
        if (lot !== undefined) expect(lot >= 0 && lot < 10_000).toBe(true);
        expect(cookies.host(request, 'app.example') ?? only(text, '__Host-gatehouse-host')).toBe(
          only(text, '__Host-gatehouse-host'),
        );
        expect(cookies.deviceClaim(request) ?? only(text, '__Host-gatehouse-device')).toBe(
          only(text, '__Host-gatehouse-device'),
        );
        expect({}).not.toHaveProperty('polluted');
      }),
      RUNS,
    );
  });

  it('S-07 a session secret has one spelling', () => {
    const secret = randomBytes(32).toString('base64url');
    fc.assert(
      fc.property(fc.oneof(respelled(secret), hostileText(43)), (text) => {
        const digest = sessionDigest(text);
        if (digest === undefined) return;
        expect(text).toMatch(/^[\w-]{43}$/);
        expect(digest.equals(sessionDigest(secret) ?? Buffer.alloc(0))).toBe(text === secret);
      }),
      RUNS,
    );
  });

  it('D-08 are read in time that grows in proportion to the header', () => {
    const read = (text: string) => [cookies.session(asking(text)), cookieValue(text, cookies.sessionName)];
    expectLinearTime(read, { heads: ['', cookies.sessionName, `${cookies.sessionName}=`] });
  });
});
