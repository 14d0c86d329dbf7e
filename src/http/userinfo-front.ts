/**
 * `/oidc/userinfo` in front of Express and of the protocol's library: applications and their back ends ask it again and again with
 * the same token, and get the same answer. What is not in memory, or is asked in any other than the usual way, goes on to them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { nameRoute } from './observe-requests.ts';
import type { HttpParts } from './parts.ts';
import { MOUNT } from './provider-routes.ts';

const PATH = `${MOUNT}/userinfo`;
const SCHEME = 'Bearer ';

/** @returns a handler that says whether it has answered */
export function userinfoFront({
  grants,
}: Pick<HttpParts, 'grants'>): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (request, response) => {
    if (request.url !== PATH || request.method !== 'GET') return false;
    const { authorization = '', origin } = request.headers;
    // What a page of another origin may read is for the library to say.
    if (origin !== undefined || !authorization.startsWith(SCHEME)) return false;
    const answer = grants.userinfo(authorization.slice(SCHEME.length));
    if (answer === undefined) return false;
    nameRoute(response, PATH);
    const { headers, body } = answer;
    response.writeHead(200, [...headers, 'Content-Length', String(Buffer.byteLength(body))]).end(body);
    return true;
  };
}
