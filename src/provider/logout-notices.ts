/**
 * Tells applications that a session ended (OpenID Connect Back-Channel Logout 1.0). Notices are written by the database with
 * the end of a session, whatever ended it and in whichever process; any node that is running delivers them.
 */
import type { ChangeFeed } from '../database/change-feed.ts';
import type { Database } from '../database/database.ts';
import { findGatewayError } from '../errors.ts';
import { lookRecurringly } from '../recurring-look.ts';
import type { CurrentProvider } from './current-provider.ts';
import {
  deleteLogoutNotice,
  giveUpLogoutNotice,
  takeLogoutNotices,
  type LogoutNotice,
} from './logout-notice-store.ts';

const AT_ONCE = 20;
const MOST_ATTEMPTS = 8;
/** Next attempts, and what was written while the change feed was down. */
const LOOK_EVERY_MS = 5_000;

/** What the library's clients can do beside what its types say: make a logout token for a session, and send it. */
interface NotifiableClient {
  readonly backchannelLogoutUri?: string;
  backchannelLogout(sub: string, sid: string): Promise<void>;
}

export interface LogoutNotices {
  /** Resolves when those under way are through. */
  close(): Promise<void>;
}

export interface LogoutNoticesOptions {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly provider: CurrentProvider;
  readonly onFault: (error: unknown) => void;
}

export function startLogoutNotices(options: LogoutNoticesOptions): LogoutNotices {
  const looking = lookRecurringly({
    everyMs: LOOK_EVERY_MS,
    look: () => deliverAll(options),
    onFault: options.onFault,
  });
  options.feed.subscribe((change) => {
    if (change?.table === 'logout_notices') looking.again();
  });
  return { close: () => looking.stop() };
}

async function deliverAll(options: LogoutNoticesOptions): Promise<void> {
  for (;;) {
    const notices = await takeLogoutNotices(options.database, AT_ONCE);
    await Promise.all(notices.map((notice) => deliver(options, notice)));
    if (notices.length < AT_ONCE) return;
  }
}

async function deliver({ database, provider }: LogoutNoticesOptions, notice: LogoutNotice): Promise<void> {
  try {
    const client = (await (await provider.get()).Client.find(notice.clientId)) as
      NotifiableClient | undefined;
    // Without: it is disabled, or no longer wants to hear.
    if (client?.backchannelLogoutUri !== undefined) {
      await client.backchannelLogout(notice.userId, notice.sessionId);
    }
  } catch (error) {
    if (notice.attempts < MOST_ATTEMPTS) return;
    const reason = findGatewayError(error)?.context.reason ?? 'it did not answer as it should';
    await giveUpLogoutNotice(database, notice, reason);
    return;
  }
  await deleteLogoutNotice(database, notice);
}
