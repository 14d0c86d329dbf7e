/** A callback token's signature: by a registered key of this very organization, over these very bytes. */
import { createHash, privateEncrypt, constants } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { rsaKeyPair } from '../support/test-gateway.ts';
import { refusesEach } from './jwt-refusals.ts';
import {
  expectSignedIn,
  openJwtScene,
  startedVisitor,
  Visitor,
  type BadToken,
  type JwtScene,
} from './jwt-scene.ts';
import { encodePart, HEADER, makeToken, signedBy, withSignature, type Forge } from './jwt-tokens.ts';
import { expectRefusal } from './refusal.ts';

/** The signature with one bit of one byte turned. */
const flipped =
  (byte: number) =>
  ({ token }: Forge) =>
    withSignature(token(), (signature) => {
      const bytes = Buffer.from(signature, 'base64url');
      const at = byte < 0 ? bytes.length + byte : byte;
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      return bytes.toString('base64url');
    });

const resigned = (change: (signature: Buffer) => Buffer) => (forge: Forge) =>
  withSignature(forge.token(), (text) => change(Buffer.from(text, 'base64url')).toString('base64url'));

/** A signature made of a padded block that only a careless check takes (PKCS #1 v1.5 without a strict comparison). */
const blockOf = (block: (digest: Buffer) => Buffer) => (forge: Forge) =>
  makeToken({
    payload: forge.claims(),
    signer: (signed) => {
      const digest = createHash('sha256').update(signed).digest();
      const padding = constants.RSA_NO_PADDING;
      return privateEncrypt({ key: forge.key, padding }, block(digest)).toString('base64url');
    },
  });

const SHA256_PREFIX = Buffer.from('3031300d060960864801650304020105000420', 'hex');
const zeros = (length: number) => Buffer.alloc(length);
const ones = (length: number) => Buffer.alloc(length, 0xff);

const signatures: readonly BadToken[] = [
  { id: 'J-03', what: "the signature's first bit flipped", token: flipped(0) },
  { id: 'J-03', what: "the signature's last bit flipped", token: flipped(-1) },
  { id: 'J-03', what: 'no signature', token: ({ token }) => withSignature(token(), () => '') },
  { id: 'J-03', what: 'a signature of zeros', token: resigned(({ length }) => zeros(length)) },
  { id: 'J-03', what: 'a signature of one byte', token: resigned(() => zeros(1)) },
  { id: 'J-03', what: 'a signature cut short', token: resigned((bytes) => bytes.subarray(0, -1)) },
  {
    id: 'J-03',
    what: 'a signature with a zero before',
    token: resigned((b) => Buffer.concat([zeros(1), b])),
  },
  {
    id: 'J-03',
    what: 'a signature with a zero behind',
    token: resigned((b) => Buffer.concat([b, zeros(1)])),
  },
  {
    id: 'J-03',
    what: "another key's signature",
    token: ({ claims, strangerKey }) => makeToken({ payload: claims(), signer: signedBy(strangerKey) }),
  },
  {
    id: 'J-03',
    what: "one token's signature under another's payload",
    token: ({ token, claims }) => {
      const [header, , signature] = token().split('.');
      return [header, encodePart(claims({ email: 'grace@acme.example' })), signature].join('.');
    },
  },
  {
    id: 'J-03',
    what: 'header and payload exchanged',
    token: ({ token }) => {
      const [header, payload, signature] = token().split('.');
      return [payload, header, signature].join('.');
    },
  },
  {
    id: 'J-03',
    what: 'a signature over the payload alone',
    token: ({ claims, key }) => {
      const payload = claims();
      const sign = signedBy(key);
      return makeToken({ payload, signer: () => sign(encodePart(payload)) });
    },
  },
  {
    id: 'J-03',
    what: 'another spelling of the same header under its signature',
    token: ({ token }) => {
      const [, payload, signature] = token().split('.');
      return [encodePart('{"typ":"JWT", "alg":"RS256"}'), payload, signature].join('.');
    },
  },
  {
    id: 'J-03',
    what: 'a padded block with garbage after the digest',
    token: blockOf((digest) =>
      Buffer.concat([Buffer.from([0, 1]), ones(8), zeros(1), SHA256_PREFIX, digest, zeros(256 - 11 - 51)]),
    ),
  },
  {
    id: 'J-03',
    what: 'a padded block without the name of its hash',
    token: blockOf((digest) => Buffer.concat([Buffer.from([0, 1]), ones(256 - 3 - 32), zeros(1), digest])),
  },
];

