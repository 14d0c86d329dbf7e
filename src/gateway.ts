/**
 * The composition root: a configuration in, a running gateway out. The one file that knows all the rooms and connects
 * them; nothing else constructs what it works with.
 */
import { LRUCache } from 'lru-cache';
import { openApplicationOrigins } from './applications/application-origins.ts';
import { insertAuditEvent } from './audit/audit-store.ts';
import { failureTally, type FailureTally } from './audit/failure-tally.ts';
import type { Config } from './config.ts';
import { openConnectors, type ProviderListeners } from './connections/open-connectors.ts';
import { writeSecretVerdict, type SeenVerdict } from './connections/refused-secret-store.ts';
import { startChangeFeed, type ChangeFeed } from './database/change-feed.ts';
import { openDatabase, type Database } from './database/database.ts';
import { migrate, pendingMigrations } from './database/migrator.ts';
import { Refusal } from './errors.ts';
import { startErrands } from './errands.ts';
import { createListener } from './http/listener.ts';
import { openMetrics, type Metrics } from './http/metrics.ts';
import { metricsServer } from './http/metrics-routes.ts';
import { gatehouseCookies } from './http/cookies.ts';
import { gracefulServer } from './http/graceful-server.ts';
import type { HttpParts } from './http/parts.ts';
import { providerFaces } from './http/provider-routes.ts';
import { rateLimits, type RateLimits } from './http/rate-limits.ts';
import { openHostDirectory } from './hosts/host-directory.ts';
import { verifiedMemory } from './hosts/verified-memory.ts';
import { describeError, openLog, type Logger } from './log.ts';
import { NO_METERS, type Meters } from './meters.ts';
import { openDirectory } from './login/directory.ts';
import { loginFinisher } from './login/finish-login.ts';
import { guardedFetch } from './outbound/guarded-fetch.ts';
import { openClientDirectory } from './provider/client-directory.ts';
import { currentProvider } from './provider/current-provider.ts';
import { gatewayTokens } from './provider/gateway-tokens.ts';
import { grantMemory } from './provider/grant-memory.ts';
import { openSecretBox } from './secret-box.ts';

export interface Gateway {
  /** Where it listens. */
  readonly port: number;
  /** Where metrics are read, if that is a port of their own. */
  readonly metricsPort: number | undefined;
  /** Undefined: nothing is counted. */
  readonly metrics: Metrics | undefined;
  /** Stops taking requests, lets those under way finish, and closes what is open. */
  close(): Promise<void>;
}

/** What a test, or whoever starts several processes, puts in the place of the real world. */
export interface Surroundings {
  readonly log?: Logger;
  readonly fetch?: typeof fetch;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** What to tell the person while something takes long. */
  readonly onProgress?: (message: string) => void;
  /** Where this process is one of several: reads the metrics of all. A port of their own is another process's then. */
  readonly readMetrics?: () => Promise<string>;
}

/**
 * Starts a gateway; resolves once it answers.
 * @throws Refusal if the database lacks migrations that only `gatehouse migrate` may apply, or the port is taken
 * @throws GatewayError `temporarily_unavailable` if the database cannot be reached
 */
