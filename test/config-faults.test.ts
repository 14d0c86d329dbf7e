/** every fault of a configuration is named at once, and no value of it is ever shown. */
import { describe, expect, it } from '@jest/globals';
import { readConfig } from '../src/config.ts';
import { besideFault as beside, faultsOf, namesIn, PUBLIC, SECRET_KEY } from './config-environment.ts';

describe('X-34 a fault', () => {
  it.each([
    [
      'PUBLIC_URL',
      [
        'sso.example',
        'https://',
        '//sso.example',
        'http://localhost:99999',
        'ftp://sso.example',
        'javascript:alert(1)',
        'https://sso.example/path',
        'https://sso.example?x=1',
        'https://user:hunter2@sso.example',
        'https://sso.example\\@evil.example',
        'https://*.example',
      ],
    ],
    ['METRICS_PORT', ['65536', '-1', 'on', '3000']],
    ['METRICS', ['true', '1', 'ON', '9464']],
    ['PORT', ['65536', '-1', '3e3', '0x10', ' 80', '80 ', '3000.5', 'http']],
    ['WORKERS', ['0', '-1', '65', '100', '1.5', '2 ', '0x2', 'AUTO', 'all']],
    ['DATABASE_URL', ['mysql://u:hunter2@db/x', 'db.example', 'https://db.example', 'file:/tmp/x']],
    [
      'SECRET_KEY',
      ['short', Buffer.alloc(31).toString('base64'), `${SECRET_KEY},`, `${SECRET_KEY} ${SECRET_KEY}`],
    ],
    ['ALLOW_PRIVATE_NETWORKS', ['1', 'yes', 'TRUE', 'on']],
    [
      'RETURN_TO_ORIGINS',
      [
        '*',
        'null',
        'app.example',
        'https://app.example/path',
        'https://app.example,evil',
        'https://user@app.example',
        'javascript:alert(1)',
        'https://*.example',
      ],
    ],
    [
      'TRUST_PROXY',
      [
        'true',
        'TRUE',
        '*',
        '0',
        '-1',
        '1.5',
        '100',
        'loopback',
        'proxy.example',
        '10.0.0.0/33',
        '::1/129',
        '10.0.0.0/',
        '10.0.0/8',
        '1,10.0.0.0/8',
        '0.0.0.0/0',
        '::/0',
        '10.0.0.0/8,0.0.0.0/0',
      ],
    ],
    [
      'REGIONS',
      [
        'eu',
        ',',
        'eu=',
        '=https://sso.example',
        'eu=https://sso.example=',
        'eu=https://sso.example/path',
        'eu=sso.example',
        'EU=https://sso.example',
        'eu=http://sso.example',
        'eu=https://sso.example,eu=https://us.example',
        'eu=https://sso.example,us=https://SSO.example/',
        'eu=https://sso.example,us=javascript:alert(1)',
        'eu=https://sso.example us=https://us.example',
      ],
    ],
    ['REGION', ['EU', 'eu.west', '-eu', 'eu-', 'e u', 'x'.repeat(64)]],
    ['SESSION_TTL', ['0h', '1', '1w', '-1h', '1.5h', '366d', '999999999d', '1h30m', 'Infinity', ' 1h']],
    ['SESSION_IDLE_TTL', ['0s', '13h', 'never', '2 h']],
    [
      'DNS_SERVERS',
      [
        'dns.example',
        '9.9.9.9:0',
        '9.9.9.9:65536',
        '9.9.9.9:x',
        '[9.9.9.9]:53',
        '[::1',
        '::1]:53',
        '9.9.9.9,x',
      ],
    ],
    ['DOMAIN_CHECK_INTERVAL', ['0s', '1', 'daily', '366d']],
    ['STOP_DELAY', ['2', '100s', '1m', '-1s']],
    ['DOMAIN_GRACE', ['0d', '-1d', 'a week']],
    ['BRAND_NAME', ['x'.repeat(81)]],
    [
      'BRAND_LOGO_URL',
      [
        'logo.svg',
        '/logo.svg',
        'javascript:alert(1)',
        'data:image/svg+xml,x',
        'file:///logo.svg',
        '//cdn.example/logo.svg',
      ],
    ],
    ['SUPPORT_URL', ['javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'data:text/html,x', 'help', '/help']],
    ['RATE_LIMITS', ['true', 'OFF', '0']],
    ['LOG_LEVEL', ['verbose', 'INFO', '30']],
  ])('A-15 H-03 of %s is named, once, by one line without a value', (name, values) => {
    for (const value of values) {
      const faults = faultsOf({ ...PUBLIC, ...beside(name), [name]: value });
      expect({ value, names: namesIn(faults) }).toEqual({ value, names: [name] });
      expect(faults.join('')).not.toContain('\n');
      if (value.length > 5) expect(faults.join('')).not.toContain(value);
    }
  });

  it('comes together with all others, and no value with any', () => {
    const names = [
      ...['PUBLIC_URL', 'PORT', 'DATABASE_URL', 'SECRET_KEY', 'ALLOW_PRIVATE_NETWORKS', 'RETURN_TO_ORIGINS'],
      ...['TRUST_PROXY', 'SESSION_TTL', 'SESSION_IDLE_TTL', 'BRAND_NAME', 'BRAND_LOGO_URL', 'SUPPORT_URL'],
      ...['RATE_LIMITS', 'LOG_LEVEL', 'METRICS', 'METRICS_PORT', 'REGION', 'REGIONS', 'DNS_SERVERS'],
      ...['DOMAIN_CHECK_INTERVAL', 'DOMAIN_GRACE', 'STOP_DELAY'],
    ];
    const value = `hunter2 ${'x'.repeat(100)}`;
    const env = Object.fromEntries(names.map((name) => [name, value]));
    expect(namesIn(faultsOf(env)).sort()).toEqual([...names].sort());
    expect(faultsOf(env).join('')).not.toContain('hunter2');
  });

  it.each([
    [{ REGION: 'eu' }, ['REGIONS must be set when REGION is']],
    [{ REGIONS: 'eu=https://sso.example' }, ['REGION must be set when REGIONS is']],
    [{ REGION: 'us', REGIONS: 'eu=https://sso.example' }, ['REGION must be one of REGIONS']],
    [
      { REGION: 'eu', REGIONS: 'eu=https://eu.example' },
      ['PUBLIC_URL must be the url that REGIONS has for REGION'],
    ],
    [{ REGION: 'eu', REGIONS: 'eu=https://sso.example:8443', PORT: 'x' }, ['PORT', 'PUBLIC_URL']],
  ])('between regions is named: %j', (env, expected) => {
    const faults = faultsOf({ ...PUBLIC, ...env });
    expect(faults).toEqual(expected.map((text) => expect.stringMatching(`^${text}`)));
  });

  it('of one value does not hide what is missing', () => {
    const faults = faultsOf({ PUBLIC_URL: 'http://sso.example', PORT: 'x' });
    expect(namesIn(faults).sort()).toEqual(['DATABASE_URL', 'PORT', 'PUBLIC_URL', 'SECRET_KEY']);
  });

  it('says in one message what all of them are', () => {
    const message =
      'The configuration has 2 faults: DATABASE_URL must be set when PUBLIC_URL is not loopback; ';
    expect(() => readConfig({ PUBLIC_URL: 'https://sso.example' })).toThrow(message);
    expect(() => readConfig({ PORT: 'x' })).toThrow(
      'The configuration has a fault: PORT must be a port number',
    );
  });
});
