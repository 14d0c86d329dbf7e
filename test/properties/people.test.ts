/**
 * From what a provider says to a user, as laws, on a real database: however an address is spelled it is one account, and another
 * person's is another account or none; and what may be used once is told apart from what is like it.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { USERS_OF_THE_ORGANIZATION, type Connection } from '../../src/connections/connection.ts';
import { verifiedIdentity } from '../../src/connections/verified-identity.ts';
import { GatewayError } from '../../src/errors.ts';
import { loginFinisher } from '../../src/login/finish-login.ts';
import type { LoginParts } from '../../src/login/login-parts.ts';
import { openSession } from '../../src/login/open-session.ts';
import { NO_METERS } from '../../src/meters.ts';
import { useClientAssertion } from '../../src/provider/client-assertion-store.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { hostileText, hostileValue, respelled } from './hostile.ts';

const RUNS = { numRuns: 60 };
const DOMAINS = ['acme.example', 'b\u00fccher.example'];

let gateway: TestGateway;
let connection: Connection;
beforeAll(async () => {
  gateway = await startTestGateway();
  const organization = await gateway.addOrganization('acme', {
    domains: DOMAINS,
    provisioning: 'just-in-time',
  });
  connection = await gateway.addJwtCallback(organization, { publicKey: rsaKeyPair().publicKey });
});
afterAll(() => gateway.close());

interface Claims {
  readonly subject: unknown;
  readonly email: unknown;
}

/** Id of the user that the claims sign in; undefined for nobody. Everything else that happens is a defect. */
async function userOf({ subject, email }: Claims): Promise<string | undefined> {
  const { database } = gateway;
  const parts = {
    database,
    finishLogin: loginFinisher(database),
    meters: NO_METERS,
    sessionTtlSeconds: 60,
    sessionIdleTtlSeconds: 60,
  } as LoginParts;
  try {
    const identity = verifiedIdentity(connection, { issuer: '', subject, email, name: undefined });
    const { id } = await openSession(parts, identity, {
      revision: connection.revision,
      users: USERS_OF_THE_ORGANIZATION,
      secretDigest: randomBytes(32),
      idleTtlSeconds: 60,
    });
    const [session] = await gateway.sql<{ user_id: string }>('SELECT user_id FROM sessions WHERE id = $1', [
      id,
    ]);
    return session?.user_id;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    expect(['token_invalid', 'email_not_allowed']).toContain(error.code);
    return undefined;
  }
}

/** Whom an address names, found by the URL standard's parser: A to Z are folded and nothing else. */
function personOf(email: string): string {
  const at = email.indexOf('@');
  const local = email
    .slice(0, at)
    .replace(/[A-Z]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) + 32));
  return `${local}@${new URL(`https://${email.slice(at + 1)}`).hostname}`;
}

describe('a person', () => {
  it('E-14 E-15 E-16 E-17 E-24 T-03 of two spellings is one user if and only if both name one', async () => {
    const email = fc
      .constantFrom(
        'ada@acme.example',
        "o'neil@b\u00fccher.example",
        "o'neil@xn--bcher-kva.example",
        '__proto__@acme.example',
      )
      .chain((text) => respelled(text, 2));
    let together = 0;
    await fc.assert(
      fc.asyncProperty(email, email, async (one, other) => {
        // As the custom JWT protocol names people, which knows them by nothing else.
        const found = [];
        for (const text of [one, other]) {
          const user = await userOf({ email: text, subject: text.includes('@') ? subjectOf(text) : text });
          found.push(user);
        }
        const [first, second] = found;
        if (first === undefined || second === undefined) return;
        together += 1;
        expect(first === second).toBe(personOf(one) === personOf(other));
      }),
      { numRuns: 120 },
    );
    expect(together).toBeGreaterThan(5);
  });

  it('V-04 T-04 of two subjects is one user if and only if they are the same to the letter', async () => {
    const subject = fc
      .constantFrom('ada', 'ADA', 'e\u0301ve', '\u00e9ve', '1', '__proto__', 'a:b')
      .chain((text) => respelled(text, 1));
    let people = 0;
    await fc.assert(
      fc.asyncProperty(subject, subject, async (one, other) => {
        people += 2;
        const first = await userOf({ subject: one, email: `person-${people}@acme.example` });
        const second = await userOf({ subject: other, email: `person-${people + 1}@acme.example` });
        if (first !== undefined && second !== undefined) expect(first === second).toBe(one === other);
      }),
      RUNS,
    );
  });

  it('E-01 O-14 V-07 of any claims is a user or nobody: nothing else is thrown, and the database takes every subject', async () => {
    const value = fc.oneof(hostileValue, hostileText(4), hostileText(200));
    await fc.assert(
      fc.asyncProperty(value, fc.boolean(), async (claim, isSubject) => {
        const email = `${randomUUID()}@acme.example`;
        const user = await userOf(
          isSubject ? { subject: claim, email } : { subject: randomUUID(), email: claim },
        );
        if (user !== undefined) expect(typeof claim).toBe('string');
      }),
      { numRuns: 150 },
    );
  });
});

/** What the custom JWT protocol names a person by: nothing but the canonical address, which is made here by the other parser. */
function subjectOf(email: string): string {
  try {
    return personOf(email);
  } catch {
    return email;
  }
}

describe("an application's assertion", () => {
  it('T-12 P-08 is used once, and is no other, whatever its client and its id are called', async () => {
    // One text cut at two places: joined again, both are the same.
    const pairs = fc.oneof(fc.constantFrom('app-2x', 'a:b:c', '__proto__'), hostileText(4)).chain((text) => {
      const cut = fc.nat({ max: text.length }).map((at) => [text.slice(0, at), text.slice(at)] as const);
      return fc.tuple(cut, cut);
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(pairs, async ([[client, id], [otherClient, otherId]]) => {
        run += 1;
        // The library's own name of an assertion.
        const use = (clientId: string, jti: string) =>
          useClientAssertion(
            gateway.database,
            {
              clientId: `${run} ${clientId}`,
              id: createHash('sha256').update(`${run} ${clientId}${jti}`).digest('base64url'),
            },
            60,
          );
        const isSame = client === otherClient && id === otherId;
        expect([await use(client, id), await use(client, id)]).toEqual([true, false]);
        expect(await use(otherClient, otherId)).toBe(!isSame);
      }),
      RUNS,
    );
  });
});
