/** The rooms of the house: which folder may know which. The reasons are in the README's decisions. */
const only = (name, target, allowedFrom, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { path: '^src/', pathNot: allowedFrom },
  to: { path: target },
});
const inPackage = (name) => `node_modules/${name}/`;

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'product-knows-no-scripts-or-tests',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(scripts|test)/' },
    },
    {
      name: 'nouns-know-no-surface',
      comment: 'The product is the same behind a browser, a command or a test.',
      severity: 'error',
      from: {
        path: '^src/(organizations|applications|hosts|connections|expiry|housekeeping|limits|doctor|keys|login|users|sessions|audit|outbound|database)/',
      },
      to: { path: '^src/(http|cli|gateway\\.ts)' },
    },
    {
      name: 'provider-knows-no-surface',
      comment: 'What it shows people is handed in.',
      severity: 'error',
      from: { path: '^src/provider/' },
      to: { path: '^src/(http|cli|login|gateway\\.ts)' },
    },
    {
      name: 'kinds-do-not-know-each-other',
      severity: 'error',
      from: { path: '^src/connections/([a-z-]+)/' },
      to: { path: '^src/connections/[a-z-]+/', pathNot: '^src/connections/$1/' },
    },
    only(
      'knex-only-in-stores',
      inPackage('knex'),
      '(-store\\.ts$|^src/database/)',
      'SQL has one home a noun.',
    ),
    only('pg-only-in-database', inPackage('pg'), '^src/database/'),
    only('openid-client-only-in-oidc', inPackage('openid-client'), '^src/connections/oidc/'),
    only(
      'jsonwebtoken-only-for-tokens-from-outside',
      inPackage('jsonwebtoken'),
      '^src/connections/(jwt-callback/|signed-token\\.ts$)',
    ),
    only('express-only-in-http', inPackage('(express|helmet)'), '^src/http/'),
    only('oidc-provider-only-in-provider', inPackage('oidc-provider'), '^src/provider/'),
    only('passport-in-one-file', inPackage('passport'), '^src/http/passport-login\\.ts$'),
    only('prom-client-only-in-metrics', inPackage('prom-client'), '^src/http/(watched-)?metrics\\.ts$'),
    only('opentelemetry-in-one-file', inPackage('@opentelemetry'), '^src/tracing\\.ts$'),
    only(
      'workers-in-one-room',
      '^(node:)?cluster$',
      '^src/workers/',
      'Whether there are others is no business of who answers a request.',
    ),
    only('commander-only-in-cli', inPackage('commander'), '^src/cli/'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types', 'default'],
    },
  },
};
