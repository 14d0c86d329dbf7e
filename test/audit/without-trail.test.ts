/** W-12: while the audit trail cannot be written, nobody gets in and nobody is refused: both are told to come again. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startStage, type App, type Stage } from '../applications/stage.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';

let stage: Stage;
let company: Company;
let app: App;

beforeAll(async () => {
  stage = await startStage();
  company = await addCompany(stage.gateway, 'brand');
  app = await stage.addApp('portal');
});
afterAll(() => stage.close());

const sql = (text: string) => stage.gateway.sql(text);
const ADA = 'ada@brand.example';

describe('W-12 while no event can be written', () => {
  let visitor: Visitor;
  beforeEach(async () => {
    visitor = new Visitor(stage.gateway);
    expect((await visitor.start(ADA)).status).toBe(303);
    await sql('ALTER TABLE audit_events RENAME TO elsewhere');
  });
  afterEach(() => sql('ALTER TABLE IF EXISTS elsewhere RENAME TO audit_events'));

  const back = () => sql('ALTER TABLE elsewhere RENAME TO audit_events');
  const sessions = async () => (await sql('SELECT id FROM sessions')).length;

  it('a good token opens no session, and does when it comes again', async () => {
    const before = await sessions();
    const token = company.token(ADA);
    const come = () => visitor.send(`${company.callbackPath}?token=${token}`, { headers: FROM_OUR_PAGE });
    const answer = await come();
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '2']);
    expect(await sessions()).toBe(before);
    expect(await visitor.sessionStatus()).toBe(401);
    await back();
    expect((await come()).status).toBe(303);
    expect(await visitor.sessionStatus()).toBe(200);
  });

  it('a bad token is not refused, and is once it can be written down', async () => {
    const bad = `${company.token(ADA).slice(0, -8)}AAAAAAAA`;
    const come = () => visitor.send(`${company.callbackPath}?token=${bad}`, { headers: FROM_OUR_PAGE });
    expect((await come()).status).toBe(503);
    await back();
    expect((await come()).status).toBe(401);
  });

  it('an application gets no code', async () => {
    await back();
    await visitor.comeBack(company, ADA);
    await sql('ALTER TABLE audit_events RENAME TO elsewhere');
    await expect(app.code(visitor)).rejects.toThrow();
    expect(await sql('SELECT FROM grants')).toEqual([]);
    await back();
    expect(await app.code(visitor)).toMatch(/^[\w-]{43}$/);
  });
});
