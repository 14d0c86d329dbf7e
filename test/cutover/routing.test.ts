/** Several connections of one organization: where an address and an entry link lead, and how a person chooses. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { expectRefusal } from '../tenants/refusal.ts';
import { customJwt, type Visitor } from '../tenants/visitor.ts';
import { forEach, keys, openCutoverScene, sessionOf, type CutoverScene } from './cutover-scene.ts';
import { RoutedOrganization } from './routed-organization.ts';

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

const post = (visitor: Visitor, fields: object, headers: Readonly<Record<string, string>> = {}) =>
  visitor.request('/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(fields),
  });

describe('routes', () => {
  it('the most precise counts: address, domain, everybody; and a connection without any is for whoever is left', async () => {
    await company.addConnection('gamma');
    await company.expectWay(company.at('b'), 'alpha');
    expect(await company.entry()).toBe('alpha');
    expect(await company.who()).toEqual({ alpha: 'everybody', beta: 'nobody', gamma: 'nobody' });
    await company.route('beta', '--domain', `B.${company.slug}.example`);
    await company.route('gamma', '--address', company.at('b', 'vip'), company.at('a', 'vip'));
    await company.expectWay(company.at('a'), 'alpha');
    await company.expectWay(company.at('b'), 'beta');
    const { steps } = await company.expectWay(company.at('b', 'vip'), 'gamma');
    expect(steps.join('\n')).toContain(`A route of this very address leads to ${company.idOf('gamma')}`);
    await company.expectWay(company.at('a', 'vip'), 'gamma');
    expect(await company.entry()).toBe('alpha');
    expect(await company.entry(`?login_hint=${company.at('b', 'VIP')}`)).toBe('gamma');
    expect(await company.entry('?login_hint=ada@elsewhere.example')).toBe('alpha');
    expect(await company.who()).toEqual({
      alpha: 'everybody',
      beta: `b.${company.slug}.example`,
      gamma: '2 addresses',
    });
    await company.unroute('gamma', '--address', company.at('b', 'vip'), company.at('a', 'vip'));
    await company.expectWay(company.at('b', 'vip'), 'beta');
    await company.unroute('alpha', '--everybody');
    // Two without routes: neither is meant.
    const nobody = await company.expectWay(company.at('a'), 'unknown_domain');
    expect(nobody.steps.join('\n')).toContain('connection route <id> --everybody');
    await scene.run('connection', 'remove', company.idOf('gamma'));
    await company.expectWay(company.at('a'), 'alpha');
    expect(await company.who()).toEqual({ alpha: 'whoever is left', beta: `b.${company.slug}.example` });
  });

  it('an entry link leads to a choice where every connection is for a domain of its own', async () => {
    await company.route('alpha', '--domain', `a.${company.slug}.example`);
    await company.route('beta', '--domain', `b.${company.slug}.example`);
    await company.unroute('alpha', '--everybody');
    expect(await company.entry()).toBe('alpha or beta');
    expect(await company.entry(`?connection=${company.idOf('beta')}`)).toBe('beta');
    expect(await company.entry(`?login_hint=${company.at('b')}`)).toBe('beta');
  });

  it('whoever is left goes on going there when another connection comes', async () => {
    await company.unroute('alpha', '--everybody');
    await company.route('beta', '--domain', `b.${company.slug}.example`);
    await company.expectWay(company.at('a'), 'alpha');
    await company.addConnection('gamma');
    await company.expectWay(company.at('a'), 'alpha');
    expect(await company.who()).toMatchObject({ alpha: 'everybody', gamma: 'nobody' });
  });

  it.each(['disable', 'retire'])(
    'nobody is sent where a connection was %sd, and nobody slips to a vaguer route',
    async (command) => {
      await company.route('beta', '--domain', `b.${company.slug}.example`);
      await scene.run('connection', command, company.idOf('beta'));
      const { steps } = await company.expectWay(company.at('b'), 'unknown_domain');
      expect(steps.join('\n')).toContain(`Enable it: connection enable ${company.idOf('beta')}`);
      await company.expectWay(company.at('a'), 'alpha');
      await scene.run('connection', 'enable', company.idOf('beta'));
      await company.expectWay(company.at('b'), 'beta');
    },
  );

  it('a draft lets nobody in, whatever its routes', async () => {
    await company.addConnection('draft', { args: ['--draft'] });
    await company.route('draft', '--everybody', '--address', company.at('a'));
    await company.expectWay(company.at('a'), 'alpha');
    expect(await company.entry()).toBe('alpha');
    expect(await company.entry(`?connection=${company.idOf('draft')}`)).toBe('alpha');
    await scene.cli.refused(['connection', 'enable', company.idOf('draft')], /draft.*connection activate/);
  });

  it('are refused where they cannot be meant', async () => {
    const { cli } = scene;
    const other = await scene.gateway.addOrganization(`other-${company.slug}`);
    const foreign = new RegExp(
      `^other-${company.slug}\\.example is not a verified domain of this organization`,
    );
    const alpha = ['connection', 'route', company.idOf('alpha')];
    await cli.refused([...alpha, '--domain', `other-${company.slug}.example`], foreign);
    await cli.refused([...alpha, '--address', company.at('a'), `ada@other-${company.slug}.example`], foreign);
    await cli.refused([...alpha, '--domain', 'no domain'], /"no domain" is not a domain/);
    await cli.refused([...alpha, '--address', 'ada'], /"ada" is not an e-mail address/);
    await cli.misused(alpha, /say for whom: --everybody/);
    await cli.refused(['connection', 'unroute', company.idOf('beta'), '--everybody'], /has no such route/);
    await cli.refused(['connection', 'route', other.id, '--everybody'], /There is no connection/);
    await company.expectWay(company.at('a'), 'alpha');
  });

  it('are refused where they send people to a connection that would refuse them, unless forced', async () => {
    const ada = scene.visitor();
    await company.addUser(company.at('b'));
    expect((await ada.request(await ada.startWithJwt(company.at('b'), keys.privateKey))).status).toBe(303);
    for (const target of [
      ['--domain', `b.${company.slug}.example`],
      ['--address', company.at('b')],
      ['--everybody'],
    ]) {
      const args = ['connection', 'route', company.idOf('beta'), ...target];
      // A choice that both are part of locks nobody out.
      if (target[0] === '--everybody') expect((await scene.cli.run(args)).status).toBe(0);
      else await scene.cli.refused(args, /^1 of these people .*cutover start.*--force/);
    }
    await company.route('beta', '--domain', `b.${company.slug}.example`, '--force');
    const { steps } = await company.expectWay(company.at('b'), 'beta');
    expect(steps.join('\n')).toMatch(/identity conflict.*known by another connection/);
    const visitor = scene.visitor();
    const callback = await visitor.startWithJwt(company.at('b'), keys.privateKey);
    const refused = { status: 403, code: 'email_not_allowed', reason: /known by another connection/ };
    await expectRefusal(scene.gateway, visitor, () => visitor.request(callback), refused);
  });
});

describe('T-11 a choice', () => {
  beforeEach(() => company.route('beta', '--everybody'));

  it('is offered as a page and as JSON; what is not offered is as if nothing had been chosen', async () => {
    await company.addConnection('gamma');
    await company.expectWay(company.at('a'), 'alpha or beta');
    const other = await scene.addJwt(
      (await scene.gateway.addOrganization(`other-${company.slug}`)).slug,
      'x',
    );
    const none = [
      undefined,
      '',
      'beta',
      company.idOf('gamma'),
      other,
      [company.idOf('beta')],
      { id: company.idOf('beta') },
      1,
      null,
    ];
    for (const connection of none) {
      const visitor = scene.visitor();
      expect(company.wayOf(await post(visitor, { email: company.at('a'), connection }))).toBe(
        'alpha or beta',
      );
      expect(visitor.cookies.size).toBe(0);
    }
    for (const id of [
      company.idOf('gamma'),
      other,
      '',
      `${company.idOf('beta')}&connection=${company.idOf('beta')}`,
    ])
      expect(await company.entry(`?connection=${id}`)).toBe('alpha or beta');
    for (const path of ['alpha', 'beta']) {
      expect(
        company.wayOf(
          await post(scene.visitor(), { email: company.at('a'), connection: company.idOf(path) }),
        ),
      ).toBe(path);
      expect(await company.entry(`?connection=${company.idOf(path)}`)).toBe(path);
    }
    const page = await scene.visitor().request(`/sso/${company.slug}?return_to=/session`, {
      headers: { accept: 'text/html' },
    });
    expect(page.status).toBe(200);
    for (const text of ['Alpha &amp; Sons', '127.0.0.1:1', 'name="return_to" value="/session"', company.slug])
      expect(page.body).toContain(text);
    expect(page.body).not.toContain('began');
    expect(page.headers.get('content-security-policy')).not.toContain('form-action');
    await scene.run('connection', 'retire', company.idOf('beta'));
    await company.expectWay(company.at('a'), 'alpha');
    expect(
      company.wayOf(
        await post(scene.visitor(), { email: company.at('a'), connection: company.idOf('beta') }),
      ),
    ).toBe('alpha');
  });

  it('lets either connection know a person whom the other one knows, and nobody twice', async () => {
    await company.addUser(company.at('a'));
    const found = await forEach(['alpha', 'beta', 'alpha'], async (path) => {
      const visitor = scene.visitor();
      const started = await post(visitor, { email: company.at('a'), connection: company.idOf(path) });
      const { redirect_url: url } = JSON.parse(started.body) as { redirect_url: string };
      const callback = new URL(new URL(url).searchParams.get('callback_url') ?? '');
      callback.searchParams.set('token', customJwt(keys.privateKey, company.at('a')));
      expect((await visitor.request(callback)).status).toBe(303);
      const { user, connection } = await sessionOf(visitor);
      expect(connection.id).toBe(company.idOf(path));
      return user.id;
    });
    expect(new Set(found).size).toBe(1);
  });

  /** What a click on a button of the page sends. */
  function clicked(page: string, path: string): Record<string, string> {
    const fields = [...page.matchAll(/type="hidden" name="([^"]+)" value="([^"]*)"/g)];
    const carried = fields.map(([, name = '', value = '']) => [name, value] as const);
    return { ...Object.fromEntries(carried), connection: company.idOf(path) };
  }

  it.each(['an entry link', 'an address'])(
    'that another site began by %s ends on a page that asks the person, though they clicked on ours',
    async (how) => {
      await company.addUser(company.at('a', 'mallory'));
      for (const site of ['cross-site', 'same-origin']) {
        const visitor = scene.visitor();
        const headers = { 'sec-fetch-site': site, accept: 'text/html' };
        const email = company.at('a', 'mallory');
        const isLink = how === 'an entry link';
        const page = isLink
          ? await visitor.request(`/sso/${company.slug}`, { headers })
          : await post(visitor, { email }, headers);
        const fields = clicked(page.body, 'beta');
        const own = { 'sec-fetch-site': 'same-origin' };
        const chosen = isLink
          ? await visitor.request(`/sso/${company.slug}?${new URLSearchParams(fields).toString()}`, {
              headers: own,
            })
          : await post(visitor, fields, own);
        expect(company.wayOf(chosen)).toBe('beta');
        const callback = `/v3/api/user/sso/a.${company.slug}.example/authenticate?token=`;
        const back = await visitor.request(callback + customJwt(keys.privateKey, email));
        expect(back.headers.get('location') ?? '').toMatch(
          site === 'cross-site' ? /^\/login\/confirm/ : /^\/$/,
        );
        expect(visitor.isSignedIn).toBe(site === 'same-origin');
      }
    },
  );
});