export async function startGateway(config: Config, surroundings: Surroundings = {}): Promise<Gateway> {
  const log = surroundings.log ?? openLog(config.logLevel);
  const { onProgress } = surroundings;
  const database = await openDatabase({ ...config, ...(onProgress === undefined ? {} : { onProgress }) });
  try {
    await requireSchema(database, log);
    return await serve(config, database, { ...surroundings, log });
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** The embedded database is its users' own and migrates by itself; a server's schema is its operator's decision. */
async function requireSchema(database: Database, log: Logger): Promise<void> {
  if (database.isEmbedded) {
    const applied = await migrate(database);
    if (applied.length > 0) log.info({ applied }, 'migrated the embedded database');
    return;
  }
  const pending = await pendingMigrations(database);
  if (pending.length === 0) return;
  throw new Refusal(
    `The database lacks ${pending.length} of this release's migrations (from ${String(pending[0])}). ` +
      'Run: gatehouse migrate',
  );
}

async function serve(
  config: Config,
  database: Database,
  surroundings: Surroundings & { readonly log: Logger },
): Promise<Gateway> {
  const { log } = surroundings;
  if (config.unusedProxies.length > 0) {
    log.warn({ variables: config.unusedProxies }, 'the environment names a proxy, which is not asked');
  }
  const metrics = config.metrics === 'off' ? undefined : await openMetrics();
  const feed = startChangeFeed({
    connection: database.connection,
    onFault: (error) => {
      log.warn(
        { error: describeError(error) },
        'the change feed is down; nothing is answered from memory meanwhile',
      );
    },
  });
  const parts = openParts(config, { database, feed, meters: metrics?.meters ?? NO_METERS }, surroundings);
  const errands = startErrands(parts);
  metrics?.watch({
    lines: () => parts.login.connectors.lines(),
    expiring: () => errands.expiry.things(),
    pool: () => database.pool(),
    removed: () => errands.house.removed(),
    feed,
  });
  const servers = openServers(config, parts, { metrics, readAll: surroundings.readMetrics });
  const close = async () => {
    const { following, domains, expiry, house, notices, troubles, sealing } = errands;
    await Promise.all([servers.stop(), following.close(), domains.close(), expiry.close()]);
    await Promise.all([notices.close(), troubles.close(), house.close()]);
    await Promise.all([parts.tally.close(), parts.limits.close()]);
    // Last of all: what was written until now has its place then.
    await sealing.close();
    await feed.close();
  };
  try {
    const { port, metricsPort } = await servers.listen();
    log.info({ url: config.publicUrl, host: config.host, port, metricsPort }, 'gatehouse is ready');
    return {
      port,
      metricsPort,
      metrics,
      async close() {
        await close();
        await database.close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface ShownMetrics {
  readonly metrics: Metrics | undefined;
  /** Undefined: this process is the only one. */
  readonly readAll: (() => Promise<string>) | undefined;
}

/** The server, and another one for metrics where they have a port of their own. */
function openServers(config: Config, parts: HttpParts, { metrics, readAll }: ShownMetrics) {
  const shown = metrics && { ...metrics, read: readAll ?? (() => metrics.read()) };
  const main = gracefulServer(
    (isStopping) =>
      createListener({ ...parts, isStopping, metrics: config.metrics === 'main port' ? shown : undefined }),
    config.stopDelaySeconds,
  );
  const own = readAll === undefined ? metricsServer(config, metrics) : undefined;
  return {
    /** @throws Refusal if a port cannot be listened on */
    async listen() {
      const metricsPort = await own?.server.listen(own.port, config.host, 'METRICS_PORT');
      return { port: await main.listen(config.port, config.host), metricsPort };
    },
    async stop() {
      await main.stop();
      await own?.server.stop();
    },
  };
}

interface Foundation {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly meters: Meters;
}

/** All that answers requests, opened and connected. */
function openParts(
  config: Config,
  { database, feed, meters }: Foundation,
  surroundings: Surroundings & { readonly log: Logger },
): HttpParts {
  const { log, fetch: send, now = Date.now } = surroundings;
  const secrets = openSecretBox(config);
  const fetch = guardedFetch({ ...config, ...(send === undefined ? {} : { fetch: send }) });
  const cookies = gatehouseCookies(config.isHttps);
  const { publicUrl, allowPrivateNetworks, sessionTtlSeconds } = config;
  const grants = grantMemory(feed, config.cachedSessions);
  const parts: HttpParts = {
    config,
    tally: openTally(database, log, meters),
    ...{ meters, database, feed, log, cookies },
    limits: openLimits(config, { database, feed, log }),
    origins: openApplicationOrigins(database, feed),
    provider: currentProvider(
      {
        database,
        clients: openClientDirectory(database, feed, secrets),
        secrets,
        fetch,
        publicUrl,
        sessionTtlSeconds,
        sessionCookie: cookies.sessionName,
        memory: grants,
        // They show pages with the parts that they are one of.
        faces: providerFaces(() => parts),
      },
      feed,
    ),
    grants,
    hosts: {
      database,
      directory: openHostDirectory(database, feed),
      tokens: gatewayTokens({ database, secrets, feed, publicUrl }),
      memory: verifiedMemory(feed, config.cachedSessions),
      underWay: new Map(),
      secrets,
      sessionIdleTtlSeconds: config.sessionIdleTtlSeconds,
      onDoubt: oncePerHour((host, why) => {
        log.warn({ host }, why);
      }),
    },
    login: {
      ...config,
      database,
      directory: openDirectory(database, feed, config.cachedOrganizations),
      finishLogin: loginFinisher(database),
      connectors: openConnectors(
        secrets,
        { fetch, allowPrivateNetworks, publicUrl, now },
        listenToProviders({ database, meters, log }),
      ),
      secrets,
      meters,
      underWay: new Set<string>(),
      now,
    },
  };
  return parts;
}

/** What is made of what goes on between connectors and their providers. */
function listenToProviders({
  database,
  meters,
  log,
}: Pick<Foundation, 'database' | 'meters'> & { readonly log: Logger }): ProviderListeners {
  return {
    onVerdict: noteSecrets(database, log),
    onCall: (kind, outcome, seconds) => {
      meters.providerCall(kind, outcome, seconds);
    },
  };
}

function openLimits(
  config: Config,
  { database, feed, log }: Pick<HttpParts, 'database' | 'feed' | 'log'>,
): RateLimits {
  return rateLimits(config.rateLimits, {
    database,
    feed,
    onFault: (error) => {
      log.warn({ error: describeError(error) }, 'limits cannot be shared now; this node counts alone');
    },
  });
}

/** A client secret that a provider refuses is somebody's work before the other one is over as well. */
function noteSecrets(database: Database, log: Logger) {
  return async (seen: SeenVerdict): Promise<void> => {
    const { connectionId, secretId, verdict } = seen;
    if (verdict === 'refused') log.warn({ connectionId, secretId }, 'a provider refuses a client secret');
    try {
      await writeSecretVerdict(database, seen);
    } catch (error) {
      const facts = { connectionId, secretId, error: describeError(error) };
      log.warn(facts, 'what a provider says of a client secret cannot be written down now');
      throw error;
    }
  };
}

/** Says a thing again only after an hour: a proxy that is set up wrongly asks with every request. */
function oncePerHour(say: (what: string, why: string) => void): (what: string, why: string) => void {
  const said = new LRUCache<string, true>({ max: 1_000, ttl: 60 * 60 * 1000 });
  return (what, why) => {
    if (said.has(`${what} ${why}`)) return;
    said.set(`${what} ${why}`, true);
    say(what, why);
  };
}

/** Counts what is too much to be written one by one. A count that cannot be written is in the log. */
function openTally(database: Database, log: Logger, meters: Meters): FailureTally {
  return failureTally(async ({ organizationId, code, addressBlock }, reference, count) => {
    const reason = `${count} more within a minute from ${addressBlock}`;
    try {
      await database.run((db) =>
        insertAuditEvent(db, { action: 'login.failed', code, reason, reference, organizationId }),
      );
    } catch (error) {
      meters.lostAuditEvent();
      log.error(
        { reference, code, count, error: describeError(error) },
        'a count of failures was not written',
      );
    }
  });
}
