/** A callback token's claims: it lives for minutes, from now, and says whom it is from and for where that is registered. */
import { afterAll, beforeAll, describe } from '@jest/globals';
import { refusesEach } from './jwt-refusals.ts';
import { openJwtScene, type BadToken, type JwtScene } from './jwt-scene.ts';
import { HEADER, makeToken, payloadText, signedBy, SOMEBODY, type Forge } from './jwt-tokens.ts';

/** Claims in a rightly signed token; those that are undefined are absent. */
const claiming =
  (claims: (nowSeconds: number) => object) =>
  ({ token, nowSeconds }: Forge) =>
    token(claims(nowSeconds()));

/** The payload's text, for what JSON.stringify cannot write. */
const spelled =
  (payload: (nowSeconds: number) => string) =>
  ({ key, nowSeconds }: Forge) =>
    makeToken({ header: HEADER, payload: payload(nowSeconds()), signer: signedBy(key) });

const over = { status: 400, code: 'token_expired' } as const;

const ends: readonly BadToken[] = [
  { id: 'J-17', what: 'no exp', token: claiming(() => ({ exp: undefined })), reason: /no exp/ },
  {
    id: 'J-17',
    what: 'Exp',
    token: claiming((now) => ({ exp: undefined, Exp: now + 60 })),
    reason: /no exp/,
  },
  {
    id: 'J-17',
    what: 'exp only inside __proto__',
    token: spelled((now) => `{"email":"${SOMEBODY}","__proto__":{"exp":${now + 60}}}`),
    reason: /no exp/,
  },
  ...[1, 31, 3_600].map((seconds) => ({
    id: 'J-18',
    what: `exp ${seconds} s ago`,
    token: claiming((now) => ({ exp: now - seconds })),
    ...over,
  })),
  { id: 'J-18', what: 'exp just now', token: claiming((now) => ({ exp: now })), ...over },
  ...['"soon"', 'null', '[1]', '{}', 'true', '1e999', '"0x7fffffff"'].map((exp) => ({
    id: 'J-19',
    what: `exp ${exp}`,
    token: spelled(() => `{"email":"${SOMEBODY}","exp":${exp}}`),
    reason: /exp is not a number/,
  })),
  {
    id: 'J-19',
    what: 'exp as a text of digits',
    token: claiming((now) => ({ exp: String(now + 60) })),
    reason: /exp is not a number/,
  },
  {
    id: 'J-19',
    what: 'exp in an array',
    token: claiming((now) => ({ exp: [now + 60] })),
    reason: /exp is not a number/,
  },
  ...[
    ['in milliseconds', (now: number) => now * 1000],
    ['1e30', () => 1e30],
    ['the largest number', () => Number.MAX_VALUE],
    ['2^53', () => 2 ** 53],
    ['601 s ahead', (now: number) => now + 601],
    ['an hour ahead', (now: number) => now + 3_600],
    ['a day ahead', (now: number) => now + 86_400],
    ['600.5 s ahead', (now: number) => now + 600.5],
    ['2147483648 while that is far away', () => 2 ** 31],
  ].map(([what, exp]) => ({
    id: 'J-20',
    what: `exp ${String(what)}`,
    token: claiming((now) => ({ exp: (exp as (now: number) => number)(now) })),
    reason: /lifetime too long/,
  })),
  ...[0, -1, -(2 ** 31), 1e-7, -Number.MAX_VALUE].map((exp) => ({
    id: 'J-21',
    what: `exp ${exp}`,
    token: claiming(() => ({ exp })),
    ...over,
  })),
];

const NOT_NUMBERS = ['"1"', 'null', '[]', '{}', 'false', '1e999'];

const starts: readonly BadToken[] = [
  ...[31, 3_600, 31_536_000].map((seconds) => ({
    id: 'J-22',
    what: `iat ${seconds} s ahead`,
    token: claiming((now) => ({ iat: now + seconds })),
    reason: /iat is in the future/,
  })),
  ...[601, 86_400, 604_800].map((seconds) => ({
    id: 'J-22',
    what: `iat ${seconds} s ago`,
    token: claiming((now) => ({ iat: now - seconds })),
    reason: /iat is more than ten minutes ago/,
  })),
  { id: 'J-22', what: 'iat 0', token: claiming(() => ({ iat: 0 })) },
  { id: 'J-22', what: 'iat in milliseconds', token: claiming((now) => ({ iat: now * 1000 })) },
  ...[31, 3_600].map((seconds) => ({
    id: 'J-23',
    what: `nbf ${seconds} s ahead`,
    token: claiming((now) => ({ nbf: now + seconds })),
    reason: /nbf is in the future/,
  })),
  ...['iat', 'nbf'].flatMap((name) =>
    NOT_NUMBERS.map((value) => ({
      id: 'J-24',
      what: `${name} ${value}`,
      token: spelled((now) => payloadText({ email: SOMEBODY, exp: now + 60 }, `"${name}":${value}`)),
      reason: new RegExp(`${name} is not a number`),
    })),
  ),
];

