/** The claims of an ID token: from the issuer, for the audience, an ID token, of somebody, good now, and once. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { FailureCode } from '../../src/errors.ts';
import { expectRefusedAnswer, expectTokenRefusal } from './token-refusal.ts';
import {
  AUDIENCE,
  ID_TOKEN_TYPE,
  idTokenOptions,
  startIssuer,
  startTokenScene,
  type Issuer,
  type TokenScene,
} from './token-scene.ts';

type Claims = Readonly<Record<string, unknown>>;

let scene: TokenScene;
let issuer: Issuer;
let connectionId: string;
beforeAll(async () => {
  [scene, issuer] = await Promise.all([startTokenScene(), startIssuer()]);
  connectionId = await scene.addConnection(idTokenOptions(issuer));
});
afterAll(async () => {
  await Promise.all([scene.close(), issuer.close()]);
});

let people = 0;
/** Somebody who has not signed in yet: each has a subject and an address of their own. */
async function newPerson(): Promise<{ readonly sub: string; readonly email: string }> {
  const name = `person-${++people}`;
  await scene.gateway.addUser(scene.acme, `${name}@acme.example`);
  return { sub: name, email: `${name}@acme.example` };
}

interface Shown {
  readonly claims?: Claims;
  readonly header?: Claims;
  readonly more?: Readonly<Record<string, string>>;
}

/** What an application sends for a new person, whose token has other claims or header members. */
async function formOf(row: Shown | (() => Shown)): Promise<Readonly<Record<string, string>>> {
  const { claims = {}, header = {}, more = {} } = typeof row === 'function' ? row() : row;
  const person = await newPerson();
  const subject_token = await issuer.idToken({ ...person, ...claims }, { header });
  const { sub } = claims;
  const external_id = typeof sub === 'string' && sub !== '' ? sub : person.sub;
  return { subject_token, subject_token_type: ID_TOKEN_TYPE, external_id, ...more };
}

/** What it is, what is shown, and why it is refused. */
type Row = readonly [string, Shown | (() => Shown), (RegExp | string)?];

function refusesEach(
  rows: readonly Row[],
  usual: RegExp | string,
  code: FailureCode = 'token_invalid',
): void {
  it.each(rows)('%s is refused', async (_, row, reason = usual) => {
    const form = await formOf(row);
    await expectTokenRefusal(scene, () => scene.exchange(form), { code, reason, connectionId });
  });
}

function takesEach(rows: readonly Row[]): void {
  it.each(rows)('%s is exchanged', async (_, row) => {
    expect(await scene.exchange(await formOf(row))).toMatchObject({ status: 200 });
  });
}

const seconds = (fromNow: number) => Math.floor(Date.now() / 1000) + fromNow;
const DAY = 24 * 60 * 60;

describe('the issuer', () => {
  takesEach([['V-01 the one that was registered', {}]]);
  refusesEach(
    [
      ['V-01 another', () => ({ claims: { iss: `${issuer.origin}1` } })],
      ['V-01 with a slash at the end', () => ({ claims: { iss: `${issuer.origin}/` } })],
      ['V-01 in other letters', () => ({ claims: { iss: issuer.origin.toUpperCase() } })],
      ['V-01 of another scheme', () => ({ claims: { iss: issuer.origin.replace('http', 'https') } })],
      ['V-01 of another tenant', () => ({ claims: { iss: `${issuer.origin}/another-tenant` } })],
      ['V-01 of any tenant', () => ({ claims: { iss: `${issuer.origin}/{tenantid}` } })],
      ['V-01 with a space', () => ({ claims: { iss: ` ${issuer.origin}` } })],
      ['V-01 with a line feed', () => ({ claims: { iss: `${issuer.origin}\n` } })],
      ['V-01 in a list', () => ({ claims: { iss: [issuer.origin] } })],
      ['V-01 none', { claims: { iss: undefined } }],
      ['V-01 null', { claims: { iss: null } }],
      ['V-01 an empty text', { claims: { iss: '' } }],
    ],
    'another issuer (iss)',
  );
});

