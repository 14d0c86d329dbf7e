/**
 * Connectors that are open in this process, with each connection's line to its provider and the keys that came by it. A changed
 * connection is opened anew by itself. Opening is lazy and happens once for all who wait for it; one that fails harms nobody else.
 * A provider that cannot be asked again is used as it was; one that says it is another now is not.
 */
import { LRUCache } from 'lru-cache';
import { findGatewayError } from '../errors.ts';
import type { GuardedFetch } from '../outbound/guarded-fetch.ts';
import { KeptAnswer, type KeepingRules } from '../outbound/kept-answer.ts';
import { ProviderLine, type LineOptions } from '../outbound/provider-line.ts';
import type { SecretBox } from '../secret-box.ts';
import {
  secretPlace,
  type Connection,
  type ConnectionKind,
  type RedirectConnection,
  type TokenConnection,
} from './connection.ts';
import { growTo } from '../grow-to.ts';
import { openSecrets } from './client-secret.ts';
import { clientSecretsInUse } from './client-secrets-in-use.ts';
import { openConnection } from './connection-kinds.ts';
import { DECOY_ID } from './jwt-callback/decoy.ts';
import type { Connector, ConnectorContext, RedirectConnector, TokenConnector } from './connector.ts';
import { providerKeys, type ProviderKeys } from './provider-keys.ts';
import type { SeenVerdict } from './refused-secret-store.ts';

const MOST_OPEN = 10_000;
const HOUR_MS = 60 * 60 * 1000;
/** How long a provider's own description of itself is taken for true; and while it cannot be had again. */
const RULES: KeepingRules = {
  renewAfterMs: HOUR_MS,
  freshForMs: 24 * HOUR_MS,
  usableForMs: 24 * HOUR_MS,
  isTrouble(error) {
    const known = findGatewayError(error);
    return known !== undefined && known.context.isVerdict !== true;
  },
};

export interface OpenConnectors {
  /** @throws GatewayError `identity_provider_error` or `identity_provider_timeout` if the provider does not answer */
  open(connection: RedirectConnection): Promise<RedirectConnector>;
  open(connection: TokenConnection): Promise<TokenConnector>;
  /** One that is open already; undefined where it is to be opened, or asked about again. */
  opened(connection: RedirectConnection): RedirectConnector | undefined;
  /** Lines of the connections that were used within the last hour. */
  lines(): readonly ConnectionLine[];
}

/** A connection's line to its provider. */
export interface ConnectionLine {
  readonly connectionId: string;
  readonly kind: ConnectionKind;
  /** Of the connection, for which it is the line. */
  readonly revision: number;
  readonly line: Pick<ProviderLine, 'trouble' | 'counts'>;
}

/** What is kept of a connection in one revision. */
interface Opened extends ConnectionLine {
  readonly connector: KeptAnswer<Connector>;
  /** On a clock that is never set back. */
  usedAtMs: number;
  /** Until others need its room. */
  isHeld: boolean;
}

/** What is told of what goes on. */
export interface ProviderListeners {
  /** Hears what a provider says of a client secret, once, and again when it says something else. */
  readonly onVerdict: (seen: SeenVerdict) => Promise<void>;
  readonly onCall?: (kind: ConnectionKind, ...call: Parameters<NonNullable<LineOptions['onCall']>>) => void;
}

export function openConnectors(
  secrets: SecretBox,
  context: Omit<ConnectorContext, 'clientSecrets' | 'keysAt'>,
  { onVerdict, onCall }: ProviderListeners,
): OpenConnectors {
  /**
   * By the connection as it was read, which is found sooner than its id. Who makes room is told by the slower way, which each that is in
   * use takes once an hour.
   */
  const byConnection = new WeakMap<Connection, Opened>();
  const cache = new LRUCache<string, Opened>({
    ...growTo(MOST_OPEN),
    ttl: RULES.usableForMs,
    updateAgeOnGet: true,
    dispose: (opened) => {
      opened.isHeld = false;
    },
  });
  const openAnew = (connection: Connection): Opened => {
    const { id, kind, revision } = connection;
    const line = new ProviderLine(context.fetch, {
      now: context.now,
      onCall: (outcome, seconds) => {
        onCall?.(kind, outcome, seconds);
      },
    });
    // Member by member: what is made by a spread has a layout of its own in memory, which is larger than it is.
    const opening: ConnectorContext = {
      fetch: line.fetch,
      keysAt: keysBy(line.fetch),
      allowPrivateNetworks: context.allowPrivateNetworks,
      publicUrl: context.publicUrl,
      now: context.now,
      clientSecrets: clientSecretsInUse(
        openSecrets(secrets, secretPlace(connection), connection.sealedSecrets),
        (secretId, verdict) =>
          onVerdict({ connectionId: connection.id, revision: connection.revision, secretId, verdict }),
      ),
    };
    const connector = new KeptAnswer(() => openConnection(connection, opening), RULES);
    const opened = { connectionId: id, kind, revision, line, connector, usedAtMs: 0, isHeld: true };
    cache.set(id, opened);
    return opened;
  };
  const find = (connection: Connection): Opened => {
    const known = cache.get(connection.id);
    const opened = known?.revision === connection.revision ? known : openAnew(connection);
    byConnection.set(connection, opened);
    return opened;
  };
  const use = (opened: Opened): KeptAnswer<Connector> => {
    opened.usedAtMs = performance.now();
    return opened.connector;
  };
  return {
    open: (connection: Connection) => use(find(connection)).get(),
    opened(connection: Connection) {
      const opened = byConnection.get(connection);
      return opened?.isHeld === true ? use(opened).young() : undefined;
    },
    lines() {
      const oldestMs = performance.now() - HOUR_MS;
      return [...cache.values()].filter(
        ({ connectionId, usedAtMs }) => usedAtMs >= oldestMs && connectionId !== DECOY_ID,
      );
    },
    // A kind opens to a connector of its own flow.
  } as OpenConnectors;
}

/** The keys at the one place where a provider has them. */
function keysBy(fetch: GuardedFetch): (url: string) => ProviderKeys {
  let known: { readonly url: string; readonly keys: ProviderKeys } | undefined;
  return (url) => {
    if (known?.url !== url) {
      const headers = { accept: 'application/json' };
      known = { url, keys: providerKeys(() => fetch(url, { headers }, { isRemembered: true })) };
    }
    return known.keys;
  };
}
