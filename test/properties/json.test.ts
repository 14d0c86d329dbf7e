/** JSON from outside as a law: it means what its author and every parser takes it for, or nothing. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { member, parseJsonObject, readJsonObject } from '../../src/strict-json.ts';
import { damaged, hostileObject, hostileText } from './hostile.ts';
import { expectLinearTime } from './proportion.ts';

const RUNS = { numRuns: 2_000 };

/** A document that says of itself what is wrong with it. */
interface Document {
  readonly text: string;
  readonly isAmbiguous: boolean;
}

const escaped = (name: string, isEscaped: boolean) =>
  isEscaped
    ? `"${Array.from({ length: name.length }, (_, at) => `\\u${name.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`
    : JSON.stringify(name);

/** Names are few, so that they meet; each is spelled in one of two ways. */
const name = fc.constantFrom('email', 'a', '__proto__', '"', '\\', '{', ',', '');
const document = fc.letrec<{ value: Document; object: Document }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc
      .oneof(
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        hostileText(4).map((text) => text.toWellFormed()),
      )
      .map((value) => ({ text: JSON.stringify(value), isAmbiguous: false })),
    fc.array(tie('value'), { maxLength: 3 }).map((items) => ({
      text: `[${items.map(({ text }) => text).join(', ')}]`,
      isAmbiguous: items.some(({ isAmbiguous }) => isAmbiguous),
    })),
    tie('object'),
  ),
  object: fc.array(fc.tuple(name, fc.boolean(), tie('value')), { maxLength: 3 }).map((members) => ({
    text: `{${members.map(([key, isEscaped, { text }]) => `${escaped(key, isEscaped)} : ${text}`).join(',\n')}}`,
    isAmbiguous:
      new Set(members.map(([key]) => key)).size < members.length ||
      members.some(([, , { isAmbiguous }]) => isAmbiguous),
  })),
})).object;

describe('JSON from outside', () => {
  it('J-09 J-26 is read as any parser reads it, unless a member comes twice', () => {
    let ambiguous = 0;
    fc.assert(
      fc.property(document, ({ text, isAmbiguous }) => {
        if (isAmbiguous) ambiguous += 1;
        expect(readJsonObject(text)).toEqual(isAmbiguous ? 'ambiguous' : JSON.parse(text));
        expect(readJsonObject(Buffer.from(text))).toEqual(readJsonObject(text));
      }),
      RUNS,
    );
    expect(ambiguous).toBeGreaterThan(50);
  });

  it('J-25 F-18 H-15 any bytes are an object or none: nothing is thrown', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      hostileText(),
      document.chain(({ text }) => damaged(text)),
      document.map(({ text }) => `\ufeff${text}`),
      document.map(({ text }) => Buffer.from(text, 'utf16le')),
    );
    fc.assert(
      fc.property(bytes, (text) => {
        const read = parseJsonObject(text);
        if (read === undefined) return;
        const plain =
          typeof text === 'string'
            ? text
            : new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text);
        expect(read).toEqual(JSON.parse(plain));
        expect(JSON.stringify(read).isWellFormed()).toBe(true);
      }),
      RUNS,
    );
  });

  it('J-26 H-10 has its own members alone', () => {
    fc.assert(
      fc.property(
        hostileObject,
        fc.oneof(name, fc.constantFrom('toString', 'constructor', 'email')),
        (object, wanted) => {
          const read = parseJsonObject(JSON.stringify(object));
          if (read === undefined) return;
          const own = Object.entries(read).find(([key]) => key === wanted);
          expect(member(read, wanted)).toBe(own?.[1]);
        },
      ),
      RUNS,
    );
    expect({}).not.toHaveProperty('polluted');
  });

  it('J-25 F-18 is no deeper than 32', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.constantFrom(['[', ']'], ['{"a":', '}']),
        (depth, [open = '', close = '']) => {
          const text = `{"a":${open.repeat(depth - 1)}1${close.repeat(depth - 1)}}`;
          expect(parseJsonObject(text) !== undefined).toBe(depth <= 32);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('D-08 reading it takes time in proportion to the text', () => {
    const pieces = fc.constantFrom('"', '\\', '\\"', '{', '[', '{"a":', ',', '"",');
    expectLinearTime(readJsonObject, { heads: ['', '{"a":', '{"', '{"a":"', '{"a":['], pieces });
  });
});
