/** One check of the doctor's, and what it is made with. A check reads and changes nothing. */
import type { Config } from '../config.ts';
import type { Database } from '../database/database.ts';
import type { CertificatesOf } from '../expiry/list-expiring.ts';
import type { SecretBox } from '../secret-box.ts';
import type { Finding } from './finding.ts';

export interface CheckParts {
  readonly config: Config;
  readonly database: Database;
  readonly secrets: SecretBox;
  /** Certificates from their hosts, each read once, or as they were seen last. */
  readonly certificatesOf: CertificatesOf;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** What ends later than that is not mentioned. */
  readonly withinDays: number;
  /** Whether nobody is to be called. */
  readonly isOffline: boolean;
  /** Files of this machine that may hold secrets. */
  readonly files: readonly string[];
}

/** Whether others can reach it: on a machine of one's own, for a first try, much is allowed. */
export const isForOthers = ({ config }: CheckParts): boolean => config.isHttps;

export type Check = (parts: CheckParts) => Promise<readonly Finding[]>;
