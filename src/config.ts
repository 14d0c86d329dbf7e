/**
 * Configuration: the only reader of the environment. Yields a frozen, parsed Config, or one ConfigError that names
 * every fault and echoes no value. Defaults suit a first try on loopback; away from loopback nothing is optional
 * that safety depends on.
 */
import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import * as z from 'zod';
import { parseDuration } from './duration.ts';
import type { Regions } from './organizations/home-region.ts';
import { isSlug } from './organizations/organization.ts';
import { parseUrl } from './parse-url.ts';
import { parseSecretKeys } from './secret-box.ts';

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

export interface Config {
  /** Origin without a path or trailing slash; every link, redirect URI and issuer is made from it. */
  readonly publicUrl: string;
  readonly isHttps: boolean;
  readonly host: string;
  readonly port: number;
  /** Processes that take requests; 1: this one does, and there is no other. */
  readonly workers: number;
  /** Undefined: the embedded database in dataDir. */
  readonly databaseUrl: string | undefined;
  readonly dataDir: string;
  /** 32 bytes each, the first encrypts; undefined: a development key made in dataDir. */
  readonly secretKeys: readonly Buffer[] | undefined;
  readonly allowPrivateNetworks: boolean;
  readonly returnToOrigins: readonly string[];
  /** Undefined: there is only this one. */
  readonly regions: Regions | undefined;
  /** Hops to trust, or the addresses and CIDRs of the proxies; undefined: no proxy. */
  readonly trustProxy: number | readonly string[] | undefined;
  readonly sessionTtlSeconds: number;
  readonly sessionIdleTtlSeconds: number;
  /** Addresses, with a port where it is not 53, that are asked for what proves domains; none: the system's. */
  readonly dnsServers: readonly string[];
  /** How often it is looked whether DNS still proves a domain. */
  readonly domainCheckSeconds: number;
  /** For how long nothing comes of it that it does not. */
  readonly domainGraceSeconds: number;
  readonly brandName: string;
  readonly brandLogoUrl: string | undefined;
  readonly supportUrl: string | undefined;
  /** Organizations, and sessions at hosts, that are held in memory. */
  readonly cachedOrganizations: number;
  readonly cachedSessions: number;
  readonly rateLimits: boolean;
  /** For how long a server that was told to stop still takes connections, while it says that it is not ready. */
  readonly stopDelaySeconds: number;
  /** Where Prometheus reads: a port of its own, the main one, or nowhere. */
  readonly metrics: { readonly port: number } | 'main port' | 'off';
  readonly logLevel: LogLevel;
  /** Names of variables that send other programs' calls to a proxy; ours go directly, to addresses that were judged. */
  readonly unusedProxies: readonly string[];
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(
      `The configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}: ${faults.join('; ')}`,
    );
    this.faults = faults;
  }
}

const LONGEST_TTL_SECONDS = 365 * 86_400;

const duration = z
  .string()
  .regex(/^[1-9]\d{0,8}[smhd]$/, 'must be a number and a unit, such as 30m, 12h or 7d')
  .transform((text) => parseDuration(text) ?? Number.NaN)
  .refine((seconds) => seconds <= LONGEST_TTL_SECONDS, 'must be at most 365d');

/** A URL of one of some schemes. Parsed once here, so that no later step meets text that is none. */
function isUrlOf(text: string, protocols: readonly string[]): boolean {
  const url = parseUrl(text);
  return url !== undefined && protocols.includes(url.protocol);
}

function isOrigin(text: string): boolean {
  if (!isUrlOf(text, ['http:', 'https:']) || text.includes('*')) return false;
  const url = new URL(text);
  return url.href === `${url.origin}/` && url.hash === '' && !text.includes('?') && !text.includes('#');
}

const httpUrl = z
  .string()
  .refine((text) => isUrlOf(text, ['http:', 'https:']), 'must be an http or https URL');

const originText = z
  .string()
  .refine(isOrigin, {
    error: 'must be an http or https origin: scheme, host and port, without a path',
    abort: true,
  })
  .transform((text) => new URL(text).origin);

const list = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