describe('the audience', () => {
  takesEach([
    ['V-02 the one that was registered', {}],
    ['V-02 the one, in a list', { claims: { aud: [AUDIENCE] } }],
    ['V-02 the one, also as azp', { claims: { azp: AUDIENCE } }],
  ]);
  refusesEach(
    [
      ['V-02 none', { claims: { aud: undefined } }],
      ['V-02 null', { claims: { aud: null } }],
      ['V-02 another', { claims: { aud: `${AUDIENCE}1` } }],
      ['V-02 in other letters', { claims: { aud: AUDIENCE.toUpperCase() } }],
      ['V-02 the beginning of it', { claims: { aud: AUDIENCE.slice(0, -1) } }],
      ['V-02 two in one text', { claims: { aud: `${AUDIENCE} another` } }],
      ['V-02 an empty list', { claims: { aud: [] } }],
      ['V-02 a list without it', { claims: { aud: ['another'] } }],
      ['V-02 a list with it and another', { claims: { aud: [AUDIENCE, 'another'] } }],
      ['V-02 a list with it and another, azp it', { claims: { aud: [AUDIENCE, 'another'], azp: AUDIENCE } }],
      ['V-02 a list with it twice', { claims: { aud: [AUDIENCE, AUDIENCE] } }],
      ['V-02 a list in a list', { claims: { aud: [[AUDIENCE]] } }],
      ['V-02 an object', { claims: { aud: { [AUDIENCE]: true } } }],
    ],
    'another audience (aud)',
  );
  refusesEach(
    [
      ['V-02 azp of another client', { claims: { azp: 'another' } }],
      ['V-02 azp in a list', { claims: { azp: [AUDIENCE] } }],
      ['V-02 azp empty', { claims: { azp: '' } }],
      ['V-02 azp null', { claims: { azp: null } }],
    ],
    'the token was issued for another client (azp)',
  );
});

describe('the kind of token', () => {
  takesEach([
    ['V-06 without typ', { header: { typ: undefined } }],
    ['V-06 typ in small letters', { header: { typ: 'jwt' } }],
    ['V-06 the media type whole', { header: { typ: 'application/JWT' } }],
    ['V-06 that calls itself an ID token', { claims: { typ: 'ID', token_use: 'id' } }],
  ]);
  refusesEach(
    [
      'at+jwt',
      'application/at+jwt',
      'logout+jwt',
      'secevent+jwt',
      'userinfo+jwt',
      'JOSE',
      'JWT ',
      '',
      7,
      null,
    ].map((typ): Row => [`V-06 typ ${JSON.stringify(typ)}`, { header: { typ } }]),
    'the token is of another type',
  );
  refusesEach(
    [
      ['V-06 an access token by token_use', { claims: { token_use: 'access' } }],
      ['V-06 token_use null', { claims: { token_use: null } }],
      ['V-06 a bearer token by typ', { claims: { typ: 'Bearer' } }],
      ['V-06 a logout token by typ', { claims: { typ: 'Logout' } }],
      ['V-06 an access token by scope', { claims: { scope: 'openid email' } }],
      ['V-06 an access token by scp', { claims: { scp: ['openid'] } }],
      [
        'V-06 a logout token',
        { claims: { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } } },
      ],
    ],
    /^the token (is for another use|is of another type|has (events|scope|scp), which)/,
  );
  refusesEach(
    [['V-06 a signed answer of userinfo', { claims: { exp: undefined, iat: undefined } }]],
    'the token has no exp or no iat',
  );
});

describe('the subject', () => {
  takesEach([
    ['V-07 of 255 characters', { claims: { sub: 's'.repeat(255) } }],
    ['V-07 spelled like a member of every object', { claims: { sub: '__proto__' } }],
    ['V-07 with letters beyond ASCII', { claims: { sub: 'ädä|å' } }],
  ]);
  refusesEach(
    [undefined, null, '', ' ', 7, 0, true, [], ['a'], {}, 's'.repeat(256), 'a\nb'].map((sub): Row => [
      `V-07 ${sub === undefined ? 'none' : JSON.stringify(sub).slice(0, 12)}`,
      { claims: { sub } },
    ]),
    'the subject is not usable',
  );
  refusesEach(
    [['V-07 a NUL in it', { claims: { sub: 'a\u0000b' }, more: { external_id: 'somebody' } }]],
    'the subject is not usable',
  );
  refusesEach(
    [['V-07 half a character', { claims: { sub: 'a\ud800' }, more: { external_id: 'somebody' } }]],
    'the token is not unambiguous JSON',
  );
});

describe('the nonce', () => {
  takesEach([
    ['V-08 the one that the application sent', { claims: { nonce: 'n-1' }, more: { nonce: 'n-1' } }],
    ['V-08 that the application does not name', { claims: { nonce: 'n-1' } }],
  ]);
  refusesEach(
    [
      ['V-08 none where one was sent', { more: { nonce: 'n-1' } }],
      ['V-08 another', { claims: { nonce: 'n-2' }, more: { nonce: 'n-1' } }],
      ['V-08 in a list', { claims: { nonce: ['n-1'] }, more: { nonce: 'n-1' } }],
      ['V-08 a number', { claims: { nonce: 1 }, more: { nonce: '1' } }],
    ],
    'another nonce',
  );
});

