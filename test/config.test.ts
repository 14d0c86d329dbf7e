/** A configuration as it is read, and what has to be there. */
import { availableParallelism } from 'node:os';
import { describe, expect, it } from '@jest/globals';
import { readConfig, type Config } from '../src/config.ts';
import { faultsOf, namesIn, PUBLIC, SECRET_KEY, type Environment } from './config-environment.ts';

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
      workers: 1,
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
      cachedOrganizations: 20_000,
      cachedSessions: 100_000,
      rateLimits: true,
      stopDelaySeconds: 0,
      metrics: 'off',
      logLevel: 'info',
      unusedProxies: [],
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
    ['two processes', { WORKERS: '2' }, { workers: 2 }],
    ['a process for each core', { WORKERS: 'auto' }, { workers: Math.min(availableParallelism(), 64) }],
    ['metrics on the main port', { METRICS: 'on' }, { metrics: 'main port' }],
    ['metrics on a port of their own', { METRICS_PORT: '9464' }, { metrics: { port: 9_464 } }],
    ['no metrics elsewhere then', { METRICS: 'on', METRICS_PORT: '9464' }, { metrics: { port: 9_464 } }],
    ['a delay before it stops', {}, { stopDelaySeconds: 2 }],
    ['no such delay', { STOP_DELAY: '0s' }, { stopDelaySeconds: 0 }],
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
