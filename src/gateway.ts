/**
 * The composition root: a configuration in, a running gateway out. The one file that knows all the rooms and connects
 * them; nothing else constructs what it works with.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Config } from './config.ts';
import { openConnectors } from './connections/open-connectors.ts';
import { startChangeFeed } from './database/change-feed.ts';
import { openDatabase, type Database } from './database/database.ts';
import { migrate, pendingMigrations } from './database/migrator.ts';
import { Refusal } from './errors.ts';
import { createApp } from './http/app.ts';
import { gatehouseCookies } from './http/cookies.ts';
import { rateLimits } from './http/rate-limits.ts';
import { describeError, openLog, type Logger } from './log.ts';
import { openDirectory } from './login/directory.ts';
import { guardedFetch } from './outbound/guarded-fetch.ts';
import { openSecretBox } from './secret-box.ts';

export interface Gateway {
  /** Where it listens. */
  readonly port: number;
  /** Stops taking requests, lets those under way finish, and closes what is open. */
  close(): Promise<void>;
}

/** What a test puts in the place of the real world. */
export interface Surroundings {
  readonly log?: Logger;
  readonly fetch?: typeof fetch;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** What to tell the person while something takes long. */
  readonly onProgress?: (message: string) => void;
}

const LONGEST_STOP_MS = 15_000;

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
  const now = surroundings.now ?? Date.now;
  const secrets = openSecretBox(config);
  const feed = startChangeFeed({
    connection: database.connection,
    onFault: (error) => {
      log.warn(
        { error: describeError(error) },
        'the change feed is down; nothing is answered from memory meanwhile',
      );
    },
  });
  let isStopping = false;
  const app = createApp({
    config,
    database,
    feed,
    log,
    cookies: gatehouseCookies(config.isHttps),
    limits: rateLimits(config.rateLimits),
    isStopping: () => isStopping,
    login: {
      ...config,
      database,
      directory: openDirectory(database, feed),
      connectors: openConnectors(secrets, {
        fetch: guardedFetch({
          ...config,
          ...(surroundings.fetch === undefined ? {} : { fetch: surroundings.fetch }),
        }),
        allowPrivateNetworks: config.allowPrivateNetworks,
        publicUrl: config.publicUrl,
        now,
      }),
      secrets,
      now,
    },
  });
  const server = createServer(
    { requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 65_000 },
    app,
  );
  const close = async () => {
    isStopping = true;
    await stopServing(server);
    await feed.close();
    await database.close();
  };
  try {
    const port = await listen(server, config);
    log.info({ url: config.publicUrl, host: config.host, port }, 'gatehouse is ready');
    return { port, close };
  } catch (error) {
    await feed.close();
    throw error;
  }
}

/** @throws Refusal if the address cannot be listened on */
function listen(server: Server, { host, port }: Config): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(
        new Refusal(
          taken
            ? `Port ${port} of ${host} is taken. Set PORT to another one, and PUBLIC_URL with it.`
            : `Cannot listen on ${host}:${port} (${error.code ?? error.name}). Check HOST and PORT.`,
        ),
      );
    });
    server.listen(port, host, () => {
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Ends idle connections at once and busy ones when they are done, or when the time is over. */
function stopServing(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => {
      server.closeAllConnections();
    }, LONGEST_STOP_MS);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}
