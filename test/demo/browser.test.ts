/**
 * The browser without a screen, against a server that reflects what it was sent: sign-in tests stand on it, so it must
 * behave as browsers do about cookies, redirects, forms and what it says of itself.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Browser } from '../../scripts/demo/browser.ts';
import type { BrowserPage } from '../../scripts/demo/browser.ts';
import { findForm, visibleText } from '../../scripts/demo/html-form.ts';
import { readForm, startLoopbackServer } from '../../scripts/demo/loopback-server.ts';
import { asTyped, withoutSecrets } from '../../scripts/demo/terminal.ts';

interface Reflection {
  readonly method: string;
  readonly path: string;
  readonly cookie: string;
  readonly site: string;
  readonly origin: string;
  readonly form: Record<string, string>;
}

/**
 * `/set?c=…` sets cookies; `/go/{status}?to=…` redirects; `/form?to=…` shows a form; everything else reflects.
 * Cookies set on the way to another page are given with `c`, too.
 */
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://server.invalid');
  const cookies = url.searchParams.getAll('c');
  if (cookies.length > 0) response.setHeader('set-cookie', cookies);
  const to = url.searchParams.get('to') ?? '';
  if (url.pathname.startsWith('/go/')) {
    response.writeHead(Number(url.pathname.slice(4)), { location: to }).end();
    return;
  }
  if (url.pathname === '/form') {
    response.end(
      `<form action="/search"><input name="q"></form>
       <form method="POST" action='${to}'><input type="hidden" name="state" value="a&amp;b &gt; &#39;c&#x27;">
       <input type=text name=email value=old@acme.example><input type="checkbox" name="off" value="1">
       <input type="checkbox" name="on" checked><button name="decision" value="allow">Yes</button></form>`,
    );
    return;
  }
  const reflection: Reflection = {
    method: request.method ?? '',
    path: request.url ?? '',
    cookie: request.headers.cookie ?? '',
    site: String(request.headers['sec-fetch-site']),
    origin: request.headers.origin ?? '',
    form: Object.fromEntries(await readForm(request)),
  };
  response.end(JSON.stringify(reflection));
}

const read = (page: BrowserPage): Reflection => JSON.parse(page.body) as Reflection;
const query = (members: [string, string][]): string => new URLSearchParams(members).toString();

