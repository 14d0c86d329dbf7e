/**
 * The demonstration's two identity providers, alone: a real browser's steps against their pages, and what comes back
 * checked by hand. Other tests rely on them as foreign counterparts, so what they promise is pinned here.
 */
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { Browser } from '../../scripts/demo/browser.ts';
import { startIdTokenDesk } from '../../scripts/demo/id-token-desk.ts';
import { startJwtProvider } from '../../scripts/demo/jwt-provider.ts';
import type { JwtProvider } from '../../scripts/demo/jwt-provider.ts';
import { startLoopbackServer } from '../../scripts/demo/loopback-server.ts';
import { startOpenIdProvider } from '../../scripts/demo/openid-provider.ts';
import type { OpenIdProvider } from '../../scripts/demo/openid-provider.ts';

type Running = Awaited<ReturnType<typeof startLoopbackServer>>;

/** Stands where the gateway would: answers everything, so that a browser can arrive. */
let gateway: Running;

beforeAll(async () => {
  gateway = await startLoopbackServer('localhost', 0);
  gateway.server.on('request', (_request, response) => response.end('arrived'));
});

afterAll(() => gateway.close());

describe('the OpenID Provider', () => {
  const client = { id: 'gatehouse', secret: randomBytes(24).toString('base64url'), redirectUris: [] };
  const people = [
    { subject: 'acme-1', email: 'ada@acme.example', name: 'Ada' },
    { subject: 'acme-2', email: 'grace@acme.example', name: 'Grace' },
  ];
  let provider: OpenIdProvider;
  let redirectUri: string;

  beforeAll(async () => {
    provider = await startOpenIdProvider({
      client,
      nativeClientId: 'native',
      people,
      companyName: 'Acme <Rockets>',
    });
    redirectUri = `${gateway.origin}/sso/oidc/c1/callback`;
  });

  afterAll(() => provider.close());

  function authorizationUrl(more: Record<string, string> = {}): { address: string; verifier: string } {
    const verifier = randomBytes(32).toString('base64url');
    const query = new URLSearchParams({
      client_id: client.id,
      response_type: 'code',
      redirect_uri: redirectUri,
      scope: 'openid email profile',
      state: 'a-state',
      nonce: 'a-nonce',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      ...more,
    });
    return { address: `${provider.issuer}/auth?${query.toString()}`, verifier };
  }

  async function exchange(code: string, verifier: string): Promise<Response> {
    return fetch(`${provider.issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}` },
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code,
        redirect_uri: redirectUri,
        code_verifier: verifier,
      }),
    });
  }

  async function readTokens(response: Response): Promise<Record<'access_token' | 'id_token', string>> {
    return (await response.json()) as Record<'access_token' | 'id_token', string>;
  }

  test('does not know its client before it has a redirect URI', async () => {
    const page = await new Browser().open(authorizationUrl().address);
    expect(page.status).toBe(400);
    expect(page.body).toContain('invalid_client');
    provider.setRedirectUris([redirectUri]);
  });

  test('describes itself below its issuer', async () => {
    const response = await fetch(`${provider.issuer}/.well-known/openid-configuration`);
    expect(await response.json()).toMatchObject({
      issuer: provider.issuer,
      authorization_endpoint: `${provider.issuer}/auth`,
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
    });
  });

  test('signs a person in, with the claims in the ID token and at userinfo', async () => {
    const browser = new Browser();
    const { address, verifier } = authorizationUrl({ login_hint: 'ada@acme.example' });
    const signInPage = await browser.open(address);
    expect(signInPage.status).toBe(200);
    expect(signInPage.body).toContain('Acme &lt;Rockets&gt;');
    expect(signInPage.body).toContain('value="ada@acme.example"');
    expect(signInPage.headers['content-security-policy']).toContain("default-src 'none'");

    const { url } = await browser.submit({ password: 'demo' });
    expect(`${url.origin}${url.pathname}`).toBe(redirectUri);
    expect(url.searchParams.get('state')).toBe('a-state');

    const tokens = await readTokens(await exchange(url.searchParams.get('code') ?? '', verifier));
    const keys = createRemoteJWKSet(new URL(`${provider.issuer}/jwks`));
    const { payload } = await jwtVerify(tokens.id_token, keys, {
      issuer: provider.issuer,
      audience: client.id,
      algorithms: ['RS256'],
    });
    const claims = { sub: 'acme-1', email: 'ada@acme.example', email_verified: true, name: 'Ada' };
    expect(payload).toMatchObject({ ...claims, nonce: 'a-nonce' });

    const userinfo = await fetch(`${provider.issuer}/me`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    });
    expect(await userinfo.json()).toEqual(claims);
  });

  test('is silent at the second sign-in, and asks again when another person is expected', async () => {
    const browser = new Browser();
    await browser.open(authorizationUrl({ login_hint: 'ada@acme.example' }).address);
    await browser.submit({ password: 'demo' });
    const second = await browser.open(authorizationUrl().address);
    expect(second.url.searchParams.get('code')).toMatch(/./);

    const other = await browser.open(authorizationUrl({ login_hint: 'grace@acme.example' }).address);
    expect(other.url.origin).toBe(provider.issuer);
    expect(other.body).toContain('value="grace@acme.example"');
  });

  test('changes the person signed in', async () => {
    const browser = new Browser();
    await browser.open(authorizationUrl({ login_hint: 'ada@acme.example' }).address);
    await browser.submit({ password: 'demo' });
    const { address, verifier } = authorizationUrl({ login_hint: 'grace@acme.example' });
    await browser.open(address);
    // The provider ends the first session by a page that a script sends on; here a hand does.
    await browser.submit({ password: 'demo' });
    await browser.submit({ logout: 'yes' });
    const tokens = await readTokens(
      await exchange(browser.page.url.searchParams.get('code') ?? '', verifier),
    );
    expect(
      JSON.parse(Buffer.from(tokens.id_token.split('.')[1] ?? '', 'base64url').toString()),
    ).toMatchObject({
      sub: 'acme-2',
    });
  });

  test.each([
    ['a wrong password', { email: 'ada@acme.example', password: 'guess' }],
    ['an unknown person', { email: 'nobody@acme.example', password: 'demo' }],
  ])('asks again after %s', async (_case, fields) => {
    const browser = new Browser();
    await browser.open(authorizationUrl().address);
    const page = await browser.submit(fields);
    expect(page.status).toBe(401);
    expect(page.body).toContain('role="alert"');
    expect(page.body).toContain(`value="${fields.email}"`);
  });

  test('refuses a foreign redirect URI on a page of its own', async () => {
    const { address } = authorizationUrl({ redirect_uri: `${gateway.origin}/elsewhere` });
    const page = await new Browser().open(address);
    expect([page.status, page.url.origin]).toEqual([400, provider.issuer]);
  });

  test('insists on PKCE', async () => {
    const address = new URL(authorizationUrl().address);
    address.searchParams.delete('code_challenge');
    address.searchParams.delete('code_challenge_method');
    const { url } = await new Browser().open(address.href);
    expect(url.searchParams.get('error')).toBe('invalid_request');
    expect(url.searchParams.get('code')).toBeNull();
  });

  test('refuses a code with another verifier', async () => {
    const browser = new Browser();
    await browser.open(authorizationUrl({ login_hint: 'ada@acme.example' }).address);
    const { url } = await browser.submit({ password: 'demo' });
    const response = await exchange(
      url.searchParams.get('code') ?? '',
      randomBytes(32).toString('base64url'),
    );
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: 'invalid_grant' });
  });

  test('signs people in to a native application, whose ID token a desk gives to who has the password', async () => {
    const desk = await startIdTokenDesk({ issuer: new URL(provider.issuer), clientId: 'native' });
    const ask = (password: string) =>
      fetch(desk.url, {
        method: 'POST',
        body: new URLSearchParams({ email: 'grace@acme.example', password }),
      });
    const [idToken = ''] = (await (await ask('demo')).text()).split('\n');
    const { payload } = await jwtVerify(idToken, createRemoteJWKSet(new URL(`${provider.issuer}/jwks`)), {
      issuer: provider.issuer,
      audience: 'native',
    });
    expect(payload).toMatchObject({ sub: 'acme-2', email: 'grace@acme.example' });
    const refused = await ask('guess');
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining('does not take')]);
    expect((await fetch(desk.url)).status).toBe(404);
    await desk.close();
  });

  test('says so when a sign-in is not known any more', async () => {
    const page = await new Browser().open(`${provider.issuer}/interaction/unknown`);
    expect([page.status, page.body]).toEqual([400, expect.stringContaining('expired')]);
  });
});

