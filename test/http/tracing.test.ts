/** Spans of requests, sign-ins, statements and calls, as an SDK gets them; and what is in none of them. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { expectSignedIn, newEmail, openScene, type Scene } from '../attacks/oidc-scene.ts';
import { send } from '../attacks/refusal.ts';
import { recordSpans, type SeenSpan, type SeenSpans } from '../support/spans.ts';
import { addCompany, Visitor, type Company } from './visitor.ts';

let scene: Scene;
let brand: Company;
let spans: SeenSpans;
beforeAll(async () => {
  spans = recordSpans();
  scene = await openScene();
  brand = await addCompany(scene.gateway, 'brand');
});
afterAll(async () => {
  await scene.close();
  spans.stop();
});
beforeEach(() => {
  spans.clear();
});

const CALLBACK = 'GET /sso/oidc/:connection_id/callback';

/** The one span of this name, once it has ended: a request's may end after its answer has come. */
async function ended(name: string): Promise<SeenSpan> {
  for (;;) {
    const found = spans.all.filter((span) => span.name === name);
    if (found.length > 1) throw new Error(`${found.length} spans of ${name}`);
    if (found[0] !== undefined) return found[0];
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const childrenOf = ({ id }: SeenSpan) => spans.all.filter(({ parentId }) => parentId === id);

async function signIn(): Promise<void> {
  const visitor = scene.visitor();
  const callback = await visitor.goToProvider(newEmail());
  // Its span may end after its answer has come.
  await ended('POST /login');
  spans.clear();
  expectSignedIn(await visitor.send(callback));
}

describe('a request', () => {
  it('is a span by method and route', async () => {
    await send(`${scene.gateway.url}/login?login_hint=ada%40acme.example`);
    const span = await ended('GET /login');
    expect(span).toMatchObject({ kind: SpanKind.SERVER, parentId: undefined, status: undefined, extras: [] });
    expect(span.attributes).toEqual({
      'http.request.method': 'GET',
      'http.route': '/login',
      'http.response.status_code': 200,
      'url.scheme': 'http',
      'server.address': 'localhost',
    });
  });

  it('W-13 without a route, or with a method of somebody else, has no name of its own', async () => {
    await send(`${scene.gateway.url}/evil/path`, { method: 'PROPFIND' });
    expect((await ended('_OTHER')).attributes).toMatchObject({ 'http.response.status_code': 404 });
  });

  it('is under the span of whoever sent it, where the propagator finds one', async () => {
    const traceparent = `00-${'a1'.repeat(16)}-${'b2'.repeat(8)}-01`;
    await send(`${scene.gateway.url}/session`, { headers: { traceparent } });
    const span = await ended('GET /session');
    expect(span).toMatchObject({ traceId: 'a1'.repeat(16), parentId: 'b2'.repeat(8) });
    spans.clear();
    await send(`${scene.gateway.url}/session`, { headers: { traceparent: 'evil' } });
    expect((await ended('GET /session')).parentId).toBeUndefined();
  });
});

describe('a sign-in', () => {
  it('has its steps, its calls and its statements below the request', async () => {
    await signIn();
    const request = await ended(CALLBACK);
    const complete = await ended('sign-in: complete');
    const verify = await ended('sign-in: verify identity');
    const open = await ended('sign-in: open session');
    expect(complete.parentId).toBe(request.id);
    expect([verify.parentId, open.parentId]).toEqual([complete.id, complete.id]);
    const { connection, organization } = scene.acme;
    for (const step of [complete, verify, open]) {
      expect(step).toMatchObject({ kind: SpanKind.INTERNAL, status: undefined });
      expect(step.attributes).toEqual({
        'gatehouse.connection.kind': 'oidc',
        'gatehouse.connection.id': connection.id,
        'gatehouse.organization.id': organization.id,
        'gatehouse.outcome': 'succeeded',
      });
    }
    const [token] = childrenOf(verify).filter(({ name }) => name === 'POST');
    const { hostname, port } = new URL(scene.provider.issuer);
    expect(token).toMatchObject({ kind: SpanKind.CLIENT, status: undefined });
    expect(token?.attributes).toEqual({
      'http.request.method': 'POST',
      'http.response.status_code': 200,
      'url.scheme': 'http',
      'server.address': hostname,
      'server.port': Number(port),
    });
    const [statement] = childrenOf(open);
    expect(statement).toMatchObject({ name: 'WITH', kind: SpanKind.CLIENT });
    expect(statement?.attributes).toEqual({ 'db.system.name': 'postgresql', 'db.operation.name': 'WITH' });
    // What the server does unasked has no request to belong to.
    expect(spans.all.filter(({ parentId }) => parentId === undefined)).toEqual([request]);
  });

  it('that is refused says by which code, and is no fault of the system; one that fails is', async () => {
    const visitor = new Visitor(scene.gateway);
    await visitor.start('ada@brand.example');
    expect((await visitor.comeBack(brand, 'nobody@brand.example')).status).toBe(403);
    const refused = await ended('sign-in: complete');
    expect(refused.status).toBeUndefined();
    expect(refused.attributes).toMatchObject({
      'gatehouse.connection.kind': 'jwt-callback',
      'gatehouse.outcome': 'refused',
      'gatehouse.code': 'user_not_provisioned',
    });
    scene.provider.bend = { instead: { token: (_, response) => void response.writeHead(503).end() } };
    const person = scene.visitor();
    const callback = await person.goToProvider(newEmail());
    spans.clear();
    expect((await person.send(callback)).status).toBe(502);
    scene.provider.bend = {};
    const failed = await ended('sign-in: complete');
    expect(failed.status).toEqual({ code: SpanStatusCode.ERROR });
    expect(failed.attributes).toMatchObject({
      'gatehouse.outcome': 'failed',
      'gatehouse.code': 'identity_provider_error',
      'error.type': 'identity_provider_error',
    });
    expect((await ended('POST')).attributes).toMatchObject({ 'error.type': '503' });
    expect((await ended(CALLBACK)).status).toEqual({ code: SpanStatusCode.ERROR });
  });

  it('W-09 leaves no token, code, state, cookie, address, path or query in any span', async () => {
    const secrets = new Set<string>();
    const person = scene.visitor();
    const callback = await person.goToProvider('grace.hopper@acme.example');
    for (const name of ['code', 'state']) secrets.add(callback.searchParams.get(name) ?? '');
    await person.send(callback);
    await person.send(callback);
    const visitor = new Visitor(scene.gateway);
    await visitor.start('ada@brand.example');
    const token = brand.token('ada@brand.example');
    await visitor.send(`${brand.callbackPath}?token=${token}`);
    await visitor.send(`${brand.callbackPath}?token=${token}`);
    await visitor.send('/sso/test/a-ticket-that-is-secret');
    secrets.add(token).add('a-ticket-that-is-secret').add('ada@').add('grace.hopper').add('brand.example');
    for (const { cookies } of [person, visitor]) for (const value of cookies.values()) secrets.add(value);
    await ended('GET /sso/test/:ticket');
    const text = JSON.stringify(spans.all);
    expect(secrets.size).toBeGreaterThan(8);
    for (const secret of secrets) expect(text).not.toContain(secret);
    // The issuer is named by the answer as well, and is no secret; nothing has a query, a statement or a message.
    expect(text).not.toMatch(/\?|SELECT .|eyJ|%40/);
    expect(spans.all.every(({ extras }) => extras.length === 0)).toBe(true);
  });
});
