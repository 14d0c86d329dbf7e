/**
 * How the demonstration writes to the terminal: colour where somebody looks at it and wants it, plain text elsewhere;
 * command lines as a person would type them; URLs without what must not be shown.
 */
type Colour = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

const CODES: Readonly<Record<Colour, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/** Query members that say how a protocol works and give nothing away. */
const HARMLESS: readonly string[] = [
  'callback_url',
  'client_id',
  'code_challenge_method',
  'error',
  'login_hint',
  'redirect_uri',
  'response_type',
  'return_to',
  'scope',
];

export class Terminal {
  readonly #stream: NodeJS.WriteStream;
  readonly #hasColour: boolean;

  constructor(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv) {
    this.#stream = stream;
    this.#hasColour = stream.isTTY && (env['NO_COLOR'] ?? '') === '';
  }

  line(text = ''): void {
    this.#stream.write(`${text}\n`);
  }

  paint(colour: Colour, text: string): string {
    const [on, off] = CODES[colour];
    return this.#hasColour ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  }

  heading(text: string): void {
    this.line(`\n${this.paint('bold', text)}`);
  }
}

/** A command line that could be typed into a shell. */
export function asTyped(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `"${word.replace(/["\\$`]/g, '\\$&')}"`))
    .join(' ');
}

/** The URL without the query values that are not known to be harmless, and without long random parts of the path. */
export function withoutSecrets(url: URL): string {
  const query = [...url.searchParams].map(
    ([name, value]) => `${name}=${HARMLESS.includes(name) ? readableValue(value) : '…'}`,
  );
  const path = url.pathname.replace(/(\/[\w-]{6})[\w-]{36,}/g, '$1…');
  return `${url.origin}${path}${query.length === 0 ? '' : `?${query.join('&')}`}`;
}

function readableValue(value: string): string {
  return encodeURIComponent(value).replace(/%(?:40|3A|2F)/g, decodeURIComponent);
}
