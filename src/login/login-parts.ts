/** What the flow is made of: handed in, so that a test runs the same flow with a clock or a provider of its own. */
import type { OpenConnectors } from '../connections/open-connectors.ts';
import type { Database } from '../database/database.ts';
import type { Meters } from '../meters.ts';
import type { Regions } from '../organizations/home-region.ts';
import type { SecretBox } from '../secret-box.ts';
import type { Directory } from './directory.ts';
import type { FinishedLogin, FinishLogin } from './finish-login-store.ts';

export interface LoginParts {
  readonly database: Database;
  readonly directory: Directory;
  readonly connectors: OpenConnectors;
  readonly finishLogin: (login: FinishLogin) => Promise<FinishedLogin>;
  readonly secrets: SecretBox;
  readonly meters: Meters;
  /** Ids of the attempts that this process is completing. */
  readonly underWay: Set<string>;
  /** Origin of this gateway. */
  readonly publicUrl: string;
  readonly regions: Regions | undefined;
  readonly sessionTtlSeconds: number;
  readonly sessionIdleTtlSeconds: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}
