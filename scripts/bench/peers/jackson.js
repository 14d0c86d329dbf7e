// Polis as a library (@boxyhq/saml-jackson) on PostgreSQL, behind node:http with routes like its own service has.
//   PORT, DATABASE_URL, ENCRYPTION_KEY (32 characters), CLIENT_SECRET (of the application); as `jackson.js seed` PROVIDER_CLIENT_ID
//   and PROVIDER_CLIENT_SECRET too, with the providers as a JSON list of {domain, issuer} on standard input
import { createServer } from 'node:http';
import { json, text } from 'node:stream/consumers';
import { URLSearchParams } from 'node:url';
import { controllers } from '@boxyhq/saml-jackson';
import { Pool } from 'pg';

const { PORT, DATABASE_URL, ENCRYPTION_KEY, CLIENT_SECRET } = process.env;
const { PROVIDER_CLIENT_ID, PROVIDER_CLIENT_SECRET } = process.env;
const origin = `http://127.0.0.1:${PORT}`;
const silent = () => undefined;

const { apiController, oauthController, close } = await controllers({
  externalUrl: origin,
  samlPath: '/api/oauth/saml',
  oidcPath: '/api/oauth/oidc',
  // Tables and indexes are those that it makes itself, and its pool is as large as it comes.
  db: { engine: 'sql', type: 'postgres', url: DATABASE_URL, encryptionKey: ENCRYPTION_KEY },
  clientSecretVerifier: CLIENT_SECRET,
  noAnalytics: true,
  logger: { info: silent, warn: silent, error: silent },
});

/** With all of the provider's metadata: given only an address to discover it at, it asks for that twice a sign-in. */
async function seed(providers) {
  const waiting = [...providers];
  const add = async () => {
    for (let provider = waiting.pop(); provider !== undefined; provider = waiting.pop()) {
      const { domain, issuer } = provider;
      await apiController.createOIDCConnection({
        tenant: domain,
        product: 'bench',
        oidcMetadata: {
          issuer,
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          userinfo_endpoint: `${issuer}/userinfo`,
          jwks_uri: `${issuer}/jwks`,
        },
        oidcClientId: PROVIDER_CLIENT_ID,
        oidcClientSecret: PROVIDER_CLIENT_SECRET,
        defaultRedirectUrl: 'http://application.example/callback',
        redirectUrl: ['http://application.example/callback'],
      });
    }
  };
  await Promise.all(Array.from({ length: 8 }, add));
  await close();
  const database = new Pool({ connectionString: DATABASE_URL });
  await database.query('ANALYZE');
  await database.end();
}

const redirect = (response, { redirect_url }) => response.writeHead(302, { location: redirect_url }).end();
const send = (response, document) =>
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document));

const routes = {
  'GET /api/health': async (_request, response) => send(response, {}),
  'GET /api/oauth/authorize': async (_request, response, query) =>
    redirect(response, await oauthController.authorize(query)),
  'GET /api/oauth/oidc': async (_request, response, query) =>
    redirect(response, await oauthController.oidcAuthzResponse(query)),
  'POST /api/oauth/token': async (request, response) => {
    const form = Object.fromEntries(new URLSearchParams(await text(request)));
    send(response, await oauthController.token(form, request.headers.authorization));
  },
  'GET /api/oauth/userinfo': async (request, response) => {
    const [scheme, token] = (request.headers.authorization ?? '').split(' ');
    if (scheme === 'Bearer' && token) send(response, await oauthController.userInfo(token));
    else response.writeHead(401).end();
  },
};

function serve(request, response) {
  const [path, query = ''] = request.url.split('?');
  const route = routes[`${request.method} ${path}`];
  if (route === undefined) return response.writeHead(404).end();
  route(request, response, Object.fromEntries(new URLSearchParams(query))).catch(
    ({ message, statusCode = 500 }) => {
      response.writeHead(statusCode, { 'content-type': 'application/json' }).end(JSON.stringify({ message }));
    },
  );
}

if (process.argv[2] === 'seed') {
  await seed(await json(process.stdin));
  process.exit(0);
}
createServer(serve).listen(Number(PORT), '127.0.0.1');
