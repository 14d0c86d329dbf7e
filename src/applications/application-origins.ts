/** Origins of the applications that are enabled: people may be sent there after signing in, as to this origin itself. */
import type { ChangeFeed } from '../database/change-feed.ts';
import type { Database } from '../database/database.ts';
import { fedMemory } from '../database/fed-memory.ts';
import { parseUrl } from '../parse-url.ts';
import { listApplications } from './application-store.ts';

export interface ApplicationOrigins {
  current(): Promise<readonly string[]>;
}

export function openApplicationOrigins(database: Database, feed: ChangeFeed): ApplicationOrigins {
  const memory = fedMemory({
    feed,
    name: 'application_origins',
    tables: ['applications'],
    isWhole: true,
    most: 1,
    read: async () => {
      const enabled = (await listApplications(database)).filter((application) => application.enabled);
      const origins = enabled.flatMap(({ settings }) =>
        settings.redirectUris.map((uri) => parseUrl(uri)?.origin),
      );
      return [...new Set(origins.filter((origin) => origin !== undefined))];
    },
  });
  return { current: () => memory.get('') };
}
