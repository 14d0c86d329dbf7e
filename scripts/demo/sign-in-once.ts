/**
 * One whole sign-in without a person: from the e-mail page to the dashboard, and on to an application, over real HTTP, every hop shown. It does
 * what a person would do on the pages that it is shown, and then asks Gatehouse who is signed in.
 */
import { Browser } from './browser.ts';
import type { BrowserPage, Hop } from './browser.ts';
import { visibleText } from './html-form.ts';
import { DEMO_PASSWORD } from './people.ts';
import type { SamplePerson } from './sample-companies.ts';
import { withoutSecrets } from './terminal.ts';
import type { Terminal } from './terminal.ts';

const LONGEST_QUOTE = 800;

/** What `GET /session` is checked for. */
interface SessionAnswer {
  readonly user?: { readonly email?: unknown };
  readonly organization?: { readonly slug?: unknown };
  readonly connection?: { readonly kind?: unknown };
}

interface SignInOptions {
  readonly gatewayUrl: string;
  readonly applicationUrl: string;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** The page on which a sign-in went another way than it should. */
function unexpected(page: BrowserPage, wanted: string): Error {
  const said = visibleText(page.body).slice(0, LONGEST_QUOTE);
  return new Error(`${wanted}, but ${withoutSecrets(page.url)} answered ${page.status}:\n  ${said}`);
}

/** Shows hops, numbered as they come. */
export function hopPrinter(terminal: Terminal): (hop: Hop) => void {
  let hops = 0;
  return ({ method, url, status }) => {
    hops += 1;
    const colour = status >= 400 ? 'red' : status >= 300 ? 'cyan' : 'green';
    const where = terminal.paint(colour, String(status));
    terminal.line(`${String(hops).padStart(3)}  ${method.padEnd(4)} ${where}  ${withoutSecrets(url)}`);
  };
}

export function checkPage(page: BrowserPage, isRight: boolean, wanted: string): void {
  if (page.status !== 200 || !isRight) throw unexpected(page, wanted);
}

/**
 * Signs one person in.
 * @returns the browser, signed in
 * @throws with the hop and its answer's text unless that very person ends on the dashboard
 */
export async function signInOnce(
  person: SamplePerson,
  { gatewayUrl, applicationUrl, terminal, signal }: SignInOptions,
): Promise<Browser> {
  const browser = new Browser({ signal, onHop: hopPrinter(terminal) });
  terminal.heading(`${person.email} signs in at ${person.companyName} (${person.protocol})`);

  const emailPage = await browser.open(`${gatewayUrl}/login`);
  checkPage(emailPage, emailPage.body.includes('<form'), 'The e-mail page was expected');

  const signInPage = await browser.submit({ email: person.email });
  const hasLeft = signInPage.url.origin !== gatewayUrl;
  checkPage(signInPage, hasLeft, `The sign-in page of ${person.companyName} was expected`);

  await browser.submit({ email: person.email, password: DEMO_PASSWORD });
  const { page: arrived } = browser;
  checkPage(arrived, arrived.url.origin === gatewayUrl, 'The dashboard was expected');

  const dashboard = arrived.url.pathname === '/' ? arrived : await browser.open(`${gatewayUrl}/`);
  const isShown = dashboard.url.pathname === '/' && visibleText(dashboard.body).includes(person.email);
  checkPage(dashboard, isShown, `The dashboard of ${person.email} was expected`);

  const answer = await browser.fetch('/session');
  checkPage(answer, isSessionOf(person, answer.body), `The session of ${person.email} was expected`);

  terminal.line('  and opens the application:');
  await browser.open(applicationUrl);
  const application = await browser.submit({});
  const isThere =
    application.url.href === applicationUrl && visibleText(application.body).includes(person.email);
  checkPage(application, isThere, `The application of ${person.email} was expected`);
  return browser;
}

function isSessionOf(person: SamplePerson, body: string): boolean {
  try {
    const session = JSON.parse(body) as SessionAnswer;
    return (
      session.user?.email === person.email &&
      session.organization?.slug === person.organization &&
      session.connection?.kind === person.connectionKind
    );
  } catch {
    return false;
  }
}