describe('the custom-JWT provider', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const people = [{ subject: 'brand-1', email: 'grace@brand.example', name: 'Grace' }];
  let provider: JwtProvider;
  let callback: string;

  beforeAll(async () => {
    provider = await startJwtProvider({
      privateKey,
      people,
      companyName: 'Brand & Co',
      allowedCallbackPrefix: gateway.origin,
    });
    callback = `${gateway.origin}/v3/api/user/sso/brand.example/authenticate`;
  });

  afterAll(() => provider.close());

  const loginAt = (address: string): string =>
    `${provider.loginUrl}?callback_url=${encodeURIComponent(address)}`;

  async function signIn(address: string): Promise<{ browser: Browser; token: string }> {
    const browser = new Browser();
    await browser.open(loginAt(address));
    const { url } = await browser.submit({ email: 'Grace@brand.example', password: 'demo' });
    expect(`${url.origin}${url.pathname}`).toBe(callback);
    return { browser, token: url.searchParams.get('token') ?? '' };
  }

  test('sends a person back with a token that the public key verifies', async () => {
    const { token } = await signIn(callback);
    const [header = '', payload = '', signature = ''] = token.split('.');
    const key = createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }));
    const signed = Buffer.from(`${header}.${payload}`);
    expect(verify('RSA-SHA256', signed, key, Buffer.from(signature, 'base64url'))).toBe(true);
    expect(decodeProtectedHeader(token)).toEqual({ typ: 'JWT', alg: 'RS256' });
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { exp: number; email: string };
    expect(claims).toEqual({ exp: expect.any(Number), email: 'grace@brand.example' });
    expect(Math.abs(claims.exp - (Date.now() / 1000 + 300))).toBeLessThan(5);
  });

  test('keeps the query of the callback', async () => {
    const { browser, token } = await signIn(`${callback}?a=1`);
    expect(token).toMatch(/./);
    expect(browser.page.url.search).toMatch(/^\?a=1&token=[\w.-]+$/);
  });

  test('is silent at the second visit', async () => {
    const { browser } = await signIn(callback);
    const { url } = await browser.open(loginAt(callback));
    expect(url.searchParams.get('token')).toMatch(/./);
  });

  test.each([
    ['a wrong password', { email: 'grace@brand.example', password: 'guess' }],
    ['an unknown person', { email: 'ada@acme.example', password: 'demo' }],
  ])('asks again after %s', async (_case, fields) => {
    const browser = new Browser();
    await browser.open(loginAt(callback));
    const page = await browser.submit(fields);
    expect(page.status).toBe(401);
    expect(page.body).toContain('role="alert"');
    await browser.submit({ email: 'grace@brand.example', password: 'demo' });
    expect(browser.page.url.searchParams.get('token')).toMatch(/./);
  });

  test.each([
    ['another host', () => 'http://evil.example/authenticate'],
    ['a user before another host', () => `${gateway.origin}@evil.example/authenticate`],
    ['another scheme', () => 'javascript:alert(1)'],
    ['a fragment', () => `${callback}#part`],
    ['no callback', () => ''],
  ])('refuses %s', async (_case, address) => {
    const page = await new Browser().open(loginAt(address()));
    expect(page.status).toBe(400);
    expect(page.body).not.toContain('<form');
  });

  test.each([
    ['http://localhost:3000/base', 'http://localhost:30001/base/authenticate'],
    ['http://localhost:3000/base', 'http://localhost:3000/based/authenticate'],
  ])('of %s refuses %s', async (allowedCallbackPrefix, address) => {
    const options = { privateKey, people, companyName: 'Brand', allowedCallbackPrefix };
    const other = await startJwtProvider(options);
    const query = `?callback_url=${encodeURIComponent(address)}`;
    const page = await new Browser().open(`${other.loginUrl}${query}`);
    await other.close();
    expect(page.status).toBe(400);
  });

  test('refuses a foreign callback in the form, too', async () => {
    const response = await fetch(provider.loginUrl, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({
        callback_url: 'http://evil.example/',
        email: 'grace@brand.example',
        password: 'demo',
      }),
    });
    expect([response.status, response.headers.get('location')]).toEqual([400, null]);
  });
});
