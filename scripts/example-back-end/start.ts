/** `npm run example:back-end -- [--port <port>]` */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { exampleBackEnd } from './back-end.ts';

const USAGE = `Usage: npm run example:back-end -- [--port <port>]

A customer's back end: hands out tokens of its own, and answers GET /user/verify?token= with whom one speaks of.

  --port <port>   where to listen on 127.0.0.1 (default: 4100; 0 takes a free one)
  --help          print this
`;

/** @returns undefined where help is wanted; @throws for what is wrong usage */
function readPort(): number | undefined {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '4100' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const port = Number(values.port);
  if (!/^\d+$/.test(values.port) || port > 65_535) throw new Error(`${values.port} is no port`);
  return port;
}

async function serve(port: number): Promise<void> {
  const server = exampleBackEnd().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  process.stdout
    .write(`The back end answers on ${origin}. A token of its own, for five minutes, and whom it speaks of:

  TOKEN="$(curl -sS ${origin}/demo/token -d login=simon371 -d password=demo)"
  curl -sS "${origin}/user/verify?token=$TOKEN"

To connect it:

  gatehouse connection add <slug> opaque-token --verify-url '${origin}/user/verify?token={token}' \\
    --map subject=user.id login=user.login name=user.fill_name --create-users --application <client-id>
`);
}

const explain = (error: unknown) => (error instanceof Error ? error.message : String(error));

let port: number | undefined;
let isWrongUsage = false;
try {
  port = readPort();
} catch (error) {
  isWrongUsage = true;
  process.stderr.write(`${explain(error)}\n\n${USAGE}`);
}
if (isWrongUsage) process.exitCode = 2;
else if (port === undefined) process.stdout.write(USAGE);
else {
  await serve(port).catch((error: unknown) => {
    process.stderr.write(`${explain(error)}\n`);
    process.exitCode = 1;
  });
}
