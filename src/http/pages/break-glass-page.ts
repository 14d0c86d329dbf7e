/**
 * Asks whoever opened a break-glass link whether to sign in by it. It owns the words and the form; it must not know what the link
 * holds. No other host is asked for anything: the page's address is the way in.
 */
import { facts } from './facts.ts';
import { html } from './html.ts';
import { renderPage } from './page.ts';
import type { Brand } from './page.ts';

interface BreakGlassPageOptions {
  readonly brand: Brand;
  readonly email: string;
  /** The organization's name. */
  readonly organization: string;
  readonly action: string;
}

export function renderBreakGlassPage({ brand, email, organization, action }: BreakGlassPageOptions): string {
  const body = html`<h1>Sign in without your company</h1>
    <p class="lead">
      This link is for when your company's sign-in service is gone. It works once, the session lasts an hour,
      and your administrators see that it was used.
    </p>
    ${facts([
      { label: 'Email', value: email },
      { label: 'Organization', value: organization },
    ])}
    <form class="actions" method="post" action="${action}">
      <button class="button primary" type="submit" name="decision" value="allow">Sign in</button>
    </form>`;
  return renderPage({ title: 'Sign in without your company', brand, body, externalAssets: false });
}
