/** What an operator does with the home of an organization, what people then meet, and what two regions say of each other. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectRefusal, send } from '../attacks/refusal.ts';
import type { Outcome } from '../cli/command-line.ts';
import { addCompany, FROM_OUR_PAGE, Visitor } from '../http/visitor.ts';
import { NAME, openRegions, type Regions } from './scene.ts';

let regions: Regions;
beforeAll(async () => {
  regions = await openRegions();
});
afterAll(() => regions.close());

const form = (values: Readonly<Record<string, string>>) => ({
  method: 'POST',
  headers: { ...FROM_OUR_PAGE, 'content-type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams(values).toString(),
});
const eu = (...args: string[]) => regions.commands.eu.json(args);
const us = (...args: string[]) => regions.commands.us.json(args);
const refused = (line: RegExp, ...args: string[]) => regions.commands.eu.refused(args, line);

describe('org region', () => {
  it('sends people away at once, ends their sessions, and takes them back', async () => {
    const nord = await addCompany(regions.eu, 'nord');
    const visitor = new Visitor(regions.eu);
    await visitor.signIn(nord, 'ada@nord.example');
    expect(await visitor.sessionStatus()).toBe(200);
    const started = new Visitor(regions.eu);
    await started.start('ada@nord.example');

    await refused(/^This signs out everybody of nord here .*--yes/, 'org', 'region', 'nord', 'us');
    const away = await regions.commands.eu.run(['org', 'region', 'nord', 'us', '--yes']);
    expect(away.stdout).toMatch(/^nord lives in us\. .*users \(1\) and connections \(1\)/);
    expect(await visitor.sessionStatus()).toBe(401);
    expect(await regions.eu.sql('SELECT FROM sessions')).toEqual([]);
    expect((await started.start('ada@nord.example')).status).toBe(307);
    // Who had begun before cannot finish here.
    await expectRefusal(regions.eu, () => started.comeBack(nord, 'ada@nord.example'), {
      status: 401,
      code: 'token_invalid',
      recordedCode: 'unknown_domain',
    });
    await refused(
      /^nord lives in the region us: .*org region nord/,
      'user',
      'add',
      'nord',
      'eve@nord.example',
    );

    const [{ id }] = (await regions.commands.eu.json<{ id: string }[]>(['connection', 'list', 'nord'])) as [
      { id: string },
    ];
    for (const command of [
      `connection route ${id} --address ada@nord.example`,
      'break-glass nord ada@nord.example --reason gone',
    ]) {
      await refused(/^nord lives in the region us: /, ...command.split(' '));
    }

    expect(await eu('org', 'region', 'nord', 'eu')).toMatchObject({ slug: 'nord', region: 'eu' });
    await visitor.signIn(nord, 'ada@nord.example');
    expect(await visitor.sessionStatus()).toBe(200);
    const events = await regions.eu.sql(
      `SELECT reason, actor FROM audit_events WHERE action = 'organization.updated' ORDER BY id`,
    );
    expect(events).toEqual([
      { reason: 'lives in the region us', actor: expect.stringMatching(/^cli/) },
      { reason: 'lives here', actor: expect.stringMatching(/^cli/) },
    ]);
  });

  it('a session that is written beside the move is none', async () => {
    const west = await addCompany(regions.eu, 'west');
    const visitor = new Visitor(regions.eu);
    await visitor.signIn(west, 'ada@west.example');
    await regions.eu.sql(`UPDATE organizations SET region = 'us' WHERE slug = 'west'`);
    expect(await visitor.sessionStatus()).toBe(401);
    await eu('org', 'region', 'west', 'eu');
    expect(await visitor.sessionStatus()).toBe(401);
  });

  it.each([
    [
      'a region that nobody named',
      /^REGIONS does not name such a region\. It names: eu, us$/m,
      'org region acme asia',
    ],
    ['a new organization of such a region', /^REGIONS does not name/, 'org add asian --name A --region asia'],
    ['an organization that is not there', /^There is no organization "nobody"/, 'org region nobody us'],
    [
      'a user elsewhere',
      /^acme lives in the region us: add .* there\./,
      `user add acme ${NAME}@acme.example`,
    ],
    [
      'a connection elsewhere, before anybody is asked',
      /^acme lives in the region us: add .* there\./,
      'connection add acme oidc --discovery-url http://127.0.0.1:1 --client-id x --client-secret-file -',
    ],
  ])('refuses %s', async (_, line, command) => {
    await regions.commands.eu.refused(command.split(' '), line, { stdin: 'a secret' });
  });

  it('refuses to add the users of a file elsewhere', async () => {
    const outcome = await regions.commands.eu.run(['user', 'import', 'acme', '-'], {
      stdin: 'email,name\neve@acme.example,Eve\n',
    });
    expect(outcome).toMatchObject({ status: 1, stderr: expect.stringContaining('lives in the region us') });
    expect(await regions.eu.sql(`SELECT FROM users WHERE email = 'eve@acme.example'`)).toEqual([]);
  });

  it('is shown, listed and explained', async () => {
    expect(await eu('org', 'show', 'acme')).toMatchObject({ region: 'us', domains: [{ verified: true }] });
    expect((await regions.commands.eu.run(['org', 'show', 'acme'])).stdout).toMatch(/^region +us$/m);
    expect((await regions.commands.eu.run(['org', 'list'])).stdout).toMatch(/^acme .* us$/m);
    expect(await us('org', 'show', 'acme')).toMatchObject({ region: 'us' });
    expect(await eu('explain', `${NAME}@acme.example`)).toMatchObject({
      outcome: 'sent_to_region',
      region: { name: 'us', url: regions.us.url },
      organization: { slug: 'acme' },
    });
    const { stdout } = await regions.commands.eu.run(['explain', `${NAME}@acme.example`]);
    expect(stdout).toContain(`lives in the region us.\n- The person is sent to ${regions.us.url}.`);
    expect(await us('explain', `${NAME}@acme.example`)).toMatchObject({ outcome: 'signs_in' });
  });

  it('says what to set where there are no regions', async () => {
    const alone = { env: { REGION: '', REGIONS: '' } };
    for (const command of ['org region acme us', 'org signposts', 'org add x --name X --region us']) {
      await regions.commands.eu.refused(
        command.split(' '),
        /^This node knows of no regions\. Set REGION/,
        alone,
      );
    }
    const explained = await regions.commands.eu.json(['explain', `${NAME}@acme.example`], alone);
    expect(explained).toMatchObject({ outcome: 'refused', code: 'unknown_domain' });
  });
});

describe('regions that do not agree', () => {
  beforeAll(async () => {
    await eu('org', 'add', 'lost', '--name', 'Lost', '--region', 'us');
    await eu('domain', 'add', 'lost', 'lost.example', '--verified');
    await us('org', 'add', 'lost', '--name', 'Lost', '--region', 'eu');
    await us('domain', 'add', 'lost', 'lost.example', '--verified');
  });

  it.each([
    ['POST', '/login?from_region=eu', 'unknown_domain'],
    ['GET', '/sso/lost?from_region=eu', 'unknown_organization'],
    ['GET', '/sso/lost?from_region=', 'unknown_organization'],
    ['GET', '/sso/lost?from_region=a&from_region=b', 'unknown_organization'],
  ] as const)('send nobody in a circle: %s %s', async (method, path, code) => {
    const options = method === 'POST' ? form({ email: `${NAME}@lost.example` }) : {};
    const attack = () => send(`${regions.us.url}${path}`, options);
    const { event } = await expectRefusal(regions.us, attack, {
      status: 404,
      code,
      reason: /^the regions disagree: .* lives in eu$/,
    });
    expect(event?.email).toBeNull();
    const warnings = regions.us.logLines.filter((line) => line.includes('"level":"warn"'));
    expect(warnings.at(-1)).toContain('the regions disagree');
    expect(warnings.join('')).not.toContain(NAME);
  });

  it('D-03 know nobody behind a signpost that was disabled', async () => {
    await eu('org', 'disable', 'lost');
    const login = () => send(`${regions.eu.url}/login`, form({ email: `${NAME}@lost.example` }));
    await expectRefusal(regions.eu, login, { status: 404, code: 'unknown_domain' });
    const link = () => send(`${regions.eu.url}/sso/lost`);
    await expectRefusal(regions.eu, link, { status: 404, code: 'unknown_organization' });
    expect(await eu('explain', `${NAME}@lost.example`)).toMatchObject({ outcome: 'refused' });
    await eu('org', 'enable', 'lost');
  });

  it.each([
    ['a region that is no longer named', 'asia', /asia, which REGIONS does not name$/],
    ['this very region', 'eu', /is to live here, and is not set up for it/],
  ])('send nobody to %s', async (_, region, reason) => {
    await regions.eu.sql(`UPDATE organizations SET region = $1 WHERE slug = 'lost'`, [region]);
    // What another process changed is heard of within a second.
    await sleep(1_000);
    const login = () => send(`${regions.eu.url}/login`, form({ email: `${NAME}@lost.example` }));
    await expectRefusal(regions.eu, login, { status: 404, code: 'unknown_domain', reason });
    expect(await eu('explain', `${NAME}@lost.example`)).toMatchObject({ outcome: 'refused' });
  });
});

describe('signposts', () => {
  const line = (signpost: object) =>
    `${JSON.stringify({ name: 'S', region: 'us', domains: [], ...signpost })}\n`;
  const importing = (text: string): Promise<Outcome> =>
    regions.commands.eu.run(['org', 'import-signposts', '-', '--json'], { stdin: text });
  const exported = async () => (await regions.commands.us.run(['org', 'signposts'])).stdout;

  it('hold slug, name, region and proved domains, and nothing else', async () => {
    await us('domain', 'add', 'acme', 'claimed.example');
    const lines = (await exported()).trimEnd().split('\n');
    expect(lines.map((text) => JSON.parse(text) as unknown)).toEqual([
      { slug: 'acme', name: 'acme', region: 'us', domains: ['acme.example'] },
      { slug: 'brand', name: 'brand', region: 'us', domains: ['brand.example'] },
    ]);
    expect(await us('org', 'signposts')).toHaveLength(2);
  });

  it('are entered again without a change, as lines or as an array', async () => {
    const before = await regions.eu.sql('SELECT count(*) FROM audit_events');
    for (const text of [await exported(), JSON.stringify(await us('org', 'signposts'))]) {
      expect(JSON.parse((await importing(text)).stdout)).toMatchObject({
        added: 0,
        updated: 0,
        unchanged: 2,
      });
    }
    expect(await regions.eu.sql('SELECT count(*) FROM audit_events')).toEqual(before);
  });

  it('follow what changed at home, and leave what is in conflict', async () => {
    await addCompany(regions.eu, 'south');
    await eu('org', 'add', 'far', '--name', 'Far', '--region', 'us');
    const text = [
      line({ slug: 'acme', name: 'Acme Rockets', domains: ['rockets.example'] }),
      line({ slug: 'fresh', domains: ['fresh.example', 'south.example'] }),
      line({ slug: 'south', domains: ['other.example'] }),
      line({ slug: 'brand', name: 'brand', domains: ['brand.example'] }),
    ].join('');
    const outcome = await importing(text);
    expect(outcome.status).toBe(1);
    expect(outcome.stderr).toMatch(/^2 conflicts were left as they are/);
    expect(JSON.parse(outcome.stdout)).toEqual({
      added: 1,
      updated: 1,
      unchanged: 1,
      conflicts: [
        { slug: 'fresh', reason: expect.stringContaining('south.example is verified for south') },
        { slug: 'south', reason: expect.stringContaining('south lives here') },
      ],
      missing: expect.arrayContaining(['far']),
    });
    expect(await eu('org', 'show', 'acme')).toMatchObject({
      name: 'Acme Rockets',
      domains: [{ domain: 'rockets.example', verified: true }],
    });
    expect(await eu('org', 'show', 'south')).toMatchObject({
      region: 'eu',
      domains: [{ domain: 'south.example' }],
    });
    expect((await importing(await exported())).status).toBe(0);
    expect(await eu('org', 'show', 'acme')).toMatchObject({ domains: [{ domain: 'acme.example' }] });
  });

  it('are refused whole where one of them is none', async () => {
    const { status, stderr } = await importing(`${line({ slug: 'x' })}nonsense`);
    expect([status, stderr]).toEqual([1, 'Line 2 is not JSON.\n']);
    expect(await regions.eu.sql(`SELECT FROM organizations WHERE slug = 'x'`)).toEqual([]);
  });
});
