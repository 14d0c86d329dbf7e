/** Organizations in any state, however odd, and sign-ins that come to them. */
import { randomBytes, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { readConfig } from '../../src/config.ts';
import { openDatabase, type Database } from '../../src/database/database.ts';
import { loginFinisher } from '../../src/login/finish-login.ts';
import type { FinishedLogin, FinishLogin } from '../../src/login/finish-login-store.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** Ids of one organization; in statements, `$name` stands for each. */
export interface Ids {
  readonly organization: string;
  readonly connection: string;
  readonly other: string;
  readonly user: string;
  readonly domain: string;
  readonly digest: string;
}

const EVERYBODY = `INSERT INTO connection_routes (organization_id, kind, value, connection_id) VALUES ($organization, 'everybody', '',`;
const ORDINARY = [
  `INSERT INTO organizations (id, slug, name, provisioning) VALUES ($organization, $domain, 'Acme', 'manual')`,
  `INSERT INTO domains (organization_id, name, verified_at) VALUES ($organization, $domain, now())`,
  `INSERT INTO connections (id, organization_id, kind, settings) VALUES ($connection, $organization, 'oidc', '{}')`,
  `INSERT INTO connections (id, organization_id, kind, settings) VALUES ($other, $organization, 'jwt-callback', '{}')`,
  `${EVERYBODY} $connection)`,
  `INSERT INTO users (id, organization_id, email, name) VALUES ($user, $organization, 'ada@' || $domain, 'Ada')`,
  `INSERT INTO identities (organization_id, connection_id, issuer, subject, user_id) VALUES ($organization, $connection, 'i', 's', $user)`,
];

const cutover = (from: string, to: string, rest: string) =>
  `INSERT INTO cutovers (organization_id, id, from_connection_id, to_connection_id, relink, state, ended_at)
   VALUES ($organization, gen_random_uuid(), ${from}, ${to}, ${rest})`;

/** Each alters one thing that a sign-in depends on. */
export const ODDITIES = [
  `UPDATE organizations SET disabled_at = now() WHERE id = $organization`,
  `UPDATE organizations SET region = 'eu' WHERE id = $organization`,
  `UPDATE organizations SET provisioning = 'just-in-time', return_url = 'https://app.example/' WHERE id = $organization`,
  ...['draft', 'retiring', 'disabled'].map(
    (status) => `UPDATE connections SET status = '${status}' WHERE id = $connection`,
  ),
  `UPDATE connections SET login_revision = 2 WHERE id = $connection`,
  `UPDATE connections SET kind = 'id-token' WHERE id = $connection`,
  `UPDATE domains SET verified_at = NULL WHERE name = $domain`,
  `DELETE FROM domains WHERE name = $domain`,
  `INSERT INTO domain_proofs (domain, challenge, proved_at, missing_since, grace_ends_at) VALUES ($domain, 'c', now(), now(), now())`,
  `UPDATE users SET disabled_at = now() WHERE id = $user`,
  `UPDATE users SET email = 'old@' || $domain WHERE id = $user`,
  `UPDATE users SET name = NULL WHERE id = $user`,
  `DELETE FROM identities WHERE organization_id = $organization`,
  `UPDATE identities SET issuer = 'j' WHERE organization_id = $organization`,
  `UPDATE identities SET connection_id = $other WHERE organization_id = $organization`,
  `DELETE FROM users WHERE id = $user`,
  `INSERT INTO users (organization_id, email) VALUES ($organization, 'ada@' || $domain) ON CONFLICT DO NOTHING`,
  `DELETE FROM connection_routes WHERE organization_id = $organization`,
  `${EVERYBODY} $other)`,
  ...['$connection', '$other'].flatMap((connection) => [
    `INSERT INTO connection_routes VALUES ($organization, 'domain', $domain, ${connection})`,
    `INSERT INTO connection_routes VALUES ($organization, 'domain', 'elsewhere.example', ${connection})`,
    `INSERT INTO connection_routes VALUES ($organization, 'address', 'ada@' || $domain, ${connection})`,
  ]),
  cutover('$connection', '$other', `'domain', 'running', NULL`),
  cutover('$other', '$connection', `'list', 'running', NULL`),
  cutover('$other', '$connection', `'domain', 'rolled_back', now() - interval '1 hour'`),
  `INSERT INTO single_use_tokens VALUES ($organization, 'login', decode($digest, 'hex'), now() + interval '1 hour')`,
  `INSERT INTO single_use_tokens VALUES ($organization, 'login', decode($digest, 'hex'), now() - interval '1 hour')`,
  `INSERT INTO single_use_tokens VALUES ($organization, 'opaque-token', decode($digest, 'hex'), now() - interval '1 hour')`,
  `INSERT INTO single_use_tokens (organization_id, purpose, digest, expires_at, failed_use)
   VALUES ($organization, 'login', decode($digest, 'hex'), now() + interval '1 hour', decode('ab', 'hex'))`,
  `INSERT INTO restores (at) VALUES (now()) ON CONFLICT DO NOTHING`,
];

export interface Variation extends Pick<FinishLogin, 'name' | 'callbackDigest'> {
  readonly creates: FinishLogin['question']['creates'];
  readonly isOver: boolean;
}

export function loginAt(
  { organization, connection, domain, digest }: Ids,
  { isOver, creates, ...varied }: Variation,
): FinishLogin {
  const nowSeconds = Math.floor(Date.now() / 1000);
  const expiresAtSeconds = nowSeconds + (isOver ? -60 : 600);
  return {
    question: {
      organizationId: organization,
      connectionId: connection,
      revision: 1,
      email: `ada@${domain}`,
      domain,
      issuer: 'i',
      subject: 's',
      linksByEmail: true,
      creates,
    },
    provider: {
      providerSessionId: 'p',
      providerExpiresAtSeconds: null,
      sealedIdToken: 'sealed',
      sealedRefreshToken: 'sealed too',
      followSeconds: 300,
    },
    action: 'login.succeeded',
    uses: [{ purpose: 'login', digest, issuedAtSeconds: nowSeconds, expiresAtSeconds }],
    sessionDigest: randomBytes(32),
    sessionTtlSeconds: 3_600,
    sessionIdleTtlSeconds: 600,
    authenticationMethods: ['fed', 'mfa'],
    clientId: null,
    previousDigest: null,
    ...varied,
  };
}

/** Users that were made on the way have ids that nobody knows. */
const anonymous = (text: string) => text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'new');

