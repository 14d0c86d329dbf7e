/**
 * One person's browser, without a screen: real HTTP, a cookie jar, redirects followed one by one, forms filled in and
 * sent. It says about itself what browsers say (Sec-Fetch-*, Origin), so that what is guarded by those is exercised.
 * It knows nothing of Gatehouse.
 */
import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { CookieJar } from './cookie-jar.ts';
import { findForm } from './html-form.ts';

/** One request and its answer's status. */
export interface Hop {
  readonly method: string;
  readonly url: URL;
  readonly status: number;
}

export interface BrowserPage {
  readonly url: URL;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface BrowserOptions {
  /** Told of every request, redirects included, as soon as it is answered. */
  readonly onHop?: (hop: Hop) => void;
  readonly signal?: AbortSignal;
  /** Where no server is: a redirect that leads below this address is not followed. */
  readonly stopBefore?: string;
}

interface Navigation {
  readonly method: string;
  readonly url: URL;
  readonly form?: URLSearchParams;
  /** The page that led here; undefined: the person typed the address. */
  readonly initiator: URL | undefined;
  /** All URLs since the person acted, this one included. */
  readonly chain: readonly URL[];
}

const MOST_REDIRECTS = 20;
const TIMEOUT_MS = 30_000;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

function fetchSite({ initiator, chain }: Navigation): string {
  if (initiator === undefined) return 'none';
  if (chain.every((url) => url.origin === initiator.origin)) return 'same-origin';
  return chain.every((url) => url.hostname === initiator.hostname) ? 'same-site' : 'cross-site';
}

const NAVIGATES = {
  accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
  'sec-fetch-user': '?1',
};

function describe(navigation: Navigation): Record<string, string> {
  const { initiator, form } = navigation;
  return {
    'accept-language': 'en',
    'user-agent': 'Mozilla/5.0 (a browser without a screen)',
    'sec-fetch-site': fetchSite(navigation),
    ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
    ...(form !== undefined && initiator !== undefined && { origin: initiator.origin }),
  };
}

/** Where an answer sends the browser next; undefined: here is where it stays. */
function nextNavigation(current: Navigation, page: BrowserPage): Navigation | undefined {
  const { location } = page.headers;
  if (location === undefined || !REDIRECTS.includes(page.status)) return undefined;
  const url = new URL(location, current.url);
  const keepsMethod = page.status === 307 || page.status === 308;
  return {
    method: keepsMethod ? current.method : 'GET',
    url,
    ...(keepsMethod && current.form !== undefined && { form: current.form }),
    initiator: current.initiator,
    chain: [...current.chain, url],
  };
}

export class Browser {
  readonly #options: BrowserOptions;
  readonly #cookies = new CookieJar();
  #page: BrowserPage | undefined;
  #stoppedAt: URL | undefined;

  constructor(options: BrowserOptions = {}) {
    this.#options = options;
  }

  /** The page that is shown. */
  get page(): BrowserPage {
    if (this.#page === undefined) throw new Error('the browser has opened nothing yet');
    return this.#page;
  }

  /** Where the last navigation would have gone on to, had it not been told to stop. */
  get stoppedAt(): URL | undefined {
    return this.#stoppedAt;
  }

  /** Types an address and follows redirects until a page stays. */
  open(address: string): Promise<BrowserPage> {
    const url = new URL(address);
    return this.#navigate({ method: 'GET', url, initiator: undefined, chain: [url] });
  }

  /** Fills in the first form that has these fields or buttons, sends it, and follows redirects until a page stays. */
  submit(fields: Readonly<Record<string, string>>): Promise<BrowserPage> {
    const { url: here, body } = this.page;
    const form = findForm(body, Object.keys(fields));
    if (form === undefined) {
      throw new Error(`${here.origin}${here.pathname} has no form with ${Object.keys(fields).join(', ')}`);
    }
    const values = new URLSearchParams([...new Map([...form.values, ...Object.entries(fields)])]);
    const url = new URL(form.action, here);
    if (form.method === 'GET') url.search = values.toString();
    return this.#navigate({
      method: form.method,
      url,
      ...(form.method === 'POST' && { form: values }),
      initiator: here,
      chain: [url],
    });
  }

  /** Asks as a script of the shown page would: with its cookies, following nothing, leaving the page as it is. */
  fetch(address: string, accept = 'application/json'): Promise<BrowserPage> {
    const url = new URL(address, this.page.url);
    const navigation: Navigation = { method: 'GET', url, initiator: this.page.url, chain: [url] };
    return this.#send(navigation, { accept, 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' });
  }

  async #navigate(first: Navigation): Promise<BrowserPage> {
    let navigation: Navigation | undefined = first;
    this.#stoppedAt = undefined;
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects += 1) {
      const page: BrowserPage = await this.#send(navigation, NAVIGATES);
      this.#page = page;
      navigation = nextNavigation(navigation, page);
      if (navigation === undefined) return page;
      const { stopBefore } = this.#options;
      if (stopBefore !== undefined && navigation.url.href.startsWith(stopBefore)) {
        this.#stoppedAt = navigation.url;
        return page;
      }
    }
    throw new Error(`more than ${MOST_REDIRECTS} redirects since ${first.url.origin}${first.url.pathname}`);
  }

  async #send(navigation: Navigation, headers: Readonly<Record<string, string>>): Promise<BrowserPage> {
    const { method, url, initiator, form } = navigation;
    const isCrossSite = initiator !== undefined && initiator.hostname !== url.hostname;
    const cookie = this.#cookies.header(url, { method, isCrossSite });
    const all = { ...describe(navigation), ...headers, ...(cookie !== undefined && { cookie }) };
    const page = await this.#exchange(navigation, all, form?.toString());
    this.#cookies.store(url, page.headers['set-cookie'] ?? []);
    this.#options.onHop?.({ method, url, status: page.status });
    return page;
  }

  #exchange({ method, url }: Navigation, headers: Record<string, string>, body = ''): Promise<BrowserPage> {
    const { signal } = this.#options;
    return new Promise((resolve, reject) => {
      const sending = request(
        url,
        { method, headers, timeout: TIMEOUT_MS, ...(signal && { signal }) },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            resolve({ url, status: response.statusCode ?? 0, headers: response.headers, body: text });
          });
        },
      );
      sending.on('timeout', () => sending.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
      sending.on('error', (cause) => {
        reject(new Error(`${method} ${url.origin}${url.pathname}: ${cause.message}`, { cause }));
      });
      sending.end(body);
    });
  }
}
