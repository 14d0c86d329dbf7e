/**
 * Several connections of one organization: where an address and an entry link lead, and that `explain` and `connection list` say so.
 * Every connection is of the custom JWT kind, told apart by the path of its login page.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { rsaKeyPair } from '../support/test-gateway.ts';
import { expectRefusal } from '../tenants/refusal.ts';
import { customJwt, problemOf, type Answer, type Visitor } from '../tenants/visitor.ts';
import { forEach, keys, openCutoverScene, sessionOf, type CutoverScene } from './cutover-scene.ts';

let scene: CutoverScene;
let organizations = 0;
let slug: string;
/** Ids of the connections of the organization, by the path of their login page. */
let ids: Readonly<Record<string, string>>;

beforeAll(async () => {
  scene = await openCutoverScene();
});
beforeEach(async () => {
  slug = `org-${(organizations += 1)}`;
  await scene.gateway.addOrganization(slug, { domains: [`a.${slug}.example`, `b.${slug}.example`] });
  ids = {
    alpha: await scene.addJwt(slug, 'alpha', { args: ['--label', 'Alpha & Sons'] }),
    beta: await scene.addJwt(slug, 'beta'),
  };
});
afterAll(() => scene.close());

const idOf = (path: string) => ids[path] ?? path;
const at = (domain: string, name = 'ada') => `${name}@${domain}.${slug}.example`;
const route = (path: string, ...args: readonly string[]) =>
  scene.run('connection', 'route', idOf(path), ...args);
const unroute = (path: string, ...args: readonly string[]) =>
  scene.run('connection', 'unroute', idOf(path), ...args);

/** Path of the login page that an answer leads to, all those that it offers, or the code of its refusal. */
function wayOf(answer: Answer): string {
  const location = answer.headers.get('location');
  if (location !== null) return new URL(location).pathname.slice(1);
  const found = JSON.parse(answer.body) as {
    redirect_url?: string;
    connections?: readonly { id: string }[];
    code?: string;
  };
  if (found.redirect_url !== undefined) return new URL(found.redirect_url).pathname.slice(1);
  const offered = found.connections?.map(({ id }) => Object.keys(ids).find((path) => ids[path] === id));
  return offered?.sort().join(' or ') ?? String(found.code);
}

const post = (visitor: Visitor, fields: object, headers: Readonly<Record<string, string>> = {}) =>
  visitor.request('/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(fields),
  });

interface Explained {
  readonly outcome: string;
  readonly code?: string;
  readonly connection?: { readonly id: string };
  readonly choice?: readonly { readonly id: string }[];
  readonly steps: readonly string[];
}

/** Where a start leads, which is where `explain` says that it does. */
async function expectWay(email: string, way: string): Promise<Explained> {
  expect({ email, way: wayOf(await scene.visitor().typeAddress(email)) }).toEqual({ email, way });
  const explained = await scene.cli.json<Explained>(['explain', email]);
  const { choice, connection, code } = explained;
  const meant = choice ?? (connection === undefined ? [] : [connection]);
  const paths = meant.map(({ id }) => Object.keys(ids).find((path) => ids[path] === id));
  expect(paths.length === 0 ? code : paths.sort().join(' or ')).toBe(way);
  return explained;
}

const entry = async (query = '', visitor = scene.visitor()) =>
  wayOf(await visitor.request(`/sso/${slug}${query}`));

async function who(): Promise<Readonly<Record<string, string>>> {
  const all = await scene.cli.json<{ id: string; people: string }[]>(['connection', 'list', slug]);
  const pathOf = (id: string) => Object.keys(ids).find((path) => ids[path] === id) ?? id;
  return Object.fromEntries(all.map(({ id, people }) => [pathOf(id), people]));
}

