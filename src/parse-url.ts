/**
 * The URL that a text spells, or undefined. By the constructor: URL.canParse of Node 20 refuses, once it is optimised, good
 * URLs with letters beyond ASCII.
 */
export function parseUrl(text: string, base?: string): URL | undefined {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}
