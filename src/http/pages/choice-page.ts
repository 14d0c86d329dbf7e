/**
 * Asks a person by which of their organization's connections to sign in. It owns the words and the form; it must not know how the
 * choice came about. What came by a form goes on by a form that posts; what came in a link goes on in one.
 */
import { html } from './html.ts';
import { renderPage } from './page.ts';
import type { Brand } from './page.ts';

interface ChoicePageOptions {
  readonly brand: Brand;
  /** The organization's name. */
  readonly organization: string;
  readonly connections: readonly { readonly id: string; readonly label: string }[];
  readonly form: {
    readonly method: 'get' | 'post';
    readonly action: string;
    /** What goes on with the choice. */
    readonly fields: Readonly<Record<string, string | undefined>>;
  };
}

export function renderChoicePage({ brand, organization, connections, form }: ChoicePageOptions): string {
  const { method, action, fields } = form;
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  const body = html`<h1>How do you want to sign in?</h1>
    <p class="lead">
      <bdi>${organization}</bdi> has several ways. If you do not know which is yours, ask there.
    </p>
    <form class="actions" method="${method}" action="${action}">
      ${given.map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)}
      ${connections.map(
        ({ id, label }) =>
          html`<button class="button" type="submit" name="connection" value="${id}">
            <bdi>${label}</bdi>
          </button>`,
      )}
    </form>`;
  return renderPage({ title: 'How do you want to sign in?', brand, body });
}