describe('routes', () => {
  it('the most precise counts: address, domain, everybody; and a connection without any is for whoever is left', async () => {
    ids = { ...ids, gamma: await scene.addJwt(slug, 'gamma') };
    await expectWay(at('b'), 'alpha');
    expect(await entry()).toBe('alpha');
    expect(await who()).toEqual({ alpha: 'everybody', beta: 'nobody', gamma: 'nobody' });
    await route('beta', '--domain', `B.${slug}.example`);
    await route('gamma', '--address', at('b', 'vip'), at('a', 'vip'));
    await expectWay(at('a'), 'alpha');
    await expectWay(at('b'), 'beta');
    const { steps } = await expectWay(at('b', 'vip'), 'gamma');
    expect(steps.join('\n')).toContain(`A route of this very address leads to ${idOf('gamma')}`);
    await expectWay(at('a', 'vip'), 'gamma');
    expect(await entry()).toBe('alpha');
    expect(await entry(`?login_hint=${at('b', 'VIP')}`)).toBe('gamma');
    expect(await entry('?login_hint=ada@elsewhere.example')).toBe('alpha');
    expect(await who()).toEqual({
      alpha: 'everybody',
      beta: `b.${slug}.example`,
      gamma: '2 addresses',
    });
    await unroute('gamma', '--address', at('b', 'vip'), at('a', 'vip'));
    await expectWay(at('b', 'vip'), 'beta');
    await unroute('alpha', '--everybody');
    // Two without routes: neither is meant.
    const nobody = await expectWay(at('a'), 'unknown_domain');
    expect(nobody.steps.join('\n')).toContain('connection route <id> --everybody');
    await scene.run('connection', 'remove', idOf('gamma'));
    await expectWay(at('a'), 'alpha');
    expect(await who()).toEqual({ alpha: 'whoever is left', beta: `b.${slug}.example` });
  });

  it('an entry link leads to a choice where every connection is for a domain of its own', async () => {
    await route('alpha', '--domain', `a.${slug}.example`);
    await route('beta', '--domain', `b.${slug}.example`);
    await unroute('alpha', '--everybody');
    expect(await entry()).toBe('alpha or beta');
    expect(await entry(`?connection=${idOf('beta')}`)).toBe('beta');
    expect(await entry(`?login_hint=${at('b')}`)).toBe('beta');
  });

  it('whoever is left goes on going there when another connection comes', async () => {
    await unroute('alpha', '--everybody');
    await route('beta', '--domain', `b.${slug}.example`);
    await expectWay(at('a'), 'alpha');
    ids = { ...ids, gamma: await scene.addJwt(slug, 'gamma') };
    await expectWay(at('a'), 'alpha');
    expect(await who()).toMatchObject({ alpha: 'everybody', gamma: 'nobody' });
  });

  it.each(['disable', 'retire'])(
    'nobody is sent where a connection was %sd, and nobody slips to a vaguer route',
    async (command) => {
      await route('beta', '--domain', `b.${slug}.example`);
      await scene.run('connection', command, idOf('beta'));
      const { steps } = await expectWay(at('b'), 'unknown_domain');
      expect(steps.join('\n')).toContain(`Enable it: connection enable ${idOf('beta')}`);
      await expectWay(at('a'), 'alpha');
      await scene.run('connection', 'enable', idOf('beta'));
      await expectWay(at('b'), 'beta');
    },
  );

  it('a draft lets nobody in, whatever its routes', async () => {
    ids = { ...ids, draft: await scene.addJwt(slug, 'draft', { args: ['--draft'] }) };
    await route('draft', '--everybody', '--address', at('a'));
    await expectWay(at('a'), 'alpha');
    expect(await entry()).toBe('alpha');
    expect(await entry(`?connection=${idOf('draft')}`)).toBe('alpha');
    await scene.cli.refused(['connection', 'enable', idOf('draft')], /draft.*connection activate/);
  });

  it('are refused where they cannot be meant', async () => {
    const { cli } = scene;
    const other = await scene.gateway.addOrganization(`other-${slug}`);
    const foreign = new RegExp(`^other-${slug}\\.example is not a verified domain of this organization`);
    const alpha = ['connection', 'route', idOf('alpha')];
    await cli.refused([...alpha, '--domain', `other-${slug}.example`], foreign);
    await cli.refused([...alpha, '--address', at('a'), `ada@other-${slug}.example`], foreign);
    await cli.refused([...alpha, '--domain', 'no domain'], /"no domain" is not a domain/);
    await cli.refused([...alpha, '--address', 'ada'], /"ada" is not an e-mail address/);
    await cli.misused(alpha, /say for whom: --everybody/);
    await cli.refused(['connection', 'unroute', idOf('beta'), '--everybody'], /has no such route/);
    await cli.refused(['connection', 'route', other.id, '--everybody'], /There is no connection/);
    await expectWay(at('a'), 'alpha');
  });

  it('are refused where they send people to a connection that would refuse them, unless forced', async () => {
    const ada = scene.visitor();
    await scene.gateway.sql(
      `INSERT INTO users (organization_id, email) SELECT id, $2 FROM organizations WHERE slug = $1`,
      [slug, at('b')],
    );
    expect((await ada.request(await ada.startWithJwt(at('b'), keys.privateKey))).status).toBe(303);
    for (const target of [['--domain', `b.${slug}.example`], ['--address', at('b')], ['--everybody']]) {
      const args = ['connection', 'route', idOf('beta'), ...target];
      // A choice that both are part of locks nobody out.
      if (target[0] === '--everybody') expect((await scene.cli.run(args)).status).toBe(0);
      else await scene.cli.refused(args, /^1 of these people .*cutover start.*--force/);
    }
    await route('beta', '--domain', `b.${slug}.example`, '--force');
    const { steps } = await expectWay(at('b'), 'beta');
    expect(steps.join('\n')).toMatch(/identity conflict.*known by another connection/);
    const visitor = scene.visitor();
    const callback = await visitor.startWithJwt(at('b'), keys.privateKey);
    const refused = { status: 403, code: 'email_not_allowed', reason: /known by another connection/ };
    await expectRefusal(scene.gateway, visitor, () => visitor.request(callback), refused);
  });
});

