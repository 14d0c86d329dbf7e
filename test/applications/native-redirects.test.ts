/** P-28: nothing that another program on the device can take over is worth anything to it. */
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { addApplication } from '../../src/applications/register-application.ts';
import { applicationParts } from './stage.ts';
import { authorizationUrl, codeFor, exchange, newBrowser, NO_PKCE, signedIn } from './relying-party.ts';
import { startScene, type Scene } from './scene.ts';
import type { Browser } from '../../scripts/demo/browser.ts';

const LOOPBACK = 'http://127.0.0.1/callback';

let scene: Scene;
let ada: Browser;
beforeAll(async () => {
  scene = await startScene();
  await scene.addApp('native', { isPublic: true });
  ada = await signedIn(scene);
});
afterAll(() => scene.close());

describe('a native application', () => {
  it.each([
    'com.example.app:/callback',
    'com.example.app://callback',
    'myapp://callback',
    'MYAPP:callback',
    'urn:ietf:wg:oauth:2.0:oob',
    'http://192.168.0.2/callback',
    'http://app.vendor.example/callback',
    'http://localhost.evil.example/callback',
    'file:///callback',
    'intent://callback#Intent;scheme=x;end',
  ])('P-28 cannot be registered with %s, which anybody may claim', async (redirectUri) => {
    const registering = addApplication(applicationParts(scene.gateway), 'another', {
      redirectUris: [redirectUri],
      isPublic: true,
    });
    await expect(registering).rejects.toThrow(/https/);
  });

  it('P-28 may use a port of its own machine, and a claimed https address', async () => {
    const { application } = await addApplication(applicationParts(scene.gateway), 'good', {
      redirectUris: [LOOPBACK, 'https://app.vendor.example/native'],
      isPublic: true,
    });
    expect(application.settings.redirectUris).toContain(LOOPBACK);
  });

  it('P-28 gets no code without a challenge', async () => {
    const browser = newBrowser();
    await browser.open(authorizationUrl(scene, { client_id: 'native', ...NO_PKCE }));
    const { stoppedAt } = browser;
    expect(stoppedAt?.searchParams.get('error')).toBe('invalid_request');
    expect(stoppedAt?.searchParams.get('code') ?? null).toBeNull();
  });

  it('P-28 a code that another program took is of no use without the verifier', async () => {
    const verifier = randomBytes(32).toString('base64url');
    const code_challenge = createHash('sha256').update(verifier).digest('base64url');
    const parameters = { client_id: 'native', code_challenge, code_challenge_method: 'S256' };
    const code = await codeFor(scene, ada, parameters);
    for (const guess of [randomBytes(32).toString('base64url'), code_challenge]) {
      const fields = { client_id: 'native', code_verifier: guess };
      const answer = await exchange(scene, code, fields, {});
      expect([answer.status, answer.body['error']]).toEqual([400, 'invalid_grant']);
    }
  });
});
