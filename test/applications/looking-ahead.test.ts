/** S-18: a browser that only looks ahead gets no code and is not signed out, and what is meant afterwards works. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { authorizationUrl, claimsOf, signedIn, tokensFor } from './relying-party.ts';
import { startScene, type Scene } from './scene.ts';

const ADA = 'ada@acme.example';
const AHEAD = { 'sec-purpose': 'prefetch;prerender' };

describe('S-18 looking ahead', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await startScene();
    await scene.addApp('app');
  });
  afterAll(() => scene.close());

  const endSession = (idToken: string) => `${scene.gateway.url}/oidc/logout?id_token_hint=${idToken}`;
  const grants = () => scene.gateway.sql('SELECT id FROM grants');

  it.each([
    ['a prefetch', { headers: AHEAD }, 204],
    ['HEAD', { method: 'HEAD' }, 405],
    ['OPTIONS', { method: 'OPTIONS' }, 405],
  ])('by %s does nothing', async (_, request, status) => {
    const ada = await signedIn(scene, ADA);
    const tokens = await tokensFor(scene, ada);
    const before = await grants();
    for (const url of [authorizationUrl(scene, {}), endSession(tokens.id_token)]) {
      expect((await fetch(url, { ...request, redirect: 'manual' })).status).toBe(status);
    }
    expect(await grants()).toEqual(before);
    expect((await ada.fetch(`${scene.gateway.url}/session`)).status).toBe(200);
    expect(claimsOf(tokens.id_token)['email']).toBe(ADA);
  });
});
