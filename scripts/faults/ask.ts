/** One request and its answer, whole and in time, or why there is none. */
import { Agent, request, type IncomingHttpHeaders } from 'node:http';
import { text as readAll } from 'node:stream/consumers';

const LONGEST_WAIT_MS = 15_000;
// Idle connections are given up before a server may do so.
const agent = new Agent({ keepAlive: true, timeout: 3_000 });

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Why there is no answer. */
export class NoReply extends Error {
  readonly kind: 'cut' | 'silent';

  constructor(kind: 'cut' | 'silent', cause?: unknown) {
    super(kind, { cause });
    this.kind = kind;
  }
}

/** @throws NoReply */
export function ask(url: URL, { method = 'GET', headers = {}, body }: Asking = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const late = AbortSignal.timeout(LONGEST_WAIT_MS);
    const fail = (error: unknown) => {
      reject(new NoReply(late.aborted ? 'silent' : 'cut', error));
    };
    // Every name here is this machine's; who is asked for is said in the header.
    const options = {
      host: '127.0.0.1',
      port: url.port,
      path: url.pathname + url.search,
      agent,
      signal: late,
    };
    const all = {
      host: url.host,
      ...headers,
      ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
    };
    const sending = request({ ...options, method, headers: all }, (response) => {
      readAll(response).then((text) => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
      }, fail);
    });
    sending.on('error', fail);
    sending.end(body);
  });
}

/** How a person's browser sends a request: as `ask`, with cookies. */
export type Send = (url: URL, asking?: Asking) => Promise<Reply>;
