/** H-09 to H-12: parameters and bodies that parsers read in more than one way, or that are made to be large. */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectRefusal, send, type ExpectedRefusal } from '../attacks/refusal.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { expectPrototypesUnchanged } from './prototypes.ts';
import { exchange } from './raw.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from './visitor.ts';

const FORM = 'application/x-www-form-urlencoded';
const MALFORMED = { status: 400, code: 'malformed_request' } as const;
const TOO_LARGE = { status: 413, code: 'payload_too_large' } as const;
const UNSUPPORTED = { status: 415, code: 'unsupported_media_type' } as const;

describe('what a request brings', () => {
  expectPrototypesUnchanged();
  let gateway: TestGateway;
  let acme: Company;

  beforeAll(async () => {
    gateway = await startTestGateway();
    acme = await addCompany(gateway, 'acme');
  });
  afterAll(() => gateway.close());

  const post = (path: string, type: string, body: string, more: Readonly<Record<string, string>> = {}) =>
    send(`${gateway.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': type, 'sec-fetch-site': 'same-origin', ...more },
      body,
    });

  const EMAIL = 'email=ada%40acme.example';

  it.each([
    ['an array', `${EMAIL}&${EMAIL}`, MALFORMED],
    ['brackets', 'email[]=ada%40acme.example', MALFORMED],
    ['a member', 'email[address]=ada%40acme.example', MALFORMED],
    ['an index of a thousand million', 'email[1000000000]=ada%40acme.example', MALFORMED],
    ['upper case', 'EMAIL=ada%40acme.example', MALFORMED],
    ['a semicolon', `a=b;${EMAIL}`, MALFORMED],
    ['nothing', '', MALFORMED],
    ['no value', 'email', MALFORMED],
    ['a NUL', `${EMAIL}%00`, MALFORMED],
    ['bytes that are no UTF-8', 'email=ada%ff%40acme.example', MALFORMED],
    ['half an escape', `${EMAIL}%`, MALFORMED],
    ['__proto__', '__proto__[email]=ada%40acme.example&__proto__=x', MALFORMED],
    ['constructor', 'constructor[prototype][email]=ada%40acme.example', MALFORMED],
    ['21 fields', `${EMAIL}&${Array.from({ length: 20 }, (_, n) => `a${n}=b`).join('&')}`, TOO_LARGE],
    [
      'ten thousand fields',
      Array.from({ length: 10_000 }, (_, n) => `a${n}=`)
        .join('&')
        .slice(0, 16_000),
      TOO_LARGE,
    ],
    ['17 kB', `email=${'a'.repeat(17_000)}`, TOO_LARGE],
    ['a megabyte', `email=${'a'.repeat(1_048_577)}`, TOO_LARGE],
  ] as const)('H-09 H-10 H-12 a form with %s is refused', async (_, body, expected) => {
    await expectRefusal(gateway, () => post('/login', FORM, body), expected);
  });

  it.each([
    ['nothing', '', MALFORMED],
    ['half an object', '{"email":', MALFORMED],
    ['a string', '"ada@acme.example"', MALFORMED],
    ['null', 'null', MALFORMED],
    ['a number', '1', MALFORMED],
    ['an array', '["ada@acme.example"]', MALFORMED],
    ['an array of objects', '[{"email":"ada@acme.example"}]', MALFORMED],
    ['no address', '{}', MALFORMED],
    ['an address that is null', '{"email":null}', MALFORMED],
    ['an address that is a number', '{"email":1}', MALFORMED],
    ['an address that is a list', '{"email":["ada@acme.example"]}', MALFORMED],
    ['an address that is an object', '{"email":{"toString":"ada@acme.example"}}', MALFORMED],
    ['an address in __proto__', '{"__proto__":{"email":"ada@acme.example"}}', MALFORMED],
    ['an address in a constructor', '{"constructor":{"prototype":{"email":"ada@acme.example"}}}', MALFORMED],
    ['a byte order mark and no object', '\ufeff"x"', MALFORMED],
    ['a lone surrogate', '{"email":"\\ud800@acme.example"}', MALFORMED],
    ['a NUL', '{"email":"ada@acme.example\\u0000"}', MALFORMED],
    ['a depth of 5,000', `{"email":${'['.repeat(5_000)}${']'.repeat(5_000)}}`, MALFORMED],
    ['a depth without an end', '['.repeat(16_000), MALFORMED],
    ['17 kB', JSON.stringify({ email: 'a'.repeat(17_000) }), TOO_LARGE],
    ['a megabyte', JSON.stringify({ email: 'a'.repeat(1_048_577) }), TOO_LARGE],
    ['something after the object', '{"email":"ada@acme.example"}x', MALFORMED],
  ] as const)('H-10 H-11 JSON with %s is refused', async (_, body, expected) => {
    await expectRefusal(gateway, () => post('/login', 'application/json', body), expected);
  });

  it.each<readonly [string, string, Readonly<Record<string, string>>, ExpectedRefusal]>([
    ['text', 'text/plain', {}, UNSUPPORTED],
    ['JSON that calls itself text', 'text/json', {}, UNSUPPORTED],
    ['XML', 'application/xml', {}, UNSUPPORTED],
    ['a multipart form', 'multipart/form-data; boundary=x', {}, UNSUPPORTED],
    ['a type of two', 'text/plain, application/json', {}, UNSUPPORTED],
    ['no type that can be read', ';;;', {}, UNSUPPORTED],
    ['an unknown charset', 'application/json; charset=klingon', {}, UNSUPPORTED],
    ['an unknown charset in a form', `${FORM}; charset=utf-7`, {}, UNSUPPORTED],
    ['an unknown coding', 'application/json', { 'content-encoding': 'miracle' }, UNSUPPORTED],
    ['gzip', 'application/json', { 'content-encoding': 'gzip' }, UNSUPPORTED],
    ['deflate', 'application/json', { 'content-encoding': 'deflate' }, UNSUPPORTED],
    ['brotli', 'application/json', { 'content-encoding': 'br' }, UNSUPPORTED],
    ['a chain of codings', FORM, { 'content-encoding': 'gzip, gzip, gzip' }, UNSUPPORTED],
  ])('H-11 A-08 a body of %s is refused', async (_, type, headers, expected) => {
    const attack = () => post('/login', type, '{"email":"ada@acme.example"}', headers);
    await expectRefusal(gateway, attack, expected);
  });

  it('H-11 a bomb of gzip is not unpacked', async () => {
    const bomb = gzipSync(Buffer.alloc(10_000_000, '{'));
    const head = `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\nConnection: close\r\nAccept: application/json\r\n\r\n`;
    const [answer] = await exchange(gateway.port, Buffer.concat([Buffer.from(head), bomb]));
    expect([413, 415]).toContain(answer?.status);
    expect(answer?.headers.get('set-cookie')).toBeUndefined();
  });

  it.each([
    ['a form', FORM, EMAIL],
    ['a form with a charset', `${FORM}; charset=UTF-8`, EMAIL],
    ['a form with unknown fields', FORM, `${EMAIL}&x=y&__proto__=z`],
    ['a form with 20 fields', FORM, `${EMAIL}&${Array.from({ length: 19 }, (_, n) => `a${n}=b`).join('&')}`],
    ['JSON', 'application/json', '{"email":"ada@acme.example"}'],
    [
      'JSON with unknown members',
      'application/json',
      '{"email":"ada@acme.example","__proto__":{"x":1},"constructor":1}',
    ],
    ['JSON in upper case', 'APPLICATION/JSON; Charset="UTF-8"', '{"email":"ada@acme.example"}'],
  ])('their neighbour works: %s', async (_, type, body) => {
    expect((await post('/login', type, body)).status).toBe(200);
  });

  it('H-10 H-12 an answer to the confirmation is no better guarded than the sign-in itself', async () => {
    const at =
      (body: string, type = FORM) =>
      () =>
        post('/login/confirm', type, body);
    await expectRefusal(gateway, at('decision=allow'), { status: 400, code: 'login_expired' });
    await expectRefusal(gateway, at('state=a&state=b&decision=allow'), {
      status: 400,
      code: 'login_expired',
    });
    await expectRefusal(gateway, at('__proto__=x&decision=allow'), { status: 400, code: 'login_expired' });
    await expectRefusal(gateway, at('{"state":{"a":1}}', 'application/json'), {
      status: 400,
      code: 'login_expired',
    });
    await expectRefusal(gateway, at('[]', 'application/json'), MALFORMED);
    await expectRefusal(gateway, at('x', 'text/plain'), UNSUPPORTED);
    await expectRefusal(gateway, at('a'.repeat(17_000)), TOO_LARGE);
  });

  it('H-11 a body that nobody asked for is ignored, or refused, but never read', async () => {
    const visitor = new Visitor(gateway);
    await visitor.signIn(acme, 'ada@acme.example');
    for (const path of ['/session', '/login', '/auth/verify']) {
      const answer = await visitor.send(path, {
        headers: { 'content-type': 'application/json', 'content-length': '9' },
        body: '{"email":',
      });
      expect(answer.status).toBe(200);
    }
    const out = await visitor.send('/logout', {
      method: 'POST',
      headers: { ...FROM_OUR_PAGE, 'content-type': 'application/json' },
      body: '{',
    });
    expect([303, 400]).toContain(out.status);
  });

  describe('a callback', () => {
    const token = () => acme.token('ada@acme.example');
    const path = '/v3/api/user/sso/acme.example/authenticate';

    it.each([
      ['twice', (one: string) => `?token=${one}&token=${one}`],
      ['with another of another name', (one: string) => `?token=${one}&Token=x`],
      ['in brackets', (one: string) => `?token[]=${one}`],
      ['with brackets beside it', (one: string) => `?token=${one}&token[]=x`],
      ['as a member', (one: string) => `?token[a]=${one}`],
      ['in upper case', (one: string) => `?TOKEN=${one}`],
      ['after a semicolon', (one: string) => `?a=b;token=${one}`],
      ['with an escaped name twice', (one: string) => `?token=${one}&%74oken=${one}`],
      ['with a space before its name', (one: string) => `?+token=${one}`],
      ['with a NUL in its name', (one: string) => `?token%00=${one}`],
      ['after a thousand others', (one: string) => `?${'a&'.repeat(1_000)}token=${one}`],
      ['in the path', (one: string) => `;token=${one}`],
      ['in the fragment', (one: string) => `#token=${one}`],
    ])('H-09 with its token %s is refused', async (_, spell) => {
      const attack = () => send(`${gateway.url}${path}${spell(token())}`);
      const expected = spell('x').startsWith(';')
        ? ({ status: 404, code: 'not_found', isRecorded: false } as const)
        : MALFORMED;
      await expectRefusal(gateway, attack, expected);
    });

    it.each([
      ['a traversal', '..%2f..%2fetc%2fpasswd'],
      ['a backslash', '..%5c..%5cwindows'],
      ['a NUL', 'acme.example%00'],
      ['a line break', 'acme.example%0d%0aX:%20y'],
      ['an address', 'ada%40acme.example'],
      ['a control', '%1b%5b2J'],
      ['9 kB', 'a'.repeat(5_000)],
      ['no UTF-8', '%ff%fe'],
    ])('H-08 for the domain that is %s is refused', async (_, domain) => {
      const attack = () => send(`${gateway.url}/v3/api/user/sso/${domain}/authenticate?token=${token()}`);
      await expectRefusal(gateway, attack, MALFORMED);
    });

    it.each([
      ['a wildcard', '*'],
      ['a percent', '%25'],
      ['an underscore', '_'],
      ['a quote', "'%20OR%20'1'='1"],
      ['a subdomain', 'sub.acme.example'],
      ['a parent', 'example'],
      ['a member of every object', '__proto__'],
      ['254 characters', repeatedLabels(254)],
      ['empty labels', 'acme..example'],
      ['full-width letters', encodeURIComponent('\uff41cme.example')],
      ['markup', encodeURIComponent('<script>')],
    ])('D-06 for the domain that is %s ends as for every unknown one', async (_, domain) => {
      const attack = () => send(`${gateway.url}/v3/api/user/sso/${domain}/authenticate?token=${token()}`);
      await expectRefusal(gateway, attack, {
        status: 401,
        code: 'token_invalid',
        recordedCode: 'unknown_domain',
      });
    });

    it.each(['acme.example', 'ACME.Example', 'acme.example.', '%61cme.example'])(
      'D-05 for %s works',
      async (domain) => {
        const visitor = new Visitor(gateway);
        await visitor.start('ada@acme.example');
        const answer = await visitor.send(`/v3/api/user/sso/${domain}/authenticate?token=${token()}`);
        expect([answer.status, answer.headers.location]).toEqual([303, '/']);
      },
    );

    it('D-05 E-17 for a U-label and its A-label is one', async () => {
      const bucher = await addCompany(gateway, 'bucher', { domain: 'b\u00fccher.example' });
      for (const domain of ['b\u00fccher.example', 'xn--bcher-kva.example', 'XN--BCHER-KVA.Example']) {
        const visitor = new Visitor(gateway);
        expect((await visitor.start(`ada@${domain}`)).status).toBe(303);
        const signed = bucher.token(`Ada@${domain}`);
        const back = await visitor.send(
          `/v3/api/user/sso/${encodeURIComponent(domain)}/authenticate?token=${signed}`,
        );
        expect([back.status, back.headers.location]).toEqual([303, '/']);
        expect((await visitor.send('/session')).body).toContain('"ada@xn--bcher-kva.example"');
      }
    });
  });
});

function repeatedLabels(length: number): string {
  return 'a.'.repeat(Math.ceil(length / 2)).slice(0, length - 7) + 'example';
}
