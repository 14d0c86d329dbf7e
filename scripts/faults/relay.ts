/**
 * The line between a node and PostgreSQL, which can be cut: silently, as when packets are dropped and nobody is told, or
 * openly, as when nothing listens. It can also keep back what PostgreSQL answers to one statement, so that something happens
 * just between a commit and the news of it.
 */
import { once } from 'node:events';
import {
  connect,
  createServer,
  type AddressInfo,
  type NetConnectOpts,
  type Server,
  type Socket,
} from 'node:net';

type State = 'open' | 'silent' | 'refusing';

interface Watch {
  /** Bytes that a request has to hold. */
  readonly text: string;
  readonly part: 'request' | 'answer';
  readonly seen: () => void;
}

export class Relay {
  readonly port: number;
  #target: NetConnectOpts;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #state: State = 'open';
  #watch: Watch | undefined;

  static async open(target: NetConnectOpts): Promise<Relay> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Relay(server, target);
  }

  private constructor(server: Server, target: NetConnectOpts) {
    this.#server = server;
    this.#target = target;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => {
      this.#accept(socket);
    });
  }

  /** Nothing gets through in either direction, and no connection ends, until the line is open again. */
  silence(): void {
    this.#state = 'silent';
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** All connections end, and new ones are refused. */
  async refuse(): Promise<void> {
    this.#state = 'refusing';
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  async reopen(): Promise<void> {
    if (this.#state === 'refusing') {
      this.#server.listen(this.port, '127.0.0.1');
      await once(this.#server, 'listening');
    }
    this.#state = 'open';
    this.#watch = undefined;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  /** From now on it leads to another server, as after a fail-over. */
  leadTo(target: NetConnectOpts): void {
    this.#target = target;
    this.cut();
  }

  /** Ends all connections; new ones are welcome. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  /**
   * Keeps back the next request that holds the text, or the answer to it, and all that follows on its connection, until
   * the line is opened again; resolves when it has.
   */
  keepBack(part: Watch['part'], text: string): Promise<void> {
    return new Promise((resolve) => {
      this.#watch = { part, text, seen: resolve };
    });
  }

  async close(): Promise<void> {
    if (this.#state !== 'refusing') await this.refuse();
  }

  #accept(client: Socket): void {
    const server = connect(this.#target);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.setNoDelay(true);
      from.on('data', (bytes) => {
        if (from === client && this.#keepsBack(pair, bytes)) return;
        to.write(bytes);
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
      if (this.#state === 'silent') from.pause();
    }
  }

  /** Whether the request goes no further. */
  #keepsBack([client, server]: readonly [Socket, Socket], bytes: Buffer): boolean {
    const watch = this.#watch;
    if (watch === undefined || !bytes.includes(watch.text)) return false;
    this.#watch = undefined;
    server.pause();
    if (watch.part === 'request') {
      client.pause();
      client.unshift(bytes);
    }
    watch.seen();
    return watch.part === 'request';
  }
}
