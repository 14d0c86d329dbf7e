/** The server under a database role of its own that can change data and nothing else: the one whose SQL the security document has. */
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { startGateway, type Gateway } from '../../src/gateway.ts';
import { openLog } from '../../src/log.ts';
import { APP_SECRET, REDIRECT_URI, startScene, type Scene } from '../applications/scene.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';

const DOCUMENT = resolve(import.meta.dirname, '../../.github/SECURITY.md');
const ROLE = `gatehouse_test_role_${randomBytes(6).toString('hex')}`;
const PASSWORD = randomBytes(16).toString('hex');

describe('a server whose database role can change data and nothing else', () => {
  let scene: Scene;
  let company: Company;
  let server: Gateway;
  let role: pg.Client;

  beforeAll(async () => {
    scene = await startScene();
    company = await addCompany(scene.gateway, 'brand');
    await scene.addApp('portal');
    const [, sql = ''] = /```sql\n(.*?)```/s.exec(await readFile(DOCUMENT, 'utf8')) ?? [];
    expect(sql).toContain('gatehouse_server');
    await scene.gateway.sql(sql.replaceAll('gatehouse_server', ROLE).replace('…', PASSWORD));
    const url = new URL(scene.gateway.databaseUrl.replace('@/', '@localhost/'));
    url.username = ROLE;
    url.password = PASSWORD;
    role = new pg.Client({ connectionString: url.href });
    await role.connect();
    const config = { ...scene.gateway.config, databaseUrl: url.href, port: 0 };
    server = await startGateway(config, { log: openLog('silent') });
  });
  afterAll(async () => {
    await server.close();
    await role.end();
    await scene.gateway.sql(`DROP OWNED BY ${ROLE}; DROP ROLE ${ROLE}`);
    await scene.close();
  });

  it('signs people in and out, and applications with them', async () => {
    const visitor = new Visitor({ ...scene.gateway, port: server.port });
    expect((await visitor.signIn(company, 'ada@brand.example')).status).toBe(303);
    expect(await visitor.sessionStatus()).toBe(200);

    const verifier = randomBytes(32).toString('base64url');
    const query = new URLSearchParams({
      client_id: 'portal',
      redirect_uri: REDIRECT_URI,
      response_type: 'code',
      scope: 'openid',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    const { headers } = await visitor.send(`/oidc/auth?${query.toString()}`, { headers: FROM_OUR_PAGE });
    const code = new URL(headers.location ?? '').searchParams.get('code') ?? '';
    const tokens = await visitor.send('/oidc/token', {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`portal:${encodeURIComponent(APP_SECRET)}`).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        redirect_uri: REDIRECT_URI,
        code_verifier: verifier,
        code,
      }).toString(),
    });
    expect([tokens.status, tokens.body]).toEqual([200, expect.stringContaining('id_token')]);

    expect((await visitor.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE })).status).toBe(303);
    expect(await visitor.sessionStatus()).toBe(401);
  });

  it.each([
    ["UPDATE audit_events SET reason = 'nothing'"],
    ['DELETE FROM audit_events'],
    ['TRUNCATE audit_events'],
    ["INSERT INTO schema_migrations (name, batch) VALUES ('0000-none.sql', 1)"],
    ['DROP TABLE sessions'],
    ['ALTER TABLE audit_events DISABLE TRIGGER ALL'],
    ['CREATE TABLE mine (id int)'],
    ["COPY users TO PROGRAM 'true'"],
  ])('can do nothing else: %s', async (sql) => {
    await expect(role.query(sql)).rejects.toMatchObject({ code: '42501' });
  });
});