function isAddressRange(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  // A range of everything would trust anybody.
  return bits === undefined || (/^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

/** An address, an IPv6 address in brackets, or one of them with a port. */
function isDnsServer(text: string): boolean {
  if (isIP(text) !== 0) return true;
  const [, ipv6, ipv4, port = '53'] =
    /^(?:\[([\da-fA-F:.]+)\]|(\d+\.\d+\.\d+\.\d+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const isAddress = ipv6 === undefined ? isIP(ipv4 ?? '') === 4 : isIP(ipv6) === 6;
  return isAddress && Number(port) >= 1 && Number(port) <= 65_535;
}

const trustProxy = z.string().transform((text, context) => {
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  const ranges = list(text);
  if (ranges.length > 0 && ranges.every(isAddressRange)) return ranges;
  context.addIssue(
    'must be a number of hops (1 to 99) or a list of addresses and CIDRs; "true" would trust anybody',
  );
  return z.NEVER;
});

const portNumber = z
  .string()
  .regex(/^\d{1,5}$/, 'must be a port number')
  .transform(Number)
  .refine((port) => port <= 65_535, 'must be a port number');

const cacheSize = z
  .string()
  .regex(/^[1-9]\d{0,7}$/, 'must be a number, 100 to 10000000')
  .transform(Number)
  .refine((size) => size >= 100 && size <= 10_000_000, 'must be a number, 100 to 10000000');

const MOST_WORKERS = 64;

const workers = z
  .string()
  .regex(/^([1-9]\d?|auto)$/, `must be a whole number from 1 to ${MOST_WORKERS}, or auto`)
  .transform((text) => (text === 'auto' ? Math.min(availableParallelism(), MOST_WORKERS) : Number(text)))
  .refine((count) => count <= MOST_WORKERS, `must be at most ${MOST_WORKERS}`);

const regionName = z
  .string()
  .refine(isSlug, 'must be a DNS label: lower-case letters, digits and inner hyphens');

const regionUrls = z.string().transform((text, context) => {
  const urls = new Map<string, string>();
  const entries = list(text).map((item) => item.split('='));
  for (const [name = '', url = '', ...rest] of entries) {
    if (rest.length > 0 || !isSlug(name) || !isOrigin(url) || !isConfidential(url)) {
      context.addIssue(
        'must be a list of name=url: a DNS label, and an origin, which is https where it is not loopback',
      );
      return z.NEVER;
    }
    urls.set(name, new URL(url).origin);
  }
  if (urls.size > 0 && urls.size === entries.length && new Set(urls.values()).size === urls.size) return urls;
  context.addIssue('must name one region or more, each name and each url once');
  return z.NEVER;
});

const environment = z.object({
  PUBLIC_URL: originText.default('http://localhost:3000'),
  HOST: z.string().default('127.0.0.1'),
  PORT: portNumber.default(3000),
  WORKERS: workers.default(1),
  DATABASE_URL: z
    .string()
    .refine(
      // A Unix socket is named in the query, beside a user and no host, which is a URL to PostgreSQL alone.
      (text) => isUrlOf(text.replace('@/', '@localhost/'), ['postgres:', 'postgresql:']),
      'must be a URL such as postgres://user@host/name',
    )
    .optional(),
  DATA_DIR: z.string().default('.data'),
  SECRET_KEY: z
    .string()
    .transform((text, context) => {
      const keys = parseSecretKeys(text);
      if (keys !== undefined) return keys;
      context.addIssue('must be base64 of 32 bytes, or a comma-separated list of such keys');
      return z.NEVER;
    })
    .optional(),
  ALLOW_PRIVATE_NETWORKS: z
    .enum(['true', 'false'], 'must be true or false')
    .transform((text) => text === 'true')
    .optional(),
  RETURN_TO_ORIGINS: z.string().transform(list).pipe(z.array(originText)).default([]),
  REGION: regionName.optional(),
  REGIONS: regionUrls.optional(),
  TRUST_PROXY: trustProxy.optional(),
  SESSION_TTL: duration.default(12 * 3_600),
  SESSION_IDLE_TTL: duration.optional(),
  DNS_SERVERS: z
    .string()
    .transform(list)
    .refine(
      (servers) => servers.every(isDnsServer),
      'must be a list of IP addresses, each with a port if it is not 53',
    )
    .default([]),
  DOMAIN_CHECK_INTERVAL: duration.default(86_400),
  DOMAIN_GRACE: duration.default(7 * 86_400),
  BRAND_NAME: z.string().max(80, 'must be at most 80 characters').default('Gatehouse'),
  BRAND_LOGO_URL: httpUrl.optional(),
  SUPPORT_URL: z
    .string()
    .refine((text) => isUrlOf(text, ['http:', 'https:', 'mailto:']), 'must be an http, https or mailto URL')
    .optional(),
  CACHED_ORGANIZATIONS: cacheSize.default(20_000),
  CACHED_SESSIONS: cacheSize.default(100_000),
  RATE_LIMITS: z.enum(['on', 'off'], 'must be on or off').default('on'),
  STOP_DELAY: z
    .string()
    .regex(/^\d{1,2}s$/, 'must be seconds, 0s to 99s')
    .transform((text) => parseDuration(text) ?? Number.NaN)
    .optional(),
  METRICS: z.enum(['on', 'off'], 'must be on or off').default('off'),
  METRICS_PORT: portNumber.optional(),
  NODE_TLS_REJECT_UNAUTHORIZED: z.string().optional(),
  LOG_LEVEL: z
    .enum(
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      'must be fatal, error, warn, info, debug, trace or silent',
    )
    .default('info'),
});

function isLoopback(publicUrl: string): boolean {
  const { hostname } = new URL(publicUrl);
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

const isConfidential = (url: string) => new URL(url).protocol === 'https:' || isLoopback(url);

type Values = z.infer<typeof environment>;

const LONGEST_DEFAULT_IDLE_SECONDS = 2 * 3_600;

const idleSeconds = (values: Values): number =>
  values.SESSION_IDLE_TTL ?? Math.min(LONGEST_DEFAULT_IDLE_SECONDS, values.SESSION_TTL);

function metricsPlace({ METRICS, METRICS_PORT }: Values): Config['metrics'] {
  if (METRICS_PORT !== undefined) return { port: METRICS_PORT };
  return METRICS === 'on' ? 'main port' : 'off';
}

/** The rules between variables: what must be set as soon as other machines can reach this one. */
function* faultsBetween(values: Values): Generator<string> {
  if (!isLoopback(values.PUBLIC_URL)) {
    const required = 'must be set when PUBLIC_URL is not loopback';
    if (!values.PUBLIC_URL.startsWith('https:')) yield 'PUBLIC_URL must be https when it is not loopback';
    if (values.DATABASE_URL === undefined) yield `DATABASE_URL ${required}`;
    if (values.SECRET_KEY === undefined) yield `SECRET_KEY ${required}`;
    if (values.NODE_TLS_REJECT_UNAUTHORIZED === '0') {
      yield 'NODE_TLS_REJECT_UNAUTHORIZED must not be 0: any certificate would be trusted';
    }
  }
  if (values.METRICS_PORT !== undefined && values.METRICS_PORT !== 0 && values.METRICS_PORT === values.PORT) {
    yield 'METRICS_PORT must not be PORT; METRICS=on shows metrics there';
  }
  if (idleSeconds(values) > values.SESSION_TTL) yield 'SESSION_IDLE_TTL must not exceed SESSION_TTL';
  yield* faultsOfRegions(values);
}

function* faultsOfRegions({ REGION, REGIONS, PUBLIC_URL }: Values): Generator<string> {
  if (REGION === undefined && REGIONS === undefined) return;
  if (REGION === undefined) yield 'REGION must be set when REGIONS is';
  else if (REGIONS === undefined) yield 'REGIONS must be set when REGION is';
  else if (!REGIONS.has(REGION)) yield 'REGION must be one of REGIONS';
  else if (REGIONS.get(REGION) !== PUBLIC_URL) yield 'PUBLIC_URL must be the url that REGIONS has for REGION';
}

const regionsOf = ({ REGION, REGIONS }: Values): Regions | undefined =>
  REGION === undefined || REGIONS === undefined ? undefined : { here: REGION, urls: REGIONS };

const PROXY_VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NODE_USE_ENV_PROXY'];

/**
 * Reads a configuration. An empty variable counts as unset.
 * @throws ConfigError that names every fault at once and no value
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = environment.safeParse(given);
  const issues = parsed.error?.issues ?? [];
  const faulty = new Map(issues.map((issue) => [String(issue.path[0]), issue.message]));
  // What cannot be read is left out of the rules between variables, and the rest is still held to them.
  const readable = Object.fromEntries(Object.entries(given).filter(([name]) => !faulty.has(name)));
  const values = parsed.data ?? environment.parse(readable);
  const between = [...faultsBetween(values)].filter((fault) => !faulty.has(fault.split(' ', 1)[0] ?? ''));
  const faults = [...[...faulty].map(([name, fault]) => `${name} ${fault}`), ...between];
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze({
    publicUrl: values.PUBLIC_URL,
    isHttps: values.PUBLIC_URL.startsWith('https:'),
    host: values.HOST,
    port: values.PORT,
    workers: values.WORKERS,
    databaseUrl: values.DATABASE_URL,
    dataDir: values.DATA_DIR,
    secretKeys: values.SECRET_KEY,
    allowPrivateNetworks: values.ALLOW_PRIVATE_NETWORKS ?? isLoopback(values.PUBLIC_URL),
    returnToOrigins: values.RETURN_TO_ORIGINS,
    regions: regionsOf(values),
    trustProxy: values.TRUST_PROXY,
    sessionTtlSeconds: values.SESSION_TTL,
    sessionIdleTtlSeconds: idleSeconds(values),
    dnsServers: values.DNS_SERVERS,
    domainCheckSeconds: values.DOMAIN_CHECK_INTERVAL,
    domainGraceSeconds: values.DOMAIN_GRACE,
    brandName: values.BRAND_NAME,
    brandLogoUrl: values.BRAND_LOGO_URL,
    supportUrl: values.SUPPORT_URL,
    cachedOrganizations: values.CACHED_ORGANIZATIONS,
    cachedSessions: values.CACHED_SESSIONS,
    rateLimits: values.RATE_LIMITS === 'on',
    // On one's own machine nobody balances, and Ctrl-C is to be quick.
    stopDelaySeconds: values.STOP_DELAY ?? (isLoopback(values.PUBLIC_URL) ? 0 : 2),
    metrics: metricsPlace(values),
    logLevel: values.LOG_LEVEL,
    unusedProxies: PROXY_VARIABLES.flatMap((name) => [name, name.toLowerCase()]).filter(
      (name) => name in given,
    ),
  });
}
