/**
 * JSON from outside, read in one way only: valid UTF-8 without a byte order mark, no duplicate members (RFC 8259
 * section 4 leaves their meaning open), no lone surrogates, no deeper than anything legitimate is.
 */

export type JsonObject = Readonly<Record<string, unknown>>;

const DEEPEST = 32;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/**
 * One token: a string, or a character that gives structure. Everything between them is numbers, words and space. A string
 * without an end is a token too, or the search for one would begin again at each of its characters.
 */
const TOKENS = /"(?:[^"\\]|\\.)*"?|[{}[\]:,]/g;

/** `malformed`: no JSON object at all. `ambiguous`: an object that repeats a member, which parsers read differently. */
export type JsonFault = 'malformed' | 'ambiguous';

/** The object that `bytes` spell, or what is wrong with them. Never throws. */
export function readJsonObject(bytes: Uint8Array | string): JsonObject | JsonFault {
  try {
    const text = typeof bytes === 'string' ? bytes : utf8.decode(bytes);
    // Before it is parsed: a hostile depth is found by counting, not by recursion.
    const fault = findFault(text);
    if (fault === 'malformed') return fault;
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? (fault ?? value) : 'malformed';
  } catch {
    return 'malformed';
  }
}

/** The object that `bytes` spell, or undefined for anything else, whatever is wrong with it. */
export function parseJsonObject(bytes: Uint8Array | string): JsonObject | undefined {
  const read = readJsonObject(bytes);
  return typeof read === 'string' ? undefined : read;
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An object's own member; what it inherits is none of its members. */
export function member(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** Depth, ill-formed strings and repeated members, found without parsing. */
function findFault(text: string): JsonFault | undefined {
  const open: (Set<string> | undefined)[] = [];
  let isAmbiguous = false;
  let last = '';
  TOKENS.lastIndex = 0;
  for (let found = TOKENS.exec(text); found !== null; found = TOKENS.exec(text)) {
    const [token] = found;
    if (token === '{' || token === '[') {
      if (open.push(token === '{' ? new Set() : undefined) > DEEPEST) return 'malformed';
    } else if (token === '}' || token === ']') {
      open.pop();
    } else if (token.startsWith('"')) {
      // Without an escape it is what it looks like; one without an end is found when it is parsed.
      const string = token.includes('\\') ? (JSON.parse(token) as string) : token.slice(1, -1);
      if (!string.isWellFormed()) return 'malformed';
      const members = open.at(-1);
      // In an object, a string after "{" or "," is a member's name.
      if (members !== undefined && (last === '{' || last === ',')) {
        isAmbiguous ||= members.has(string);
        members.add(string);
      }
    }
    last = token;
  }
  return isAmbiguous ? 'ambiguous' : undefined;
}
