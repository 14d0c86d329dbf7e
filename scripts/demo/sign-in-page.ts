/**
 * The pages of the demonstration's identity providers: a sign-in form, a question, a plain message. They belong to a
 * customer's company, so they look like nothing of Gatehouse, and the two looks differ from each other. No script; the
 * style is inline and named by its digest in the content security policy. Knows nothing of any protocol.
 */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';

/** `rounded`: a centred card. `editorial`: a page with a coloured spine and a serif. */
type PageLook = 'rounded' | 'editorial';

export interface CompanyPages {
  readonly companyName: string;
  readonly look: PageLook;
}

export interface Page {
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

interface SignInForm {
  /** Where the form is posted to. */
  readonly action: string;
  readonly email: string;
  /** Shown to the person, because this is a demonstration. */
  readonly password: string;
  readonly hidden?: Readonly<Record<string, string>>;
  /** What was wrong with the last try. */
  readonly problem?: string;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}

const BASE_STYLE = `
*{box-sizing:border-box}
body{margin:0;min-height:100vh;background:var(--ground);color:var(--ink);line-height:1.5;font-size:1rem}
h1{margin:0 0 .25rem;font-size:1.6rem;line-height:1.2}
p{margin:0}
.company{margin-bottom:2rem;font-weight:700;color:var(--accent)}
.lead{margin-bottom:1.5rem;color:var(--soft)}
label{display:block;margin-top:1rem;font-weight:600}
input{display:block;width:100%;min-height:2.75rem;margin-top:.35rem;padding:.5rem .75rem;font:inherit;color:inherit;
background:var(--field);border:1px solid var(--edge);border-radius:var(--radius)}
button{width:100%;min-height:2.75rem;margin-top:1.5rem;padding:.5rem 1rem;font:inherit;font-weight:700;cursor:pointer;
color:var(--on-accent);background:var(--accent);border:1px solid var(--accent);border-radius:var(--radius)}
button.plain{margin-top:.75rem;color:var(--accent);background:transparent}
button:hover{filter:brightness(1.08)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.note{margin-top:1.25rem;font-size:.9rem;color:var(--soft)}
code{padding:.1rem .35rem;font-size:.95em;color:var(--ink);background:var(--line);border-radius:4px}
.problem{margin-bottom:.5rem;padding:.6rem .8rem;color:var(--bad);border-left:4px solid var(--bad);background:var(--field)}`;

const LOOKS: Readonly<Record<PageLook, string>> = {
  rounded: `
:root{color-scheme:light dark;--ground:#eef2fb;--card:#fff;--ink:#17203a;--soft:#4b5675;--line:#dbe2f1;--edge:#76829f;--field:#fff;
--accent:#2447c6;--on-accent:#fff;--bad:#a3162c;--radius:10px}
@media (prefers-color-scheme:dark){:root{--ground:#0e1322;--card:#182036;--ink:#eef2fb;--soft:#b3bfdb;--line:#3a4668;--edge:#7c8ab5;
--field:#10172a;--accent:#9db4ff;--on-accent:#0e1322;--bad:#ff9fae}}
body{font-family:system-ui,sans-serif;display:grid;place-items:center;padding:1rem}
main{width:100%;max-width:25rem;padding:2rem;background:var(--card);border-radius:18px;
box-shadow:0 1px 2px #0002,0 12px 40px #0002}`,
  editorial: `
:root{color-scheme:light dark;--ground:#fbf7f0;--ink:#2a1f17;--soft:#66564a;--line:#e6dbcd;--edge:#8b7766;--field:#fffdf9;
--accent:#8a3212;--on-accent:#fff;--bad:#9b1230;--radius:2px}
@media (prefers-color-scheme:dark){:root{--ground:#1b1512;--ink:#f6ede3;--soft:#c9b8a8;--line:#4b3d33;--edge:#93806f;--field:#241c17;
--accent:#f0a07c;--on-accent:#1b1512;--bad:#ff9fae}}
body{font-family:Georgia,'Times New Roman',serif;border-left:clamp(.75rem,6vw,6rem) solid var(--accent)}
main{max-width:30rem;padding:clamp(2rem,12vh,8rem) clamp(1.25rem,5vw,4rem)}
.company{font-size:1.25rem;font-style:italic}
input,button{font-family:system-ui,sans-serif}`,
};

function renderPage(company: CompanyPages, title: string, content: string): Page {
  const style = `${LOOKS[company.look]}${BASE_STYLE}`;
  const digest = createHash('sha256').update(style).digest('base64');
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} · ${escapeHtml(company.companyName)}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<main>
<p class="company">${escapeHtml(company.companyName)}</p>
${content}
</main>
</body>
</html>
`;
  return {
    html,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      // No form-action: browsers hold the redirects after a form against it, and those leave for the gateway.
      'content-security-policy': `default-src 'none'; style-src 'sha256-${digest}'; img-src data:; base-uri 'none'; frame-ancestors 'none'`,
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    },
  };
}

export function renderSignInPage(company: CompanyPages, form: SignInForm): Page {
  const hidden = Object.entries(form.hidden ?? {})
    .map(([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">\n`)
    .join('');
  const problem =
    form.problem === undefined ? '' : `<p class="problem" role="alert">${escapeHtml(form.problem)}</p>\n`;
  const [emailFocus, passwordFocus] = form.email === '' ? [' autofocus', ''] : ['', ' autofocus'];
  return renderPage(
    company,
    'Sign in',
    `<h1>Sign in</h1>
<p class="lead">Use your ${escapeHtml(company.companyName)} account.</p>
${problem}<form method="post" action="${escapeHtml(form.action)}">
${hidden}<label for="email">Work e-mail</label>
<input id="email" name="email" type="email" autocomplete="username" required value="${escapeHtml(form.email)}"${emailFocus}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required aria-describedby="note"${passwordFocus}>
<button type="submit">Sign in</button>
</form>
<p class="note" id="note">Demonstration: the password is <code>${escapeHtml(form.password)}</code>.</p>`,
  );
}

/**
 * Asks whether to sign out.
 * @param form complete HTML of the form that carries the answer
 * @param formId the id of that form
 */
export function renderSignOutPage(company: CompanyPages, form: string, formId: string): Page {
  const id = escapeHtml(formId);
  return renderPage(
    company,
    'Sign out',
    `<h1>Sign out?</h1>
<p class="lead">You are signed in at ${escapeHtml(company.companyName)}.</p>
${form}
<button type="submit" form="${id}" name="logout" value="yes">Sign out</button>
<button type="submit" form="${id}" class="plain">Stay signed in</button>`,
  );
}

interface Question {
  readonly title: string;
  readonly text: string;
  readonly action: string;
  readonly method: 'get' | 'post';
  readonly button: string;
}

/** A sentence and one thing to do. */
export function renderQuestionPage(company: CompanyPages, question: Question): Page {
  return renderPage(
    company,
    question.title,
    `<h1>${escapeHtml(question.title)}</h1>
<p class="lead">${escapeHtml(question.text)}</p>
<form method="${question.method}" action="${escapeHtml(question.action)}">
<button type="submit">${escapeHtml(question.button)}</button>
</form>`,
  );
}

export function renderMessagePage(company: CompanyPages, title: string, text: string): Page {
  return renderPage(company, title, `<h1>${escapeHtml(title)}</h1>\n<p class="lead">${escapeHtml(text)}</p>`);
}

export function sendPage(response: ServerResponse, status: number, page: Page): void {
  response.writeHead(status, page.headers).end(page.html);
}
