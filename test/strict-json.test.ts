/** JSON from outside: one reading or none, whatever was sent, and never a throw. */
import { describe, expect, it } from '@jest/globals';
import { member, parseJsonObject, readJsonObject } from '../src/strict-json.ts';
import { LINEAR_GROWTH, repeated, timeGrowth } from './http/growth.ts';

const bytes = (...parts: readonly (string | number)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))));

describe('readJsonObject', () => {
  it.each([
    ['an empty object', '{}', {}],
    [
      'members of every type',
      '{"a":1,"b":[true,null],"c":{"d":"é"}}',
      { a: 1, b: [true, null], c: { d: 'é' } },
    ],
    ['space around', ' \n\t{ "a" : 1 } \r\n', { a: 1 }],
    ['one name in two objects', '{"a":{"x":1},"b":{"x":1}}', { a: { x: 1 }, b: { x: 1 } }],
    ['one name in two items', '{"a":[{"x":1},{"x":2}]}', { a: [{ x: 1 }, { x: 2 }] }],
    ['a name that is also a value', '{"a":"a","b":"a"}', { a: 'a', b: 'a' }],
    ['strings in an array that repeat', '{"a":["x","x"]}', { a: ['x', 'x'] }],
    ['structure inside of strings', '{"a":"{[\\"a\\":,","b":"\\\\"}', { a: '{["a":,', b: '\\' }],
    ['a surrogate pair, escaped', '{"a":"\\ud83d\\ude00"}', { a: '\u{1f600}' }],
    ['names of another case', '{"a":1,"A":2}', { a: 1, A: 2 }],
    ['names of another normal form', '{"\\u00e9":1,"e\\u0301":2}', { '\u00e9': 1, 'e\u0301': 2 }],
  ])('reads %s', (_, text, value) => {
    expect(readJsonObject(text)).toEqual(value);
    expect(readJsonObject(Buffer.from(text))).toEqual(value);
    expect(parseJsonObject(text)).toEqual(value);
  });

  it.each([
    ['at the top', '{"email":"a","email":"b"}'],
    ['with the same value', '{"a":1,"a":1}'],
    ['spelled with an escape', '{"alg":1,"\\u0061lg":2}'],
    ['inside', '{"a":{"b":1,"b":2}}'],
    ['inside of an array', '{"a":[{"b":1,"b":2}]}'],
    ['after an inner object', '{"a":{"b":1},"a":2}'],
    ['after an inner array', '{"a":[1,{"a":2}],"a":3}'],
    ['called __proto__', '{"__proto__":1,"__proto__":2}'],
    ['that is the empty name', '{"":1,"":2}'],
    ['far apart', `{"a":1,${Array.from({ length: 200 }, (_, n) => `"b${n}":0`).join(',')},"a":2}`],
  ])('J-09 J-26 finds a repeated member %s ambiguous', (_, text) => {
    expect(readJsonObject(text)).toBe('ambiguous');
    expect(parseJsonObject(text)).toBeUndefined();
  });

  it.each([
    ['nothing', ''],
    ['an array', '[]'],
    ['an array of objects', '[{"a":1}]'],
    ['a string', '"a"'],
    ['a number', '1'],
    ['null', 'null'],
    ['true', 'true'],
    ['text', 'hello'],
    ['a word of JavaScript', '{"a":undefined}'],
    ['single quotes', "{'a':1}"],
    ['a comment', '{"a":1/* b */}'],
    ['a trailing comma', '{"a":1,}'],
    ['a leading zero', '{"a":01}'],
    ['NaN', '{"a":NaN}'],
    ['something after the object', '{"a":1}x'],
    ['two objects', '{"a":1}{"a":1}'],
    ['half an object', '{"a":1'],
    ['a string without its end', '{"a":"b'],
    ['a name without its value', '{"a"}'],
    ['a line break in a string', '{"a":"\n"}'],
    ['a NUL in a string', '{"a":"\u0000"}'],
    ['an unknown escape', '{"a":"\\x41"}'],
    ['more brackets closed than opened', '{"a":1}}'],
    ['a repeated member and a fault', '{"a":1,"a":2'],
    ['a lone high surrogate, escaped', '{"a":"\\ud800"}'],
    ['a lone low surrogate, escaped', '{"a":"\\udc00b"}'],
    ['surrogates the wrong way round', '{"a":"\\udc00\\ud800"}'],
    ['a lone surrogate in a name', '{"\\ud800":1}'],
    ['a lone surrogate as it is', '{"a":"\ud800"}'],
    ['a byte order mark', '\ufeff{}'],
  ])('J-25 E-11 F-18 takes %s for malformed', (_, text) => {
    expect(readJsonObject(text)).toBe('malformed');
    expect(parseJsonObject(text)).toBeUndefined();
  });

  it.each([
    ['a byte order mark', bytes(0xef, 0xbb, 0xbf, '{}')],
    ['UTF-16 with a mark', Buffer.from('\ufeff{"a":1}', 'utf16le')],
    ['UTF-16 without a mark', Buffer.from('{"a":1}', 'utf16le')],
    ['a byte that is no UTF-8', bytes('{"a":"', 0xff, '"}')],
    ['an overlong spelling', bytes('{"a":"', 0xc0, 0xaf, '"}')],
    ['half a character', bytes('{"a":"', 0xe2, 0x82, '"}')],
    ['a surrogate in UTF-8', bytes('{"a":"', 0xed, 0xa0, 0x80, '"}')],
    ['a point beyond Unicode', bytes('{"a":"', 0xf4, 0x90, 0x80, 0x80, '"}')],
    ['a NUL at the end', bytes('{}', 0)],
  ])('E-11 F-18 takes bytes with %s for malformed', (_, data) => {
    expect(readJsonObject(data)).toBe('malformed');
  });

  it.each(['[', '{"a":'])('J-25 reads 32 levels of %s and no more', (level) => {
    const nested = (depth: number) => {
      const close = level === '[' ? ']' : '}';
      return `{"a":${level.repeat(depth - 1)}0${close.repeat(depth - 1)}}`;
    };
    expect(typeof readJsonObject(nested(32))).toBe('object');
    expect(readJsonObject(nested(33))).toBe('malformed');
    expect(readJsonObject(nested(100_000))).toBe('malformed');
    expect(readJsonObject(level.repeat(100_000))).toBe('malformed');
  });

  it('counts depth, not brackets', () => {
    expect(typeof readJsonObject(`{"a":[${'[],'.repeat(1_000)}[]]}`)).toBe('object');
    expect(typeof readJsonObject(`{"a":"${'['.repeat(1_000)}"}`)).toBe('object');
  });

  it('H-10 leaves prototypes alone', () => {
    const read = parseJsonObject('{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}');
    expect(read).toBeDefined();
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
  });

  it.each([
    ['escaped quotes without an end', repeated('\\"', '{"a":"')],
    ['quotes', repeated('"')],
    ['backslashes', repeated('\\', '{"a":"')],
    ['a string without an end', repeated('x', '{"a":"')],
    ['a long string', repeated('x', '{"a":"', '"}')],
    ['many members', repeated('"a":1,', '{', '"b":1}')],
    ['brackets', repeated('[]', '{"a":', '}')],
    ['opening brackets', repeated('[')],
    ['escaped surrogates', repeated('\\ud83d', '{"a":"', '"}')],
  ])('D-08 F-18 takes time in proportion: %s', (_, input) => {
    expect(timeGrowth(readJsonObject, input)).toBeLessThan(LINEAR_GROWTH);
  });
});

describe('member', () => {
  it('H-10 finds what the object has and nothing that it inherits', () => {
    const object = parseJsonObject('{"a":null,"__proto__":"own"}') ?? {};
    expect(member(object, 'a')).toBeNull();
    expect(member(object, '__proto__')).toBe('own');
    expect(member(object, 'b')).toBeUndefined();
    for (const inherited of ['constructor', 'toString', 'hasOwnProperty', 'valueOf']) {
      expect(member(object, inherited)).toBeUndefined();
    }
    expect(member(parseJsonObject('{}') ?? {}, '__proto__')).toBeUndefined();
  });
});
