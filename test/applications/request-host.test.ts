/** Issuer, endpoints and redirects come from PUBLIC_URL, whatever a request says of its own host. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { exchange as exchangeBytes, requestText } from '../http/raw.ts';
import { authorizationUrl } from './relying-party.ts';
import { startScene, type Scene } from './scene.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await startScene();
  await scene.addApp('app');
});
afterAll(() => scene.close());

describe('H-01 H-02 what a request says of its own host', () => {
  const HOSTS: readonly (readonly [string, readonly string[]])[] = [
    ['H-01 another Host', ['GET PATH HTTP/1.1', 'Host: evil.example']],
    ['H-01 a Host with a port', ['GET PATH HTTP/1.1', 'Host: localhost:1']],
    ['H-01 no Host, as HTTP/1.0 allows', ['GET PATH HTTP/1.0']],
    ['H-01 an absolute-form URI', ['GET http://evil.example:81PATH HTTP/1.1', 'Host: evil.example:81']],
    ['H-02 X-Forwarded-Host', ['GET PATH HTTP/1.1', 'Host: localhost', 'X-Forwarded-Host: evil.example']],
    ['H-02 X-Forwarded-Proto', ['GET PATH HTTP/1.1', 'Host: localhost', 'X-Forwarded-Proto: https']],
    ['H-02 X-Forwarded-Prefix', ['GET PATH HTTP/1.1', 'Host: localhost', 'X-Forwarded-Prefix: /evil']],
    ['H-02 X-Forwarded-Port', ['GET PATH HTTP/1.1', 'Host: localhost', 'X-Forwarded-Port: 81']],
    ['H-02 Forwarded', ['GET PATH HTTP/1.1', 'Host: localhost', 'Forwarded: host=evil.example;proto=https']],
  ];
  const ask = async (path: string, lines: readonly string[]) => {
    const text = requestText(...lines.map((line) => line.replace('PATH', path)));
    const [answer] = await exchangeBytes(scene.gateway.port, text);
    return answer;
  };

  it.each(HOSTS)('%s: discovery is as configured', async (_what, lines) => {
    const path = '/oidc/.well-known/openid-configuration';
    const answer = await ask(path, lines);
    expect(answer?.status).toBe(200);
    const document = JSON.parse(answer?.body ?? '') as Record<string, unknown>;
    const issuer = `${scene.gateway.url}/oidc`;
    expect(document).toMatchObject({
      issuer,
      authorization_endpoint: `${issuer}/auth`,
      token_endpoint: `${issuer}/token`,
      userinfo_endpoint: `${issuer}/userinfo`,
      jwks_uri: `${issuer}/jwks`,
      end_session_endpoint: `${issuer}/logout`,
      introspection_endpoint: `${issuer}/token/introspection`,
      revocation_endpoint: `${issuer}/token/revocation`,
    });
    expect(answer?.body).not.toMatch(/evil|:81\b|https:/);
  });

  it.each(HOSTS)('%s: so is the way to the sign-in', async (_what, lines) => {
    const { pathname, search } = new URL(authorizationUrl(scene));
    const answer = await ask(pathname + search, lines);
    const location = answer?.headers.get('location')?.[0] ?? '';
    expect(new URL(location, scene.gateway.url).origin).toBe(scene.gateway.url);
    expect(location).toMatch(/\/login\?return_to=%2Foidc%2Fauth/);
    expect(location).not.toContain('evil');
  });
});
