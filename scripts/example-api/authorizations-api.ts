/**
 * An example of an API behind a protected host. It believes nothing that a header says by itself: it checks the access token that
 * the proxy hands on, offline, and answers what that person may do. All it needs is a library that verifies JWTs.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

interface ApiOptions {
  /** Of Gatehouse's OpenID Provider. */
  readonly issuer: string;
  /** The resource that the host was added with. */
  readonly audience: string;
}

/** What people may do here, by organization. A real API asks its own database. */
const AUTHORIZATIONS: Readonly<Record<string, readonly string[]>> = {
  acme: ['documents:read', 'documents:write'],
};
const EVERYBODY = ['documents:read'];

export function authorizationsApi({ issuer, audience }: ApiOptions): Server {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
  const authorizationsOf = async (request: IncomingMessage) => {
    const token = request.headers['x-auth-request-access-token'];
    const { payload } = await jwtVerify(String(token), keys, { issuer, audience, typ: 'at+jwt' });
    const { sub, email, org } = payload as { sub: string; email?: string; org: { slug: string } };
    return { sub, email, organization: org.slug, authorizations: AUTHORIZATIONS[org.slug] ?? EVERYBODY };
  };
  return createServer((request, response) => {
    authorizationsOf(request).then(
      (answer) => {
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      },
      () => {
        response.writeHead(401, { 'content-type': 'application/json' }).end('{"error":"invalid_token"}');
      },
    );
  });
}