/** Tokens that the customer's key, or ours, signed for another purpose. */
const borrowed: readonly BadToken[] = [
  {
    id: 'J-36',
    what: "an ID token of the customer's for another client",
    token: ({ token }) =>
      token({ iss: 'https://idp.acme.example', aud: 'their-intranet', sub: 'ada', nonce: 'n' }),
  },
  {
    id: 'J-36',
    what: "an ID token of the customer's for several clients",
    token: ({ token }) => token({ aud: ['their-intranet', 'their-wiki'], azp: 'their-wiki' }),
  },
  {
    id: 'J-36',
    what: 'a logout token',
    token: ({ token }) =>
      token(
        { aud: 'gatehouse', events: { 'http://schemas.openid.net/event/backchannel-logout': {} } },
        { alg: 'RS256', typ: 'logout+jwt' },
      ),
  },
  {
    id: 'J-36',
    what: 'a logout token that says it is a JWT',
    token: ({ token }) =>
      token({ aud: 'gatehouse', events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }),
  },
  {
    id: 'J-36',
    what: 'a client assertion',
    token: ({ token }) => token({ iss: 'client', sub: 'client', aud: 'https://idp.acme.example/token' }),
  },
  {
    id: 'J-36',
    what: 'an access token of the customer',
    token: ({ token }) =>
      token({ aud: 'https://api.acme.example', scope: 'all' }, { ...HEADER, typ: 'at+jwt' }),
  },
];

describe("a callback token's signature", () => {
  let scene: JwtScene;
  beforeAll(async () => {
    scene = await openJwtScene();
  });
  afterAll(() => scene.close());

  refusesEach(() => scene, signatures);

  describe('made for another purpose', () => {
    refusesEach(() => scene, borrowed);
  });

  it('J-36 refuses the cookies of a sign-in and of a session as a token', async () => {
    const { gateway, forge } = scene;
    const visitor = await startedVisitor(scene);
    const attempt = visitor.cookieHeader.split('=')[1] ?? '';
    expectSignedIn(await visitor.deliver(forge.token()));
    const session = visitor.cookieHeader.split('=')[1] ?? '';
    for (const text of [attempt, session]) {
      await expectRefusal(gateway, () => visitor.deliver(text), { status: 400, code: 'malformed_request' });
    }
  });

  it("J-34 refuses one organization's token on another's path, and in a browser that started there", async () => {
    const { gateway, forge } = scene;
    const other = await gateway.addOrganization('brand');
    const { publicKey, privateKey } = rsaKeyPair();
    await gateway.addJwtCallback(other, { publicKey });
    await gateway.addUser(other, 'grace@brand.example');
    const expected = { status: 401, code: 'token_invalid' } as const;
    const visitor = await startedVisitor(scene, 'grace@brand.example');
    for (const email of ['ada@acme.example', 'grace@brand.example']) {
      const token = forge.token({ email });
      const toBrand = () => visitor.deliver(token, { domain: 'brand.example' });
      const { event } = await expectRefusal(gateway, toBrand, expected);
      expect(event?.organization_id).toBe(other.id);
    }
    const brands = makeToken({
      payload: forge.claims({ email: 'grace@brand.example' }),
      signer: signedBy(privateKey),
    });
    // Brand's attempt is none of Acme's, so this is a token that nobody asked for, by a key that is not Acme's.
    await expectRefusal(gateway, () => visitor.deliver(brands), expected);
    await expectRefusal(gateway, () => new Visitor(gateway).deliver(brands), expected);
    expectSignedIn(await visitor.deliver(brands, { domain: 'brand.example' }));
  });
});
