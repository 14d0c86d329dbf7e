/** Group R at the one validator: what it refuses, what it accepts, and what it makes of that. */
import { describe, expect, it } from '@jest/globals';
import { acceptedReturnTo } from '../../src/login/return-to.ts';
import { LINEAR_GROWTH, repeated, timeGrowth } from '../http/growth.ts';
import { APP_ORIGIN, goodPlaces, hostilePlaces } from './hostile-places.ts';

const OWN_ORIGINS = ['http://localhost:3000', 'https://sso.example'];

describe.each(OWN_ORIGINS)('return_to at %s', (own) => {
  const accepted = (value: unknown, origins: readonly string[] = [APP_ORIGIN]) =>
    acceptedReturnTo(value, own, origins);

  it.each(hostilePlaces(own))('%s refuses %j', (_, value) => {
    expect(accepted(value)).toBeUndefined();
  });

  it.each(goodPlaces(own))('accepts %s', (value, lands) => {
    expect(accepted(value)).toBe(lands);
  });

  it.each([
    [undefined],
    [null],
    [0],
    [['/dashboard']],
    [['/dashboard', '//evil.example']],
    [{ path: '/' }],
    [true],
  ])('R-10 refuses what is no text (%#)', (value) => {
    expect(accepted(value)).toBeUndefined();
  });

  it('refuses every other origin where none is named', () => {
    expect(accepted(`${APP_ORIGIN}/x`, [])).toBeUndefined();
    expect(accepted('/x', [])).toBe('/x');
  });

  it('R-03 is never more than it was: what it accepts, it accepts again unchanged, on the same origin', () => {
    const parts = [
      '/',
      '//',
      '\\',
      '.',
      '..',
      '%2e',
      '%2f',
      '%5c',
      '@',
      ':',
      '?',
      '#',
      'evil.example',
      own,
      APP_ORIGIN,
    ];
    let count = 0;
    for (const a of parts) {
      for (const b of parts) {
        for (const c of parts) {
          const place =
            accepted(`/${a}${b}${c}`) ??
            accepted(`${own}${a}${b}${c}`) ??
            accepted(`${APP_ORIGIN}${a}${b}${c}`);
          if (place === undefined) continue;
          count += 1;
          expect(accepted(place)).toBe(place);
          expect([own, APP_ORIGIN]).toContain(new URL(place, own).origin);
          expect(place).toMatch(/^(\/(?![/\\])|https:\/\/app\.example\/)/);
        }
      }
    }
    expect(count).toBeGreaterThan(1_000);
  });

  it('S-05 never grows beyond what a cookie holds', () => {
    for (let code = 0x21; code < 0x7f; code += 1) {
      for (const prefix of ['/', '/?', '/#', `${APP_ORIGIN}/`]) {
        for (const length of [300, 2_000, 2_044]) {
          const place = accepted(`${prefix}${String.fromCharCode(code).repeat(length)}`);
          expect(place?.length ?? 0).toBeLessThanOrEqual(2_048);
        }
      }
    }
  });

  it.each([
    ['slashes', repeated('/')],
    ['dots', repeated('/..', '')],
    ['a path', repeated('a/', '/')],
    ['escapes', repeated('%2e', '/')],
  ])('D-08 takes time in proportion: %s', (_, input) => {
    expect(timeGrowth(accepted, input)).toBeLessThan(LINEAR_GROWTH);
  });
});
