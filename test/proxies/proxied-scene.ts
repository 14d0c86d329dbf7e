/** A gateway, a reverse proxy that nobody here wrote in front of two hosts, and the applications behind it that show what arrived. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { authorizationsApi } from '../../scripts/example-api/authorizations-api.ts';
import { send, type Answer, type RequestOptions } from '../attacks/refusal.ts';
import { registerHost } from '../hosts/guest.ts';
import { addCompany, type Company } from '../http/visitor.ts';
import { freePort, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { startReverseProxy, type ProxyKind } from './reverse-proxy.ts';

export const RESOURCE = 'https://api.vendor.example/';

/** A request as it arrived at an application. */
interface Arrived {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

export interface ProxiedScene {
  readonly gateway: TestGateway;
  readonly acme: Company;
  readonly rival: Company;
  /** The example API, which has a resource; what arrives is recorded. */
  readonly api: string;
  /** An application for people of `rival` alone. */
  readonly shop: string;
  /** Of the same name as the API, at another port, for people of `rival` alone. */
  readonly office: string;
  readonly arrived: Arrived[];
  close(): Promise<void>;
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

export async function proxiedScene(kind: ProxyKind, program: string): Promise<ProxiedScene> {
  const gateway = await startTestGateway({ env: { TRUST_PROXY: '127.0.0.0/8' } });
  const [acme, rival] = [await addCompany(gateway, 'acme'), await addCompany(gateway, 'rival')];
  const arrived: Arrived[] = [];
  const record = ({ method, url, headers }: IncomingMessage) => arrived.push({ method, url, headers });
  const api = authorizationsApi({ issuer: `${gateway.url}/oidc`, audience: RESOURCE }).on('request', record);
  const shop = createServer((request, response) => {
    record(request);
    response.end('shop');
  });
  shop.on('upgrade', (request, socket) => {
    record(request);
    socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello');
  });
  const port = await freePort();
  const names = {
    api: `api.localhost:${port}`,
    shop: `shop.localhost:${port}`,
    office: `api.localhost:${await freePort()}`,
  };
  await registerHost(gateway, names.api, { resource: RESOURCE });
  for (const name of [names.shop, names.office]) {
    await registerHost(gateway, name, { organizationIds: [rival.organization.id] });
  }
  const appPort = await listening(shop);
  const proxy = await startReverseProxy(kind, program, {
    gatewayPort: gateway.port,
    hosts: [
      { host: names.api, appPort: await listening(api) },
      { host: names.shop, appPort },
      { host: names.office, appPort },
    ],
  });
  return {
    gateway,
    acme,
    rival,
    ...names,
    arrived,
    async close() {
      await proxy.close();
      for (const server of [api, shop]) {
        server.close();
        server.closeAllConnections();
      }
      await gateway.close();
    },
  };
}

/** A browser that follows redirects between the hosts and Gatehouse, as one does: cookies by host name. */
export class Traveller {
  readonly jar = new Map<string, Map<string, string>>();
  readonly #scene: ProxiedScene;

  constructor(scene: ProxiedScene) {
    this.#scene = scene;
  }

  /** One request, which follows nothing. Addresses of both the proxy and Gatehouse are on this machine. */
  async request(address: string, { headers = {}, ...options }: RequestOptions = {}): Promise<Answer> {
    const { host, hostname } = new URL(address);
    const cookies = this.cookiesOf(hostname);
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await send(address, {
      ...options,
      headers: { host, accept: 'text/html', ...(cookie === '' ? {} : { cookie }), ...headers },
    });
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    return answer;
  }

  cookiesOf(hostname: string): Map<string, string> {
    const known = this.jar.get(hostname) ?? new Map<string, string>();
    this.jar.set(hostname, known);
    return known;
  }

  /** Opens a page and follows redirects until something is shown; signs in on the way if it has to. */
  async open(
    address: string,
    who?: { readonly company: Company; readonly email: string },
  ): Promise<Answer & { readonly at: string }> {
    let at = address;
    for (let hops = 0; hops < 12; hops += 1) {
      const answer = await this.request(at);
      const { location } = answer.headers;
      const isLogin = new URL(at).pathname === '/login';
      if (isLogin && who !== undefined) at = await this.#signIn(at, who);
      else if (location === undefined) return { ...answer, at };
      else at = new URL(location, at).href;
    }
    throw new Error(`it goes on and on, at last to ${at}`);
  }

  async #signIn(
    login: string,
    { company, email }: { readonly company: Company; readonly email: string },
  ): Promise<string> {
    const { url } = this.#scene.gateway;
    const returnTo = new URL(login).searchParams.get('return_to') ?? '';
    const headers = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/x-www-form-urlencoded' };
    const body = new URLSearchParams({ email, return_to: returnTo }).toString();
    await this.request(`${url}/login`, { method: 'POST', headers, body });
    return `${url}${company.callbackPath}?token=${company.token(email)}`;
  }
}
