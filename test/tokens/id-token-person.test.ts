/**
 * Whom an ID token speaks of: whom the application names, by the claim that the connection fixes; with an address that the issuer
 * vouches for, at a domain that this very organization proved.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { FailureCode } from '../../src/errors.ts';
import type { Organization } from '../../src/organizations/organization.ts';
import { expectTokenRefusal } from './token-refusal.ts';
import {
  ID_TOKEN_TYPE,
  idTokenOptions,
  startIssuer,
  startTokenScene,
  type Exchanged,
  type Issuer,
  type TokenScene,
} from './token-scene.ts';

type Claims = Readonly<Record<string, unknown>>;
type Mode = 'sub' | 'email' | 'trusting';

let scene: TokenScene;
let issuer: Issuer;
let globex: Organization;
let connections: Readonly<Record<Mode, string>>;
beforeAll(async () => {
  [scene, issuer] = await Promise.all([startTokenScene(), startIssuer()]);
  globex = await scene.gateway.addOrganization('globex');
  for (const name of ['ada', 'grace', 'mallory']) {
    await scene.gateway.addUser(scene.acme, `${name}@acme.example`, name);
  }
  connections = {
    sub: await scene.addConnection(idTokenOptions(issuer)),
    email: await scene.addConnection(idTokenOptions(issuer, 'email')),
    trusting: await scene.addConnection([...idTokenOptions(issuer, 'email'), '--trust-email', 'yes']),
  };
  // Everybody has signed in before, so that each is somebody at every connection.
  for (const mode of ['sub', 'email', 'trusting'] as const) {
    for (const name of ['ada', 'grace']) await userOf(await show(mode, person(name), {}));
  }
});
afterAll(async () => {
  await Promise.all([scene.close(), issuer.close()]);
});

const person = (name: string) => ({ sub: `${name}-1`, email: `${name}@acme.example` });
const ADA = person('ada');
/** Whose subject at the issuer is another one's address. */
const MALLORY = { sub: 'ada@acme.example', email: 'mallory@acme.example' };

let sent = 0;
const tokenOf = (claims: Claims) => issuer.idToken({ jti: String(++sent), ...claims });

/** Without a word of the application's, it names the person by the claim that the connection says. */
async function show(mode: Mode, claims: Claims, more: Readonly<Record<string, string | undefined>>) {
  return scene.exchange({
    subject_token: await tokenOf(claims),
    subject_token_type: ID_TOKEN_TYPE,
    connection: connections[mode],
    external_id: String(claims[mode === 'sub' ? 'sub' : 'email']),
    ...more,
  });
}

/** The address of whom a session is. */
const userOf = async (exchanged: Exchanged) => (await scene.userOf(exchanged)).email;

interface Refused {
  readonly code?: FailureCode;
  readonly reason: string;
}

const NOT = (claim: string): Refused => ({
  code: 'email_not_allowed',
  reason: `external_id is not the token's ${claim}`,
});
const UNVERIFIED: Refused = {
  code: 'email_not_allowed',
  reason: 'the issuer has not verified the address (email_verified)',
};

async function expectRefused(
  mode: Mode,
  claims: Claims,
  { external_id, ...expected }: Refused & { readonly external_id?: string },
): Promise<void> {
  const more = external_id === undefined ? {} : { external_id };
  await expectTokenRefusal(scene, () => show(mode, claims, more), {
    ...expected,
    connectionId: connections[mode],
  });
}

describe('V-03 who is named', () => {
  it.each<readonly [string, Mode, Claims]>([
    ['by the subject', 'sub', ADA],
    ['by the address', 'email', ADA],
    ['by the address as the token spells it', 'email', { ...ADA, email: 'Ada@ACME.example' }],
  ])('%s is signed in', async (_, mode, claims) => {
    expect(await userOf(await show(mode, claims, {}))).toBe('ada@acme.example');
  });

  it('by a subject that is another one’s address is signed in as nobody else', async () => {
    expect(await userOf(await show('sub', MALLORY, {}))).toBe('mallory@acme.example');
  });

  it.each<readonly [string, Mode, Claims, string]>([
    ["another one's subject", 'sub', ADA, 'grace-1'],
    ["another one's address", 'sub', ADA, 'grace@acme.example'],
    ['their own address, where the subject counts', 'sub', ADA, 'ada@acme.example'],
    ["another one's address", 'email', ADA, 'grace@acme.example'],
    ["another one's subject", 'email', ADA, 'grace-1'],
    ['their own subject, where the address counts', 'email', ADA, 'ada-1'],
    ['their own subject, which is the address of another', 'email', MALLORY, MALLORY.sub],
    ['their own subject, which is the address of another', 'trusting', MALLORY, MALLORY.sub],
    ['the name of a claim', 'sub', ADA, 'sub'],
    ['what every object inherits', 'sub', ADA, 'constructor'],
  ])('by %s (%s) is refused', async (_, mode, claims, external_id) => {
    await expectRefused(mode, claims, { ...NOT(mode === 'sub' ? 'sub' : 'email'), external_id });
  });

  it.each(['', undefined])('by %j is not named at all', async (external_id) => {
    expect(await show('sub', ADA, { external_id })).toMatchObject({
      status: 400,
      body: { error: 'invalid_request', error_description: 'external_id is missing' },
    });
  });
});

