/** W-08: the program that searches the logs of a whole test run finds what is in them, and does not believe an empty record. */
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

const PROGRAM = resolve(import.meta.dirname, '../../scripts/check-logs.js');
const KINDS = [
  ...[
    'SECRET_KEY',
    'authorization header',
    'cookie',
    'named by a test',
    'private key',
    'JSON member access_token',
  ],
  ...['JSON member refresh_token', 'query parameter code', 'query parameter state', 'query parameter token'],
];
const ENVIRONMENT = { PATH: process.env['PATH'] };
const random = () => randomBytes(32).toString('base64url');
const SECRET = 'x/y+z= of a client, and "quoted"';

let folder: string;
/** As a whole run leaves it: many logs, many secrets, and the two have nothing to do with each other. */
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-record-'));
  mkdirSync(join(folder, 'logs'));
  mkdirSync(join(folder, 'secrets'));
  const secrets = Array.from({ length: 2_500 }, (_, at) =>
    JSON.stringify([KINDS[at % KINDS.length], random()]),
  );
  secrets.push(JSON.stringify(['form field client_secret', SECRET]));
  writeFileSync(join(folder, 'secrets', '1'), secrets.join('\n'));
  for (let log = 0; log < 50; log += 1) {
    const lines = Array.from({ length: 50 }, () =>
      JSON.stringify({ level: 'info', reference: randomUUID() }),
    );
    writeFileSync(join(folder, 'logs', String(log)), `${lines.join('\n')}\n`);
  }
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

async function check(...args: readonly string[]) {
  return promisify(execFile)(process.execPath, [PROGRAM, ...args], { env: ENVIRONMENT }).then(
    ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
    (error: unknown) => {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { status: code, stdout, stderr };
    },
  );
}

const log = (line: string) => {
  appendFileSync(join(folder, 'logs', '7'), `${line}\n`);
};

describe('the check of the logs', () => {
  it('W-08 says how much it looked at, and nothing where nothing is', async () => {
    expect(await check(folder)).toEqual({
      status: 0,
      stdout: 'Looked for 2501 secrets of 11 kinds in 2500 lines of 50 logs.\n',
      stderr: '',
    });
  });

  it.each([
    ['as it is', SECRET],
    ['in JSON', JSON.stringify({ msg: `refused ${SECRET}` })],
    ['in a URL', `GET /x?client_secret=${encodeURIComponent(SECRET)}`],
  ])('W-08 finds a planted secret, and does not say it: %s', async (_, line) => {
    log(line);
    const { status, stderr } = await check(folder);
    expect(status).toBe(1);
    expect(stderr).toContain(`${join(folder, 'logs', '7')}:51: form field client_secret: `);
    expect(stderr).toContain('<secret>');
    expect(stderr).not.toContain('of a client');
  });

  it.each([
    ['a JWT', `token eyJ${random()}.e30.x`],
    ['a private key', 'said -----BEGIN PRIVATE KEY-----\\nMIIE'],
    ['a private JWK', JSON.stringify({ msg: JSON.stringify({ kty: 'EC', d: random() }) })],
  ])('W-08 finds by its looks: %s', async (kind, line) => {
    log(line);
    const { status, stderr } = await check(folder);
    expect(status).toBe(1);
    expect(stderr).toContain(`:51: ${kind}: `);
    expect(stderr).not.toMatch(/eyJ[\w-]{8}|"d/);
  });

  it('W-08 finds the beginning of one that the log cut', async () => {
    const secret = random() + random();
    appendFileSync(join(folder, 'secrets', '1'), `\n${JSON.stringify(['cookie', secret])}\n`);
    log(JSON.stringify({ msg: secret.slice(0, 45) }));
    const { status, stderr } = await check(folder);
    expect(status).toBe(1);
    expect(stderr).toContain(':51: cookie: ');
    expect(stderr).not.toContain(secret.slice(0, 12));
  });

  it.each(['logs', 'secrets'])('W-08 does not believe a record without %s', async (part) => {
    rmSync(join(folder, part), { recursive: true });
    const { status, stderr } = await check(folder);
    expect(status).toBe(1);
    expect(stderr).toContain(`only 0 ${part}`);
  });

  it('says how it is called', async () => {
    for (const args of [[], [folder, folder], ['--help']]) {
      expect((await check(...args)).status).toBe(2);
    }
  });
});

/** A server that logs what it must not, asked by itself and by a program that it starts with an environment of its own. */
const CARELESS = `
  import { spawn } from 'node:child_process';
  import { createServer } from 'node:http';
  import { pino } from 'pino';
  const log = pino();
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
      log.info({ url: request.url, cookie: request.headers.cookie, form: Buffer.concat(chunks).toString() });
      response.setHeader('set-cookie', 'gatehouse-session=the-secret-of-new-session-1; Path=/');
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ access_token: 'an-access-token-1' }));
    });
  }).listen(0, '127.0.0.1', async () => {
    const origin = 'http://127.0.0.1:' + server.address().port;
    const headers = { authorization: 'Basic ' + btoa('client:the%20secret%20of%20client%207'), cookie: 'gatehouse-login-1=a-sealed-attempt-1' };
    const answer = await fetch(origin + '/x?token=a-token-in-query-1', { method: 'POST', headers, body: new URLSearchParams({ code: 'a-code-in-form-1' }) });
    await answer.text();
    const env = { SECRET_KEY: 'the-key-of-child-1' };
    const child = spawn(process.execPath, ['-e', 'console.error("the-key-of-child-1"); console.log("an answer")'], { env });
    child.on('close', () => server.close());
    server.closeIdleConnections();
  });
`;

describe('the recorder', () => {
  it('W-08 hears what passes by and what is logged, in every process, so that the check finds one in the other', async () => {
    const recorder = new URL('recorder.js', import.meta.url).href;
    const env = { ...ENVIRONMENT, GATEHOUSE_TEST_RECORD: folder };
    const args = [`--import=${recorder}`, '--input-type=module', '-e', CARELESS];
    await promisify(execFile)(process.execPath, args, { env, cwd: resolve(import.meta.dirname, '../..') });
    const secrets = readdirSync(join(folder, 'secrets'))
      .filter((name) => name !== '1')
      .flatMap((name) =>
        readFileSync(join(folder, 'secrets', name), 'utf8')
          .trim()
          .split('\n'),
      );
    expect(secrets.map((line) => JSON.parse(line) as unknown)).toEqual(
      expect.arrayContaining([
        ['query parameter token', 'a-token-in-query-1'],
        ['cookie', 'a-sealed-attempt-1'],
        ['cookie', 'the-secret-of-new-session-1'],
        ['authorization header', 'the secret of client 7'],
        ['form field code', 'a-code-in-form-1'],
        ['JSON member access_token', 'an-access-token-1'],
        ['SECRET_KEY', 'the-key-of-child-1'],
      ]),
    );
    const { status, stderr } = await check(folder);
    expect(status).toBe(1);
    expect(stderr).toMatch(/: (?=.*query parameter token)(?=.*cookie)(?=.*form field code).*: /);
    expect(stderr).toMatch(/: SECRET_KEY: <secret>\n/);
    expect(stderr).not.toMatch(/a-token-in-query-1|a-sealed-attempt-1|a-code-in-form-1|the-key-of-child-1/);
  });
});
