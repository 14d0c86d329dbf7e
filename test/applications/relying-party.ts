/**
 * An application's side of the protocol by hand: where a library would repair or refuse what a test is about to send, and for
 * a browser that goes no further than the application's own address.
 */
import { createHash } from 'node:crypto';
import { Browser } from '../../scripts/demo/browser.ts';
import { APP_SECRET, REDIRECT_URI, type Scene } from './scene.ts';

/** Undefined takes away what would be sent otherwise. */
export type Parameters = Readonly<Record<string, string | undefined>>;

export const VERIFIER = 'a-verifier-of-43-characters-as-a-test-has-it';
export const PKCE = {
  code_challenge: createHash('sha256').update(VERIFIER).digest('base64url'),
  code_challenge_method: 'S256',
};
export const NO_PKCE = { code_challenge: undefined, code_challenge_method: undefined };

/** Applications live at https, and nothing else here does. */
export const newBrowser = (onHop?: ConstructorParameters<typeof Browser>[0]) =>
  new Browser({ stopBefore: 'https://', ...onHop });

/** From the page that asks for an address to where the sign-in leads; the provider may know the person still. */
export async function signInAs(browser: Browser, email: string): Promise<void> {
  await browser.submit({ email });
  if (browser.page.body.includes('name="password"')) await browser.submit({ email, password: 'demo' });
}

export async function signedIn(scene: Scene, email = 'ada@acme.example'): Promise<Browser> {
  const browser = newBrowser();
  await browser.open(`${scene.gateway.url}/login`);
  await signInAs(browser, email);
  return browser;
}

/** Everybody who is signed in did so a few seconds earlier from now on: `auth_time` counts whole seconds. */
export async function letSecondsPass({ gateway }: Pick<Scene, 'gateway'>): Promise<void> {
  await gateway.sql(`UPDATE sessions SET authenticated_at = authenticated_at - interval '3 seconds'`);
}

export function authorizationUrl({ gateway }: Pick<Scene, 'gateway'>, parameters: Parameters = {}): string {
  const url = new URL('/oidc/auth', gateway.url);
  const all: Parameters = {
    client_id: 'app',
    redirect_uri: REDIRECT_URI,
    response_type: 'code',
    scope: 'openid email profile',
    state: 'a state',
    ...PKCE,
    ...parameters,
  };
  for (const [name, value] of Object.entries(all)) if (value !== undefined) url.searchParams.set(name, value);
  return url.href;
}

/** Where a browser was about to go; what is in the query of that, or in its fragment. */
export function answerIn(browser: Browser): Readonly<Record<string, string>> {
  const { stoppedAt } = browser;
  if (stoppedAt === undefined) {
    throw new Error(`nobody was sent back: ${browser.page.status} ${browser.page.url.pathname}`);
  }
  const parameters = [...stoppedAt.searchParams, ...new URLSearchParams(stoppedAt.hash.slice(1))];
  return Object.fromEntries(parameters);
}

/** Asks for an authorization, and reads what the application is sent. */
export async function authorize(
  scene: Pick<Scene, 'gateway'>,
  browser: Browser,
  parameters: Parameters = {},
): Promise<Readonly<Record<string, string>>> {
  await browser.open(authorizationUrl(scene, parameters));
  return answerIn(browser);
}

