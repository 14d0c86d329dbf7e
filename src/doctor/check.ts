/** One check of the doctor's, and what it is made with. A check reads and changes nothing. */
import type { Database } from '../database/database.ts';
import type { CertificatesOf } from '../expiry/list-expiring.ts';
import type { SecretBox } from '../secret-box.ts';
import type { Finding } from './finding.ts';

export interface CheckParts {
  readonly database: Database;
  readonly secrets: SecretBox;
  /** Certificates from their hosts, each read once, or as they were seen last. */
  readonly certificatesOf: CertificatesOf;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** What ends later than that is not mentioned. */
  readonly withinDays: number;
  /** Files of this machine that may hold secrets. */
  readonly files: readonly string[];
}

export type Check = (parts: CheckParts) => Promise<readonly Finding[]>;
