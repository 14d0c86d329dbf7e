/**
 * The pages for signing out of one host behind a reverse proxy: the question, and that it is done. They are shown at that host,
 * own the form of `POST /.gatehouse/sign-out`, and must not know how its cookie is kept.
 */
import { html } from './html.ts';
import { renderPage } from './page.ts';
import type { Brand } from './page.ts';

interface HostPageOptions {
  readonly brand: Brand;
  readonly host: string;
}

export function renderHostSignOutPage({ brand, host }: HostPageOptions): string {
  const body = html`<h1>Sign out of <bdi>${host}</bdi>?</h1>
    <p class="lead">Other applications that you opened stay signed in.</p>
    <form class="actions" method="post" action="/.gatehouse/sign-out">
      <button class="button primary" type="submit" name="decision" value="allow">Sign out</button>
      <a class="button" href="/">Stay signed in</a>
    </form>`;
  return renderPage({ title: 'Sign out?', brand, body });
}

export function renderHostSignedOutPage({
  brand,
  host,
  gatehouseUrl,
}: HostPageOptions & {
  /** Where a person sees and ends all that they are signed in to. */
  readonly gatehouseUrl: string;
}): string {
  const body = html`<h1>You are signed out of <bdi>${host}</bdi></h1>
    <p class="lead">
      You are still signed in at ${brand.name}, so opening <bdi>${host}</bdi> again needs no password. To end
      everything, sign out there too.
    </p>
    <div class="actions">
      <a class="button primary" href="${gatehouseUrl}">Sign out everywhere</a>
      <a class="button" href="/">Sign in again</a>
    </div>`;
  return renderPage({ title: 'You are signed out', brand, body });
}
