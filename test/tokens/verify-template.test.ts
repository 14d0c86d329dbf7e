/** Which templates and places of a token can be saved: those that the token can change nothing of beside its place. */
import type { IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  APP,
  OPAQUE_TYPE,
  startBackEnd,
  startTokenScene,
  type BackEnd,
  type TokenScene,
} from './token-scene.ts';

let scene: TokenScene;
let backEnd: BackEnd;
let last: IncomingMessage | undefined;
beforeAll(async () => {
  [scene, backEnd] = await Promise.all([startTokenScene(), startBackEnd()]);
  backEnd.answer = (request, response) => {
    last = request;
    response.setHeader('content-type', 'application/json');
    response.end('{"id":"somebody"}');
  };
});
afterAll(async () => {
  await Promise.all([scene.close(), backEnd.close()]);
});

let shown = 0;
describe('a template', () => {
  const refused = (url: string, line: RegExp, more: readonly string[] = []) =>
    scene.command.refused(
      [
        ...['connection', 'add', 'acme', 'opaque-token', '--verify-url', url, '--map', 'subject=id'],
        ...['--application', APP, ...more],
      ],
      line,
    );

  it.each<readonly [string, string, RegExp]>([
    ['without {token}', 'http://127.0.0.1:9/verify', /must hold \{token\} once/],
    ['with {token} twice', 'http://127.0.0.1:9/{token}?t={token}', /must hold \{token\} once/],
    ['with {token} in its host', 'http://{token}.example/verify', /./],
    ['with {token} for its host', 'http://{token}/verify', /./],
    ['with {token} in its port', 'http://127.0.0.1:{token}/verify', /is not a URL/],
    ['with {token} for its scheme', '{token}://127.0.0.1/verify', /must be an http or https URL/],
    ['with {token} as user name', 'http://{token}@127.0.0.1/verify', /user name or password/],
    ['with {token} as password', 'http://u:{token}@127.0.0.1/verify', /user name or password/],
    ['with {token} in its fragment', 'http://127.0.0.1:9/verify#{token}', /fragment/],
    ['with {TOKEN}', 'http://127.0.0.1:9/verify?t={TOKEN}', /must hold \{token\} once/],
    ['with %7Btoken%7D', 'http://127.0.0.1:9/verify?t=%7Btoken%7D', /must hold \{token\} once/],
    ['with a backslash', 'http://127.0.0.1:9\\{token}', /backslash/],
    ['that is none', 'verify?t={token}', /is not a URL/],
  ])('%s is refused', async (_, url, line) => {
    await refused(url, line);
  });

  it.each(['bearer', 'header:X-Token', 'form:token', 'json:token'])(
    'with {token} and --token-in %s is refused',
    async (place) => {
      await refused('http://127.0.0.1:9/verify?t={token}', /must not hold \{token\}/, ['--token-in', place]);
    },
  );

  it.each([
    'cookie',
    'header',
    'header:',
    'header:X Y',
    'header:X\r\nY',
    'json:a.b',
    'url:x',
    '',
    'bearer:x',
  ])('with --token-in %j is misused', async (place) => {
    await scene.command.misused(
      [
        ...[
          'connection',
          'add',
          'acme',
          'opaque-token',
          '--verify-url',
          'http://127.0.0.1:9/',
          '--map',
          'subject=id',
        ],
        ...['--application', APP, '--token-in', place],
      ],
      /is expected/,
    );
  });

  it.each([
    ...[
      'host',
      'Content-Length',
      'transfer-encoding',
      'connection',
      'upgrade',
      'te',
      'expect',
      'cookie',
      'accept',
    ],
    ...['Proxy-Authorization', 'Sec-Fetch-Site', '__proto__'],
  ])('with --token-in header:%s is refused', async (name) => {
    const line = new RegExp(`cannot be the header ${name}`);
    await refused('http://127.0.0.1:9/', line, ['--token-in', `header:${name}`]);
  });

  it.each(['Authorization', 'X-Token', 'X_Token', 'constructor'])(
    'with --token-in header:%s may be',
    async (name) => {
      const connection = await scene.addConnection([
        ...['opaque-token', '--verify-url', `${backEnd.origin}/h`, '--map', 'subject=id', '--create-users'],
        ...['--application', APP, '--token-in', `header:${name}`],
      ]);
      const subject_token = `evil-${++shown}.example`;
      const form = { subject_token, subject_token_type: OPAQUE_TYPE, connection };
      expect(await scene.exchange(form)).toMatchObject({ status: 200 });
      const { headers, rawHeaders: raw = [], url } = last ?? {};
      expect({ url, host: headers?.host }).toEqual({ url: '/h', host: new URL(backEnd.origin).host });
      expect(raw[raw.findIndex((text) => text.toLowerCase() === name.toLowerCase()) + 1]).toBe(subject_token);
    },
  );

  it('in other than GET and a body is refused', async () => {
    await refused('http://127.0.0.1:9/', /needs --verify-method POST/, [
      '--token-in',
      'form:t',
      '--verify-method',
      'GET',
    ]);
  });

  it.each([
    'subject=',
    'subject',
    'subject=a..b',
    'subject=.a',
    'subject=a b',
    'subject=a[0]',
    `subject=${'a.'.repeat(8)}a`,
  ])('with --map %s is refused', async (map) => {
    const outcome = await scene.command.run([
      ...[
        'connection',
        'add',
        'acme',
        'opaque-token',
        '--verify-url',
        `${backEnd.origin}/{token}`,
        '--map',
        map,
      ],
      ...['--application', APP],
    ]);
    expect([1, 2]).toContain(outcome.status);
    expect(outcome.stdout).toBe('');
  });
});
