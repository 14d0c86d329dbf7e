/** Which browser claims a code: one that shows a cookie of ours or a session, on a page that somebody opened. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { visibleText } from '../../scripts/demo/html-form.ts';
import { Visitor } from '../http/visitor.ts';
import { decide, Device, formOf, open, submit } from './device-scene.ts';
import { claimsOf, startStage, tokensOf, type Stage } from './stage.ts';

let stage: Stage;
let device: Device;
let company: Awaited<ReturnType<Stage['addCompany']>>;
let ada: Visitor;

beforeAll(async () => {
  stage = await startStage();
  device = await Device.registered(stage, 'terminal');
  company = await stage.addCompany();
  ada = await stage.signedIn(company, `ada@${company.domain}`);
});
afterAll(() => stage.close());

describe('the browser that opens a code first', () => {
  const claimOf = async ({ user_code: userCode }: { readonly user_code: string }) => {
    const rows = await stage.gateway.sql<{ claimed: boolean }>(
      `SELECT claimed_by IS NOT NULL AS claimed FROM device_codes
       WHERE user_code_digest = sha256(convert_to('UserCode ' || $1, 'UTF8'))`,
      [userCode.replace('-', '')],
    );
    return rows[0]?.claimed;
  };

  it.each([
    ['an image', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }],
    ['a script', { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }],
    ['a frame', { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }],
  ])('P-22 claims it: %s of another site does not', async (_what, headers) => {
    const started = await device.start();
    const grace = await stage.signedIn(company, `grace@${company.domain}`);
    for (const browser of [grace, new Visitor(stage.gateway)]) {
      const sent = { headers: { 'sec-fetch-site': 'cross-site', ...headers } };
      expect((await open(browser, started, sent)).status).toBe(400);
      expect(browser.cookies.has('gatehouse-device')).toBe(false);
    }
    expect(await claimOf(started)).toBe(false);
    expect((await decide(ada, started, 'allow')).status).toBe(200);
  });

  it('P-22 claims it with a cookie that came back, by link and by form; who keeps none is told so', async () => {
    const started = await device.start();
    const link = `/device?user_code=${started.user_code}`;
    const accept = { headers: { accept: 'text/html' } };
    const forgetful = () => new Visitor(stage.gateway);
    for (let look = 0; look < 3; look += 1) {
      expect(await forgetful().send(link, accept)).toMatchObject({
        status: 303,
        headers: { location: `${link}&again=1` },
      });
      const typed = await submit(forgetful(), { user_code: started.user_code });
      expect(typed).toMatchObject({ status: 303, headers: { location: link } });
    }
    const told = await forgetful().send(`${link}&again=1`, accept);
    expect([told.status, visibleText(told.body).includes('keeps no cookies')]).toEqual([400, true]);
    expect(await claimOf(started)).toBe(false);
    const browser = new Visitor(stage.gateway);
    await submit(browser, { user_code: started.user_code });
    expect((await browser.send(link, accept)).headers.location).toMatch(/^\/login\?/);
    expect((await open(ada, started)).status).toBe(403);
  });

  it('P-22 opens it as often as it likes, and at once, before any cookie has arrived', async () => {
    const started = await device.start();
    const grace = await stage.signedIn(company, `grace@${company.domain}`);
    const { name, value } = grace.cookie('session');
    const first = { headers: { cookie: `${name}=${value}` } };
    const pages = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        open(new Visitor(stage.gateway), started, { ...first, port: stage.ports[index % 2] ?? 0 }),
      ),
    );
    expect(pages.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect((await open(ada, started)).status).toBe(403);
    const fields = { ...formOf(pages[0] ?? { body: '' }), decision: 'allow' };
    expect((await submit(ada, fields)).status).toBe(403);
    expect((await submit(new Visitor(stage.gateway), fields, first)).status).toBe(200);
    expect(claimsOf(tokensOf(await device.poll(started)))['email']).toBe(`grace@${company.domain}`);
  });
});
