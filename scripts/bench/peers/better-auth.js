// better-auth with its SSO plugin on PostgreSQL, behind node:http as its documentation has it.
//   PORT, DATABASE_URL, SECRET, PROVIDER_ORIGIN; as `better-auth.js seed` CLIENT_ID and CLIENT_SECRET too, with the providers as a
//   JSON list of {domain, issuer} on standard input
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { sso } from '@better-auth/sso';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { toNodeHandler } from 'better-auth/node';
import { Pool } from 'pg';

const { PORT, DATABASE_URL, SECRET, PROVIDER_ORIGIN, CLIENT_ID, CLIENT_SECRET } = process.env;

const database = new Pool({ connectionString: DATABASE_URL });
const auth = betterAuth({
  baseURL: `http://127.0.0.1:${PORT}`,
  secret: SECRET,
  database,
  // Lets it call a provider that is on a private address.
  trustedOrigins: [PROVIDER_ORIGIN],
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { disabled: true },
  // Its fastest check: five minutes from a signed cookie, in which a session that was ended still counts.
  session: { cookieCache: { enabled: true, maxAge: 300 } },
  // The start of a sign-in in an encrypted cookie: nothing to store, read and delete.
  account: { storeStateStrategy: 'cookie' },
  plugins: [sso({ domainVerification: { enabled: true } })],
});

/** Tables and indexes are those of its own migration. All endpoints are given, and no userinfo: nothing is discovered or asked twice. */
async function seed(providers) {
  const { runMigrations } = await getMigrations(auth.options);
  await runMigrations();
  await database.query(
    `INSERT INTO "user" (id, name, email, "emailVerified", "createdAt", "updatedAt")
     VALUES ('operator', 'Operator', 'operator@bench.example', true, now(), now())`,
  );
  const rows = providers.map(({ domain, issuer }) => ({
    domain,
    issuer,
    config: JSON.stringify({
      issuer,
      clientId: CLIENT_ID,
      clientSecret: CLIENT_SECRET,
      authorizationEndpoint: `${issuer}/authorize`,
      tokenEndpoint: `${issuer}/token`,
      tokenEndpointAuthentication: 'client_secret_basic',
      jwksEndpoint: `${issuer}/jwks`,
      discoveryEndpoint: `${issuer}/.well-known/openid-configuration`,
      pkce: true,
      scopes: ['openid', 'email', 'profile'],
    }),
  }));
  await database.query(
    `INSERT INTO "ssoProvider" (id, issuer, domain, "domainVerified", "oidcConfig", "userId", "providerId")
     SELECT domain, issuer, domain, true, config, 'operator', domain
     FROM jsonb_to_recordset($1) AS made (domain text, issuer text, config text)`,
    [JSON.stringify(rows)],
  );
  await database.query('ANALYZE');
  await database.end();
}

if (process.argv[2] === 'seed') await seed(await json(process.stdin));
else createServer(toNodeHandler(auth)).listen(Number(PORT), '127.0.0.1');
