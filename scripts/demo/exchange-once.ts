/**
 * Both exchanges of a token from outside without a person (RFC 8693), request by request, every one shown: the token is got where it
 * comes from, exchanged at Gatehouse, and what comes back is tried wherever a session counts. scripts/example-exchange is the same
 * as an application would do it.
 */
import { fetchIdToken } from './id-token-desk.ts';
import { DEMO_PASSWORD } from './people.ts';
import { SIMON, type TokenSources } from './outside-tokens.ts';
import { ADA, COUNTDOWN } from './sample-companies.ts';
import { hopPrinter } from './sign-in-once.ts';
import type { Terminal } from './terminal.ts';

interface ExchangeOptions {
  readonly gatewayUrl: string;
  readonly sources: TokenSources;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** A token that Countdown holds, as it is shown to Gatehouse, and whom Gatehouse must take its holder for. */
interface HeldToken {
  readonly token: string;
  readonly form: Readonly<Record<string, string>>;
  readonly person: { readonly kind: string; readonly email: string | null; readonly name: string };
}

/** @throws unless the session is Ada's */
export async function exchangeIdTokenOnce(options: ExchangeOptions): Promise<void> {
  const { sources, terminal, signal } = options;
  terminal.heading(`${ADA.email} signs in at ${COUNTDOWN.name}, which exchanges the ID token`);
  const token = await fetchIdToken({
    at: { issuer: sources.issuer, clientId: COUNTDOWN.clientId },
    email: ADA.email,
    password: DEMO_PASSWORD,
    onHop: hopPrinter(terminal),
    signal,
  });
  terminal.line(`  and ${COUNTDOWN.name}, with the ID token:`);
  await exchange(options, {
    token,
    form: {
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      external_id: ADA.subject,
    },
    person: { kind: 'id-token', email: ADA.email, name: 'Ada' },
  });
}

/** @throws unless the session is Simon's, who had no user before */
export async function exchangeOpaqueTokenOnce(options: ExchangeOptions): Promise<void> {
  const { backEnd } = options.sources;
  options.terminal.heading(
    `${SIMON.login} gets a token of ${ADA.companyName}' back end, which ${COUNTDOWN.name} exchanges`,
  );
  const { login, password } = SIMON;
  const body = new URLSearchParams({ login, password });
  const given = await send(options, new URL('/demo/token', backEnd), { method: 'POST', body });
  await exchange(options, {
    token: given.text.trim(),
    form: { subject_token_type: 'urn:gatehouse:token-type:opaque' },
    person: { kind: 'opaque-token', email: null, name: SIMON.name },
  });
}

async function exchange(options: ExchangeOptions, { token, form, person }: HeldToken): Promise<void> {
  const { gatewayUrl, sources } = options;
  const authorization = `Basic ${Buffer.from(`${COUNTDOWN.clientId}:${sources.secret}`).toString('base64')}`;
  const ask = () => {
    const body = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      organization: ADA.organization,
      subject_token: token,
      ...form,
    });
    const request = { method: 'POST', headers: { authorization }, body };
    return send(options, new URL('/oidc/token', gatewayUrl), request);
  };
  const { access_token: accessToken } = expectStatus(await ask(), 200);
  if (typeof accessToken !== 'string') throw new Error('The exchange was answered without an access token.');
  await checkEverywhere(options, accessToken, person);
  const { code } = expectStatus(await ask(), 400);
  if (code !== 'token_replayed') throw new Error('The same token was not refused the second time.');
}

/** What `GET /session` and userinfo are checked for. */
interface Who {
  readonly user?: { readonly id?: unknown; readonly email?: unknown; readonly name?: unknown };
  readonly organization?: { readonly slug?: unknown };
  readonly connection?: { readonly kind?: unknown };
}

async function checkEverywhere(
  options: ExchangeOptions,
  accessToken: string,
  { kind, email, name }: HeldToken['person'],
): Promise<void> {
  const get = (path: string) =>
    send(options, new URL(path, options.gatewayUrl), { headers: { authorization: `Bearer ${accessToken}` } });
  const { user, organization, connection }: Who = expectStatus(await get('/session'), 200);
  const claims = expectStatus(await get('/oidc/userinfo'), 200);
  const verified = await get('/auth/verify');
  const isRight =
    [user?.email, user?.name, organization?.slug, connection?.kind].join() ===
      [email, name, ADA.organization, kind].join() &&
    claims['sub'] === user?.id &&
    verified.status === 200 &&
    verified.headers.get('x-auth-request-user') === user?.id;
  if (!isRight) throw new Error(`The session is not that of ${name}.`);
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

async function send({ terminal, signal }: ExchangeOptions, url: URL, request: RequestInit): Promise<Answer> {
  const response = await fetch(url, { ...request, signal });
  const { status, headers } = response;
  const text = await response.text();
  const code = status < 400 ? undefined : parse(text)['code'];
  const shown = terminal.paint(status < 400 ? 'green' : 'yellow', String(status));
  const method = (request.method ?? 'GET').padEnd(4);
  terminal.line(`     ${method} ${shown}  ${url.href}${typeof code === 'string' ? `  ${code}` : ''}`);
  return { status, headers, text };
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** @throws with the answer's code, which tells an operator what was wrong, unless the status is the expected one */
function expectStatus({ status, text }: Answer, expected: number): Readonly<Record<string, unknown>> {
  const answer = parse(text);
  if (status === expected) return answer;
  const { code, error = 'something else', reference } = answer;
  const words = [code ?? error, reference].filter((word) => typeof word === 'string');
  throw new Error(`Status ${expected} was expected, but the answer was ${status}: ${words.join(', ')}`);
}
