/** The configuration's text as a law: it is read, or all that is wrong with it is said and nothing that it holds. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ConfigError, readConfig, type Config } from '../../src/config.ts';
import { formatDuration, parseDuration } from '../../src/duration.ts';
import { Refusal } from '../../src/errors.ts';
import { readPublicKey } from '../../src/connections/jwt-callback/settings.ts';
import { parseDate } from '../../src/parse-date.ts';
import { rsaKeyPair } from '../support/test-gateway.ts';
import { damaged, hostileText, respelled } from './hostile.ts';
import { expectLinearTime } from './proportion.ts';

const RUNS = { numRuns: 500 };

/** Something good for each variable. */
const GOOD: Readonly<Record<string, string>> = {
  PUBLIC_URL: 'https://sso.example',
  HOST: '127.0.0.1',
  PORT: '3000',
  DATABASE_URL: 'postgres://user:a-database-password@db.example/name',
  DATA_DIR: '.data',
  SECRET_KEY: Buffer.alloc(32, 3).toString('base64'),
  ALLOW_PRIVATE_NETWORKS: 'false',
  RETURN_TO_ORIGINS: 'https://app.example,https://other.example:8443',
  REGION: 'eu',
  REGIONS: 'eu=https://sso.example,us=https://sso-us.example',
  TRUST_PROXY: '10.0.0.0/8,::1',
  SESSION_TTL: '12h',
  SESSION_IDLE_TTL: '2h',
  DNS_SERVERS: '10.0.0.1,[::1]:5353',
  DOMAIN_CHECK_INTERVAL: '1d',
  DOMAIN_GRACE: '7d',
  BRAND_NAME: 'Gatehouse',
  BRAND_LOGO_URL: 'https://app.example/logo.png',
  SUPPORT_URL: 'mailto:help@app.example',
  RATE_LIMITS: 'on',
  METRICS: 'off',
  METRICS_PORT: '9464',
  LOG_LEVEL: 'info',
};

/** A few variables are something else; the others are good or absent. */
const environment = fc
  .tuple(
    fc.subarray(Object.keys(GOOD)),
    fc.array(
      fc
        .constantFrom(...Object.keys(GOOD))
        .chain((name) =>
          fc.tuple(
            fc.constant(name),
            fc.oneof(hostileText(6), respelled(GOOD[name] ?? ''), damaged(GOOD[name] ?? '')),
          ),
        ),
      { maxLength: 3 },
    ),
  )
  .map(([absent, others]) =>
    Object.fromEntries([...Object.entries(GOOD).filter(([name]) => !absent.includes(name)), ...others]),
  );

const read = (env: Readonly<Record<string, string>>): Config | ConfigError => {
  try {
    return readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
};

describe('a configuration', () => {
  it('X-34 is read or refused, and nothing but a ConfigError is thrown', () => {
    let [good, bad] = [0, 0];
    fc.assert(
      fc.property(environment, (env) => {
        const config = read(env);
        if (config instanceof ConfigError) {
          bad += 1;
          expect(config.faults.length).toBeGreaterThan(0);
          return;
        }
        good += 1;
        const url = new URL(config.publicUrl);
        expect(url.origin).toBe(config.publicUrl);
        const isLoopback = /^(localhost|\[::1\]|127\.\d+\.\d+\.\d+)$/.test(url.hostname);
        // Away from loopback nothing is optional that safety depends on.
        if (!isLoopback) {
          expect([url.protocol, config.databaseUrl !== undefined]).toEqual(['https:', true]);
          expect(config.secretKeys?.every((key) => key.length === 32)).toBe(true);
          if (config.allowPrivateNetworks) expect(env['ALLOW_PRIVATE_NETWORKS']).toBe('true');
        }
        for (const origin of config.returnToOrigins) expect(new URL(origin).origin).toBe(origin);
        expect(config.sessionIdleTtlSeconds).toBeLessThanOrEqual(config.sessionTtlSeconds);
        expect(config.trustProxy).not.toBe(true);
      }),
      RUNS,
    );
    expect(Math.min(good, bad)).toBeGreaterThan(50);
  });

  it('X-34 W-08 says what is wrong without a value: no secret, no URL', () => {
    const value = fc.string({
      unit: fc.constantFrom(...'QJXZ9_%:/@'.split('')),
      minLength: 6,
      maxLength: 40,
    });
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(GOOD)), value, (name, text) => {
        const config = read({ ...GOOD, [name]: text });
        if (config instanceof ConfigError) expect(config.message).not.toContain(text);
      }),
      RUNS,
    );
  });
});

