/**
 * Markup as a value. Whatever is put into a template is escaped unless it is markup itself, so a page cannot forget it.
 * Values belong between tags or inside double-quoted attributes; a link's address goes through `safeHref` first.
 * This file knows nothing of the pages made with it.
 */

/** What a template takes: undefined, null and false render nothing, an array renders its members one after another. */
export type HtmlValue = Html | string | number | undefined | null | false | readonly HtmlValue[];

/** Text that is safe to put into a page as it is. Only `html` makes it. */
export class Html {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  get text(): string {
    return this.#text;
  }

  static fromTemplate(strings: TemplateStringsArray, values: readonly HtmlValue[]): Html {
    return new Html(strings.map((text, index) => text + render(values[index])).join(''));
  }
}

/** Template tag: the literal parts stay as written, the values are escaped. */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return Html.fromTemplate(strings, values);
}

function render(value: HtmlValue): string {
  if (value === undefined || value === null || value === false) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'string') return escape(value);
  if (typeof value === 'number') return String(value);
  return value.map(render).join('');
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
