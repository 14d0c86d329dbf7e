/**
 * what a browser or a program shows to prove itself is looked up by its digest, so that no comparison of it can take longer
 * for a better guess; and nothing of it can be read from the database.
 */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BEHIND_PROXY, Guest, registerHost } from '../hosts/guest.ts';
import type { Company, Visitor } from '../http/visitor.ts';
import { SECRET, startStage, type App, type Stage } from './stage.ts';

const WIKI = 'wiki.vendor.example';

let stage: Stage;
let app: App;
let company: Company & { readonly domain: string };
let ada: Visitor;
/** Name to what is shown. */
const shown = new Map<string, string>();
/** All tables as PostgreSQL writes them down. */
let stored: string;

beforeAll(async () => {
  stage = await startStage({ env: BEHIND_PROXY });
  app = await stage.addApp('app');
  await registerHost(stage.gateway, WIKI, { resource: 'https://api.vendor.example/' });
  company = await stage.addCompany();
  ada = await stage.signedIn(company, `ada@${company.domain}`);
  shown.set('the session', ada.cookie('session').value);
  const guest = new Guest(stage.gateway, ada);
  await guest.open(WIKI);
  shown.set("the host's cookie", guest.at(WIKI).cookie('host').value);
  shown.set('a code that is not used yet', await app.code(ada));
  const tokens = await app.tokens(ada);
  shown.set('an access token', tokens.access_token);
  shown.set('a refresh token', tokens.refresh_token);
  shown.set('the secret of an application', SECRET);
  stored = await dump();
});
afterAll(() => stage.close());

async function dump(): Promise<string> {
  const { sql } = stage.gateway;
  const tables = await sql<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
  );
  const texts: string[] = [];
  for (const { name } of tables) {
    const rows = await sql<{ row: string }>(`SELECT CAST(t AS text) AS row FROM "${name}" t`);
    texts.push(...rows.map(({ row }) => row));
  }
  return texts.join('\n');
}

/** Codes and tokens have the name of their kind before them, so that none is ever taken for another. */
const isDigestStored = (value: string, kind: string): boolean =>
  stored.includes(createHash('sha256').update(`${kind}${value}`).digest('hex'));

describe('what proves somebody', () => {
  it('A-12 is nowhere in the database, in any spelling', () => {
    expect([...shown.keys()]).toHaveLength(6);
    for (const [name, value] of shown) {
      for (const spelled of [
        value,
        Buffer.from(value).toString('hex'),
        Buffer.from(value).toString('base64url'),
      ]) {
        expect({ name, isThere: stored.includes(spelled) }).toEqual({ name, isThere: false });
      }
    }
  });

  it.each([
    ['the session', ''],
    ["the host's cookie", ''],
    ['a code that is not used yet', 'AuthorizationCode '],
    ['an access token', 'AccessToken '],
    ['a refresh token', 'RefreshToken '],
  ])('A-12 is looked up by its digest: %s', (name, kind) => {
    expect(isDigestStored(shown.get(name) ?? '', kind)).toBe(true);
  });
});