export const variation: fc.Arbitrary<Variation> = fc.record({
  name: fc.constantFrom(null, 'Ada', 'Ada L.'),
  creates: fc.constantFrom<Variation['creates'][]>('organization', 'always', 'never'),
  callbackDigest: fc.constantFrom(null, Buffer.from('ab', 'hex')),
  isOver: fc.boolean(),
});

export const PLAIN: Variation = { name: 'Ada', creates: 'organization', callbackDigest: null, isOver: false };

export class KnownScene {
  readonly test: TestDatabase;
  readonly database: Database;
  readonly finishLogin: (login: FinishLogin) => Promise<FinishedLogin>;

  private constructor(test: TestDatabase, database: Database) {
    this.test = test;
    this.database = database;
    this.finishLogin = loginFinisher(database);
  }

  static async open(): Promise<KnownScene> {
    const test = await createTestDatabase();
    const database = await openDatabase(
      readConfig({ DATABASE_URL: test.url, PUBLIC_URL: 'http://localhost:3000' }),
    );
    return new KnownScene(test, database);
  }

  async close(): Promise<void> {
    await this.database.close();
    await this.test.drop();
  }

  /** Odd states that exclude each other are left out one after the other. */
  async newOrganization(oddities: readonly string[]): Promise<Ids> {
    const ids = {
      organization: randomUUID(),
      connection: randomUUID(),
      other: randomUUID(),
      user: randomUUID(),
      domain: `a${randomBytes(8).toString('hex')}.example`,
      digest: randomBytes(32).toString('hex'),
    };
    for (const statement of ORDINARY) await this.#run(statement, ids);
    for (const statement of oddities) {
      await this.#run(statement, ids).catch((error: unknown) => {
        if (oddities.length === 1) throw error;
      });
    }
    return ids;
  }

  async signIn(oddities: readonly string[], variation: Variation, isWhole: boolean) {
    const ids = await this.newOrganization(oddities);
    // Only who comes without a session is asked for by the short statement; of this one nobody knows anything.
    const previousDigest = isWhole ? randomBytes(32) : null;
    return this.outcomeOf(ids, await this.finishLogin({ ...loginAt(ids, variation), previousDigest }));
  }

  async outcomeOf(ids: Ids, { sessionId, lapsedSince, ...answer }: FinishedLogin) {
    const left = await this.#leftBehind(ids);
    await this.test.query('DELETE FROM restores');
    return {
      ...answer,
      hasSession: sessionId !== null,
      // Says why somebody is refused, and nothing otherwise.
      hasLapsed: answer.answer !== 'admitted' && lapsedSince !== null,
      left: anonymous(left),
    };
  }

  async #run(statement: string, ids: Ids): Promise<void> {
    const values: string[] = [];
    const text = statement.replaceAll(/\$([a-z]+)/g, (_, name: keyof Ids) => {
      values.push(ids[name]);
      const type = name === 'domain' || name === 'digest' ? 'text' : 'uuid';
      return `CAST($${values.length} AS ${type})`;
    });
    await this.test.query(text, values);
  }

  /** All that a sign-in writes, with names for what differs between two organizations. */
  async #leftBehind({ organization, connection, user, domain }: Ids): Promise<string> {
    const rows = await this.test.query(
      `SELECT (SELECT jsonb_agg(to_jsonb(s) - '{id,secret_digest,authenticated_at,idle_expires_at,expires_at,next_check_at}'::text[])
               FROM sessions s WHERE s.organization_id = $1) AS sessions,
              (SELECT jsonb_agg(jsonb_build_object('at', s.expires_at - s.authenticated_at, 'idle', s.idle_expires_at - s.authenticated_at))
               FROM sessions s WHERE s.organization_id = $1) AS times,
              (SELECT jsonb_agg(to_jsonb(t) - '{digest,expires_at}'::text[] ORDER BY t.purpose)
               FROM single_use_tokens t WHERE t.organization_id = $1) AS uses,
              (SELECT jsonb_agg(to_jsonb(u) - '{created_at,disabled_at}'::text[] ORDER BY u.email)
               FROM users u WHERE u.organization_id = $1) AS users,
              (SELECT jsonb_agg(to_jsonb(i) - '{created_at}'::text[] ORDER BY i.issuer, i.connection_id = $2)
               FROM identities i WHERE i.organization_id = $1) AS identities,
              (SELECT jsonb_agg(to_jsonb(e) - '{id,at}'::text[] ORDER BY e.id)
               FROM audit_events e WHERE e.organization_id = $1) AS events`,
      [organization, connection],
    );
    const names = { organization, connection, user, domain };
    return Object.entries(names).reduce(
      (text, [name, id]) => text.replaceAll(id, name),
      JSON.stringify(rows),
    );
  }
}
