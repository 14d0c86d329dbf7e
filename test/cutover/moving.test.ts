/** Where a cut-over sends people, who have an address or only a browser, and what else is held to that while it runs. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { rsaKeyPair } from '../support/test-gateway.ts';
import { customJwt, problemOf, type Visitor } from '../tenants/visitor.ts';
import { forEach, keys, openCutoverScene, sessionOf, type CutoverScene } from './cutover-scene.ts';
import { RoutedOrganization, type Explained } from './routed-organization.ts';

let scene: CutoverScene;
let organizations = 0;
let company: RoutedOrganization;

beforeAll(async () => {
  scene = await openCutoverScene();
});
beforeEach(async () => {
  company = await RoutedOrganization.add(scene, `org-${(organizations += 1)}`);
});
afterAll(() => scene.close());

describe('a cut-over', () => {
  const startCommand = () => {
    const sides = ['--from', company.idOf('alpha'), '--to', company.idOf('beta')];
    return ['cutover', 'start', company.slug, ...sides];
  };
  const start = (...args: readonly string[]) => scene.run(...startCommand(), ...args);
  const lotOf = (visitor: Visitor) => visitor.cookies.get('gatehouse-lot');

  it('has a browser without an address draw a lot once, and trusts no lot that it would not have given', async () => {
    await start();
    const first = scene.visitor();
    expect(await company.entry('', first)).toBe('alpha');
    expect(lotOf(first)).toBeUndefined();
    await scene.run('cutover', 'share', company.slug, '50');
    const ways = await forEach(Array.from({ length: 60 }), async () => {
      const browser = scene.visitor();
      const way = await company.entry('', browser);
      const lot = lotOf(browser);
      for (let again = 0; again < 2; again += 1) expect(await company.entry('', browser)).toBe(way);
      expect(lotOf(browser)).toBe(lot);
      return way;
    });
    expect(new Set(ways)).toEqual(new Set(['alpha', 'beta']));
    for (const [lot, way] of Object.entries({ 0: 'beta', 4999: 'beta', 5000: 'alpha', 9999: 'alpha' })) {
      const browser = scene.visitor();
      browser.cookies.set('gatehouse-lot', lot);
      expect(await company.entry('', browser)).toBe(way);
    }
    for (const forged of ['-1', '12345', '1e1', 'NaN', '0x1', '5.5', 'true', '1; gatehouse-lot=2']) {
      const browser = scene.visitor();
      browser.cookies.set('gatehouse-lot', forged);
      expect(['alpha', 'beta']).toContain(await company.entry('', browser));
      expect(lotOf(browser)).toMatch(/^\d{1,4}$/);
      expect(lotOf(browser)).not.toBe(forged);
    }
    // Whoever says who they are goes where their address goes.
    const { connection } = await scene.cli.json<Explained>(['explain', company.at('a')]);
    for (const lot of ['0', '9999']) {
      const browser = scene.visitor();
      browser.cookies.set('gatehouse-lot', lot);
      expect(company.idOf(await company.entry(`?login_hint=${company.at('a')}`, browser))).toBe(
        connection?.id,
      );
    }
    await scene.run('cutover', 'share', company.slug, '100');
    expect(await company.entry()).toBe('beta');
    await scene.run('cutover', 'rollback', company.slug);
    expect(await company.entry()).toBe('alpha');
  });

  it('moves those of the routes of the old connection, whoever else there is to choose', async () => {
    await company.addConnection('gamma');
    await company.route('gamma', '--everybody');
    await company.route('beta', '--domain', `b.${company.slug}.example`);
    await start();
    await company.expectWay(company.at('a'), 'alpha or gamma');
    await scene.run('cutover', 'include', company.slug, company.at('a', 'vip'), company.at('b'));
    const { steps } = await company.expectWay(company.at('a', 'vip'), 'beta or gamma');
    expect(steps.join('\n')).toContain('The cut-over includes this person');
    expect(await company.who()).toEqual({
      alpha: 'everybody; moving away (0 %, 2 included)',
      beta: `b.${company.slug}.example; taking over (0 %, 2 included)`,
      gamma: 'everybody',
    });
    await scene.run('cutover', 'rollback', company.slug);
    await company.expectWay(company.at('a', 'vip'), 'alpha or gamma');
    await company.expectWay(company.at('b'), 'beta');
  });

  it('is refused where people would choose between its two, before and while it runs', async () => {
    const { cli } = scene;
    await company.route('beta', '--everybody');
    await cli.refused(
      startCommand(),
      new RegExp(`both are for everybody.*unroute ${company.idOf('beta')} --everybody`),
    );
    await company.unroute('beta', '--everybody');
    await start();
    const choice = /cannot choose between the two.*cutover share/;
    await cli.refused(['connection', 'route', company.idOf('beta'), '--everybody'], choice);
    await cli.refused(
      ['connection', 'unroute', company.idOf('alpha'), '--everybody'],
      /A cut-over moves the people/,
    );
    await cli.refused(['connection', 'retire', company.idOf('alpha')], /Finish it, or roll it back/);
    await cli.refused(['connection', 'retire', company.idOf('beta')], /Finish it, or roll it back/);
    await scene.run('cutover', 'finish', company.slug);
    await cli.refused(['connection', 'route', company.idOf('beta'), '--everybody'], choice);
    await cli.refused(
      ['connection', 'unroute', company.idOf('alpha'), '--everybody'],
      /A cut-over moves the people/,
    );
    expect(await company.who()).toEqual({ alpha: 'everybody; moved away', beta: 'took over' });
    await scene.run('connection', 'remove', company.idOf('alpha'));
    expect(await company.who()).toMatchObject({ beta: 'everybody' });
    await company.expectWay(company.at('a'), 'beta');
  });

  it('names the way back where the new connection lets nobody in, and moves nobody there', async () => {
    const { cli } = scene;
    await start();
    await scene.run('cutover', 'include', company.slug, company.at('a'));
    await scene.run('connection', 'disable', company.idOf('beta'));
    const { steps } = await company.expectWay(company.at('a'), 'unknown_domain');
    expect(steps.join('\n')).toContain(`or go back: cutover rollback ${company.slug}`);
    const next = new RegExp(
      `connection enable ${company.idOf('beta')}, or go back: cutover rollback ${company.slug}`,
    );
    await cli.refused(['cutover', 'share', company.slug, '1'], next);
    await cli.refused(['cutover', 'include', company.slug, company.at('a', 'alan')], next);
    await cli.refused(['cutover', 'finish', company.slug, '--yes'], next);
    await scene.run('cutover', 'rollback', company.slug);
    await company.expectWay(company.at('a'), 'alpha');
  });

  it('is obeyed by two nodes at once', async () => {
    const node = await scene.gateway.startNode();
    try {
      await start();
      const ports = [scene.gateway.port, node.port];
      for (const [share, way] of [['100', 'beta'] as const, ['0', 'alpha'] as const]) {
        await scene.run('cutover', 'share', company.slug, share);
        const begun = performance.now();
        for (const port of ports) {
          while (company.wayOf(await scene.visitor().goTo(port).typeAddress(company.at('a'))) !== way)
            expect(performance.now() - begun).toBeLessThan(1_000);
        }
      }
    } finally {
      await node.close();
    }
  });

  it('between two custom JWT connections has each take its own tokens at the one callback, and no others', async () => {
    const own = rsaKeyPair();
    await company.addConnection('gamma', { publicKey: own.publicKey });
    for (const email of [company.at('a'), company.at('b')]) {
      await company.addUser(email);
    }
    await scene.run(
      'cutover',
      'start',
      company.slug,
      '--from',
      company.idOf('alpha'),
      '--to',
      company.idOf('gamma'),
    );
    const browser = scene.visitor();
    const callback = await browser.startWithJwt(company.at('a'), keys.privateKey);
    await scene.run('cutover', 'share', company.slug, '100');
    expect((await browser.start(company.at('b'))).pathname).toBe('/gamma');
    const deliver = (token: string) => {
      callback.searchParams.set('token', token);
      return browser.request(callback);
    };
    const refused = await deliver(customJwt(rsaKeyPair().privateKey, company.at('a')));
    expect({ status: refused.status, code: problemOf(refused).code }).toEqual({
      status: 401,
      code: 'token_invalid',
    });
    for (const [email, path, key] of [
      [company.at('a'), 'alpha', keys.privateKey] as const,
      [company.at('b'), 'gamma', own.privateKey] as const,
    ]) {
      const answer = await deliver(customJwt(key, email));
      expect({ email, status: answer.status, body: answer.body }).toEqual({ email, status: 303, body: '' });
      expect(await sessionOf(browser)).toMatchObject({
        user: { email },
        connection: { id: company.idOf(path) },
      });
    }
  });

  it('is held to what makes sense by commands that say what to do, and leaves its mark in the audit trail', async () => {
    const { cli } = scene;
    const begin = (...args: readonly string[]) => ['cutover', 'start', company.slug, ...args];
    await cli.refused(
      begin('--from', company.idOf('alpha'), '--to', company.idOf('alpha')),
      /two connections/,
    );
    await cli.refused(begin('--from', company.idOf('alpha'), '--to', 'x'), /There is no connection x/);
    await cli.refused(
      begin('--from', company.idOf('beta'), '--to', company.idOf('alpha')),
      /nobody is sent to the connection/,
    );
    await cli.misused(begin('--from', company.idOf('alpha')), /--to/);
    await cli.misused(
      begin('--from', company.idOf('alpha'), '--to', company.idOf('beta'), '--relink', 'guess'),
      /domain, list/,
    );
    for (const command of ['share', 'include', 'exclude', 'forget', 'finish', 'rollback', 'status']) {
      const rest = { share: ['5'], finish: ['--yes'], rollback: [], status: [] }[command] ?? [
        company.at('a'),
      ];
      await cli.refused(['cutover', command, company.slug, ...rest], /has no cut-over\. Start one with/);
    }
    await start();
    for (const percent of ['-1', '101', '1.5', 'x', ''])
      await cli.misused(['cutover', 'share', company.slug, '--', percent], /a whole number from 0 to 100/);
    await cli.misused(['cutover', 'include', company.slug], /name at least one address/);
    await cli.refused(
      ['cutover', 'include', company.slug, '--file', '-'],
      /^Line 2: "ada" is not an e-mail address/,
      {
        stdin: `# pilots\nada\n`,
      },
    );
    await scene.run('cutover', 'share', company.slug, '5%');
    await scene.run('cutover', 'include', company.slug, company.at('a'));
    await scene.run('cutover', 'rollback', company.slug);
    await cli.refused(['cutover', 'rollback', company.slug], /rolled back already/);
    await cli.refused(['cutover', 'share', company.slug, '5'], /The cut-over is rolled back/);
    const events = await scene.gateway.sql<{ action: string; actor: string; email: string | null }>(
      `SELECT action, actor, email FROM audit_events WHERE organization_id = (SELECT id FROM organizations WHERE slug = $1) AND action LIKE 'cutover.%' ORDER BY id`,
      [company.slug],
    );
    expect(events.map(({ action }) => action.replace('cutover.', ''))).toEqual([
      'started',
      'share_set',
      'people_named',
      'rolled_back',
    ]);
    expect(events.every(({ actor }) => actor.startsWith('cli:'))).toBe(true);
    expect(events[2]?.email).toBe(company.at('a'));
  });
});
