/** T-13: the id of what belongs to another organization is worth as much as one that nobody has, and is answered alike. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { CommandLine } from '../cli/command-line.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';
import {
  OPAQUE_TYPE,
  opaqueOptions,
  startBackEnd,
  startTokenScene,
  type BackEnd,
  type TokenScene,
} from '../tokens/token-scene.ts';

const REFERENCE = /[0-9A-Z]{4}-[0-9A-Z]{4}/g;

let scene: TokenScene;
let backEnd: BackEnd;
let command: CommandLine;
let brand: Company;
let east: Company;
let brandToken: string;
let ada: Visitor;
let grace: Visitor;

beforeAll(async () => {
  [scene, backEnd] = await Promise.all([startTokenScene(), startBackEnd()]);
  ({ command } = scene);
  [brand, east] = [await addCompany(scene.gateway, 'brand'), await addCompany(scene.gateway, 'east')];
  await scene.addConnection([...opaqueOptions(backEnd), '--create-users']);
  brandToken = await scene.addConnection([...opaqueOptions(backEnd), '--create-users'], 'brand');
});
beforeEach(async () => {
  [ada, grace] = [new Visitor(scene.gateway), new Visitor(scene.gateway)];
  expect((await ada.signIn(brand, 'ada@brand.example')).status).toBe(303);
  expect((await grace.signIn(east, 'ada@east.example')).status).toBe(303);
});
afterAll(async () => {
  await backEnd.close();
  await scene.close();
});

const idOf = async (sql: string, slug: string): Promise<string> => {
  const [row] = await scene.gateway.sql<{ id: string }>(sql, [slug]);
  if (row === undefined) throw new Error('there is none');
  return row.id;
};
const userOf = (slug: string) =>
  idOf('SELECT u.id FROM users u JOIN organizations o ON o.id = u.organization_id WHERE o.slug = $1', slug);
const sessionOf = (slug: string) =>
  idOf(
    `SELECT s.id FROM sessions s JOIN organizations o ON o.id = s.organization_id WHERE o.slug = $1
     ORDER BY s.authenticated_at DESC LIMIT 1`,
    slug,
  );

describe('an id of another organization', () => {
  it('T-13 as the connection of a token exchange', async () => {
    const show = (connection: string) =>
      scene.exchange({ connection, subject_token: `token-${randomUUID()}`, subject_token_type: OPAQUE_TYPE });
    const [foreign, unknown] = [await show(brandToken), await show(randomUUID())];
    expect(foreign.status).toBe(400);
    expect(foreign.body['code']).toBe('unknown_organization');
    expect({ ...foreign.body, reference: '' }).toEqual({ ...unknown.body, reference: '' });
    expect(backEnd.asked).toEqual([]);
  });

  it('T-13 as the session to end', async () => {
    const end = async (session: string) => {
      const answer = await grace.send('/sessions/end', {
        method: 'POST',
        headers: { ...FROM_OUR_PAGE, 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ session }).toString(),
      });
      return {
        ...answer,
        body: answer.body.replace(REFERENCE, ''),
        headers: { ...answer.headers, date: '' },
      };
    };
    expect(await end(await sessionOf('brand'))).toEqual(await end(randomUUID()));
    expect(await ada.sessionStatus()).toBe(200);
  });

  it('T-13 as the connection at an entry link, and of a callback', async () => {
    const visible = async (path: string) => {
      const answer = await new Visitor(scene.gateway).send(path, { headers: FROM_OUR_PAGE });
      const { location = '' } = answer.headers;
      return [answer.status, location.replace(/state=[^&]*/, ''), answer.body.replace(REFERENCE, '')];
    };
    const at = (path: (id: string) => string) =>
      Promise.all([brand.connection.id, randomUUID()].map(path).map(visible));
    const [foreign, unknown] = await at((id) => `/sso/east?connection=${id}`);
    expect(foreign).toEqual(unknown);
    const [callback, nobodys] = await at((id) => `/sso/oidc/${id}/callback?code=a&state=b`);
    expect(callback).toEqual(nobodys);
  });

  it.each([['show'], ['enable'], ['disable', '--yes'], ['remove', '--yes']])(
    'T-13 as the user of user %s',
    async (name, ...options) => {
      const run = async (id: string) => {
        const { status, stdout, stderr } = await command.run(['user', name, 'east', id, ...options]);
        return { status, stdout, stderr: stderr.replaceAll(id, 'ID') };
      };
      const foreign = await run(await userOf('brand'));
      expect(foreign.status).toBe(1);
      expect(foreign).toEqual(await run(randomUUID()));
      expect(await ada.sessionStatus()).toBe(200);
    },
  );

  it('T-13 as the user whose sessions are listed', async () => {
    const id = await userOf('brand');
    expect(await command.json(['session', 'list', 'east', id])).toEqual(
      await command.json(['session', 'list', 'east', randomUUID()]),
    );
  });
});
