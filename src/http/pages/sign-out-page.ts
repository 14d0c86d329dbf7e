/**
 * The page that asks whether to sign out, when an application asks for it without showing whose session it means. It owns a
 * form of `POST /logout` and must not know what `request` holds.
 */
import { facts } from './facts.ts';
import { html } from './html.ts';
import { renderPage } from './page.ts';
import type { Brand } from './page.ts';

interface SignOutPageOptions {
  readonly brand: Brand;
  readonly email: string;
  /** The organization's name. */
  readonly organization: string;
  /** Where to go afterwards, sealed. */
  readonly request: string | undefined;
}

export function renderSignOutPage({ brand, email, organization, request }: SignOutPageOptions): string {
  const body = html`<h1>Sign out?</h1>
    <p class="lead">An application asks to sign you out here, and everywhere that you signed in from here.</p>
    ${facts([
      { label: 'Email', value: email },
      { label: 'Organization', value: organization },
    ])}
    <form class="actions" method="post" action="/logout">
      ${request !== undefined && html`<input type="hidden" name="request" value="${request}" />`}
      <button class="button primary" type="submit" name="decision" value="allow">Sign out</button>
      <a class="button" href="/">Stay signed in</a>
    </form>`;
  return renderPage({ title: 'Sign out?', brand, body });
}
