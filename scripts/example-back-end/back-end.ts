/**
 * An example of a customer's back end, whose tokens nobody else understands. All that Gatehouse needs of it is
 * `GET /user/verify?token=`, which says whom a token speaks of. It hands tokens out to its own application: random, for five
 * minutes, and kept as digests, so that whoever reads the store signs nobody in. A real one keeps them in its database.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

const TOKEN_TTL_MS = 5 * 60_000;
const LARGEST_FORM_BYTES = 1024;

interface Person {
  readonly id: number;
  readonly login: string;
  /** So spelled where this answer was first published. */
  readonly fill_name: string;
}

interface Issued {
  readonly person: Person;
  readonly expiresAtMs: number;
}

const PASSWORD = 'demo';
const PEOPLE: readonly Person[] = [{ id: 2345, login: 'simon371', fill_name: 'Simon Davis' }];

/** @param now milliseconds since the epoch */
export function exampleBackEnd(now: () => number = Date.now): Server {
  const issued = new Map<string, Issued>();

  /** Where a real back end's own people sign in; this one is for trying things out. */
  const handOut = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const form = await readForm(request);
    const person = PEOPLE.find(({ login }) => login === form.get('login'));
    if (person === undefined || form.get('password') !== PASSWORD) {
      answer(response, 401, { error: 'unknown login or password' });
      return;
    }
    for (const [digest, { expiresAtMs }] of issued) if (expiresAtMs <= now()) issued.delete(digest);
    const token = randomBytes(32).toString('base64url');
    issued.set(digestOf(token), { person, expiresAtMs: now() + TOKEN_TTL_MS });
    response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-store' }).end(`${token}\n`);
  };

  const verify = (url: URL, response: ServerResponse): void => {
    const known = issued.get(digestOf(url.searchParams.get('token') ?? ''));
    if (known === undefined || known.expiresAtMs <= now()) answer(response, 401, { error: 'unknown token' });
    else answer(response, 200, { user: known.person });
  };

  return createServer((request, response) => {
    const url = urlOf(request);
    const route = `${request.method ?? ''} ${url?.pathname ?? ''}`;
    if (url !== undefined && route === 'GET /user/verify') verify(url, response);
    else if (route === 'POST /demo/token') {
      handOut(request, response).catch(() => {
        answer(response, 400, { error: 'the form cannot be read' });
      });
    } else answer(response, 404, { error: 'there is nothing here' });
  });
}

const digestOf = (token: string) => createHash('sha256').update(token).digest('base64url');

function urlOf({ url = '/' }: IncomingMessage): URL | undefined {
  const text = `http://back-end.invalid${url}`;
  return URL.canParse(text) ? new URL(text) : undefined;
}

function answer(response: ServerResponse, status: number, document: object): void {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  response.writeHead(status, headers).end(JSON.stringify(document));
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > LARGEST_FORM_BYTES) throw new Error('the form is too large');
  }
  return new URLSearchParams(text);
}
