/**
 * What an application that holds an ID token does at Gatehouse: it exchanges the token (RFC 8693) for tokens of Gatehouse's, asks
 * with them who is signed in, and renews them. Plain HTTP, which is the same in every language: this is the file to copy.
 */
const TIMEOUT_MS = 30_000;

/** The application as Gatehouse knows it. */
export interface GatewayClient {
  /** PUBLIC_URL of Gatehouse. */
  readonly gateway: URL;
  readonly clientId: string;
  /** Undefined for a public application. */
  readonly clientSecret?: string | undefined;
}

interface HeldToken {
  readonly idToken: string;
  /** Whom the application signed in: the token's `sub` or `email`, as the connection says. */
  readonly externalId: string;
  /** Slug of the organization that the person comes from. */
  readonly organization: string;
  /** Id of the connection, where the organization has several that take the token. */
  readonly connection?: string | undefined;
}

/** What the token endpoint gives; `expires_in` is in seconds. */
export interface Tokens {
  readonly access_token: string;
  readonly expires_in: number;
  /** Good once: the answer to a refresh has the next. */
  readonly refresh_token: string;
}

/** What `GET /session` answers, in part. */
export interface Session {
  readonly user: { readonly id: string; readonly email: string | null; readonly name: string | null };
  readonly organization: { readonly slug: string };
  readonly expires_at: string;
}

/** Gatehouse's no. Everything that an operator needs to find out more is in the message. */
export class GatewayRefusal extends Error {}

/** @throws GatewayRefusal */
export async function exchangeIdToken(application: GatewayClient, held: HeldToken): Promise<Tokens> {
  const { idToken, externalId, organization, connection } = held;
  return askForTokens(application, {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: idToken,
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    external_id: externalId,
    organization,
    ...(connection === undefined ? {} : { connection }),
  });
}

/** @throws GatewayRefusal; `invalid_grant` means that the session has ended, and the person has to sign in again */
export function renewTokens(application: GatewayClient, refreshToken: string): Promise<Tokens> {
  return askForTokens(application, { grant_type: 'refresh_token', refresh_token: refreshToken });
}

/** @throws GatewayRefusal */
export async function whoIsSignedIn({ gateway }: GatewayClient, accessToken: string): Promise<Session> {
  const headers = { authorization: `Bearer ${accessToken}`, accept: 'application/json' };
  return (await ask(new URL('/session', gateway), { headers })) as unknown as Session;
}

async function askForTokens(
  { gateway, clientId, clientSecret }: GatewayClient,
  form: Readonly<Record<string, string>>,
): Promise<Tokens> {
  const body = new URLSearchParams(form);
  const headers = new Headers();
  if (clientSecret === undefined) body.set('client_id', clientId);
  else {
    // Each half is encoded first (RFC 6749 section 2.3.1).
    const pair = [clientId, clientSecret].map(encodeURIComponent).join(':');
    headers.set('authorization', `Basic ${Buffer.from(pair).toString('base64')}`);
  }
  const answer = await ask(new URL('/oidc/token', gateway), { method: 'POST', headers, body });
  return answer as unknown as Tokens;
}

type Answer = Readonly<Record<string, unknown>>;

async function ask(url: URL, options: RequestInit): Promise<Answer> {
  const response = await fetch(url, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const answer = parse(await response.text());
  if (response.status === 200 && answer !== undefined) return answer;
  throw new GatewayRefusal(explain(url, response.status, answer ?? {}));
}

function parse(text: string): Answer | undefined {
  try {
    const document: unknown = JSON.parse(text);
    return typeof document === 'object' && document !== null ? (document as Answer) : undefined;
  } catch {
    return undefined;
  }
}

/** A refusal has a stable `code`, and a `reference` that stands in the audit trail beside the precise reason. */
function explain({ pathname }: URL, status: number, answer: Answer): string {
  const text = (name: string) => (typeof answer[name] === 'string' ? answer[name] : undefined);
  const [code, reference] = [text('code') ?? text('error') ?? 'no code', text('reference')];
  const sentence = text('error_description') ?? text('title') ?? 'It did not say why.';
  const lines = [`Gatehouse refused ${pathname}: ${sentence}`, `  code ${code}, status ${status}`];
  if (reference !== undefined) {
    lines.push(`  The precise reason is in: gatehouse audit list --reference ${reference}`);
  }
  return lines.join('\n');
}
