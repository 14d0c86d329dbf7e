/** Where the issuer sends the person's browser back to: an address of this machine alone, for one sign-in (RFC 8252 section 7.3). */
import { createServer, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

const LONGEST_WAIT_MS = 5 * 60_000;

interface Callback {
  readonly redirectUri: string;
  /**
   * The redirect URI as the browser opened it. What else asks for it, without the state of this sign-in, does not count.
   * @throws after five minutes
   */
  arrival(state: string): Promise<URL>;
  close(): void;
}

export async function listenForCallback(): Promise<Callback> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const callbackOf = ({ url = '/' }: IncomingMessage): URL | undefined =>
    URL.canParse(`${origin}${url}`) ? new URL(`${origin}${url}`) : undefined;
  return {
    redirectUri: `${origin}/callback`,
    arrival: (state) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          reject(new Error('Nobody signed in within the five minutes that there were'));
        }, LONGEST_WAIT_MS);
        server.on('request', (request, response) => {
          const url = callbackOf(request);
          const answer = (status: number, text: string): void => {
            response
              .writeHead(status, { 'content-type': 'text/plain', connection: 'close' })
              .end(`${text}\n`);
          };
          if (url?.pathname !== '/callback' || url.searchParams.get('state') !== state) {
            answer(400, 'This is not the sign-in that is waited for.');
            return;
          }
          answer(200, 'Go back to the terminal.');
          clearTimeout(timer);
          resolve(url);
        });
      }),
    close: () => {
      server.close();
      // A browser may hold a connection open that it never used.
      server.closeAllConnections();
    },
  };
}
