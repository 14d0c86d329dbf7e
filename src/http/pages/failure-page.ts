/**
 * The page for everything that ended a request: what happened, what to do next, and a reference to quote.
 * It must not know failure codes: its sentences come from a table at the edge, never from an error's message.
 */
import { facts, referenceFact } from './facts.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { renderPage } from './page.ts';
import type { Brand } from './page.ts';
import { safeHref } from './safe-href.ts';

interface FailureAction {
  readonly label: string;
  readonly href: string;
}

interface FailurePageOptions {
  readonly brand: Brand;
  /** What happened, in one sentence. */
  readonly sentence: string;
  readonly nextStep: string;
  /** Who the company said it was, once that was proved: people have more than one account. */
  readonly email?: string | undefined;
  readonly reference?: string | undefined;
  /** Ways on, the best one first. One whose address a page may not link to is left out. */
  readonly actions: readonly FailureAction[];
  readonly externalAssets?: boolean | undefined;
}

export function renderFailurePage(options: FailurePageOptions): string {
  const { brand, sentence, externalAssets } = options;
  const body = html`<h1>${sentence}</h1>
    <p class="lead">${options.nextStep}</p>
    ${facts([
      ...(options.email === undefined ? [] : [{ label: 'Email', value: options.email }]),
      ...(options.reference === undefined ? [] : [referenceFact(options.reference)]),
    ])}
    ${actionLinks(options.actions)}`;
  return renderPage({ title: sentence.replace(/\.$/, ''), brand, body, externalAssets });
}

function actionLinks(actions: readonly FailureAction[]): Html | undefined {
  const links = actions.flatMap(({ label, href }) => {
    const safe = safeHref(href);
    return safe === undefined ? [] : [{ label, href: safe }];
  });
  if (links.length === 0) return undefined;
  return html`<div class="actions">
    ${links.map(
      ({ label, href }, index) =>
        html`<a class="${index === 0 ? 'button primary' : 'button'}" href="${href}">${label}</a>`,
    )}
  </div>`;
}
