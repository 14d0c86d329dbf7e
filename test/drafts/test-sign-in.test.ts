/**
 * A connection is tested before it is live: a draft lets nobody in, a test signs nobody in and says what came, and only what passed is
 * activated, at once and without a restart.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CommandLine } from '../cli/command-line.ts';
import { rsaKeyPair, type TestGateway } from '../support/test-gateway.ts';
import { openDraftScene, type DraftScene } from './draft-scene.ts';
import { startOpenIdStub, type OpenIdStub } from '../tenants/openid-stub.ts';
import { customJwt, Visitor, type Answer } from '../tenants/visitor.ts';

const SECRET = 'a client secret that nobody may see';
const keys = rsaKeyPair();

interface Shown {
  readonly id: string;
  readonly status: string;
  readonly people: string;
  readonly revision: number;
  readonly tests: Record<
    'checks' | 'sign_in',
    { passed: boolean; current: boolean; reason: string | null } | null
  >;
}

interface Tested {
  readonly passed: boolean;
  readonly status: string;
  readonly steps: { step: string; outcome: string; message: string; next_step: string | null }[];
  readonly test_url: string;
}

interface Tried {
  readonly passed: boolean;
  readonly refusal?: { code: string; reason: string };
  readonly claims: { name: string; value: string }[];
  readonly mapped?: { email?: string; subject: string; name?: string };
  readonly person?: string;
}

let scene: DraftScene;
let gateway: TestGateway;
let cli: CommandLine;
let provider: OpenIdStub;
let organizations = 0;

beforeAll(async () => {
  scene = await openDraftScene();
  ({ gateway, cli, provider } = scene);
  gateway.neverLogged(SECRET);
});
afterAll(() => scene.close());

const nextSlug = () => `draft-${++organizations}`;

async function addDraft(slug: string, discoveryUrl = provider.issuer): Promise<Shown> {
  const args = [
    'connection',
    'add',
    slug,
    'oidc',
    '--discovery-url',
    discoveryUrl,
    '--client-id',
    'gatehouse',
  ];
  return cli.json<Shown>([...args, '--client-secret-file', '-', '--draft'], { stdin: SECRET });
}

async function newDraft(): Promise<{ readonly slug: string; readonly draft: Shown }> {
  const slug = nextSlug();
  const organization = await gateway.addOrganization(slug);
  await gateway.addUser(organization, `ada@${slug}.example`);
  return { slug, draft: await addDraft(slug) };
}

const show = (id: string) => cli.json<Shown>(['connection', 'show', id]);

/** From the link to what its end shows. */
async function tryLink(visitor: Visitor, url: string): Promise<Answer> {
  const started = await visitor.request(new URL(url).pathname);
  expect(started.status).toBe(303);
  const back = await fetch(started.headers.get('location') ?? '', { redirect: 'manual' });
  return visitor.request(back.headers.get('location') ?? '');
}

