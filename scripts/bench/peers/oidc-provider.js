// oidc-provider alone, with all in memory: what a provider's endpoints cost where nothing is asked of a database.
//   PORT, ALGORITHM (of its one key: ES256 or RS256), CLIENT_SECRET
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';
import { MapAdapter } from './map-adapter.js';

const { PORT, ALGORITHM, CLIENT_SECRET } = process.env;
const CLIENT_ID = 'bench';
const SCOPE = 'openid email profile offline_access';
const HOUR = 3_600;

const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
const key = { ...(await exportJWK(privateKey)), kid: 'bench', alg: ALGORITHM, use: 'sig' };

const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  // Its own keeps a thousand entries and walks through all tokens of a grant at each refresh; a Map is faster.
  adapter: MapAdapter,
  jwks: { keys: [key] },
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      redirect_uris: ['http://127.0.0.1/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      id_token_signed_response_alg: ALGORITHM,
    },
  ],
  enabledJWA: { idTokenSigningAlgValues: [ALGORITHM] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  // The ID token says who it is, as it does with the others.
  conformIdTokenClaims: false,
  scopes: SCOPE.split(' '),
  ttl: { AccessToken: 600, IdToken: HOUR, RefreshToken: 24 * HOUR, Grant: 24 * HOUR },
  rotateRefreshToken: true,
  expiresWithSession: () => false,
  features: { devInteractions: { enabled: false } },
  findAccount: (_ctx, sub) => ({
    accountId: sub,
    claims: () => ({ sub, email: sub, email_verified: true, name: 'Some Body' }),
  }),
});

/** What a person's first sign-in ends with, without the sign-in. */
async function firstRefreshToken(email) {
  const client = await provider.Client.find(CLIENT_ID);
  const grant = new provider.Grant({ accountId: email, clientId: CLIENT_ID });
  grant.addOIDCScope(SCOPE);
  const token = new provider.RefreshToken({
    accountId: email,
    client,
    grantId: await grant.save(),
    gty: 'authorization_code',
    scope: SCOPE,
    expiresWithSession: false,
  });
  return token.save();
}

const answer = provider.callback();
createServer((request, response) => {
  if (!request.url.startsWith('/first/')) return answer(request, response);
  const email = decodeURIComponent(request.url.slice('/first/'.length));
  firstRefreshToken(email).then(
    (token) => response.end(token),
    (error) => response.writeHead(500).end(String(error)),
  );
}).listen(Number(PORT), '127.0.0.1');
