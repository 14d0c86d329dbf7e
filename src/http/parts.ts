/** What the routes are made of: the flow, and the surface's own parts. Handed to each route when the app is built. */
import type { ApplicationOrigins } from '../applications/application-origins.ts';
import type { ChangeFeed } from '../database/change-feed.ts';
import type { HostDirectory } from '../hosts/host-directory.ts';
import type { VerifyParts } from '../hosts/verify-cookie.ts';
import type { LoginParts } from '../login/login-parts.ts';
import type { CurrentProvider } from '../provider/current-provider.ts';
import type { GrantMemory } from '../provider/grant-memory.ts';
import type { FailureParts } from './failures.ts';
import type { Metrics } from './metrics.ts';
import type { RateLimits } from './rate-limits.ts';

export interface HttpParts extends FailureParts {
  readonly login: LoginParts;
  readonly feed: ChangeFeed;
  /** Where applications are. */
  readonly origins: ApplicationOrigins;
  /** What applications see. */
  readonly provider: CurrentProvider;
  /** What is held in memory of it. */
  readonly grants: GrantMemory;
  readonly limits: RateLimits;
  /** What reverse proxies ask about. */
  readonly hosts: VerifyParts & {
    readonly directory: HostDirectory;
    /** Hears of hosts that are asked about in vain. */
    readonly onDoubt: (what: string, why: string) => void;
  };
}

/** What the app as a whole knows beside that. */
export interface AppParts extends HttpParts {
  /** Whether the process is on its way out, and a load balancer should look elsewhere. */
  readonly isStopping: () => boolean;
  /** Where they are read among the other routes. */
  readonly metrics: Metrics | undefined;
}
