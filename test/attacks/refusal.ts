/**
 * What every refused sign-in has in common, asserted in one place: the status and the stable code; nothing was created, not
 * even a cookie; one audit event under the reference that the person reads; nothing is cached and nothing from inside is
 * shown. It knows nothing of any protocol: an attack is whatever sends a request.
 */
import { request, type IncomingHttpHeaders } from 'node:http';
import { expect } from '@jest/globals';
import { publicFailures } from '../../src/http/failure-texts.ts';
import type { FailureCode } from '../../src/errors.ts';
import type { TestGateway } from '../support/test-gateway.ts';

/** An answer, by whatever client. A `BrowserPage` is one too. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface RequestOptions {
  readonly method?: string;
  /** `accept` is JSON unless it is here. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string;
  /** Another node than the one the URL names. */
  readonly port?: number;
}

/** Sends one request as it is spelled, with nothing that a browser adds, and follows nothing. */
export function send(address: string, options: RequestOptions = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, body, port } = options;
  // Not by the URL class: an attack's path must arrive as it was written.
  const [, origin = '', path = '/'] = /^(https?:\/\/[^/?#]+)(.*)$/s.exec(address) ?? [];
  const url = new URL(origin);
  return new Promise((resolve, reject) => {
    const sending = request(
      {
        host: '127.0.0.1',
        port: port ?? url.port,
        path,
        method,
        headers: { host: url.host, accept: 'application/json', ...headers },
        agent: false,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
        });
      },
    );
    sending.on('error', reject);
    sending.end(body);
  });
}

/** What exists: everything that a refused attempt must leave as it was, and the number of what may be used once. */
interface Existing {
  readonly things: string;
  readonly singleUses: number;
  readonly lastEvent: string;
}

/** Nothing else may use the gateway meanwhile. */
export async function whatExists(gateway: TestGateway): Promise<Existing> {
  // Of sessions and connections only what no looking changes: using a session prolongs it.
  const { rows } = await gateway.database.run((db) =>
    db.raw<{ rows: Existing[] }>(`
      SELECT jsonb_build_object(
               'users', (SELECT coalesce(jsonb_agg(u ORDER BY u.id), '[]') FROM users u),
               'identities', (SELECT coalesce(jsonb_agg(i ORDER BY i.connection_id, i.issuer, i.subject), '[]') FROM identities i),
               'sessions', (SELECT coalesce(jsonb_agg(s.id ORDER BY s.id), '[]') FROM sessions s),
               'connections', (SELECT coalesce(jsonb_agg(c ORDER BY c.id), '[]') FROM connections c),
               'domains', (SELECT coalesce(jsonb_agg(d ORDER BY d.name), '[]') FROM domains d)
             )::text AS things,
             (SELECT count(*)::integer FROM single_use_tokens) AS "singleUses",
             (SELECT coalesce(max(id), 0)::text FROM audit_events) AS "lastEvent"`),
  );
  const [row] = rows;
  if (row === undefined) throw new Error('the snapshot is empty');
  return row;
}

export interface StoredEvent {
  readonly action: string;
  readonly outcome: string;
  readonly code: string | null;
  readonly reason: string | null;
  readonly reference: string | null;
  readonly organization_id: string | null;
  readonly connection_id: string | null;
  readonly email: string | null;
  readonly client_id: string | null;
}

/** The audit events that came after this one, oldest first. */
export async function eventsAfter(gateway: TestGateway, id: string): Promise<readonly StoredEvent[]> {
  const { rows } = await gateway.database.run((db) =>
    db.raw<{ rows: StoredEvent[] }>(
      `SELECT action, outcome, code, reason, reference, organization_id, connection_id, email, client_id
       FROM audit_events WHERE id > CAST(? AS bigint) ORDER BY id`,
      [id],
    ),
  );
  return rows;
}

