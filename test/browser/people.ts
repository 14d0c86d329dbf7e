/**
 * People with a browser each: a context of its own holds one person's cookies and nobody else's. Every page is watched:
 * what Chromium complains of (above all what the content security policy stopped), a script's error, and anything that a
 * page fetches besides itself fails the test when its people leave. It must not know what they do.
 */
import type { Browser, BrowserContext, BrowserContextOptions, Page, Request } from 'playwright-core';

const PATIENCE_MS = 30_000;

/** Chromium's own line about an answer with an error status: failure pages have those on purpose. */
const ERROR_STATUS = /^Failed to load resource: the server responded with a status of [45]\d\d/;
/** What a redirect carries and nobody else may read. */
const SECRET_PARAMETERS = ['token', 'code', 'state', 'nonce', 'code_challenge'];
const SHORTEST_SECRET = 16;

const REPORT_VIOLATIONS = `addEventListener('securitypolicyviolation', (event) => {
  console.error('securitypolicyviolation: ' + event.effectiveDirective + ' ' + event.blockedURI);
});`;

export interface PersonOptions extends BrowserContextOptions {
  /** `none` where a page is made to break the rules; default `all`. */
  readonly watch?: 'all' | 'none';
}

export class People {
  /** What passed through address bars and cookies and must be in no log. */
  readonly secrets = new Set<string>();
  readonly #contexts: BrowserContext[] = [];
  readonly #complaints: string[] = [];
  #browser: Browser | undefined;

  useBrowser(browser: Browser): void {
    this.#browser = browser;
  }

  /** Somebody new, with an empty browser. */
  async enter({ watch = 'all', ...options }: PersonOptions = {}): Promise<Page> {
    if (this.#browser === undefined) throw new Error('Chromium was not started');
    const context = await this.#browser.newContext(options);
    this.#contexts.push(context);
    context.setDefaultTimeout(PATIENCE_MS);
    await context.addInitScript(REPORT_VIOLATIONS);
    context.on('request', (request) => {
      this.#rememberSecrets(request);
    });
    if (watch === 'all') this.#watch(context);
    return context.newPage();
  }

  /** What was complained of until now; asking for it settles it. */
  takeComplaints(): readonly string[] {
    return this.#complaints.splice(0);
  }

  /** @throws if any page gave reason to complain */
  async leave(): Promise<void> {
    for (const context of this.#contexts.splice(0)) {
      for (const { value } of await context.cookies()) this.#keepSecret(value);
      await context.close();
    }
    const complaints = this.takeComplaints();
    if (complaints.length > 0) throw new Error(`The browser complained:\n${complaints.join('\n')}`);
  }

  async closeBrowser(): Promise<void> {
    await this.#browser?.close();
  }

  #watch(context: BrowserContext): void {
    context.on('console', (message) => {
      const isBad = message.type() === 'error' || message.type() === 'warning';
      if (isBad && !ERROR_STATUS.test(message.text())) {
        this.#complaints.push(`${message.location().url}: ${message.text()}`);
      }
    });
    context.on('weberror', (error) => this.#complaints.push(error.error().message));
    context.on('request', (request) => {
      const isPage = request.resourceType() === 'document' || request.url().endsWith('/favicon.ico');
      if (!isPage && !request.url().startsWith('data:')) this.#complaints.push(`fetched ${request.url()}`);
    });
  }

  #rememberSecrets(request: Request): void {
    const { searchParams } = new URL(request.url());
    for (const name of SECRET_PARAMETERS) this.#keepSecret(searchParams.get(name) ?? '');
  }

  #keepSecret(text: string): void {
    if (text.length >= SHORTEST_SECRET) this.secrets.add(text);
  }
}
