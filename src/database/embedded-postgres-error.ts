/** The one error of the embedded PostgreSQL; its own file so that all parts can throw it. */

const NEXT_STEP = 'Or set DATABASE_URL to a PostgreSQL server instead.';

/** Why there is no embedded PostgreSQL: a sentence for the operator that ends with the next step. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';

  /** @param sentence what is wrong and, where there is one, the remedy; a full stop at its end */
  constructor(sentence: string, cause?: unknown, nextStep = NEXT_STEP) {
    super(`${sentence} ${nextStep}`, { cause });
  }
}

/** The code of a system error (`ENOENT`) or of PostgreSQL (`57P03`); undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  // Not by `instanceof Error`: errors of Node's own modules are not instances of it inside a vm context.
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Runs file work of which one outcome is expected, and answers undefined for it. */
export async function unless<Result>(code: string, work: Promise<Result>): Promise<Result | undefined> {
  try {
    return await work;
  } catch (error) {
    if (errorCode(error) === code) return undefined;
    throw error;
  }
}