export async function codeFor(
  scene: Pick<Scene, 'gateway'>,
  browser: Browser,
  parameters: Parameters = {},
): Promise<string> {
  const answer = await authorize(scene, browser, parameters);
  if (answer['code'] === undefined) throw new Error(`no code: ${JSON.stringify(answer)}`);
  scene.gateway.neverLogged(answer['code']);
  return answer['code'];
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

/** As RFC 6749 section 2.3.1 has it: both encoded like a form first. */
export function basic(clientId = 'app', secret = APP_SECRET): Readonly<Record<string, string>> {
  const encode = (text: string) => new URLSearchParams({ '': text }).toString().slice(1);
  const credentials = Buffer.from(`${encode(clientId)}:${encode(secret)}`).toString('base64');
  return { authorization: `Basic ${credentials}` };
}

/** Sends a form to one of the provider's endpoints. */
export async function post(
  { gateway }: Pick<Scene, 'gateway'>,
  path: string,
  form: Parameters | URLSearchParams,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const given = Object.entries(form instanceof URLSearchParams ? {} : form);
  const body =
    form instanceof URLSearchParams
      ? form
      : new URLSearchParams(given.filter((entry): entry is [string, string] => entry[1] !== undefined));
  return read(await fetch(`${gateway.url}/oidc/${path}`, { method: 'POST', headers, body }));
}

export async function read(response: Response): Promise<Answer> {
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') === true;
  const body = isJson ? (JSON.parse(text) as Record<string, unknown>) : { text };
  return { status: response.status, headers: response.headers, body };
}

/** Exchanges a code; by default as the application `app`, by Basic. */
export function exchange(
  scene: Pick<Scene, 'gateway'>,
  code: string,
  parameters: Parameters = {},
  headers = basic(),
): Promise<Answer> {
  const form: Parameters = {
    grant_type: 'authorization_code',
    code,
    redirect_uri: REDIRECT_URI,
    code_verifier: VERIFIER,
    ...parameters,
  };
  return post(scene, 'token', form, headers);
}

export interface Tokens {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly id_token: string;
}

/** From the request to the tokens, for a browser that is signed in. */
export async function tokensFor(
  scene: Pick<Scene, 'gateway'>,
  browser: Browser,
  parameters: Parameters = {},
  headers = basic(parameters['client_id'] ?? 'app'),
): Promise<Tokens & Answer['body']> {
  const code = await codeFor(scene, browser, parameters);
  const hasPkce = authorizationUrl(scene, parameters).includes('code_challenge=');
  const form = { resource: parameters['resource'], code_verifier: hasPkce ? VERIFIER : undefined };
  const answer = await exchange(scene, code, form, headers);
  if (answer.status !== 200) throw new Error(`no tokens: ${JSON.stringify(answer.body)}`);
  return answer.body as unknown as Tokens & Answer['body'];
}

export function refresh(
  scene: Pick<Scene, 'gateway'>,
  refreshToken: string,
  parameters: Parameters = {},
  headers = basic(),
): Promise<Answer> {
  return post(
    scene,
    'token',
    { grant_type: 'refresh_token', refresh_token: refreshToken, ...parameters },
    headers,
  );
}

export async function userInfo({ gateway }: Pick<Scene, 'gateway'>, accessToken: string): Promise<Answer> {
  const headers = { authorization: `Bearer ${accessToken}` };
  return read(await fetch(`${gateway.url}/oidc/userinfo`, { headers }));
}

export function claimsOf(jwt: string): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
}

/** A JWT that nobody signed. */
export function unsigned(payload: object): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  return `${encode({ alg: 'none' })}.${encode(payload)}.`;
}

interface Refusal {
  readonly code: string;
  readonly reason: string;
  readonly reference: string;
  readonly client_id: string | null;
}

/** The refusals of applications that `act` left in the audit trail, once it is done; and that it issued nothing. */
export async function refusalsOf({ gateway }: Pick<Scene, 'gateway'>, act: () => Promise<unknown>) {
  const count = () =>
    gateway.sql<{ id: string; grants: string }>(
      `SELECT (SELECT coalesce(max(id), 0) FROM audit_events) AS id,
              (SELECT count(*) FROM grants WHERE revoked_at IS NULL)
              + (SELECT count(*) FROM grant_tokens) + (SELECT count(*) FROM sessions) AS grants`,
    );
  const [before] = await count();
  await act();
  const [after] = await count();
  if (before?.grants !== after?.grants) throw new Error('something was issued or ended');
  return gateway.sql<Refusal & Record<string, unknown>>(
    `SELECT code, reason, reference, client_id FROM audit_events
     WHERE id > $1 AND action = 'application.refused' ORDER BY id`,
    [before?.id],
  );
}
