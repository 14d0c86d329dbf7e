/**
 * The page where a person types the code that a program shows them: one field, one button. It owns the form of `POST /device`
 * that only finds a code, and must not know how codes are spelled or looked for.
 */
import { facts, referenceFact } from './facts.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { renderPage } from './page.ts';
import type { Brand } from './page.ts';

interface CodeProblem {
  readonly sentence: string;
  readonly nextStep: string;
  readonly reference?: string | undefined;
}

interface DevicePageOptions {
  readonly brand: Brand;
  /** What the person typed before the problem. */
  readonly userCode?: string | undefined;
  readonly problem?: CodeProblem | undefined;
}

export function renderDevicePage({ brand, userCode, problem }: DevicePageOptions): string {
  const body = html`<h1>Connect an application</h1>
    <p class="lead" id="explanation">
      Type the code that the application shows you. If you did not start this yourself, close this page.
    </p>
    ${problem && problemMessage(problem)} ${codeForm(userCode, problem !== undefined)}`;
  const title = 'Connect an application';
  return renderPage({
    title: problem === undefined ? title : `${problem.sentence} · ${title}`,
    brand,
    body,
  });
}

function problemMessage({ sentence, nextStep, reference }: CodeProblem): Html {
  return html`<div class="message problem" role="alert">
    <div id="problem">
      <p class="sentence">${sentence}</p>
      <p>${nextStep}</p>
    </div>
    ${reference !== undefined && facts([referenceFact(reference)])}
  </div>`;
}

function codeForm(userCode: string | undefined, isWrong: boolean): Html {
  const description = isWrong
    ? html`aria-invalid="true" aria-describedby="problem"`
    : html`aria-describedby="explanation"`;
  return html`<form method="post" action="/device">
    <label for="user_code">Code</label>
    <input
      id="user_code"
      name="user_code"
      type="text"
      autocomplete="off"
      autocapitalize="characters"
      spellcheck="false"
      maxlength="64"
      value="${userCode}"
      placeholder="XXXX-XXXX"
      ${description}
      required
      autofocus
    />
    <button class="button primary" type="submit">Continue</button>
  </form>`;
}
