// As much of a PostgreSQL as a start of the program asks: it has all migrations and nothing else. For the build, which has no other.
import { Buffer } from 'node:buffer';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { resolve } from 'node:path';

/** A message of PostgreSQL's protocol, version 3: a letter, the length, and what there is to say. */
function say(letter, ...parts) {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(letter), int32(body.length + 4), body]);
}

const int16 = (number) => Buffer.from([(number >> 8) & 255, number & 255]);
const int32 = (number) => Buffer.concat([int16(number >> 16), int16(number)]);

const TEXT = 25;
const ONE_COLUMN = [
  int16(1),
  Buffer.from('name\0'),
  int32(0),
  int16(0),
  int32(TEXT),
  int16(-1),
  int32(-1),
  int16(0),
];
const DONE = say('C', Buffer.from('SELECT 0\0'));
const READY = say('Z', Buffer.from('I'));
/** To what is prepared first: parse, bind, describe, execute, sync. */
const ANSWERS = { P: say('1'), B: say('2'), D: say('n'), E: DONE, S: READY };

function migrationRows() {
  const files = readdirSync(resolve(import.meta.dirname, '../migrations'));
  const rows = files.map((name) => say('D', int16(1), int32(name.length), Buffer.from(name)));
  return Buffer.concat([say('T', ...ONE_COLUMN), ...rows]);
}

export function emptyDatabase() {
  const migrations = migrationRows();
  const answerTo = (letter, text) => {
    if (letter !== 'Q') return ANSWERS[letter] ?? Buffer.alloc(0);
    const rows = text.includes('select "name" from "schema_migrations"') ? [migrations] : [];
    return Buffer.concat([...rows, DONE, READY]);
  };
  return createServer((socket) => {
    let unread = Buffer.alloc(0);
    // What comes first, with no letter, is who wants to come in.
    socket.once('data', () => {
      socket.write(Buffer.concat([say('R', int32(0)), READY]));
      socket.on('data', (chunk) => {
        unread = Buffer.concat([unread, chunk]);
        while (unread.length > 4 && unread.length > unread.readInt32BE(1)) {
          const end = 1 + unread.readInt32BE(1);
          socket.write(answerTo(unread.toString('latin1', 0, 1), unread.subarray(5, end)));
          unread = unread.subarray(end);
        }
      });
    });
    socket.on('error', () => undefined);
  });
}
