/** How a person proved who they are, in a provider's words (`amr`, RFC 8176). */

const MOST_METHODS = 8;

/** The provider's `amr`, as far as it is a short list of short names; what is not is left out. */
export function amrOf(amr: unknown): readonly string[] {
  if (!Array.isArray(amr)) return [];
  return amr
    .filter((name): name is string => typeof name === 'string' && /^[\w.:-]{1,32}$/.test(name))
    .slice(0, MOST_METHODS);
}
