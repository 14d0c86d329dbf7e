/** `npm run example:api -- --issuer <issuer> --audience <resource> [--port <port>]` */
import { parseArgs } from 'node:util';
import { authorizationsApi } from './authorizations-api.ts';

const { values } = parseArgs({
  options: {
    issuer: { type: 'string', default: 'http://localhost:3000/oidc' },
    audience: { type: 'string', default: 'https://api.vendor.example/' },
    port: { type: 'string', default: '4000' },
  },
});
authorizationsApi(values).listen(Number(values.port), '127.0.0.1', () => {
  process.stdout.write(
    `The API answers on http://127.0.0.1:${values.port}, for access tokens of ${values.audience}\n`,
  );
});
