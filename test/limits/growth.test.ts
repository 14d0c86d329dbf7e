/** Nothing grows with failed sign-ins: what thousands of them leave is bounded, and goes when its time is over. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { addApplication } from '../../src/applications/register-application.ts';
import { makeRound } from '../../src/housekeeping/keep-house.ts';
import { applicationParts, CALLBACK, SECRET } from '../applications/stage.ts';
import { exchangeAll } from '../http/raw.ts';
import { addCompany, FROM_OUR_PAGE, Visitor, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';

/** Of each of four sorts. */
const FAILURES = 500;
/** Each leaves an audit event, which a busy machine takes its time for. */
const LONG_MS = 180_000;

let gateway: TestGateway;
let acme: Company;

beforeAll(async () => {
  gateway = await startTestGateway({ env: { RATE_LIMITS: 'on', TRUST_PROXY: '1', LOG_LEVEL: 'warn' } });
  gateway.neverLogged(SECRET);
  acme = await addCompany(gateway, 'acme');
  await addApplication(applicationParts(gateway), 'app', {
    redirectUris: [CALLBACK],
    secret: SECRET,
    isPublic: false,
  });
});
afterAll(() => gateway.close());

interface Table {
  readonly name: string;
  readonly rows: number;
}

/** Rows of every table but the audit trail, which is there to keep what happened, and is counted for each block. */
async function tables(): Promise<readonly Table[]> {
  const names = await gateway.sql<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
       AND relname NOT LIKE 'audit\\_%' ORDER BY relname`,
  );
  return Promise.all(
    names.map(async ({ name }) => {
      const [row] = await gateway.sql<{ rows: number }>(`SELECT count(*)::integer AS rows FROM ${name}`);
      return { name, rows: row?.rows ?? 0 };
    }),
  );
}

/** Sends a request from another address block each time. */
async function fail(
  request: (index: number) => { readonly head: readonly string[]; readonly body?: string },
) {
  const requests = Array.from({ length: FAILURES }, (_, index) => {
    const { head, body = '' } = request(index);
    const from = `X-Forwarded-For: 10.0.${index >> 8}.${index & 255}`;
    const lines = [...head, 'Host: x', 'Accept: application/json', from, `Content-Length: ${body.length}`];
    return { lines, body };
  });
  const statuses = new Set((await exchangeAll(gateway.port, requests)).map(({ status }) => status));
  return [...statuses].sort();
}

it(
  'two thousand failed sign-ins leave bounded rows, and none once they have expired',
  async () => {
    const used = acme.token('ada@acme.example');
    const visitor = new Visitor(gateway);
    await visitor.send('/sso/acme', { headers: FROM_OUR_PAGE });
    expect(
      (await visitor.send(`${acme.callbackPath}?token=${used}`, { headers: FROM_OUR_PAGE })).status,
    ).toBe(303);
    // The first application that asks has the keys made.
    await visitor.send('/oidc/jwks');
    const before = await tables();

    const forged = `${used.slice(0, -40)}${'A'.repeat(40)}`;
    expect(
      await fail(() => ({ head: [`GET ${acme.callbackPath}?token=${forged}`.concat(' HTTP/1.1')] })),
    ).toEqual([401]);
    expect(
      await fail(() => ({ head: [`GET ${acme.callbackPath}?token=${used}`.concat(' HTTP/1.1')] })),
    ).toEqual([400]);
    expect(
      await fail((index) => ({
        head: ['POST /login HTTP/1.1', 'Content-Type: application/json'],
        body: `{"email":"ada@nobody-${index}.example"}`,
      })),
    ).toEqual([404]);
    expect(
      await fail((index) => ({
        head: [
          'POST /oidc/token HTTP/1.1',
          'Content-Type: application/x-www-form-urlencoded',
          `Authorization: Basic ${Buffer.from(`app:guess ${index}`).toString('base64')}`,
        ],
        body: 'grant_type=authorization_code&code=x',
      })),
    ).toEqual([401]);

    const after = await tables();
    const grown = after.filter(({ rows }, index) => rows !== before[index]?.rows);
    // Limits are counted by few keys here: of the callback, and of unknown addresses.
    expect(grown.filter(({ name }) => name !== 'limit_counts')).toEqual([]);
    expect(grown.reduce((sum, { rows }) => sum + rows, 0)).toBeLessThanOrEqual(10);

    await gateway.sql(`UPDATE limit_counts SET expires_at = now() - interval '1 hour'`);
    await makeRound(gateway.database, new AbortController().signal);
    const [row] = await gateway.sql<{ rows: number }>('SELECT count(*)::integer AS rows FROM limit_counts');
    expect(row?.rows).toBe(0);
  },
  LONG_MS,
);