describe('V-04 an external_id that is nearly right', () => {
  const accented = { sub: 'ad\u00e1-1', email: 'ada@acme.example' };
  it.each<readonly [string, Mode, Claims, string]>([
    ['in other letters', 'sub', ADA, 'ADA-1'],
    ['in other letters', 'email', ADA, 'Ada@acme.example'],
    ['canonical where the token is not', 'email', { ...ADA, email: 'Ada@acme.example' }, 'ada@acme.example'],
    ['decomposed', 'sub', accented, accented.sub.normalize('NFD')],
    ['with a space after it', 'sub', ADA, 'ada-1 '],
    ['with a space before it', 'sub', ADA, ' ada-1'],
    ['with a line feed', 'sub', ADA, 'ada-1\n'],
    ['with nothing visible after it', 'sub', ADA, 'ada-1\u200b'],
    ['cut short', 'sub', ADA, 'ada-'],
    ['with a dot after it', 'email', ADA, 'ada@acme.example.'],
  ])('%s (%s) is refused', async (_, mode, claims, external_id) => {
    await expectRefused(mode, claims, { ...NOT(mode === 'sub' ? 'sub' : 'email'), external_id });
  });
});

describe('V-05 email_verified', () => {
  it.each<readonly [unknown, readonly Mode[]]>([
    [true, ['sub', 'email', 'trusting']],
    ['true', ['sub', 'email', 'trusting']],
    // An issuer that says nothing is believed where the subject names the person, or where the operator says so.
    [undefined, ['sub', 'trusting']],
    ...[false, 'false', 'TRUE', 0, 1, null, [], [true], {}, ''].map((word) => [word, []] as const),
  ])('%j is enough for %j', async (email_verified, modes) => {
    for (const mode of ['sub', 'email', 'trusting'] as const) {
      const claims = { ...ADA, email_verified };
      if (modes.includes(mode)) expect(await userOf(await show(mode, claims, {}))).toBe(ADA.email);
      else await expectRefused(mode, claims, UNVERIFIED);
    }
  });
});

describe('the address', () => {
  it.each<readonly [string, unknown, Refused]>([
    ['missing', undefined, { code: 'email_not_allowed', reason: 'no email claim' }],
    ...[
      null,
      '',
      7,
      [],
      ['ada@acme.example'],
      {},
      'ada',
      'ada@acme.example ',
      'ada@acme.example,b@acme.example',
    ].map(
      (email) => [JSON.stringify(email), email, { reason: 'the e-mail claim is not an address' }] as const,
    ),
    [
      'T-02 at a domain of nobody',
      'ada@nobody.example',
      { code: 'email_not_allowed', reason: "the organization has not proved the address's domain" },
    ],
    [
      'at a domain below the proved one',
      'ada@mail.acme.example',
      { code: 'email_not_allowed', reason: "the organization has not proved the address's domain" },
    ],
    ['of nobody', 'nobody@acme.example', { code: 'user_not_provisioned', reason: 'there is no such user' }],
  ])('%s is refused', async (_, email, expected) => {
    await expectRefused('sub', { sub: 'new-1', email }, expected);
  });

  it('T-01 of another organization’s user is refused, and its organization hears nothing', async () => {
    await scene.gateway.addUser(globex, 'victim@globex.example');
    await expectRefused(
      'sub',
      { sub: 'victim-1', email: 'victim@globex.example' },
      {
        code: 'email_not_allowed',
        reason: "the organization has not proved the address's domain",
      },
    );
  });

  it('T-03 at a domain that is not proved is refused, though the organization has such a user', async () => {
    await scene.gateway.addUser(scene.acme, 'guest@guests.example');
    await expectRefused(
      'sub',
      { sub: 'guest-1', email: 'guest@guests.example' },
      {
        code: 'email_not_allowed',
        reason: "the organization has not proved the address's domain",
      },
    );
  });

  it('T-05 of somebody who signs in there with another subject is refused', async () => {
    await expectRefused(
      'sub',
      { sub: 'ada-2', email: ADA.email },
      {
        code: 'email_not_allowed',
        reason: 'identity conflict: the user of this address signs in here with another subject',
      },
    );
  });

  it('T-09 at a domain whose proof is removed is refused, until it is proved again', async () => {
    await scene.command.json(['domain', 'remove', 'acme.example', '--yes']);
    await expectRefused('sub', ADA, {
      code: 'email_not_allowed',
      reason: "the organization has not proved the address's domain",
    });
    await scene.command.json(['domain', 'add', 'acme', 'acme.example', '--verified']);
    expect(await userOf(await show('sub', ADA, {}))).toBe(ADA.email);
  });

  it('of a disabled user is refused, until they are enabled', async () => {
    await scene.command.json(['user', 'disable', 'acme', ADA.email, '--yes']);
    await expectRefused('sub', ADA, { code: 'user_disabled', reason: 'the user is disabled' });
    await scene.command.json(['user', 'enable', 'acme', ADA.email]);
    expect(await userOf(await show('sub', ADA, {}))).toBe(ADA.email);
  });

  it('may change for a subject that is known, and is somebody else’s for none', async () => {
    await scene.gateway.addUser(scene.acme, 'joan@acme.example');
    const joan = { sub: 'joan-1', email: 'joan@acme.example' };
    await userOf(await show('sub', joan, {}));
    expect(await userOf(await show('sub', { ...joan, email: 'joan.b@acme.example' }, {}))).toBe(
      'joan.b@acme.example',
    );
    await expectRefused(
      'sub',
      { ...joan, email: ADA.email },
      {
        code: 'email_not_allowed',
        reason: 'the person has a new address, and another user has it',
      },
    );
  });
});

it('T-04 one subject at two connections is two identities, each its own user’s', async () => {
  await scene.gateway.addUser(scene.acme, 'one@acme.example');
  await scene.gateway.addUser(scene.acme, 'two@acme.example');
  const sub = 'shared-subject';
  expect(await userOf(await show('sub', { sub, email: 'one@acme.example' }, {}))).toBe('one@acme.example');
  expect(await userOf(await show('email', { sub, email: 'two@acme.example' }, {}))).toBe('two@acme.example');
});
