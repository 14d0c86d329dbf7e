/**
 * The e-mail page: one field, one button. It owns the words and the form of `POST /login`.
 * It must not know how an address is routed, nor why a problem arose: it shows the sentences it is given.
 */
import { facts, referenceFact } from './facts.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { renderPage } from './page.ts';
import { safeHref } from './safe-href.ts';
import type { Brand } from './page.ts';

interface LoginProblem {
  readonly sentence: string;
  readonly nextStep: string;
  readonly reference?: string | undefined;
}

interface LoginPageOptions {
  readonly brand: Brand;
  /** What the field holds: a hint, or what the person typed before the problem. */
  readonly email?: string | undefined;
  readonly returnTo?: string | undefined;
  readonly notice?: 'signed-out' | undefined;
  /** Somebody is signed in already: who, and where they may go instead. */
  readonly signedInAs?: { readonly email: string; readonly href: string } | undefined;
  readonly problem?: LoginProblem | undefined;
}

export function renderLoginPage(options: LoginPageOptions): string {
  const { brand, notice, problem } = options;
  // A problem outranks the notice of an earlier step.
  const signedOut = problem === undefined && notice === 'signed-out';
  const body = html`<h1>Sign in</h1>
    <p class="lead" id="explanation">Type your work address. You sign in at your own company.</p>
    ${signedOut && signedOutMessage} ${options.signedInAs && signedInMessage(options.signedInAs)}
    ${problem && problemMessage(problem)} ${loginForm(options)}`;
  return renderPage({ title: pageTitle(signedOut, problem), brand, body });
}

/** The session here is over; the company's own may not be, and only the person can end that. */
const signedOutMessage = html`<div class="message" role="status">
  <p class="sentence">You are signed out.</p>
  <p>You may still be signed in at your company.</p>
</div>`;

function signedInMessage({ email, href }: { readonly email: string; readonly href: string }): Html {
  return html`<div class="message" role="status">
    <p>You are signed in as <bdi>${email}</bdi>.</p>
    <p><a href="${safeHref(href) ?? '/'}">Continue</a></p>
  </div>`;
}

/** The title is read first, in the tab and by a screen reader: what happened comes before what the page is. */
function pageTitle(signedOut: boolean, problem: LoginProblem | undefined): string {
  if (problem !== undefined) return `${problem.sentence} · Sign in`;
  return signedOut ? 'You are signed out · Sign in' : 'Sign in';
}

function problemMessage(problem: LoginProblem): Html {
  return html`<div class="message problem" role="alert">
    <div id="problem">
      <p class="sentence">${problem.sentence}</p>
      <p>${problem.nextStep}</p>
    </div>
    ${problem.reference !== undefined && facts([referenceFact(problem.reference)])}
  </div>`;
}

function loginForm({ email, returnTo, problem }: LoginPageOptions): Html {
  const description =
    problem === undefined
      ? html`aria-describedby="explanation"`
      : html`aria-invalid="true" aria-describedby="problem"`;
  return html`<form method="post" action="/login">
    <label for="email">Email address</label>
    <input
      id="email"
      name="email"
      type="email"
      inputmode="email"
      autocomplete="email"
      autocapitalize="none"
      spellcheck="false"
      maxlength="254"
      value="${email}"
      placeholder="you@company.com"
      ${description}
      required
      autofocus
    />
    ${returnTo !== undefined && html`<input type="hidden" name="return_to" value="${returnTo}" />`}
    <button class="button primary" type="submit">Continue</button>
  </form>`;
}