describe('T-11 a choice', () => {
  beforeEach(() => route('beta', '--everybody'));

  it('is offered as a page and as JSON; what is not offered is as if nothing had been chosen', async () => {
    ids = { ...ids, gamma: await scene.addJwt(slug, 'gamma') };
    await expectWay(at('a'), 'alpha or beta');
    const other = await scene.addJwt(`${(await scene.gateway.addOrganization(`other-${slug}`)).slug}`, 'x');
    const none = [undefined, '', 'beta', idOf('gamma'), other, [idOf('beta')], { id: idOf('beta') }, 1, null];
    for (const connection of none) {
      const visitor = scene.visitor();
      expect(wayOf(await post(visitor, { email: at('a'), connection }))).toBe('alpha or beta');
      expect(visitor.cookies.size).toBe(0);
    }
    for (const id of [idOf('gamma'), other, '', `${idOf('beta')}&connection=${idOf('beta')}`])
      expect(await entry(`?connection=${id}`)).toBe('alpha or beta');
    for (const path of ['alpha', 'beta']) {
      expect(wayOf(await post(scene.visitor(), { email: at('a'), connection: idOf(path) }))).toBe(path);
      expect(await entry(`?connection=${idOf(path)}`)).toBe(path);
    }
    const page = await scene.visitor().request(`/sso/${slug}?return_to=/session`, {
      headers: { accept: 'text/html' },
    });
    expect(page.status).toBe(200);
    for (const text of ['Alpha &amp; Sons', '127.0.0.1:1', 'name="return_to" value="/session"', slug])
      expect(page.body).toContain(text);
    expect(page.body).not.toContain('began');
    expect(page.headers.get('content-security-policy')).not.toContain('form-action');
    await scene.run('connection', 'retire', idOf('beta'));
    await expectWay(at('a'), 'alpha');
    expect(wayOf(await post(scene.visitor(), { email: at('a'), connection: idOf('beta') }))).toBe('alpha');
  });

  it('lets either connection know a person whom the other one knows, and nobody twice', async () => {
    await scene.gateway.sql(
      `INSERT INTO users (organization_id, email) SELECT id, $2 FROM organizations WHERE slug = $1`,
      [slug, at('a')],
    );
    const found = await forEach(['alpha', 'beta', 'alpha'], async (path) => {
      const visitor = scene.visitor();
      const started = await post(visitor, { email: at('a'), connection: idOf(path) });
      const { redirect_url: url } = JSON.parse(started.body) as { redirect_url: string };
      const callback = new URL(new URL(url).searchParams.get('callback_url') ?? '');
      callback.searchParams.set('token', customJwt(keys.privateKey, at('a')));
      expect((await visitor.request(callback)).status).toBe(303);
      const { user, connection } = await sessionOf(visitor);
      expect(connection.id).toBe(idOf(path));
      return user.id;
    });
    expect(new Set(found).size).toBe(1);
  });

  const form = (page: string, path: string) => {
    const fields = [...page.matchAll(/type="hidden" name="([^"]+)" value="([^"]*)"/g)];
    return { ...Object.fromEntries(fields.map(([, name, value]) => [name, value])), connection: idOf(path) };
  };

  it.each(['an entry link', 'an address'])(
    'that another site began by %s ends on a page that asks the person, though they clicked on ours',
    async (how) => {
      await scene.gateway.sql(
        `INSERT INTO users (organization_id, email) SELECT id, $2 FROM organizations WHERE slug = $1`,
        [slug, at('a', 'mallory')],
      );
      for (const site of ['cross-site', 'same-origin']) {
        const visitor = scene.visitor();
        const headers = { 'sec-fetch-site': site, accept: 'text/html' };
        const email = at('a', 'mallory');
        const isLink = how === 'an entry link';
        const page = isLink
          ? await visitor.request(`/sso/${slug}`, { headers })
          : await post(visitor, { email }, headers);
        const fields = form(page.body, 'beta');
        const own = { 'sec-fetch-site': 'same-origin' };
        const chosen = isLink
          ? await visitor.request(`/sso/${slug}?${new URLSearchParams(fields).toString()}`, { headers: own })
          : await post(visitor, fields, own);
        expect(wayOf(chosen)).toBe('beta');
        const callback = `/v3/api/user/sso/a.${slug}.example/authenticate?token=`;
        const back = await visitor.request(callback + customJwt(keys.privateKey, email));
        expect(back.headers.get('location') ?? '').toMatch(
          site === 'cross-site' ? /^\/login\/confirm/ : /^\/$/,
        );
        expect(visitor.isSignedIn).toBe(site === 'same-origin');
      }
    },
  );
});

