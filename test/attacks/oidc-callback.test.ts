/** The redirect URI of OpenID Connect: whose attempt comes back, once, to the place where it belongs. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { deleteConnection, setConnectionStatus } from '../../src/connections/connection-state-store.ts';
import { requireConnection } from '../../src/connections/connection-store.ts';
import { updateOidcConnection } from '../../src/connections/register-connection.ts';
import {
  CLIENT_SECRET,
  expectSignedIn,
  newEmail,
  openScene,
  registrationParts,
  signInAt,
  type Company,
  type Scene,
} from './oidc-scene.ts';
import { expectRefusal } from './refusal.ts';

const EXPIRED = { status: 400, code: 'login_expired' } as const;
const CHANGED = { status: 403, code: 'connection_disabled', uses: 1 } as const;

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterEach(() => {
  scene.provider.straighten();
});
afterAll(() => scene.close());

describe('the callback of OpenID Connect', () => {
  it('O-02 O-06 takes a state and its code once', async () => {
    const visitor = scene.visitor();
    const callback = await visitor.goToProvider(newEmail());
    const before = new Map(visitor.cookies);
    expectSignedIn(await visitor.send(callback));
    await expectRefusal(scene.gateway, () => visitor.send(callback), EXPIRED);
    // A client that keeps the spent attempt's cookie gains nothing either, whatever the provider does with the code.
    scene.provider.bend = { takesCodesTwice: true };
    for (const [name, value] of before) visitor.cookies.set(name, value);
    await expectRefusal(scene.gateway, () => visitor.send(callback), EXPIRED);
  });

  it('O-03 O-26 does not take a callback in a browser that did not start', async () => {
    const callback = await scene.visitor().goToProvider(newEmail());
    await expectRefusal(scene.gateway, () => scene.visitor().send(callback), EXPIRED);
    expect(scene.provider.calls.token).toBe(0);
  });

  it.each<readonly [string, (url: URL) => void]>([
    [
      'O-04 no state',
      (url) => {
        url.searchParams.delete('state');
      },
    ],
    [
      'O-04 an empty state',
      (url) => {
        url.searchParams.set('state', '');
      },
    ],
    [
      'O-04 another state',
      (url) => {
        url.searchParams.set('state', 'x'.repeat(43));
      },
    ],
    [
      'O-04 a state in brackets',
      (url) => {
        url.search = url.search.replace('state=', 'state[]=');
      },
    ],
  ])('refuses %s', async (_what, change) => {
    const visitor = scene.visitor();
    const callback = await visitor.goToProvider(newEmail());
    change(callback);
    await expectRefusal(scene.gateway, () => visitor.send(callback), EXPIRED);
    expect(scene.provider.calls.token).toBe(0);
  });

  it.each(['code', 'state', 'iss', 'error'])('O-08 refuses %s twice', async (name) => {
    const visitor = scene.visitor();
    const callback = await visitor.goToProvider(newEmail());
    callback.searchParams.append(name, callback.searchParams.get(name) ?? 'a');
    callback.searchParams.append(name, 'b');
    const malformed = { status: 400, code: 'malformed_request' } as const;
    await expectRefusal(scene.gateway, () => visitor.send(callback), malformed);
    expect(scene.provider.calls.token).toBe(0);
  });

  it('O-08 refuses an error beside a code', async () => {
    const bend = {
      redirect: (back: URL) => {
        back.searchParams.set('error', 'access_denied');
      },
    };
    await scene.refuses(bend, { status: 400, code: 'malformed_request' });
    expect(scene.provider.calls.token).toBe(0);
  });

  it('O-07 W-02 says that the provider refused, in words of our own', async () => {
    const refusal = await scene.refuses(
      {
        redirect: (back) => {
          back.searchParams.delete('code');
          back.searchParams.set('error', 'access_denied');
          back.searchParams.set('error_description', '<script>call +1</script>');
        },
      },
      { status: 403, code: 'access_denied' },
    );
    expect(refusal.answer.body).not.toContain('script');
  });

  it('takes any other error for the provider’s', async () => {
    const bend = {
      redirect: (back: URL) => {
        back.searchParams.delete('code');
        back.searchParams.set('error', 'server_error');
      },
    };
    await scene.refuses(bend, { status: 502, code: 'identity_provider_error' });
  });

  it('O-09 asks nobody for a token where another issuer answers (mix-up)', async () => {
    const bend = {
      redirect: (back: URL) => {
        back.searchParams.set('iss', 'https://another.example');
      },
    };
    await scene.refuses(bend, { status: 401, code: 'token_invalid' });
    expect(scene.provider.calls.token).toBe(0);
  });

  it('O-05 does not take a code of another attempt', async () => {
    const [mine, theirs] = [scene.visitor(), scene.visitor()];
    const victim = await mine.goToProvider(newEmail());
    const attacker = await theirs.goToProvider(newEmail());
    victim.searchParams.set('code', attacker.searchParams.get('code') ?? '');
    const failed = { status: 401, code: 'token_invalid', uses: 1 } as const;
    await expectRefusal(scene.gateway, () => mine.send(victim), failed);
  });

  it('O-24 O-26 takes no callback by POST', async () => {
    const visitor = scene.visitor();
    const callback = await visitor.goToProvider(newEmail());
    const malformed = { status: 400, code: 'malformed_request' } as const;
    await expectRefusal(scene.gateway, () => visitor.send(callback, { method: 'POST' }), malformed);
    expect((await visitor.send(callback, { method: 'HEAD' })).status).toBe(405);
    expectSignedIn(await visitor.send(callback));
  });

  it('O-27 ignores what else a third party sends along at the entry link', async () => {
    const visitor = scene.visitor();
    const answer = await visitor.send('/sso/acme?scope=admin&prompt=none&redirect_uri=https://evil.example');
    expect(answer.status).toBe(303);
    const asked = new URL(answer.headers.location ?? '').searchParams;
    expect(asked.get('scope')).toBe('openid email profile');
    expect(asked.get('redirect_uri')).toBe(`${scene.gateway.url}${scene.acme.callbackPath}`);
    expect(asked.has('prompt')).toBe(false);
  });

  it('O-30 keeps five tabs apart', async () => {
    const visitor = scene.visitor();
    const emails = Array.from({ length: 5 }, () => newEmail());
    const callbacks: URL[] = [];
    for (const email of emails) callbacks.push(await visitor.goToProvider(email));
    for (const [index, callback] of callbacks.entries()) {
      expectSignedIn(await visitor.send(callback));
      expect(await visitor.session()).toBe(emails[index]);
    }
  });

  it('X-19 finishes on another node what was started on this one', async () => {
    const node = await scene.gateway.startNode();
    const visitor = scene.visitor();
    const email = newEmail();
    expectSignedIn(await visitor.send(await visitor.goToProvider(email), { port: node.port }));
    expect(await visitor.session()).toBe(email);
    await node.close();
  });

  it('sends PKCE, state and nonce of its own with every start, and the address as a hint', async () => {
    const [one, two] = [
      await scene.visitor().start('A@acme.example'),
      await scene.visitor().start(newEmail()),
    ];
    for (const name of ['state', 'nonce', 'code_challenge']) {
      expect(one.searchParams.get(name)).toMatch(/^[\w-]{43}$/);
      expect(one.searchParams.get(name)).not.toBe(two.searchParams.get(name));
    }
    expect(one.searchParams.get('code_challenge_method')).toBe('S256');
    expect(one.searchParams.get('login_hint')).toBe('a@acme.example');
  });
});

describe('a connection that changes while somebody signs in', () => {
  let count = 0;
  const away = async (): Promise<{
    company: Company;
    visitor: ReturnType<Scene['visitor']>;
    callback: URL;
  }> => {
    const company = await scene.addCompany(`company${(count += 1)}`);
    const visitor = scene.visitor();
    const callback = await signInAt(await visitor.start(newEmail(`${company.organization.slug}.example`)));
    return { company, visitor, callback };
  };

  it('O-11 T-11 is not finished at the redirect URI of another', async () => {
    const { visitor, callback } = await away();
    const elsewhere = `${scene.acme.callbackPath}${callback.search}`;
    await expectRefusal(scene.gateway, () => visitor.send(elsewhere), EXPIRED);
    expectSignedIn(await visitor.send(callback));
  });

  it('O-21 refuses where it was disabled', async () => {
    const { company, visitor, callback } = await away();
    await setConnectionStatus(scene.gateway.database, company.connection, 'disabled', 'test');
    await expectRefusal(scene.gateway, () => visitor.send(callback), CHANGED);
  });

  it('O-21 refuses where it was removed', async () => {
    const { company, visitor, callback } = await away();
    await deleteConnection(scene.gateway.database, company.connection, { mayBeLast: true }, 'test');
    await expectRefusal(scene.gateway, () => visitor.send(callback), CHANGED);
  });

  it('O-21 refuses where its secret was changed', async () => {
    const { company, visitor, callback } = await away();
    const current = await requireConnection(scene.gateway.database, company.connection.id);
    if (current.kind !== 'oidc') throw new Error('not of the kind that was added');
    await updateOidcConnection(registrationParts(scene.gateway), current, { clientSecret: CLIENT_SECRET });
    await expectRefusal(scene.gateway, () => visitor.send(callback), CHANGED);
  });
});
