/** One connection of a client, which is kept open and carries one request at a time. */
import type { IncomingHttpHeaders } from 'node:http';
import { Client, type Dispatcher } from 'undici';

export interface Asking {
  readonly method?: Dispatcher.HttpMethod;
  /** With the query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export class Line {
  readonly #client: Client;

  /** @param origin such as `http://127.0.0.1:3000` */
  constructor(origin: string) {
    this.#client = new Client(origin, { pipelining: 1, keepAliveTimeout: 60_000 });
  }

  /** Redirects are not followed. @throws if there is no whole answer */
  ask({ method = 'GET', path, headers = {}, body }: Asking): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let status = 0;
      let answered: IncomingHttpHeaders = {};
      const chunks: Buffer[] = [];
      const handler: Dispatcher.DispatchHandler = {
        onRequestStart: () => undefined,
        onResponseStart(_controller, statusCode, received) {
          status = statusCode;
          answered = received;
        },
        onResponseData(_controller, chunk) {
          chunks.push(chunk);
        },
        onResponseEnd() {
          const text = chunks.length === 0 ? '' : Buffer.concat(chunks).toString('utf8');
          resolve({ status, headers: answered, body: text });
        },
        onResponseError(_controller, error) {
          reject(error);
        },
      };
      this.#client.dispatch({ method, path, headers, body: body ?? null }, handler);
    });
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

/** A request with a JSON body. */
export function jsonAsking(path: string, document: unknown, headers: Asking['headers'] = {}): Asking {
  return {
    method: 'POST',
    path,
    headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
    body: JSON.stringify(document),
  };
}

/** As applications prove themselves at a token endpoint (RFC 6749 section 2.3.1). */
export const basicAuthorization = (clientId: string, secret: string) =>
  `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}`;

/** The cookies that an answer sets, as a browser sends them back. */
export function cookiesOf({ headers }: Answer): string {
  const set = headers['set-cookie'] ?? [];
  return (Array.isArray(set) ? set : [set]).map((cookie) => cookie.split(';', 1)[0]).join('; ');
}

/** Where an answer sends the browser. @throws if it does not */
export function locationOf({ status, headers, body }: Answer): string {
  const { location } = headers;
  if (typeof location !== 'string') throw new Error(`no redirect but ${status}: ${body.slice(0, 200)}`);
  return location;
}

/** With a line of its own. */
export async function once<Result>(origin: string, ask: (line: Line) => Promise<Result>): Promise<Result> {
  const line = new Line(origin);
  try {
    return await ask(line);
  } finally {
    await line.close();
  }
}
