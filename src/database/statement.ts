/**
 * A statement that requests wait for: written once, with `:name` for each of its parameters, and parsed by the server once on each
 * connection. What is asked rarely, or differs from time to time, is built by knex instead.
 */
export interface Statement {
  /** Under which the server keeps it; of one text alone. */
  readonly name: string;
  /** With `$1`, `$2`, … as PostgreSQL wants it. */
  readonly text: string;
  /** Names of the parameters in their order. */
  readonly parameters: readonly string[];
}

/** A cast (`::`) is no parameter. */
const PARAMETER = /(?<!:):([a-z]\w*)/gi;

export function statement(name: string, sql: string): Statement {
  const parameters: string[] = [];
  const text = sql.replace(PARAMETER, (_, parameter: string) => {
    if (!parameters.includes(parameter)) parameters.push(parameter);
    return `$${parameters.indexOf(parameter) + 1}`;
  });
  return { name, text, parameters };
}

/**
 * The values of a statement in the order of its parameters.
 * @throws if one is missing
 */
export function valuesOf(
  { name, parameters }: Statement,
  values: Readonly<Record<string, unknown>>,
): unknown[] {
  return parameters.map((parameter) => {
    const value = values[parameter];
    if (value === undefined) throw new Error(`the statement ${name} has no value for ${parameter}`);
    return value;
  });
}