export interface ExpectedRefusal {
  readonly status: number;
  /** As the public reads it. */
  readonly code: FailureCode;
  /** As the audit trail has it, where the public may not know: an unknown domain on a callback. */
  readonly recordedCode?: FailureCode;
  /** The operator's precise reason. */
  readonly reason?: RegExp;
  /** How many single-use items the attempt uses up (cases.md: NC+1). Default: none. */
  readonly uses?: number;
  /** False for what is no failed sign-in (404, 405) or cannot be written (503). Default: true. */
  readonly isRecorded?: boolean;
}

export interface Refusal {
  readonly answer: Answer;
  /** Undefined where nothing was to be recorded. */
  readonly event: StoredEvent | undefined;
  readonly reference: string;
}

const REFERENCE = /\b[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}\b/;
const FROM_INSIDE = /node_modules|\.(ts|js):\d+|\n\s+at |[A-Z][a-z]+Error\b|relation "|SELECT |INSERT /;

/**
 * Attacks, and asserts that it was refused and that this was all. Nothing else may use the gateway meanwhile.
 * @param attack sends the request; works with a page for people as with the answer for programs
 */
export async function expectRefusal(
  gateway: TestGateway,
  attack: () => Promise<Answer>,
  expected: ExpectedRefusal,
): Promise<Refusal> {
  const before = await whatExists(gateway);
  const answer = await attack();
  const reference = expectRefusingAnswer(answer, expected);
  const after = await whatExists(gateway);
  expect(JSON.parse(after.things)).toEqual(JSON.parse(before.things));
  expect(after.singleUses - before.singleUses).toBe(expected.uses ?? 0);
  // That a provider refuses our secret is said of the connection, once, beside the sign-in that found out.
  const events = (await eventsAfter(gateway, before.lastEvent)).filter(
    ({ action }) => action !== 'connection.secret_refused',
  );
  if (expected.isRecorded === false) {
    expect(events).toEqual([]);
    return { answer, reference, event: undefined };
  }
  expect(events).toEqual([
    expect.objectContaining({
      action: 'login.failed',
      outcome: 'failure',
      code: expected.recordedCode ?? expected.code,
      reason: expected.reason === undefined ? expect.anything() : expect.stringMatching(expected.reason),
      reference,
    }),
  ]);
  return { answer, reference, event: events[0] };
}

/** Asserts what the answer alone shows, and returns its reference: for attacks that are many at once. */
export function expectRefusingAnswer(
  answer: Answer,
  expected: Pick<ExpectedRefusal, 'status' | 'code'>,
): string {
  const { status, headers, body } = answer;
  const isProblem = headers['content-type']?.startsWith('application/problem+json') === true;
  const problem = isProblem ? (JSON.parse(body) as Record<string, unknown>) : undefined;
  const { sentence } = publicFailures[expected.code];
  if (problem !== undefined) {
    expect(problem).toEqual({
      type: expect.any(String),
      title: sentence,
      status: expected.status,
      code: expected.code,
      reference: expect.stringMatching(REFERENCE),
    });
  }
  expect(status).toBe(expected.status);
  if (problem === undefined) {
    expect(headers['content-type']).toMatch(/^text\/html/);
    expect(headers['x-content-type-options']).toBe('nosniff');
  }
  expect(headers['cache-control']).toBe('no-store');
  expect(headers.location).toBeUndefined();
  expect(cookiesGiven(answer)).toEqual([]);
  expect(body).not.toMatch(FROM_INSIDE);
  return REFERENCE.exec(problem === undefined ? body : String(problem['reference']))?.[0] ?? 'no reference';
}

/** Cookies that the answer gives the browser, `name=value`; those it only takes away are not among them. */
export function cookiesGiven({ headers }: Answer): readonly string[] {
  const pairs = (headers['set-cookie'] ?? []).map((cookie) => cookie.split(';', 1)[0] ?? '');
  return pairs.filter((pair) => !pair.endsWith('='));
}
