/**
 * Bytes to a port and the bytes that come back, with no client in between that would repair or refuse a request. Answers are
 * read as HTTP/1.1 says: several on one connection, by Content-Length.
 */
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** The head as it came, status line first. */
  readonly head: string;
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: string;
}

/** Opens a connection; resolves once it stands. */
export function dial(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

/** Sends bytes and reads until the other side closes. A request should say `Connection: close`. */
export async function exchange(port: number, bytes: string | Buffer): Promise<readonly RawAnswer[]> {
  const socket = await dial(port);
  socket.write(bytes);
  return parseAnswers(await everythingFrom(socket));
}

/** As many as have a connection to the database each: nobody waits for others on a busy machine. */
const AT_ONCE = 8;

export interface RawRequest {
  readonly lines: readonly string[];
  readonly body?: string;
}

/** Sends many requests, a few on each connection, which are under way together. */
export async function exchangeAll(
  port: number,
  requests: readonly RawRequest[],
): Promise<readonly RawAnswer[]> {
  const answers: RawAnswer[] = [];
  for (let first = 0; first < requests.length; first += AT_ONCE) {
    const some = requests.slice(first, first + AT_ONCE);
    const texts = some.map(({ lines, body = '' }, index) => {
      const isLast = index === some.length - 1;
      return (isLast ? requestText(...lines) : [...lines, '', ''].join('\r\n')) + body;
    });
    answers.push(...(await exchange(port, texts.join(''))));
  }
  return answers;
}

/** What comes until the other side closes. */
export function everythingFrom(socket: Socket): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    // What was refused unread may be answered with a reset after the answer.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve(Buffer.concat(chunks));
    });
  });
}

/** A request that ends its connection: lines as they are given, then an empty one. */
export function requestText(...lines: readonly string[]): string {
  return [...lines, 'Connection: close', '', ''].join('\r\n');
}

/** The answers in what a connection brought. Bytes that are no answer make it throw. */
export function parseAnswers(bytes: Buffer): readonly RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = bytes;
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n');
    const head = rest.subarray(0, end < 0 ? rest.length : end).toString('latin1');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
    if (end < 0 || Number.isNaN(status))
      throw new Error(`not an answer: ${JSON.stringify(head.slice(0, 200))}`);
    const headers = parseHeaders(head);
    const isChunked = headers.get('transfer-encoding')?.[0] === 'chunked';
    const { body, length } = isChunked
      ? readChunks(rest.subarray(end + 4))
      : readBytes(rest.subarray(end + 4), Number(headers.get('content-length')?.[0] ?? 0));
    answers.push({ status, head, headers, body });
    rest = rest.subarray(end + 4 + length);
  }
  return answers;
}

function parseHeaders(head: string): ReadonlyMap<string, readonly string[]> {
  const headers = new Map<string, string[]>();
  for (const line of head.split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), line.slice(colon + 1).trim()]);
  }
  return headers;
}

interface Body {
  readonly body: string;
  /** Bytes that it took, with what frames it. */
  readonly length: number;
}

function readBytes(bytes: Buffer, length: number): Body {
  return { body: bytes.subarray(0, length).toString('utf8'), length };
}

function readChunks(bytes: Buffer): Body {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const line = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.subarray(at, line).toString('latin1'), 16);
    if (line < 0 || Number.isNaN(size)) throw new Error('not a chunk');
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
    if (size === 0) return { body: Buffer.concat(parts).toString('utf8'), length: at };
  }
}
