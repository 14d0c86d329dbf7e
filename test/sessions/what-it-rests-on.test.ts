/** S-15 to S-17: a session says what is true now, ends when the provider's does, and is nothing where it cannot be read. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openScene, expectSignedIn, newEmail, type Scene } from '../attacks/oidc-scene.ts';
import { withinASecond } from '../applications/stage.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());

const signedIn = async (claims: Readonly<Record<string, unknown>> = {}) => {
  scene.provider.bend = { claims: (good) => ({ ...good, ...claims }) };
  const email = newEmail();
  const visitor = scene.visitor();
  expectSignedIn(await visitor.send(await visitor.goToProvider(email)));
  return { email, visitor };
};

type Visitor = Awaited<ReturnType<typeof signedIn>>['visitor'];

const whoAtProxy = async (visitor: Visitor) => {
  const { status, headers } = await visitor.send('/auth/verify');
  return [status, headers['x-auth-request-email'], headers['x-auth-request-organization']];
};

const secondsLeft = async (email: string): Promise<number> => {
  const [row] = await scene.gateway.sql<{ left: number }>(
    `SELECT CAST(extract(epoch FROM s.expires_at - now()) AS float8) AS left
     FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $1`,
    [email],
  );
  return row?.left ?? NaN;
};

describe('a session', () => {
  it('S-15 says of its person what is true at that moment, though it is answered from memory', async () => {
    const { email, visitor } = await signedIn();
    for (let look = 0; look < 2; look++) {
      expect(await whoAtProxy(visitor)).toEqual([200, email, 'acme']);
    }
    const renamed = newEmail();
    await scene.gateway.sql('UPDATE users SET email = $2 WHERE email = $1', [email, renamed]);
    await withinASecond(async () => {
      expect(await whoAtProxy(visitor)).toEqual([200, renamed, 'acme']);
    });
    expect(await visitor.session()).toBe(renamed);
    // Nothing of the person is in the cookie, so nothing in it can be out of date.
    const cookie = visitor.cookies.get('gatehouse-session') ?? '';
    expect(cookie).toMatch(/^[\w-]{43}$/);
  });

  it('S-16 ends when the provider says that its own does, on every node, and the way back is a sign-in there', async () => {
    const { email, visitor } = await signedIn({ session_expiry: Math.floor(Date.now() / 1000) + 600 });
    expect(await secondsLeft(email)).toBeLessThanOrEqual(600);
    expect(await visitor.session()).toBe(email);
    // Using it does not move that end.
    expect(await secondsLeft(email)).toBeLessThanOrEqual(600);
    await scene.gateway.sql(
      `UPDATE sessions SET expires_at = now() - interval '1 second'
       WHERE user_id = (SELECT id FROM users WHERE email = $1)`,
      [email],
    );
    await withinASecond(async () => {
      expect((await visitor.send('/session')).status).toBe(401);
      expect((await visitor.send('/auth/verify')).status).toBe(401);
    });
    const authorizations = scene.provider.authorizations.length;
    expectSignedIn(await visitor.send(await visitor.goToProvider(email)));
    expect(scene.provider.authorizations).toHaveLength(authorizations + 1);
  });

  it.each([
    ['is over', () => Math.floor(Date.now() / 1000) - 60],
    ['is later than ours', () => Math.floor(Date.now() / 1000) + 365 * 86_400],
    ['is a text', () => '600'],
    ['is nothing at all', () => null],
  ])('S-16 is never longer for an end that %s', async (_, end) => {
    const { email } = await signedIn({ session_expiry: end() });
    const left = await secondsLeft(email);
    expect(left).toBeGreaterThan(scene.gateway.config.sessionTtlSeconds - 60);
    expect(left).toBeLessThanOrEqual(scene.gateway.config.sessionTtlSeconds);
  });

  it('S-17 of a connection in a state that only a newer release knows is nobody’s, and is kept for that release', async () => {
    const { email, visitor } = await signedIn();
    await scene.gateway.sql(`ALTER TABLE connections DROP CONSTRAINT connections_status_check`);
    await scene.gateway.sql(`UPDATE connections SET status = 'suspended' WHERE id = $1`, [
      scene.acme.connection.id,
    ]);
    await withinASecond(async () => {
      for (const path of ['/session', '/auth/verify']) {
        expect((await visitor.send(path)).status).toBe(401);
      }
    });
    expect((await visitor.send('/', { headers: { accept: 'text/html' } })).headers.location).toBe('/login');
    expect(await secondsLeft(email)).toBeGreaterThan(0);
    await scene.gateway.sql(`UPDATE connections SET status = 'active' WHERE id = $1`, [
      scene.acme.connection.id,
    ]);
    await withinASecond(async () => {
      expect(await visitor.session()).toBe(email);
    });
  });

  it('S-17 with columns that only a newer release knows is read as it was', async () => {
    const { email, visitor } = await signedIn();
    await scene.gateway.sql(
      `ALTER TABLE sessions ADD COLUMN newer jsonb DEFAULT '{"user_id":"somebody else"}'`,
    );
    expect(await visitor.session()).toBe(email);
    expectSignedIn(await visitor.send(await visitor.goToProvider(newEmail())));
  });
});
