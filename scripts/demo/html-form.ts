/**
 * Reads forms out of a page's HTML, well enough for pages without script: action, method, and what a browser would
 * send if the person changed nothing.
 */
interface HtmlForm {
  readonly action: string;
  readonly method: 'GET' | 'POST';
  /** Names of everything that can be filled in or pressed. */
  readonly controls: ReadonlySet<string>;
  /** What is sent without touching anything: hidden and prefilled fields, no button. */
  readonly values: ReadonlyMap<string, string>;
}

const NAMED: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: '\u00a0',
};

export function decodeEntities(text: string): string {
  return text.replace(
    /&(?:#x([0-9a-f]+)|#(\d+)|([a-z]+));/gi,
    (whole, hex?: string, decimal?: string, name?: string) => {
      if (hex !== undefined) return String.fromCodePoint(parseInt(hex, 16));
      if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
      return NAMED[name ?? ''] ?? whole;
    },
  );
}

const ATTRIBUTES = `((?:[^>"']|"[^"]*"|'[^']*')*)`;

function parseAttributes(text: string): ReadonlyMap<string, string> {
  const attribute = /([^\s=/"'>]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g;
  return new Map(
    [...text.matchAll(attribute)].map(([, name = '', quoted, single, bare]) => [
      name.toLowerCase(),
      decodeEntities(quoted ?? single ?? bare ?? ''),
    ]),
  );
}

function parseForm(attributesText: string, content: string): HtmlForm {
  const attributes = parseAttributes(attributesText);
  const controls = new Set<string>();
  const values = new Map<string, string>();
  for (const [, tag = '', text = ''] of content.matchAll(
    new RegExp(`<(input|button)\\b${ATTRIBUTES}>`, 'gi'),
  )) {
    const control = parseAttributes(text);
    const name = control.get('name');
    if (name === undefined || name === '') continue;
    controls.add(name);
    const type = tag.toLowerCase() === 'button' ? 'button' : (control.get('type') ?? 'text').toLowerCase();
    if (['button', 'submit', 'image', 'reset', 'file'].includes(type)) continue;
    if (['checkbox', 'radio'].includes(type) && !control.has('checked')) continue;
    values.set(name, control.get('value') ?? (type === 'checkbox' ? 'on' : ''));
  }
  return {
    action: attributes.get('action') ?? '',
    method: attributes.get('method')?.toLowerCase() === 'post' ? 'POST' : 'GET',
    controls,
    values,
  };
}

/** The first form on the page that has all these fields or buttons. */
export function findForm(html: string, fields: readonly string[]): HtmlForm | undefined {
  return [...html.matchAll(new RegExp(`<form\\b${ATTRIBUTES}>([\\s\\S]*?)</form>`, 'gi'))]
    .map(([, attributes = '', content = '']) => parseForm(attributes, content))
    .find((form) => fields.every((field) => form.controls.has(field)));
}

/** What a person would read, on one line. */
export function visibleText(html: string): string {
  const text = html.replace(/<(style|script|head)\b[\s\S]*?<\/\1>/gi, ' ').replace(/<[^>]*>/g, ' ');
  return decodeEntities(text).replace(/\s+/g, ' ').trim();
}