const GRACE = 'grace@acme.example';

const members: readonly BadToken[] = [
  ...[
    `"email":"${GRACE}"`,
    `"email":"${SOMEBODY}"`,
    `"\\u0065mail":"${GRACE}"`,
    '"email":null',
    '"exp":1',
    `"sub":"a","sub":"b"`,
    `"deep":{"a":1,"a":2}`,
    `"deep":[{"a":1,"\\u0061":2}]`,
  ].map((more) => ({
    id: 'J-26',
    what: `a repeated member: ${more}`,
    token: spelled((now) => payloadText({ email: SOMEBODY, exp: now + 60 }, more)),
    reason: /repeats a member/,
  })),
  ...['Email', 'EMAIL', 'e-mail', 'mail', 'email ', 'sub', 'upn', 'preferred_username'].map((name) => ({
    id: 'J-26',
    what: `an address only in ${JSON.stringify(name)}`,
    token: claiming(() => ({ email: undefined, [name]: SOMEBODY })),
  })),
  ...[`"__proto__":{"email":"${SOMEBODY}"}`, `"constructor":{"prototype":{"email":"${SOMEBODY}"}}`].map(
    (more) => ({
      id: 'J-26',
      what: `an address only in ${more}`,
      token: spelled((now) => payloadText({ exp: now + 60 }, more)),
    }),
  ),
  ...[1, null, [], ['a'], {}, true].map((jti) => ({
    id: 'J-30',
    what: `jti ${JSON.stringify(jti)}`,
    token: claiming(() => ({ jti })),
  })),
];

const ISSUER = 'https://idp.acme.example';
const AUDIENCE = 'gatehouse-test';
const right = { iss: ISSUER, aud: AUDIENCE };

const parties: readonly BadToken[] = [
  ...[undefined, '', null, `${ISSUER}/`, ISSUER.toUpperCase(), [ISSUER], { [ISSUER]: 1 }, `${ISSUER} `].map(
    (iss) => ({
      id: 'J-36',
      what: `iss ${JSON.stringify(iss)} where ${ISSUER} is registered`,
      token: claiming(() => ({ ...right, iss })),
      reason: /another issuer/,
    }),
  ),
  ...[
    undefined,
    '',
    null,
    [],
    `${AUDIENCE}2`,
    AUDIENCE.toUpperCase(),
    ['other'],
    [[AUDIENCE]],
    { [AUDIENCE]: 1 },
  ].map((aud) => ({
    id: 'J-36',
    what: `aud ${JSON.stringify(aud)} where ${AUDIENCE} is registered`,
    token: claiming(() => ({ ...right, aud })),
    reason: /another audience/,
  })),
];

/** Where no audience is registered, a token for somebody else is still not for us. */
const audiences: readonly BadToken[] = [
  '',
  null,
  [],
  {},
  'https://other.example',
  ['https://other.example'],
  'http://localhost',
  true,
].map((aud) => ({
  id: 'J-36',
  what: `aud ${JSON.stringify(aud)} where none is registered`,
  token: claiming(() => ({ aud })),
  reason: /names an audience/,
}));

describe("a callback token's claims", () => {
  let scene: JwtScene;
  beforeAll(async () => {
    scene = await openJwtScene({ people: [SOMEBODY, GRACE] });
  });
  afterAll(() => scene.close());

  describe('its end', () => {
    refusesEach(() => scene, ends);
  });
  describe('its start', () => {
    refusesEach(() => scene, starts);
  });
  describe('its members', () => {
    refusesEach(() => scene, members);
  });
  describe('its audience, which nobody registered', () => {
    refusesEach(() => scene, audiences);
  });
});

describe('a callback token whose issuer and audience are registered', () => {
  let scene: JwtScene;
  beforeAll(async () => {
    scene = await openJwtScene({ issuer: ISSUER, audience: AUDIENCE });
  });
  afterAll(() => scene.close());

  refusesEach(() => scene, parties);
});
