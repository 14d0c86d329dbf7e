/** What the routes are made of: the flow, and the surface's own parts. Handed to each route when the app is built. */
import type { ChangeFeed } from '../database/change-feed.ts';
import type { LoginParts } from '../login/login-parts.ts';
import type { FailureParts } from './failures.ts';
import type { RateLimits } from './rate-limits.ts';

export interface HttpParts extends FailureParts {
  readonly login: LoginParts;
  readonly feed: ChangeFeed;
  readonly limits: RateLimits;
  /** Whether the process is on its way out, and a load balancer should look elsewhere. */
  readonly isStopping: () => boolean;
}
