/**
 * A desk of the demonstration's own, such as no issuer has: it gives a fresh ID token for an address and a password, so that `curl` is
 * enough to try what an application does with one. It gets the token as the application does, by signing in at the issuer.
 */
import { startSignIn, type IssuerClient } from '../example-exchange/sign-in.ts';
import { Browser } from './browser.ts';
import type { Hop } from './browser.ts';
import { readForm, startLoopbackServer } from './loopback-server.ts';

/** Of the application at the issuer. Nobody is there: the browser stops before it. */
const REDIRECT_URI = 'http://127.0.0.1/callback';

interface SignInAtIssuer {
  readonly at: IssuerClient;
  readonly email: string;
  readonly password: string;
  readonly onHop?: (hop: Hop) => void;
  readonly signal?: AbortSignal;
}

/** @throws if the issuer does not take this address and password */
export async function fetchIdToken({ at, email, password, ...options }: SignInAtIssuer): Promise<string> {
  const signIn = await startSignIn(at, REDIRECT_URI);
  const browser = new Browser({ ...options, stopBefore: REDIRECT_URI });
  await browser.open(signIn.url.href);
  await browser.submit({ email, password });
  if (browser.stoppedAt === undefined) throw new Error('the issuer does not take this address and password');
  return signIn.finish(browser.stoppedAt);
}

export interface IdTokenDesk {
  /** Takes a form with `email` and `password`. */
  readonly url: string;
  close(): Promise<void>;
}

export async function startIdTokenDesk(at: IssuerClient): Promise<IdTokenDesk> {
  const loopback = await startLoopbackServer('127.0.0.1', 0);
  loopback.server.on('request', (request, response) => {
    const answer = (status: number, text: string): void => {
      const headers = { 'content-type': 'text/plain', 'cache-control': 'no-store' };
      response.writeHead(status, headers).end(`${text}\n`);
    };
    if (request.method !== 'POST' || request.url !== '/demo/id-token') {
      answer(404, 'there is nothing here');
      return;
    }
    readForm(request)
      .then((form) =>
        fetchIdToken({ at, email: form.get('email') ?? '', password: form.get('password') ?? '' }),
      )
      .then(
        (idToken) => {
          answer(200, idToken);
        },
        (error: unknown) => {
          answer(400, error instanceof Error ? error.message : String(error));
        },
      );
  });
  return { url: `${loopback.origin}/demo/id-token`, close: () => loopback.close() };
}