describe('a draft', () => {
  it('lets nobody in, cannot be activated by accident, and is live at once when its test was passed', async () => {
    const { slug, draft } = await newDraft();
    expect(draft).toMatchObject({ status: 'draft', people: 'nobody', tests: { sign_in: null } });
    const visitor = new Visitor(gateway.port);
    expect((await visitor.typeAddress(`ada@${slug}.example`)).status).toBe(404);
    for (const command of ['enable', 'retire', 'disable']) {
      await cli.refused(['connection', command, draft.id, '--yes'], /draft cannot be .*connection activate/);
    }
    await cli.refused(
      ['connection', 'activate', draft.id],
      /No test sign-in has been made .*connection test .*--force/,
    );
    const { passed, steps, test_url: link } = await cli.json<Tested>(['connection', 'test', draft.id]);
    expect({ passed, steps: steps.map(({ step, outcome }) => `${step} ${outcome}`) }).toEqual({
      passed: true,
      steps: [
        'name passed',
        'tls skipped',
        'discovery passed',
        'issuer passed',
        'endpoints passed',
        'keys passed',
        'clock passed',
      ],
    });
    await cli.refused(['connection', 'activate', draft.id], /No test sign-in/);

    provider.person = { sub: 'ada', email: `Ada@${slug}.example`, name: 'Ada' };
    const answer = await tryLink(visitor, link);
    const tried = JSON.parse(answer.body) as Tried;
    expect(answer.status).toBe(200);
    expect(tried).toMatchObject({
      passed: true,
      person: 'exists',
      mapped: { email: `ada@${slug}.example`, subject: 'ada', name: 'Ada' },
    });
    expect(tried.claims).toContainEqual({ name: 'email', value: `Ada@${slug}.example` });
    expect(visitor.isSignedIn).toBe(false);
    expect([await scene.rowsOf('sessions', slug), await scene.rowsOf('identities', slug)]).toEqual([0, 0]);

    expect(await show(draft.id)).toMatchObject({
      status: 'draft',
      tests: { sign_in: { passed: true, current: true } },
    });
    expect(await cli.json<Shown>(['connection', 'activate', draft.id])).toMatchObject({
      status: 'active',
      people: 'everybody',
    });
    const callback = await visitor.startAtOpenId(`ada@${slug}.example`);
    expect((await visitor.request(callback)).status).toBe(303);
    expect((await visitor.session()).email).toBe(`ada@${slug}.example`);
    await cli.refused(['connection', 'activate', draft.id], /no draft: it is active/);
  });

  it('that failed its test, or was changed after it, is activated by force alone, and the trail says so', async () => {
    const { slug, draft } = await newDraft();
    const { test_url: link } = await cli.json<Tested>(['connection', 'test', draft.id]);
    provider.person = { sub: 'ada', email: 'ada@elsewhere.example' };
    const tried = JSON.parse((await tryLink(new Visitor(gateway.port), link)).body) as Tried;
    expect(tried).toMatchObject({ passed: false, refusal: { code: 'email_not_allowed' } });
    await cli.refused(['connection', 'activate', draft.id], /refused: .*not proved the address's domain/);
    provider.person = { sub: 'ada', email: `ada@${slug}.example` };
    expect(JSON.parse((await tryLink(new Visitor(gateway.port), link)).body)).toMatchObject({ passed: true });
    await cli.json(['connection', 'update', draft.id, '--scope', 'openid email']);
    await cli.refused(['connection', 'activate', draft.id], /changed after its last test sign-in/);
    expect(await cli.json(['connection', 'activate', draft.id, '--force'])).toMatchObject({
      status: 'active',
    });
    const events = await gateway.sql<{ action: string; reason: string; actor: string }>(
      "SELECT action, reason, actor FROM audit_events WHERE connection_id = $1 AND action = 'connection.activated'",
      [draft.id],
    );
    expect(events).toEqual([
      {
        action: 'connection.activated',
        reason: expect.stringMatching(/^forced: /),
        actor: expect.stringMatching(/^cli/),
      },
    ]);
  });

  it('may be made before its provider answers, and says step by step why it does not', async () => {
    const slug = nextSlug();
    await gateway.addOrganization(slug);
    const late = await startOpenIdStub();
    late.metadata = () => ({ error: 'not there yet' });
    const draft = await addDraft(slug, late.issuer);
    const outcome = await cli.run(['connection', 'test', draft.id, '--json']);
    const tested = JSON.parse(outcome.stdout) as Tested;
    expect(outcome.status).toBe(1);
    expect(outcome.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(tested).toMatchObject({ passed: false });
    expect(tested.steps.at(-1)).toMatchObject({
      step: 'discovery',
      outcome: 'failed',
      next_step: expect.any(String),
    });
    await cli.refused(['connection', 'activate', draft.id, '--force'], /has not answered yet/);
    late.metadata = (usual) => usual;
    expect(await cli.json<Tested>(['connection', 'test', draft.id])).toMatchObject({ passed: true });
    const { stdout } = await cli.run(['connection', 'test', draft.id]);
    expect(stdout).toMatch(/^ok {6}name/);
    expect(stdout).toMatch(/^ok {6}keys/m);
    expect(stdout).toMatch(/\/sso\/test\//);
    await late.close();
  });

  it.each([
    ['https://nowhere.invalid', 'name'],
    ['http://127.0.0.1:1', 'tls'],
  ])('of a provider at %s fails at its %s or right after', async (discoveryUrl) => {
    const slug = nextSlug();
    await gateway.addOrganization(slug);
    const draft = await addDraft(slug, discoveryUrl);
    const { status, stdout } = await cli.run(['connection', 'test', draft.id, '--json']);
    const { passed, steps } = JSON.parse(stdout) as Tested;
    expect({ status, passed, last: steps.at(-1)?.outcome }).toEqual({
      status: 1,
      passed: false,
      last: 'failed',
    });
  });
});

describe('a test sign-in', () => {
  it('shows what came and why it would be refused, be it nobody, no address, or a clock', async () => {
    const { slug, draft } = await newDraft();
    const { test_url: link } = await cli.json<Tested>(['connection', 'test', draft.id]);
    const visitor = new Visitor(gateway.port);
    provider.person = { sub: 'new', email: `new@${slug}.example` };
    expect(JSON.parse((await tryLink(visitor, link)).body)).toMatchObject({
      passed: true,
      person: 'would be refused',
      refusal: { code: 'user_not_provisioned' },
    });
    provider.person = { sub: 'nameless' };
    const nameless = JSON.parse((await tryLink(visitor, link)).body) as Tried;
    expect(nameless).toMatchObject({ passed: false, refusal: { code: expect.any(String) } });
    expect(nameless.claims.map(({ name }) => name)).toEqual(expect.arrayContaining(['iss', 'sub', 'aud']));
    expect(await show(draft.id)).toMatchObject({ tests: { sign_in: { passed: false } } });
  });

  it('counts once: its callback again is over, and changes nothing that was found', async () => {
    const { slug, draft } = await newDraft();
    const { test_url: link } = await cli.json<Tested>(['connection', 'test', draft.id]);
    provider.person = { sub: 'ada', email: `ada@${slug}.example` };
    const visitor = new Visitor(gateway.port);
    const started = await visitor.request(new URL(link).pathname);
    const back =
      (await fetch(started.headers.get('location') ?? '', { redirect: 'manual' })).headers.get('location') ??
      '';
    const cookies = new Map(visitor.cookies);
    expect((await visitor.request(back)).status).toBe(200);
    for (const [name, value] of cookies) visitor.cookies.set(name, value);
    expect((await visitor.request(back)).status).toBe(400);
    expect((await new Visitor(gateway.port).request(back)).status).toBe(400);
    expect(await show(draft.id)).toMatchObject({ tests: { sign_in: { passed: true } } });
  });

  it('is started by its own link alone, and for a day', async () => {
    const { draft } = await newDraft();
    const { test_url: link } = await cli.json<Tested>(['connection', 'test', draft.id]);
    const { pathname } = new URL(link);
    const visitor = new Visitor(gateway.port);
    expect((await visitor.request(`${pathname.slice(0, -2)}AA`)).status).toBe(400);
    expect((await visitor.request('/sso/test/anything')).status).toBe(400);
    await cli.json(['connection', 'remove', draft.id]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await visitor.request(pathname)).status).toBe(403);
  });

  it('works for custom JWTs, whose token is used up by it', async () => {
    const slug = nextSlug();
    const organization = await gateway.addOrganization(slug);
    await gateway.addUser(organization, `ada@${slug}.example`);
    const pem = keys.publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const add = [
      'connection',
      'add',
      slug,
      'jwt-callback',
      '--login-url',
      'http://127.0.0.1:1/in',
      '--public-key-file',
      '-',
    ];
    const draft = await cli.json<Shown>([...add, '--draft'], { stdin: pem });
    const { passed, test_url: link } = await cli.json<Tested>(['connection', 'test', draft.id]);
    expect(passed).toBe(true);
    const visitor = new Visitor(gateway.port);
    const started = await visitor.request(new URL(link).pathname);
    const callback = new URL(
      new URL(started.headers.get('location') ?? '').searchParams.get('callback_url') ?? '',
    );
    callback.searchParams.set('token', customJwt(keys.privateKey, `ada@${slug}.example`));
    expect(JSON.parse((await visitor.request(callback)).body)).toMatchObject({
      passed: true,
      person: 'exists',
    });
    expect(visitor.isSignedIn).toBe(false);
    await cli.json(['connection', 'activate', draft.id]);
    // The same token signs nobody in.
    await visitor.start(`ada@${slug}.example`);
    expect((await visitor.request(callback)).status).toBe(400);
    expect(visitor.isSignedIn).toBe(false);
  });

  it('is a page that shows what a provider sends as text, and the whole of it to nobody else', async () => {
    const { slug, draft } = await newDraft();
    const { test_url: link } = await cli.json<Tested>(['connection', 'test', draft.id]);
    provider.person = { sub: '<script>alert(1)</script>', email: `ada@${slug}.example` };
    const visitor = new Visitor(gateway.port);
    const started = await visitor.request(new URL(link).pathname);
    const back =
      (await fetch(started.headers.get('location') ?? '', { redirect: 'manual' })).headers.get('location') ??
      '';
    const page = await visitor.request(back, { headers: { accept: 'text/html' } });
    expect(page.body).toContain('The sign-in works');
    expect(page.body).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(gateway.logLines.join('')).not.toContain(`ada@${slug}.example`);
  });
});
