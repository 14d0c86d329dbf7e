/**
 * Connectors that are open in this process, by connection and revision: a changed connection is opened anew by itself.
 * Opening is lazy and happens once for all who wait for it; one that fails harms nobody else and is tried again.
 */
import { LRUCache } from 'lru-cache';
import { withoutDeadline } from '../outbound/deadline.ts';
import type { SecretBox } from '../secret-box.ts';
import { secretPlace, type Connection } from './connection.ts';
import { openConnection } from './connection-kinds.ts';
import { connectionLines } from './connection-lines.ts';
import type { ConnectorContext, RedirectConnector } from './connector.ts';

const MOST_OPEN = 10_000;
/** How long a provider's own description of itself is taken for true. */
const REOPEN_AFTER_MS = 60 * 60 * 1000;

export interface OpenConnectors {
  /** @throws GatewayError `identity_provider_error` or `identity_provider_timeout` if the provider does not answer */
  open(connection: Connection): Promise<RedirectConnector>;
}

export function openConnectors(
  secrets: SecretBox,
  context: Omit<ConnectorContext, 'clientSecret'>,
): OpenConnectors {
  const lines = connectionLines(context.fetch, context.now);
  const cache = new LRUCache<string, Promise<RedirectConnector>>({ max: MOST_OPEN, ttl: REOPEN_AFTER_MS });
  return {
    open(connection) {
      const { fetch } = lines.of(connection);
      const key = `${connection.id} ${connection.revision}`;
      const known = cache.get(key);
      if (known !== undefined) return known;
      const opening = withoutDeadline(() =>
        openConnection(connection, { ...context, fetch, clientSecret: clientSecret(secrets, connection) }),
      );
      cache.set(key, opening);
      opening.catch(() => {
        if (cache.peek(key) === opening) cache.delete(key);
      });
      return opening;
    },
  };
}

function clientSecret(secrets: SecretBox, connection: Connection): string | undefined {
  if (connection.sealedSecret === undefined) return undefined;
  return secrets.open('client-secret', secretPlace(connection), connection.sealedSecret);
}
