/**
 * Text and values as an attacker chooses them: what parsers, databases, terminals and people read in more than one way, mixed
 * with what is ordinary, so that every check is reached and not only the first.
 */
import fc from 'fast-check';

const CONTROLS = ['\0', '\t', '\r', '\n', '\r\n', '\u001b[31m', '\u007f', '\u0085', '\u2028', '\u2029'];
const INVISIBLE = ['\u00ad', '\u200b', '\u200d', '\u200e', '\u2060', '\ufeff', '\ufe0f', '\u{e0061}'];
const SPACES = [' ', '\u00a0', '\u3000', '\u180e'];
const REORDERING = ['\u202a', '\u202e', '\u2066', '\u2069'];
const ILL_FORMED = ['\ud800', '\udc00', '\udc00\ud800', '\ufffd'];
/** Letters that some layer folds, composes or maps to others. */
const FOLDING = [
  ...['\u0130', '\u0131', '\u017f', '\u212a', '\u00df', '\u1e9e', '\u03c2', '\u00e9', 'e\u0301', '\ufb01'],
  ...['\uff41', '\uff20', '\uff0e', '\u3002', '\uff0f', '\u0430', '\u24d0', '\u2460', '\u2025', '\ufe6b'],
];
const SEPARATORS = [
  ...[
    '.',
    '..',
    '/',
    '//',
    '\\',
    '/\\',
    '@',
    ':',
    ';',
    ',',
    '|',
    '=',
    '&',
    '#',
    '?',
    '%',
    '+',
    '-',
    '_',
    '*',
    '~',
  ],
  ...['"', "'", '`', '<', '>', '(', ')', '[', ']', '{', '}', '$', '^'],
];
const ESCAPES = ['%00', '%2e', '%2f', '%5c', '%40', '%0d%0a', '%c0%af', '%', '%zz', '\\u0000', '&amp;'];
const WORDS = [
  ...[
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'null',
    'undefined',
    'NaN',
    '1e999',
    '0x',
    'xn--',
  ],
  ...[
    'javascript:',
    'data:',
    'https://',
    'evil.example',
    'localhost',
    '127.0.0.1',
    '=?utf-8?q?',
    'eyJ',
    "' OR 1=1",
  ],
];
const PIECES = [
  ...CONTROLS,
  ...INVISIBLE,
  ...SPACES,
  ...REORDERING,
  ...ILL_FORMED,
  ...FOLDING,
  ...SEPARATORS,
  ...ESCAPES,
  ...WORDS,
];

const ORDINARY = Array.from('abcdefghijklmnopqrstuvwxyzABCXYZ0123456789');

/** A character, or a few that only mean something together. */
export const piece = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...ORDINARY) },
  { weight: 3, arbitrary: fc.constantFrom(...PIECES) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) },
);

export const hostileText = (mostPieces = 24) =>
  fc.array(piece, { maxLength: mostPieces }).map((pieces) => pieces.join(''));

/** Members' names: those that claims have, those that every object has, and any. */
const memberName = fc.oneof(
  fc.constantFrom(
    'sub',
    'email',
    'iss',
    'aud',
    'exp',
    'iat',
    'nbf',
    'jti',
    'name',
    'email_verified',
    'alg',
    'typ',
  ),
  fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'Email', 'EMAIL', ''),
  hostileText(4),
);

const scalar = fc.oneof(
  hostileText(8),
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constantFrom(null, -0, 2 ** 53, 'true', '0'),
);

/** Whatever JSON can spell, and a little of what it cannot. */
export const hostileValue = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(memberName, tie('value'), { maxKeys: 5 }),
  ),
})).value;

/** An object with hostile members. */
export const hostileObject = fc.dictionary(memberName, hostileValue, { maxKeys: 8 });

/** One change to a text: what a person, a mail system or an attacker takes for the same, or hopes that we do. */
const change = fc.oneof(
  { weight: 4, arbitrary: fc.constant((text: string, at: number) => swapCase(text, at)) },
  { weight: 1, arbitrary: fc.constant((text: string) => text.toUpperCase()) },
  { weight: 1, arbitrary: fc.constant((text: string) => text.toLowerCase()) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('NFC', 'NFD', 'NFKC', 'NFKD')
      .map((form) => (text: string) => text.normalize(form)),
  },
  {
    weight: 2,
    arbitrary: piece.map((extra) => (text: string, at: number) => text.slice(0, at) + extra + text.slice(at)),
  },
  {
    weight: 1,
    arbitrary: piece.map(
      (other) => (text: string, at: number) => text.slice(0, at) + other + text.slice(at + 1),
    ),
  },
  { weight: 1, arbitrary: fc.constant((text: string, at: number) => text.slice(0, at) + text.slice(at + 1)) },
);

function swapCase(text: string, at: number): string {
  const letter = text.charAt(at);
  const swapped = letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase();
  return text.slice(0, at) + swapped + text.slice(at + 1);
}

/** Other spellings of a text: a few changes one after another, or none. */
export function respelled(text: string, mostChanges = 3): fc.Arbitrary<string> {
  const changes = fc.array(fc.tuple(change, fc.nat({ max: Math.max(text.length - 1, 0) })), {
    maxLength: mostChanges,
  });
  return changes.map((all) => all.reduce((current, [alter, at]) => alter(current, at), text));
}

/** What is left of a text after it was cut, lengthened, or had bits of one character flipped: never the text itself. */
export function damaged(text: string): fc.Arbitrary<string> {
  const at = fc.nat({ max: text.length - 1 });
  return fc
    .oneof(
      at.map((end) => text.slice(0, end)),
      at.map((begin) => text.slice(begin + 1)),
      piece.map((extra) => text + extra),
      fc.tuple(at, piece).map(([place, extra]) => text.slice(0, place) + extra + text.slice(place)),
      fc.tuple(at, fc.integer({ min: 1, max: 0x7f })).map(([place, bits]) => flipped(text, place, bits)),
      fc.constant(text + text),
    )
    .filter((result) => result !== text);
}

const flipped = (text: string, at: number, bits: number) =>
  text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ bits) + text.slice(at + 1);
