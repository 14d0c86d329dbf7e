/**
 * The page that asks before it signs somebody in: the sign-in was not started by typing an address here, or the company
 * named another address than the typed one. It owns the form of `POST /login/confirm` and must not know what `state`
 * holds. No button has the focus at first: the person is to read before answering.
 */
import { facts } from './facts.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { renderPage } from './page.ts';
import type { Brand } from './page.ts';

interface ConfirmPageOptions {
  readonly brand: Brand;
  /** The address that the company proved. */
  readonly email: string;
  /** The organization's name. */
  readonly organization: string;
  /** The address that the person typed, canonical as `email` is, if one was typed. */
  readonly typedEmail?: string | undefined;
  readonly state: string;
}

export function renderConfirmPage(options: ConfirmPageOptions): string {
  const { brand, email, organization, state } = options;
  const body = html`<h1>Continue as <bdi>${breakable(email)}?</bdi></h1>
    <p class="lead">${explanation(options)}</p>
    ${facts([
      { label: 'Email', value: email },
      { label: 'Organization', value: organization },
    ])}
    <form class="actions" method="post" action="/login/confirm">
      <input type="hidden" name="state" value="${state}" />
      <button class="button primary" type="submit" name="decision" value="allow">Continue</button>
      <button class="button" type="submit" name="decision" value="deny">Use another address</button>
    </form>`;
  // The tab's title names nobody: an address there could pass for a part of the browser's own words.
  // Its URL carried a token in most cases, so no other host is asked for anything.
  return renderPage({ title: 'Is this you?', brand, body, externalAssets: false });
}

function explanation({ email, typedEmail }: ConfirmPageOptions): Html {
  if (typedEmail !== undefined && typedEmail !== email) {
    return html`You typed <bdi>${typedEmail}</bdi>; your company says you are <bdi>${email}</bdi>. Continue
      only if that is you. To use another account, sign out at your company first.`;
  }
  return html`This sign-in was started from another site. Continue only if that was you.`;
}

/** A long address may need two lines in large type: it then breaks before its "@". */
function breakable(email: string): Html {
  const at = email.lastIndexOf('@');
  return at < 1 ? html`${email}` : html`${email.slice(0, at)}<wbr />${email.slice(at)}`;
}
