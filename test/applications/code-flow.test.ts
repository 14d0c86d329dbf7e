/** An application signs a person in by OpenID Connect, with a library that knows nothing of Gatehouse. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as client from 'openid-client';
import { Browser } from '../../scripts/demo/browser.ts';
import { REDIRECT_URI, signIn, startScene, type Scene } from './scene.ts';

describe('the authorization code flow', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await startScene();
    await scene.addApp('app');
  });
  afterAll(() => scene.close());

  it('sends a person who is not signed in to sign in, and comes back with a code', async () => {
    const config = await scene.relyingParty('app');
    const codeVerifier = client.randomPKCECodeVerifier();
    const [state, nonce] = [client.randomState(), client.randomNonce()];
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: REDIRECT_URI,
      scope: 'openid email profile',
      code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: 'S256',
      state,
      nonce,
    });
    const browser = new Browser({ stopBefore: REDIRECT_URI });
    await browser.open(url.href);
    expect(browser.page.url.pathname).toBe('/login');
    await signIn(browser, 'ada@acme.example');
    const back = browser.stoppedAt;
    expect(back?.href).toMatch(/^https:\/\/app\.vendor\.example\/callback\?/);
    const tokens = await client.authorizationCodeGrant(config, back ?? new URL('none:'), {
      expectedState: state,
      expectedNonce: nonce,
      pkceCodeVerifier: codeVerifier,
      idTokenExpected: true,
    });
    const claims = tokens.claims();
    expect(claims).toMatchObject({
      email: 'ada@acme.example',
      email_verified: true,
      name: 'ada',
      org: { id: scene.acme.id, slug: 'acme' },
      amr: ['fed'],
      auth_time: expect.any(Number),
    });
    const userInfo = await client.fetchUserInfo(config, tokens.access_token, claims?.sub ?? '');
    expect(userInfo).toMatchObject({ email: 'ada@acme.example', org: { slug: 'acme' } });
    const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token ?? '');
    expect(refreshed.refresh_token).not.toBe(tokens.refresh_token);
    expect(refreshed.claims()).toMatchObject({ sub: claims?.sub });
  });
});
