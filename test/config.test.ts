/** a configuration is read, or every fault of it is named at once, and no value of it is ever shown. */
import { describe, expect, it } from '@jest/globals';
import { ConfigError, readConfig, type Config } from '../src/config.ts';

const SECRET_KEY = Buffer.alloc(32, 1).toString('base64');
const PUBLIC = {
  PUBLIC_URL: 'https://sso.example',
  DATABASE_URL: 'postgres://gatehouse:hunter2@db.example/gatehouse',
  SECRET_KEY,
};

type Environment = Readonly<Record<string, string | undefined>>;

/** What `readConfig` says of a faulty environment. Anything but a ConfigError is a failure of its own. */
function faultsOf(env: Environment): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

/** What has to be there as well for one variable to be the only fault. */
const beside = (name: string): Environment =>
  name === 'REGION' ? { REGIONS: 'eu=https://sso.example' } : name === 'REGIONS' ? { REGION: 'eu' } : {};

const namesIn = (faults: readonly string[]) => faults.map((fault) => fault.split(' ')[0]);

describe('readConfig', () => {
  it('is never idle for longer than it lasts, unless that was asked for', () => {
    expect(readConfig({ SESSION_TTL: '1h' })).toMatchObject({ sessionIdleTtlSeconds: 3_600 });
    expect(readConfig({ SESSION_TTL: '7d' })).toMatchObject({ sessionIdleTtlSeconds: 7_200 });
  });

  it.each([
    'postgresql://db.example/gatehouse',
    'postgres://user:p%40ss%2Fword@db.example:5433/gatehouse?sslmode=require',
    'postgres://user@[::1]/gatehouse',
    'postgres://user@localhost/gatehouse?host=%2Frun%2Fpostgresql',
    'postgres://user@/gatehouse?host=/run/postgresql',
  ])('takes %s for a database', (databaseUrl) => {
    expect(readConfig({ ...PUBLIC, DATABASE_URL: databaseUrl })).toMatchObject({ databaseUrl });
  });

  it('has a default for everything on loopback', () => {
    expect(readConfig({})).toEqual({
      publicUrl: 'http://localhost:3000',
      isHttps: false,
      host: '127.0.0.1',
      port: 3000,
      databaseUrl: undefined,
      dataDir: '.data',
      secretKeys: undefined,
      allowPrivateNetworks: true,
      returnToOrigins: [],
      regions: undefined,
      trustProxy: undefined,
      sessionTtlSeconds: 43_200,
      sessionIdleTtlSeconds: 7_200,
      dnsServers: [],
      domainCheckSeconds: 86_400,
      domainGraceSeconds: 604_800,
      brandName: 'Gatehouse',
      brandLogoUrl: undefined,
      supportUrl: undefined,
      rateLimits: true,
      metrics: 'off',
      logLevel: 'info',
    });
  });

  it('cannot be changed afterwards', () => {
    expect(Object.isFrozen(readConfig({}))).toBe(true);
  });

  it('takes an empty variable for one that is not set, and ignores what is not its own', () => {
    const empty = Object.fromEntries(
      [...Object.keys(PUBLIC), 'PORT', 'TRUST_PROXY'].map((name) => [name, '']),
    );
    expect(readConfig({ ...empty, NODE_ENV: 'production', PATH: '/bin' })).toEqual(readConfig({}));
  });

  it.each<[string, Environment, Partial<Config>]>([
    ['an origin', { PUBLIC_URL: 'https://sso.example' }, { publicUrl: 'https://sso.example', isHttps: true }],
    ['a trailing slash', { PUBLIC_URL: 'https://sso.example/' }, { publicUrl: 'https://sso.example' }],
    ['upper case', { PUBLIC_URL: 'https://SSO.Example' }, { publicUrl: 'https://sso.example' }],
    ['the default port', { PUBLIC_URL: 'https://sso.example:443' }, { publicUrl: 'https://sso.example' }],
    ['a port', { PUBLIC_URL: 'https://sso.example:8443' }, { publicUrl: 'https://sso.example:8443' }],
    [
      'a U-label',
      { PUBLIC_URL: 'https://b\u00fccher.example' },
      { publicUrl: 'https://xn--bcher-kva.example' },
    ],
    ['no private networks', {}, { allowPrivateNetworks: false }],
    ['private networks on demand', { ALLOW_PRIVATE_NETWORKS: 'true' }, { allowPrivateNetworks: true }],
    ['the port to listen on', { PORT: '65535' }, { port: 65_535 }],
    ['any free port', { PORT: '0' }, { port: 0 }],
    ['metrics on the main port', { METRICS: 'on' }, { metrics: 'main port' }],
    ['metrics on a port of their own', { METRICS_PORT: '9464' }, { metrics: { port: 9_464 } }],
    ['no metrics elsewhere then', { METRICS: 'on', METRICS_PORT: '9464' }, { metrics: { port: 9_464 } }],
    ['any free ports', { PORT: '0', METRICS_PORT: '0' }, { metrics: { port: 0 } }],
    ['hops', { TRUST_PROXY: '2' }, { trustProxy: 2 }],
    [
      'name servers',
      { DNS_SERVERS: '9.9.9.9, 127.0.0.1:5353,[::1]:53,::1' },
      { dnsServers: ['9.9.9.9', '127.0.0.1:5353', '[::1]:53', '::1'] },
    ],
    [
      'a grace',
      { DOMAIN_GRACE: '3d', DOMAIN_CHECK_INTERVAL: '90s' },
      { domainGraceSeconds: 259_200, domainCheckSeconds: 90 },
    ],
    ['proxies', { TRUST_PROXY: '10.0.0.0/8, ::1' }, { trustProxy: ['10.0.0.0/8', '::1'] }],
    [
      'durations',
      { SESSION_TTL: '7d', SESSION_IDLE_TTL: '90m' },
      { sessionTtlSeconds: 604_800, sessionIdleTtlSeconds: 5_400 },
    ],
    ['seconds', { SESSION_IDLE_TTL: '1s' }, { sessionIdleTtlSeconds: 1 }],
    ['the longest duration', { SESSION_TTL: '365d' }, { sessionTtlSeconds: 31_536_000 }],
    [
      'idle as long as the session',
      { SESSION_TTL: '1h', SESSION_IDLE_TTL: '1h' },
      { sessionIdleTtlSeconds: 3_600 },
    ],
    [
      'origins',
      { RETURN_TO_ORIGINS: 'https://App.example/, https://b.example:8443,' },
      { returnToOrigins: ['https://app.example', 'https://b.example:8443'] },
    ],
    [
      'two keys',
      { SECRET_KEY: `${SECRET_KEY},${SECRET_KEY}` },
      { secretKeys: [Buffer.alloc(32, 1), Buffer.alloc(32, 1)] },
    ],
    ['no regions', {}, { regions: undefined }],
    [
      'regions',
      {
        REGION: 'eu',
        REGIONS: 'eu=https://SSO.example/, us-1=https://us.example:8443,dev=http://localhost:3000',
      },
      {
        regions: {
          here: 'eu',
          urls: new Map([
            ['eu', 'https://sso.example'],
            ['us-1', 'https://us.example:8443'],
            ['dev', 'http://localhost:3000'],
          ]),
        },
      },
    ],
    ['no limits', { RATE_LIMITS: 'off' }, { rateLimits: false }],
    [
      'a mailbox for support',
      { SUPPORT_URL: 'mailto:help@vendor.example' },
      { supportUrl: 'mailto:help@vendor.example' },
    ],
  ])('reads %s', (_, env, expected) => {
    expect(readConfig({ ...PUBLIC, ...env })).toMatchObject(expected);
  });

  it.each([
    'http://localhost',
    'http://localhost:8080',
    'http://127.0.0.1:3000',
    'http://127.9.9.9',
    'http://[::1]:3000',
  ])('asks for nothing more on %s', (publicUrl) => {
    expect(readConfig({ PUBLIC_URL: publicUrl })).toMatchObject({ publicUrl, allowPrivateNetworks: true });
  });

  it.each([
    'http://sso.example',
    'http://0.0.0.0:3000',
    'http://10.0.0.1',
    'http://[::]:3000',
    'http://localhost.evil.example',
    'http://127.0.0.1.evil.example',
  ])('needs https, a database and a key on %s, whatever NODE_ENV says', (publicUrl) => {
    const expected = ['PUBLIC_URL', 'DATABASE_URL', 'SECRET_KEY'];
    expect(namesIn(faultsOf({ PUBLIC_URL: publicUrl, NODE_ENV: 'development' }))).toEqual(expected);
    expect(namesIn(faultsOf({ PUBLIC_URL: publicUrl, NODE_ENV: 'test' }))).toEqual(expected);
  });
});

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
  ])('of %s is named, once, by one line without a value', (name, values) => {
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
      ...['DOMAIN_CHECK_INTERVAL', 'DOMAIN_GRACE'],
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
