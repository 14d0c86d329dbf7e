/** The cookie by which one browser alone decides about the codes that it opened. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FROM_OUR_PAGE, Visitor } from '../http/visitor.ts';
import { decide, Device, expectUntouched, formOf, open } from './device-scene.ts';
import { startStage, type Stage } from './stage.ts';

let stage: Stage;
let device: Device;
let company: Awaited<ReturnType<Stage['addCompany']>>;
let ada: Visitor;

beforeAll(async () => {
  stage = await startStage();
  device = await Device.registered(stage, 'terminal');
  company = await stage.addCompany();
  ada = await stage.signedIn(company, `ada@${company.domain}`);
  await open(ada, await device.start());
});
afterAll(() => stage.close());

describe('the cookie of a claim', () => {
  it.each([
    ['http on loopback', {}, 'gatehouse-device', []],
    [
      'https',
      { PUBLIC_URL: 'https://sso.example', ALLOW_PRIVATE_NETWORKS: 'true' },
      '__Host-gatehouse-device',
      ['Secure'],
    ],
  ] as const)(
    'S-05 on %s is HttpOnly, SameSite, of this host alone and small',
    async (_on, env, name, more) => {
      const own = await startStage({ env });
      try {
        const started = await (await Device.registered(own, 'terminal')).start();
        const page = await open(new Visitor(own.gateway), started);
        const [cookie = '', ...others] = page.headers['set-cookie'] ?? [];
        expect(others).toEqual([]);
        const [pair = '', ...attributes] = cookie.split('; ');
        expect(pair).toMatch(new RegExp(`^${name}=[\\w-]{43}$`));
        const kept = attributes.filter((attribute) => !attribute.startsWith('Expires='));
        expect(kept.sort()).toEqual(['HttpOnly', 'Max-Age=600', 'Path=/', 'SameSite=Lax', ...more].sort());
      } finally {
        await own.close();
      }
    },
  );

  it.each<[string, (value: string) => string]>([
    ['S-06 twice', (value) => `gatehouse-device=${value}; gatehouse-device=${value}`],
    ['S-06 twice, with another one', (value) => `gatehouse-device=${value}; gatehouse-device=x`],
    ['S-07 cut off', (value) => `gatehouse-device=${value.slice(0, -1)}`],
    ['S-07 changed', (value) => `gatehouse-device=${value.slice(1)}A`],
    ['S-04 of the session', () => `gatehouse-device=${ada.cookie('session').value}`],
    ['of another name', (value) => `__Host-gatehouse-device=${value}`],
    ['absent', () => ''],
  ])('%s is as good as none', async (_what, forge) => {
    const started = await device.start();
    // Without the session, which would do for the cookie.
    const own = ada.cookie('device');
    const alone = { headers: { cookie: `${own.name}=${own.value}` } };
    expect((await open(ada, started, alone)).status).toBe(303);
    const form = formOf(await open(ada, started));
    const { name, value } = ada.cookie('session');
    const cookie = `${name}=${value}; ${forge(ada.cookie('device').value)}`;
    const headers = { ...FROM_OUR_PAGE, cookie, 'content-type': 'application/x-www-form-urlencoded' };
    const body = new URLSearchParams({ ...form, decision: 'allow' }).toString();
    const answer = await new Visitor(stage.gateway).send('/device', { method: 'POST', headers, body });
    expect(answer.status).toBe(403);
    await expectUntouched(stage, device, started, ada);
  });

  it('S-04 is no session', async () => {
    const { value } = ada.cookie('device');
    const headers = { cookie: `gatehouse-session=${value}` };
    expect((await new Visitor(stage.gateway).send('/session', { headers })).status).toBe(401);
  });

  it('is one for all codes of a browser', async () => {
    const browser = await stage.signedIn(company, `grace@${company.domain}`);
    const codes = [await device.start(), await device.start(), await device.start()];
    for (const code of codes) expect((await open(browser, code)).status).toBe(200);
    expect([...browser.cookies.keys()].sort()).toEqual(['gatehouse-device', 'gatehouse-session']);
    for (const code of codes) expect((await decide(browser, code, 'allow')).status).toBe(200);
  });
});
