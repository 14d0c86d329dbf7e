/** The page after a person decided about a program: what they decided, and that the rest happens there. It owns no form. */
import { html } from './html.ts';
import { renderPage } from './page.ts';
import type { Brand } from './page.ts';

interface DeviceDonePageOptions {
  readonly brand: Brand;
  /** The application's client id. */
  readonly application: string;
  readonly decision: 'approved' | 'denied';
}

export function renderDeviceDonePage({ brand, application, decision }: DeviceDonePageOptions): string {
  const isApproved = decision === 'approved';
  const title = isApproved ? 'Go back to the application' : 'Nothing was allowed';
  const body = html`<h1>${title}</h1>
    <p class="lead" role="status">
      ${
        isApproved
          ? html`<bdi>${application}</bdi> is signed in within a few seconds. You can close this page.`
          : html`<bdi>${application}</bdi> may not sign in as you. If somebody asked you to allow it, tell
              your administrator. You can close this page.`
      }
    </p>
    <div class="actions"><a class="button" href="/">Where you are signed in</a></div>`;
  return renderPage({ title, brand, body });
}