describe('durations and dates', () => {
  it('a duration is its shortest text again, and anything else is none', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.tuple(fc.nat(), fc.constantFrom('s', 'm', 'h', 'd', '')).map((parts) => parts.join('')),
          hostileText(3),
        ),
        (text) => {
          const seconds = parseDuration(text);
          if (seconds === undefined) return;
          expect(Number.isSafeInteger(seconds)).toBe(true);
          // Beyond nine digits it is none; no setting may be so long.
          if (seconds < 1e9) expect(parseDuration(formatDuration(seconds))).toBe(seconds);
        },
      ),
      RUNS,
    );
  });

  it('K-13 a date is a day that there is', () => {
    const date = fc
      .date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-12-31') })
      .map((day) => day.toISOString());
    fc.assert(
      fc.property(
        fc.oneof(
          date,
          date.map((text) => text.slice(0, 10)),
          date.chain((text) => respelled(text)),
          hostileText(),
        ),
        (text) => {
          const read = parseDate(text);
          if (read === undefined) return;
          expect(Number.isNaN(read.getTime())).toBe(false);
          if (text.length === 10) expect(read.toISOString().slice(0, 10)).toBe(text);
          else
            expect(Math.abs(read.getTime() - Date.parse(`${text.slice(0, 10)}T00:00Z`))).toBeLessThanOrEqual(
              2 * 86_400_000,
            );
        },
      ),
      RUNS,
    );
  });
});

describe('a key that is pasted', () => {
  it('J-39 is an RSA public key or refused without a word of it', () => {
    const pem = rsaKeyPair().publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const at = new Date();
    const good = readPublicKey(pem, at);
    fc.assert(
      fc.property(fc.oneof(damaged(pem), respelled(pem), hostileText()), (text) => {
        try {
          expect(readPublicKey(text, at).pem).toMatch(
            /^-----BEGIN PUBLIC KEY-----\n[^]+\n-----END PUBLIC KEY-----\n$/,
          );
        } catch (error) {
          expect(error).toBeInstanceOf(Refusal);
          const lines = text.split('\n').filter((line) => /^[A-Za-z0-9+/=]{24,}$/.test(line));
          for (const line of lines) expect((error as Refusal).message).not.toContain(line);
        }
      }),
      RUNS,
    );
    expect(readPublicKey(good.pem, at)).toEqual(good);
  });

  it('has a name that no command takes for an option', () => {
    expect(readPublicKey(KEY_WITH_HYPHEN, new Date()).keyId).toBe('_Rfi-L53Qg3vt0g4');
  });
});

/** The digest of which begins with a hyphen, in base64url. */
const KEY_WITH_HYPHEN = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAiTzpLfKk/+kxwYRhVSK7
Wh+w9vj90MTkqZ3Q4K3qC+qHxWcw35w/l+hxbVTrqqEJQZoLlGf9TLAHA18nygd7
Enh683kqdylyWG3TkCzSBM/riojAydeiDsgOAyGpPIVhjg47TarT4zEgLK92WAvt
ogfyFl0eoHunaNRL3s6YfFYFyDUcQw4GnLb+lf4ck0FWqifmGackqxhvtXhlOLKn
UrZfLt3WHY3VmBuKM9fGfR/OH6B+I9GFLueoPhCu+ms8ScNFOfilnwqp9rPbNiv2
62reTf2LcNY57U/f1eW7vlMjXKSSYAMXZHLRijK3KDPhwYjac2ojLtSVzAHnRn+4
IwIDAQAB
-----END PUBLIC KEY-----`;

describe('time', () => {
  it.each([
    'PUBLIC_URL',
    'DATABASE_URL',
    'SECRET_KEY',
    'TRUST_PROXY',
    'REGIONS',
    'DNS_SERVERS',
    'SESSION_TTL',
  ])('D-08 a configuration is read in time that grows in proportion to it: %s', (name) => {
    expectLinearTime((text) => read({ ...GOOD, [name]: text }), { heads: ['', 'a', ','], numRuns: 4 });
  });

  it.each([
    ['a duration', parseDuration],
    ['a date', parseDate],
  ])('D-08 is read in time that grows in proportion to it: %s', (_, parse) => {
    expectLinearTime(parse, { heads: ['', '1', '2026-01-01T'], numRuns: 8 });
  });
});