describe('a cut-over', () => {
  const start = (...args: readonly string[]) =>
    scene.run('cutover', 'start', slug, '--from', idOf('alpha'), '--to', idOf('beta'), ...args);
  const lotOf = (visitor: Visitor) => visitor.cookies.get('gatehouse-lot');

  it('has a browser without an address draw a lot once, and trusts no lot that it would not have given', async () => {
    await start();
    const first = scene.visitor();
    expect(await entry('', first)).toBe('alpha');
    expect(lotOf(first)).toBeUndefined();
    await scene.run('cutover', 'share', slug, '50');
    const ways = await forEach(Array.from({ length: 60 }), async () => {
      const browser = scene.visitor();
      const way = await entry('', browser);
      const lot = lotOf(browser);
      for (let again = 0; again < 2; again += 1) expect(await entry('', browser)).toBe(way);
      expect(lotOf(browser)).toBe(lot);
      return way;
    });
    expect(new Set(ways)).toEqual(new Set(['alpha', 'beta']));
    for (const [lot, way] of Object.entries({ 0: 'beta', 4999: 'beta', 5000: 'alpha', 9999: 'alpha' })) {
      const browser = scene.visitor();
      browser.cookies.set('gatehouse-lot', lot);
      expect(await entry('', browser)).toBe(way);
    }
    for (const forged of ['-1', '12345', '1e1', 'NaN', '0x1', '5.5', 'true', '1; gatehouse-lot=2']) {
      const browser = scene.visitor();
      browser.cookies.set('gatehouse-lot', forged);
      expect(['alpha', 'beta']).toContain(await entry('', browser));
      expect(lotOf(browser)).toMatch(/^\d{1,4}$/);
      expect(lotOf(browser)).not.toBe(forged);
    }
    // Whoever says who they are goes where their address goes.
    const { connection } = await scene.cli.json<Explained>(['explain', at('a')]);
    for (const lot of ['0', '9999']) {
      const browser = scene.visitor();
      browser.cookies.set('gatehouse-lot', lot);
      expect(idOf(await entry(`?login_hint=${at('a')}`, browser))).toBe(connection?.id);
    }
    await scene.run('cutover', 'share', slug, '100');
    expect(await entry()).toBe('beta');
    await scene.run('cutover', 'rollback', slug);
    expect(await entry()).toBe('alpha');
  });

  it('moves those of the routes of the old connection, whoever else there is to choose', async () => {
    ids = { ...ids, gamma: await scene.addJwt(slug, 'gamma') };
    await route('gamma', '--everybody');
    await route('beta', '--domain', `b.${slug}.example`);
    await start();
    await expectWay(at('a'), 'alpha or gamma');
    await scene.run('cutover', 'include', slug, at('a', 'vip'), at('b'));
    const { steps } = await expectWay(at('a', 'vip'), 'beta or gamma');
    expect(steps.join('\n')).toContain('The cut-over includes this person');
    expect(await who()).toEqual({
      alpha: 'everybody; moving away (0 %, 2 included)',
      beta: `b.${slug}.example; taking over (0 %, 2 included)`,
      gamma: 'everybody',
    });
    await scene.run('cutover', 'rollback', slug);
    await expectWay(at('a', 'vip'), 'alpha or gamma');
    await expectWay(at('b'), 'beta');
  });

  it('is refused where people would choose between its two, before and while it runs', async () => {
    const { cli } = scene;
    await route('beta', '--everybody');
    const args = ['cutover', 'start', slug, '--from', idOf('alpha'), '--to', idOf('beta')];
    await cli.refused(args, new RegExp(`both are for everybody.*unroute ${idOf('beta')} --everybody`));
    await unroute('beta', '--everybody');
    await start();
    const choice = /cannot choose between the two.*cutover share/;
    await cli.refused(['connection', 'route', idOf('beta'), '--everybody'], choice);
    await cli.refused(['connection', 'unroute', idOf('alpha'), '--everybody'], /A cut-over moves the people/);
    await cli.refused(['connection', 'retire', idOf('alpha')], /Finish it, or roll it back/);
    await cli.refused(['connection', 'retire', idOf('beta')], /Finish it, or roll it back/);
    await scene.run('cutover', 'finish', slug);
    await cli.refused(['connection', 'route', idOf('beta'), '--everybody'], choice);
    await cli.refused(['connection', 'unroute', idOf('alpha'), '--everybody'], /A cut-over moves the people/);
    expect(await who()).toEqual({ alpha: 'everybody; moved away', beta: 'took over' });
    await scene.run('connection', 'remove', idOf('alpha'));
    expect(await who()).toMatchObject({ beta: 'everybody' });
    await expectWay(at('a'), 'beta');
  });

  it('names the way back where the new connection lets nobody in, and moves nobody there', async () => {
    const { cli } = scene;
    await start();
    await scene.run('cutover', 'include', slug, at('a'));
    await scene.run('connection', 'disable', idOf('beta'));
    const { steps } = await expectWay(at('a'), 'unknown_domain');
    expect(steps.join('\n')).toContain(`or go back: cutover rollback ${slug}`);
    const next = new RegExp(`connection enable ${idOf('beta')}, or go back: cutover rollback ${slug}`);
    await cli.refused(['cutover', 'share', slug, '1'], next);
    await cli.refused(['cutover', 'include', slug, at('a', 'alan')], next);
    await cli.refused(['cutover', 'finish', slug, '--yes'], next);
    await scene.run('cutover', 'rollback', slug);
    await expectWay(at('a'), 'alpha');
  });

  it('is obeyed by two nodes at once', async () => {
    const node = await scene.gateway.startNode();
    try {
      await start();
      const ports = [scene.gateway.port, node.port];
      for (const [share, way] of [['100', 'beta'] as const, ['0', 'alpha'] as const]) {
        await scene.run('cutover', 'share', slug, share);
        const begun = performance.now();
        for (const port of ports) {
          while (wayOf(await scene.visitor().goTo(port).typeAddress(at('a'))) !== way)
            expect(performance.now() - begun).toBeLessThan(1_000);
        }
      }
    } finally {
      await node.close();
    }
  });

  it('between two custom JWT connections has each take its own tokens at the one callback, and no others', async () => {
    const own = rsaKeyPair();
    ids = { ...ids, gamma: await scene.addJwt(slug, 'gamma', { publicKey: own.publicKey }) };
    for (const email of [at('a'), at('b')]) {
      await scene.gateway.sql(
        `INSERT INTO users (organization_id, email) SELECT id, $2 FROM organizations WHERE slug = $1`,
        [slug, email],
      );
    }
    await scene.run('cutover', 'start', slug, '--from', idOf('alpha'), '--to', idOf('gamma'));
    const browser = scene.visitor();
    const callback = await browser.startWithJwt(at('a'), keys.privateKey);
    await scene.run('cutover', 'share', slug, '100');
    expect((await browser.start(at('b'))).pathname).toBe('/gamma');
    const deliver = (token: string) => {
      callback.searchParams.set('token', token);
      return browser.request(callback);
    };
    const refused = await deliver(customJwt(rsaKeyPair().privateKey, at('a')));
    expect({ status: refused.status, code: problemOf(refused).code }).toEqual({
      status: 401,
      code: 'token_invalid',
    });
    for (const [email, path, key] of [
      [at('a'), 'alpha', keys.privateKey] as const,
      [at('b'), 'gamma', own.privateKey] as const,
    ]) {
      const answer = await deliver(customJwt(key, email));
      expect({ email, status: answer.status, body: answer.body }).toEqual({ email, status: 303, body: '' });
      expect(await sessionOf(browser)).toMatchObject({ user: { email }, connection: { id: idOf(path) } });
    }
  });
});
