/**
 * Short labelled values in rows: the one way in which all pages show what they know (a person, a time, a reference).
 * Each value stands in isolation, so that bidirectional characters in it cannot reorder the text around it.
 */
import { html } from './html.ts';
import type { Html, HtmlValue } from './html.ts';

interface Fact {
  readonly label: string;
  readonly value: HtmlValue;
}

export function facts(rows: readonly Fact[]): Html | undefined {
  if (rows.length === 0) return undefined;
  return html`<dl class="facts">
    ${rows.map(
      (row) =>
        html`<div>
          <dt>${row.label}</dt>
          <dd><bdi>${row.value}</bdi></dd>
        </div>`,
    )}
  </dl>`;
}

/** The short reference that a person gives to their administrator; one click selects the whole of it. */
export function referenceFact(reference: string): Fact {
  return { label: 'Reference', value: html`<code>${reference}</code>` };
}
