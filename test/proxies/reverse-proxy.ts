/**
 * Real reverse proxies in front of an application, with the very configurations of scripts/proxies/: only names, addresses and
 * certificates are others. Where a program is not installed, its file of tests is skipped and says so.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export type ProxyKind = 'nginx' | 'caddy';

const PROGRAMS = {
  nginx: ['/usr/sbin/nginx', '/usr/bin/nginx', '/opt/homebrew/bin/nginx'],
  caddy: ['/usr/bin/caddy', '/usr/local/bin/caddy', '/opt/homebrew/bin/caddy'],
} as const;

export function findProxy(kind: ProxyKind): string | undefined {
  return PROGRAMS[kind].find((path) => existsSync(path));
}

export interface ProxiedHost {
  /** As it is registered: name and port. */
  readonly host: string;
  readonly appPort: number;
}

export interface ReverseProxy {
  close(): Promise<void>;
}

const EXAMPLES = join(import.meta.dirname, '../../scripts/proxies');
const example = (name: string) => readFileSync(join(EXAMPLES, name), 'utf8');

/** Text with every example's address put in its place; what is not there must not be silently missed. */
function replaced(text: string, replacements: Readonly<Record<string, string>>): string {
  return Object.entries(replacements).reduce((result, [from, to]) => {
    if (!result.includes(from)) throw new Error(`the example has no ${from}`);
    return result.replaceAll(from, to);
  }, text);
}

/** Starts one in front of some hosts, each on the port of its name. */
export async function startReverseProxy(
  kind: ProxyKind,
  program: string,
  options: { readonly gatewayPort: number; readonly hosts: readonly ProxiedHost[] },
): Promise<ReverseProxy> {
  const folder = mkdtempSync(join(tmpdir(), `gatehouse-${kind}-`));
  const args = kind === 'nginx' ? nginx(folder, options) : caddy(folder, options);
  const child = spawn(program, args, {
    env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => said.push(chunk.toString()));
  for (const { host } of options.hosts) await waitFor(Number(splitHost(host).port), child, said);
  return {
    async close() {
      if (child.exitCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const splitHost = (host: string) => {
  const [name = '', port = ''] = host.split(':');
  return { name, port };
};

type Options = Parameters<typeof startReverseProxy>[2];

function nginx(folder: string, { gatewayPort, hosts }: Options): readonly string[] {
  for (const name of ['server', 'forwarded', 'protect']) {
    writeFileSync(join(folder, `gatehouse-${name}.conf`), example(`nginx/gatehouse-${name}.conf`));
  }
  const http = replaced(example('nginx/gatehouse-http.conf'), {
    '127.0.0.1:3000': `127.0.0.1:${gatewayPort}`,
  });
  writeFileSync(join(folder, 'gatehouse-http.conf'), http);
  mkdirSync(join(folder, 'temp'));
  const [head = '', , tail = ''] =
    /^(.*?)( {4}server \{.*\n {4}\}\n)(.*)$/s.exec(example('nginx/nginx.conf'))?.slice(1) ?? [];
  const block = /( {4}server \{.*\n {4}\}\n)/s.exec(example('nginx/nginx.conf'))?.[1] ?? '';
  const servers = hosts.map(({ host, appPort }) =>
    replaced(block, {
      'listen 443 ssl': `listen 127.0.0.1:${splitHost(host).port}`,
      'server_name wiki.vendor.example': `server_name ${splitHost(host).name}`,
      'set $gatehouse_host wiki.vendor.example': `set $gatehouse_host ${host}`,
      '        ssl_certificate     /etc/ssl/wiki.vendor.example.pem;\n': '',
      '        ssl_certificate_key /etc/ssl/wiki.vendor.example.key;\n': '',
      '127.0.0.1:4000': `127.0.0.1:${appPort}`,
    }),
  );
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `    ${name}_temp_path ${folder}/temp;\n`,
  );
  const config = replaced(`${head}${servers.join('')}${tail}`, {
    'http {\n': `http {\n    access_log off;\n${temporary.join('')}`,
  });
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off;\nmaster_process off;\npid ${folder}/pid;\nerror_log stderr;\n${config}`,
  );
  return ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'];
}

function caddy(folder: string, { gatewayPort, hosts }: Options): readonly string[] {
  const text = replaced(example('Caddyfile'), { '127.0.0.1:3000': `127.0.0.1:${gatewayPort}` });
  const from = text.indexOf('\nwiki.vendor.example {');
  const sites = hosts.map(({ host, appPort }) =>
    replaced(text.slice(from), {
      'wiki.vendor.example {': `http://${host} {\n\tbind 127.0.0.1`,
      'vars gatehouse_host wiki.vendor.example': `vars gatehouse_host ${host}`,
      '127.0.0.1:4000': `127.0.0.1:${appPort}`,
    }),
  );
  const global = '{\n\tadmin off\n\tauto_https off\n}\n';
  writeFileSync(join(folder, 'Caddyfile'), `${global}${text.slice(0, from)}${sites.join('')}`);
  return ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile'];
}

async function waitFor(port: number, child: ChildProcess, said: readonly string[]): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the proxy did not start: ${said.join('')}`);
    const isUp = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      }).on('error', () => {
        resolve(false);
      });
    });
    if (isUp) return;
    await sleep(50);
  }
}
