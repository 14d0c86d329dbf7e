/** One JSON object from an endpoint of a provider, or a failure that names the endpoint. */
import { GatewayError } from '../errors.ts';
import { parseJsonObject, type JsonObject } from '../strict-json.ts';

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;

const refuse = (reason: string): never => {
  throw new GatewayError('identity_provider_error', { reason });
};

/**
 * The JSON object that an endpoint answered with.
 * @param endpoint what to call it in a failure
 * @throws GatewayError `identity_provider_error`
 */
export async function jsonAnswer(endpoint: string, response: Response): Promise<JsonObject> {
  const type = response.headers.get('content-type') ?? 'no content type';
  if (response.status !== 200) refuse(`${endpoint} answered with status ${response.status}`);
  if (!isJsonType(response)) refuse(`${endpoint} answered with ${showable(type)} instead of JSON`);
  const document = parseJsonObject(new Uint8Array(await response.arrayBuffer()));
  return document ?? refuse(`the answer of ${endpoint} is not a JSON object, or an ambiguous one`);
}

/** Whether an answer says that it is JSON. */
export function isJsonType({ headers }: Response): boolean {
  return JSON_TYPE.test(headers.get('content-type') ?? '');
}

/** A header's value as it may be repeated to the operator. */
function showable(text: string): string {
  return text.slice(0, 64).replace(/[^\x20-\x7e]/g, '?');
}
