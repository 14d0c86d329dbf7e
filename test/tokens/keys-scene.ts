/** An issuer whose published keys are another document for each connection, and tokens that its keys, or others, sign. */
import { afterAll, beforeAll, expect } from '@jest/globals';
import { SignJWT } from 'jose';
import { addIdTokenConnection } from '../../src/connections/register-token-connection.ts';
import type { Organization } from '../../src/organizations/organization.ts';
import { openSecretBox } from '../../src/secret-box.ts';
import type { Json } from '../attacks/evil-tokens.ts';
import { expectTokenRefusal, type ExpectedTokenRefusal } from './token-refusal.ts';
import {
  APP,
  AUDIENCE,
  ID_TOKEN_TYPE,
  newKey,
  startLoopback,
  startTokenScene,
  type Exchanged,
  type Key,
  type Loopback,
  type TokenScene,
} from './token-scene.ts';

const ISSUER = 'https://issuer.example';

interface Signed {
  readonly by?: Key;
  readonly header?: Json;
  readonly payload?: Json;
}

export interface KeysScene {
  readonly scene: TokenScene;
  readonly globex: Organization;
  /** Published keys that sign: of RSA twice, and of a curve. */
  readonly key: Key;
  readonly another: Key;
  readonly curve: Key;
  /** A connection that nobody has used, so that no keys of it are remembered, whose issuer now publishes this document. */
  connectionTo(document: unknown, issuer?: string, organization?: Organization): Promise<string>;
  /** Good claims of somebody new. */
  claims(issuer?: string): Json;
  signed(signed?: Signed): Promise<string>;
  show(connection: string, token: string, organization?: string): Promise<Exchanged>;
  expectRefused(document: unknown, token: string, expected?: ExpectedTokenRefusal): Promise<void>;
  expectTaken(document: unknown, token: string): Promise<void>;
  close(): Promise<void>;
}

/** A signature that no key, no key alone or no usable key made. */
const NO_KEY = /^the signature is not good: /;

/** Opened before the tests of a file and closed after them. */
export function useKeysScene(): () => KeysScene {
  let opened: KeysScene | undefined;
  beforeAll(async () => {
    opened = await openKeysScene();
  });
  afterAll(() => opened?.close());
  return () => {
    if (opened === undefined) throw new Error('the scene is not open yet');
    return opened;
  };
}

async function openKeysScene(): Promise<KeysScene> {
  /** What is published, by the path. */
  const published = new Map<string, unknown>();
  const [scene, publisher, key, curve, another] = await Promise.all([
    startTokenScene(),
    startPublisher(published),
    newKey('RS256', 'good'),
    newKey('ES256', 'curve'),
    newKey('RS256', 'another'),
  ]);
  const globex = await scene.gateway.addOrganization('globex');
  await scene.gateway.sql(`UPDATE organizations SET provisioning = 'just-in-time'`);
  let count = 0;
  const keys: KeysScene = {
    ...{ scene, globex, key, another, curve },
    async connectionTo(document, issuer = ISSUER, organization = scene.acme) {
      const { database, config } = scene.gateway;
      const path = `/${++count}`;
      published.set(path, { keys: [key.jwk] });
      const parts = { database, secrets: openSecretBox(config), outbound: config, actor: 'test' };
      const { id } = await addIdTokenConnection(parts, organization, {
        ...{ jwksUri: publisher.origin + path, issuer, audience: AUDIENCE, match: 'sub' },
        applications: [APP],
      });
      await scene.known(id, 'id-token', organization.slug);
      published.set(path, document);
      return id;
    },
    claims(issuer = ISSUER) {
      const now = Math.floor(Date.now() / 1000);
      const sub = `person-${++count}`;
      return { iss: issuer, aud: AUDIENCE, iat: now, exp: now + 300, sub, email: `${sub}@acme.example` };
    },
    signed: ({ by = key, header = {}, payload = keys.claims() } = {}) =>
      new SignJWT(payload)
        .setProtectedHeader({ alg: by.jwk.alg ?? 'RS256', kid: by.jwk.kid ?? '', ...header })
        .sign(by.privateKey),
    show(connection, subject_token, organization = 'acme') {
      const { sub } = JSON.parse(Buffer.from(subject_token.split('.')[1] ?? '', 'base64url').toString()) as {
        sub: string;
      };
      const form = { subject_token, subject_token_type: ID_TOKEN_TYPE, external_id: sub };
      return scene.exchange({ ...form, connection, organization });
    },
    async expectRefused(document, token, expected = { reason: NO_KEY }) {
      const connectionId = await keys.connectionTo(document);
      await expectTokenRefusal(scene, () => keys.show(connectionId, token), { ...expected, connectionId });
    },
    async expectTaken(document, token) {
      expect(await keys.show(await keys.connectionTo(document), token)).toMatchObject({ status: 200 });
    },
    async close() {
      await Promise.all([scene.close(), publisher.close()]);
    },
  };
  return keys;
}

function startPublisher(published: ReadonlyMap<string, unknown>): Promise<Loopback> {
  return startLoopback((request, response) => {
    response.setHeader('content-type', 'application/json');
    const document = published.get(request.url ?? '');
    response.end(typeof document === 'string' ? document : JSON.stringify(document));
  });
}
