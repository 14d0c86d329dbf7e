/**
 * One sign-in of a program in a terminal without a person (RFC 8628), request by request, every one shown: it asks for a code, polls,
 * a browser that is signed in opens the link and allows it, and the program gets its tokens. scripts/terminal-app is the same by
 * a library.
 */
import { createHash, randomBytes } from 'node:crypto';
import { decodeJwt } from 'jose';
import type { Browser } from './browser.ts';
import { visibleText } from './html-form.ts';
import { TERMINAL_APP, type SamplePerson } from './sample-companies.ts';
import { checkPage } from './sign-in-once.ts';
import type { Terminal } from './terminal.ts';

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

interface ConnectOptions {
  readonly gatewayUrl: string;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

interface ProgramAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What the program sends, as it is shown. */
function program({ gatewayUrl, terminal, signal }: ConnectOptions) {
  return async (path: string, fields: Readonly<Record<string, string>>): Promise<ProgramAnswer> => {
    const response = await fetch(`${gatewayUrl}${path}`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: TERMINAL_APP.clientId, ...fields }),
      signal,
    });
    const body = (await response.json()) as Readonly<Record<string, unknown>>;
    const colour = response.ok ? 'green' : 'yellow';
    const error = typeof body['error'] === 'string' ? `  ${body['error']}` : '';
    const status = terminal.paint(colour, String(response.status));
    terminal.line(`     POST ${status}  ${gatewayUrl}${path}${error}`);
    return { status: response.status, body };
  };
}

/** @throws unless the program learns that it is that very person */
export async function connectTerminalOnce(
  browser: Browser,
  person: SamplePerson,
  options: ConnectOptions,
): Promise<void> {
  const { terminal } = options;
  const send = program(options);
  const verifier = randomBytes(32).toString('base64url');
  terminal.heading(`${person.email} signs in from a terminal, by a code`);

  const started = await send('/oidc/device/auth', {
    scope: 'openid email profile',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const { device_code: deviceCode, user_code: userCode, verification_uri_complete: link } = started.body;
  const poll = () =>
    send('/oidc/token', {
      grant_type: DEVICE_GRANT,
      device_code: String(deviceCode),
      code_verifier: verifier,
    });
  const pending = await poll();
  if (pending.body['error'] !== 'authorization_pending') throw unexpected('A pending answer', pending);

  terminal.line('  and in the browser, where the code is the same:');
  const question = await browser.open(String(link));
  const isSame = visibleText(question.body).includes(String(userCode));
  checkPage(question, isSame, 'The page that shows the code was expected');
  const done = await browser.submit({ decision: 'allow' });
  checkPage(done, visibleText(done.body).includes('Go back to the application'), 'A yes was expected');

  const { status, body } = await poll();
  const { id_token: idToken } = body;
  const email = typeof idToken === 'string' ? decodeJwt(idToken)['email'] : undefined;
  if (email !== person.email) throw unexpected(`The tokens of ${person.email}`, { status, body });
}

function unexpected(wanted: string, { status, body }: ProgramAnswer): Error {
  const error = typeof body['error'] === 'string' ? body['error'] : 'something else';
  return new Error(`${wanted} was expected, but the program was answered ${status}: ${error}`);
}
