/**
 * A load balancer as simple as they come: asks every node whether it is ready, sends each request to the next one that is,
 * and tries another only where the first could not be connected to. A request that was sent is never sent again.
 */
import { once } from 'node:events';
import {
  createServer,
  request as send,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

const ASK_EVERY_MS = 200;
/** Says that an answer is the balancer's own: the node's never came. */
export const NO_ANSWER = 'x-balancer-no-answer';

/** What it needs to know of a node. */
export interface Backend {
  readonly port: number;
  health(): Promise<number>;
}

export class Balancer {
  readonly port: number;
  readonly #server: Server;
  readonly #backends: readonly Backend[];
  readonly #ready = new Set<Backend>();
  readonly #timer: NodeJS.Timeout;
  #next = 0;
  #only: Backend | undefined;
  /** Answers of 500 and more that a client has had, its own included, by path. */
  readonly serverErrors: string[] = [];
  requests = 0;

  static async open(backends: readonly Backend[], port = 0): Promise<Balancer> {
    const server = createServer({ keepAliveTimeout: 60_000 });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new Balancer(server, backends);
  }

  private constructor(server: Server, backends: readonly Backend[]) {
    this.#server = server;
    this.#backends = backends;
    this.port = (server.address() as AddressInfo).port;
    for (const backend of backends) this.#ready.add(backend);
    server.on('request', (request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    this.#timer = setInterval(() => {
      for (const backend of backends) void this.#ask(backend);
    }, ASK_EVERY_MS);
    this.#timer.unref();
  }

  /** From now on every request goes to this node, ready or not; undefined: to all in turn. */
  pin(backend: Backend | undefined): void {
    this.#only = backend;
  }

  isReady(backend: Backend): boolean {
    return this.#ready.has(backend);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #ask(backend: Backend): Promise<void> {
    if ((await backend.health()) === 200) this.#ready.add(backend);
    else this.#ready.delete(backend);
  }

  /** Those to try, in this order. Where none is ready, all are as good. */
  #order(): readonly Backend[] {
    if (this.#only !== undefined) return [this.#only];
    const ready = this.#backends.filter((backend) => this.#ready.has(backend));
    const usable = ready.length > 0 ? ready : this.#backends;
    this.#next = (this.#next + 1) % usable.length;
    return [...usable.slice(this.#next), ...usable.slice(0, this.#next)];
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests += 1;
    const body = await buffer(request);
    for (const backend of this.#order()) {
      const answer = await forward(backend.port, request, body);
      if (answer === 'not connected') {
        this.#ready.delete(backend);
        continue;
      }
      if (answer === 'cut') break;
      this.#note(request, answer.statusCode ?? 0);
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.on('error', () => response.destroy());
      answer.pipe(response);
      return;
    }
    this.#note(request, 502);
    response.writeHead(502, { [NO_ANSWER]: 'yes' }).end();
  }

  #note({ method = '', url = '' }: IncomingMessage, status: number): void {
    if (status >= 500) this.serverErrors.push(`${status} ${method} ${url.split('?')[0] ?? ''}`);
  }
}

/** One try on a connection of its own. */
function forward(
  port: number,
  { method, url, headers }: IncomingMessage,
  body: Buffer,
): Promise<IncomingMessage | 'not connected' | 'cut'> {
  return new Promise((resolve) => {
    const own = { ...headers, connection: 'close' };
    const options = { host: '127.0.0.1', port, method, path: url, headers: own, agent: false };
    const sending = send({ ...options, setHost: false });
    let isConnected = false;
    sending.on('socket', (socket) => socket.once('connect', () => (isConnected = true)));
    sending.on('response', resolve);
    sending.on('error', () => {
      resolve(isConnected ? 'cut' : 'not connected');
    });
    sending.end(body);
  });
}
