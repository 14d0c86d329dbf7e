/** Answers of a customer's back end, good ones and such as only a hostile one gives. */
import type { ServerResponse } from 'node:http';

export type Answer = (response: ServerResponse) => void;

type AnswerHeaders = Readonly<Record<string, string>>;

/** What the published mapping takes for a yes. */
export const GOOD = '{"user":{"id":"good"}}';

/** Status 200 and this text, which says that it is JSON unless the headers say otherwise. */
export const json =
  (text: string | Buffer, headers: AnswerHeaders = {}): Answer =>
  (response) => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(text);
  };

/** A status, with the text of a yes where it may have one. */
export const status =
  (code: number, headers: AnswerHeaders = {}): Answer =>
  (response) => {
    response.writeHead(code, { 'content-type': 'application/json', ...headers });
    response.end(code === 204 || code === 205 ? undefined : GOOD);
  };