describe('the browser', () => {
  const servers: Awaited<ReturnType<typeof startLoopbackServer>>[] = [];
  let here: string;
  let sameHost: string;
  let otherHost: string;

  beforeAll(async () => {
    for (const host of ['localhost', 'localhost', '127.0.0.1']) {
      const server = await startLoopbackServer(host, 0);
      server.server.on('request', (request, response) => void serve(request, response));
      servers.push(server);
    }
    [here = '', sameHost = '', otherHost = ''] = servers.map(({ origin }) => origin);
  });

  afterAll(() => Promise.all(servers.map((server) => server.close())));

  const set = (...cookies: string[]): string =>
    `${here}/set?${query(cookies.map((cookie) => ['c', cookie]))}`;
  const via = (origin: string, status: number, to: string): string =>
    `${origin}/go/${status}?${query([['to', to]])}`;

  test('keeps cookies by host and path, whatever the port', async () => {
    const browser = new Browser();
    await browser.open(set('a=1; Path=/', 'b=2; Path=/deep', 'c=3; Path=/; HttpOnly; Secure'));
    expect(read(await browser.open(`${sameHost}/`)).cookie).toBe('a=1; c=3');
    expect(read(await browser.open(`${here}/deep/er`)).cookie).toBe('b=2; a=1; c=3');
    expect(read(await browser.open(`${here}/deeper`)).cookie).toBe('a=1; c=3');
    expect(read(await browser.open(`${otherHost}/`)).cookie).toBe('');
  });

  test.each([['Max-Age=0'], ['Expires=Thu, 01 Jan 1970 00:00:00 GMT']])(
    'forgets a cookie at %s',
    async (end) => {
      const browser = new Browser();
      await browser.open(set('a=1; Path=/'));
      await browser.open(set(`a=; Path=/; ${end}`));
      expect(read(await browser.open(`${here}/`)).cookie).toBe('');
    },
  );

  test('takes a __Host- cookie only as it must be', async () => {
    const browser = new Browser();
    await browser.open(
      set('__Host-a=1; Path=/; Secure', '__Host-b=1; Path=/', '__Host-c=1; Secure; Path=/x'),
    );
    expect(read(await browser.open(`${here}/x/`)).cookie).toBe('__Host-a=1');
  });

  test('obeys SameSite', async () => {
    const browser = new Browser();
    await browser.open(
      set('s=1; Path=/; SameSite=Strict', 'l=1; Path=/; SameSite=Lax', 'n=1; Path=/; SameSite=None'),
    );
    await browser.open(`${otherHost}/form?${query([['to', `${here}/arrived`]])}`);
    expect(read(await browser.submit({ email: 'x' })).cookie).toBe('n=1');
    await browser.open(`${otherHost}/form?${query([['to', via(otherHost, 303, `${here}/arrived`)]])}`);
    expect(read(await browser.submit({ email: 'x' })).cookie).toBe('l=1; n=1');
  });

  test.each([
    [301, 'GET', {}],
    [302, 'GET', {}],
    [303, 'GET', {}],
    [307, 'POST', { email: 'x' }],
    [308, 'POST', { email: 'x' }],
  ])('follows a %i with %s', async (status, method, form) => {
    const browser = new Browser();
    await browser.open(`${here}/form?${query([['to', via(here, status, '/arrived')]])}`);
    const arrived = read(await browser.submit({ email: 'x' }));
    expect([arrived.method, arrived.path]).toEqual([method, '/arrived']);
    expect(arrived.form).toMatchObject(form);
  });

  test('keeps the cookies of a redirect, and tells of every hop', async () => {
    const hops: string[] = [];
    const browser = new Browser({
      onHop: ({ method, url, status }) => hops.push(`${method} ${url.pathname} ${status}`),
    });
    const page = await browser.open(`${via(here, 303, '/arrived')}&${query([['c', 'a=1; Path=/']])}`);
    expect(read(page).cookie).toBe('a=1');
    expect(hops).toEqual(['GET /go/303 303', 'GET /arrived 200']);
  });

  test('gives up on redirects without end', async () => {
    await expect(new Browser().open(via(here, 303, ''))).rejects.toThrow('more than 20');
  });

  test('fills in the form that has the fields', async () => {
    const browser = new Browser();
    await browser.open(`${here}/form?to=/arrived`);
    const { form, method } = read(await browser.submit({ email: 'ada@acme.example', decision: 'allow' }));
    expect(method).toBe('POST');
    expect(form).toEqual({ state: "a&b > 'c'", email: 'ada@acme.example', on: 'on', decision: 'allow' });
  });

  test('sends a GET form as a query', async () => {
    const browser = new Browser();
    await browser.open(`${here}/form?to=/arrived`);
    expect(read(await browser.submit({ q: 'a b' })).path).toBe('/search?q=a+b');
  });

  test('refuses to fill in what is not there', async () => {
    const browser = new Browser();
    await browser.open(`${here}/form?to=/arrived`);
    expect(() => browser.submit({ password: 'x' })).toThrow('has no form with password');
  });

  test('says where it comes from', async () => {
    const browser = new Browser();
    expect(read(await browser.open(`${here}/`))).toMatchObject({ site: 'none', origin: '' });
    for (const [to, site] of [
      [`${here}/arrived`, 'same-origin'],
      [`${sameHost}/arrived`, 'same-site'],
      [`${otherHost}/arrived`, 'cross-site'],
    ] as const) {
      await browser.open(`${here}/form?${query([['to', to]])}`);
      expect(read(await browser.submit({ email: 'x' }))).toMatchObject({ site, origin: here });
    }
  });

  test('asks as a script without leaving its page', async () => {
    const browser = new Browser();
    await browser.open(set('a=1; Path=/'));
    const before = browser.page;
    expect(read(await browser.fetch('/session'))).toMatchObject({
      path: '/session',
      cookie: 'a=1',
      site: 'same-origin',
    });
    expect(browser.page).toBe(before);
  });

  test('stops when it is told to', async () => {
    await expect(new Browser({ signal: AbortSignal.abort() }).open(`${here}/`)).rejects.toThrow('abort');
  });
});

describe('reading and writing', () => {
  test('a form on a page without one is undefined', () => {
    expect(findForm('<p>no form</p>', [])).toBeUndefined();
  });

  test('what a person reads of a page', () => {
    const page = '<head><title>t</title></head><style>x{}</style><h1>Fish &amp; chips</h1>\n<p>a<br>b</p>';
    expect(visibleText(page)).toBe('Fish & chips a b');
  });

  test.each([
    [['org', 'add', 'acme'], 'org add acme'],
    [['--name', 'Brand & Co'], '--name "Brand & Co"'],
    [['--name', 'a "$b" \\ `c`'], '--name "a \\"\\$b\\" \\\\ \\`c\\`"'],
  ])('%j is typed as %s', (words, typed) => {
    expect(asTyped(words)).toBe(typed);
  });

  test('a URL is shown without what signs somebody in', () => {
    const random = 'A'.repeat(43);
    const url = new URL(
      `http://a.example/interaction/${random}?code=x&state=y&token=z&login_hint=ada@acme.example`,
    );
    expect(withoutSecrets(url)).toBe(
      'http://a.example/interaction/AAAAAA…?code=…&state=…&token=…&login_hint=ada@acme.example',
    );
  });
});
