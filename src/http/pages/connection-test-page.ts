/**
 * What a test of a connection found, for the customer's administrator who has just tried it. It owns the words; it must not know how
 * the test was made. Its URL carried a code or a token, so no other host is asked for anything.
 */
import type { SignInTest } from '../../login/test-sign-in.ts';
import { facts } from './facts.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { renderPage } from './page.ts';
import type { Brand } from './page.ts';

interface ConnectionTestPageOptions {
  readonly brand: Brand;
  /** The organization's name. */
  readonly organization: string;
  readonly test: SignInTest;
}

export function renderConnectionTestPage({ brand, organization, test }: ConnectionTestPageOptions): string {
  const title = test.passed ? 'The sign-in works' : 'The sign-in does not work yet';
  const body = html`<h1>${title}</h1>
    <p class="lead">This was a test for <bdi>${organization}</bdi>. Nobody was signed in.</p>
    ${verdict(test)}
    ${
      test.mapped !== undefined &&
      section('Who it was', [
        { label: 'Email', value: test.mapped.email ?? 'none' },
        { label: 'Subject', value: test.mapped.subject },
        { label: 'Name', value: test.mapped.name ?? 'none' },
      ])
    }
    ${
      test.claims.length > 0 &&
      section(
        'What your sign-in service sent',
        test.claims.map(({ name, value }) => ({ label: name, value })),
      )
    }`;
  return renderPage({ title, brand, body, externalAssets: false });
}

function section(heading: string, rows: readonly { readonly label: string; readonly value: string }[]): Html {
  return html`<h2>${heading}</h2>
    ${facts(rows)}`;
}

function verdict({ passed, refusal, person }: SignInTest): Html {
  if (!passed) {
    return html`<div class="message problem" role="alert">
      <p class="sentence">It would be refused: ${refusal?.reason}.</p>
      <p>
        Change that at your sign-in service, or give this page to whom you have the test link from; then open
        the link again.
      </p>
    </div>`;
  }
  if (person === 'would be refused') {
    return html`<div class="message" role="status">
      <p class="sentence">This person would be refused for now: ${refusal?.reason}.</p>
      <p>Your sign-in service did all that it has to do.</p>
    </div>`;
  }
  return html`<div class="message" role="status">
    <p class="sentence">
      ${person === 'exists' ? 'This person would be signed in.' : 'This person would get an account and be signed in.'}
    </p>
  </div>`;
}