describe('the time', () => {
  takesEach([
    ['V-09 exp 20 s ago, within the tolerance', () => ({ claims: { exp: seconds(-20) } })],
    ['V-09 exp in 23 hours', () => ({ claims: { exp: seconds(DAY - 3600) } })],
    ['V-09 iat 23 hours ago', () => ({ claims: { iat: seconds(3600 - DAY) } })],
    ['V-09 iat in 20 s, within the tolerance', () => ({ claims: { iat: seconds(20) } })],
    ['V-09 nbf now', () => ({ claims: { nbf: seconds(0) } })],
    ['V-09 times with fractions', () => ({ claims: { exp: seconds(60) + 0.5, iat: seconds(-1) - 0.5 } })],
  ]);
  refusesEach(
    [
      ['V-09 exp 31 s ago', () => ({ claims: { exp: seconds(-31) } })],
      ['V-09 exp 0', { claims: { exp: 0 } }],
      ['V-09 exp negative', { claims: { exp: -1 } }],
    ],
    'exp has passed',
    'token_expired',
  );
  refusesEach(
    [
      ['V-09 no exp', { claims: { exp: undefined } }, 'the token has no exp or no iat'],
      ['V-09 no iat', { claims: { iat: undefined } }, 'the token has no exp or no iat'],
      ['V-09 exp in milliseconds', () => ({ claims: { exp: Date.now() } }), 'exp is more than a day ahead'],
      ['V-09 exp 1e30', { claims: { exp: 1e30 } }, 'exp is more than a day ahead'],
      [
        'V-09 exp in 25 hours',
        () => ({ claims: { exp: seconds(DAY + 3600) } }),
        'exp is more than a day ahead',
      ],
      [
        'V-09 iat a week ago',
        () => ({ claims: { iat: seconds(-7 * DAY) } }),
        'the token is more than a day old (iat)',
      ],
      ['V-09 iat in 40 s', () => ({ claims: { iat: seconds(40) } }), 'the token is from the future (iat)'],
      [
        'V-09 iat in a year',
        () => ({ claims: { iat: seconds(365 * DAY) } }),
        'the token is from the future (iat)',
      ],
      ['V-09 nbf in 40 s', () => ({ claims: { nbf: seconds(40) } }), 'the token is not good yet (nbf)'],
      ...['exp', 'iat', 'nbf'].flatMap((name) =>
        ['soon', String(seconds(60)), null, [], {}, true].map((value): Row => [
          `V-09 ${name} ${JSON.stringify(value).slice(0, 6)}`,
          { claims: { [name]: value } },
          `${name} is not a number`,
        ]),
      ),
    ],
    '',
  );
});

describe('V-08 a token', () => {
  const once = () => formOf({});
  const replayed = { code: 'token_replayed', reason: 'the token was used before' } as const;

  it('is good once', async () => {
    const form = await once();
    expect(await scene.exchange(form)).toMatchObject({ status: 200 });
    await expectTokenRefusal(scene, () => scene.exchange(form), { ...replayed, connectionId });
  });

  it('is good once, of ten who show it at once on two nodes', async () => {
    const second = await scene.gateway.startNode();
    const form = await once();
    const before = await scene.gateway.sql('SELECT id FROM sessions');
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        scene.exchange(form, undefined, index % 2 === 0 ? scene.gateway.port : second.port),
      ),
    );
    await second.close();
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    for (const answer of answers) if (answer.status !== 200) expectRefusedAnswer(answer, 'token_replayed');
    expect(await scene.gateway.sql('SELECT id FROM sessions')).toHaveLength(before.length + 1);
  });

  it('is not used up by a request that is refused', async () => {
    const form = await once();
    for (const more of [{ nonce: 'another' }, { external_id: 'somebody else' }, { connection: 'another' }]) {
      expect(await scene.exchange({ ...form, ...more })).toMatchObject({ status: 400 });
    }
    expect(await scene.exchange({ ...form, scope: 'nothing' })).toMatchObject({
      body: { error: 'invalid_scope' },
    });
    expect(await scene.exchange({ ...form, resource: 'https://api.vendor.example' })).toMatchObject({
      body: { error: 'invalid_target' },
    });
    expect(await scene.exchange(form)).toMatchObject({ status: 200 });
  });

  it('is used up at every connection of its organization', async () => {
    const twin = await scene.addConnection(idTokenOptions(issuer));
    const form = await once();
    expect(await scene.exchange({ ...form, connection: connectionId })).toMatchObject({ status: 200 });
    await expectTokenRefusal(scene, () => scene.exchange({ ...form, connection: twin }), {
      ...replayed,
      connectionId: twin,
    });
    await scene.command.json(['connection', 'remove', twin, '--yes']);
  });
});
