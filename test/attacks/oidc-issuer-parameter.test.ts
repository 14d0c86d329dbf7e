/** O-10: a provider that says it names itself in every answer (RFC 9207) is held to its word. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectSignedIn, newEmail, openScene, type Company, type Scene } from './oidc-scene.ts';
import { expectRefusal } from './refusal.ts';

let scene: Scene;
let strict: Company;
beforeAll(async () => {
  scene = await openScene();
  strict = await scene.addCompany('strict');
});
afterAll(() => scene.close());

const arrive = async (iss: string | undefined) => {
  strict.provider.straighten();
  strict.provider.bend = {
    discovery: (document) => ({ ...document, authorization_response_iss_parameter_supported: true }),
    redirect: (back) => {
      if (iss !== undefined) back.searchParams.set('iss', iss);
    },
  };
  const visitor = scene.visitor();
  return { visitor, callback: await visitor.goToProvider(newEmail('strict.example')) };
};

describe('a provider that promises `iss` in its answers', () => {
  it('O-10 is not believed without it, and not asked for a token', async () => {
    const { visitor, callback } = await arrive(undefined);
    await expectRefusal(scene.gateway, () => visitor.send(callback), {
      status: 401,
      code: 'token_invalid',
      uses: 1,
    });
    expect(strict.provider.calls.token).toBe(0);
  });

  it('O-10 is not believed with an empty one', async () => {
    const { visitor, callback } = await arrive('');
    await expectRefusal(scene.gateway, () => visitor.send(callback), {
      status: 401,
      code: 'token_invalid',
      uses: 1,
    });
    expect(strict.provider.calls.token).toBe(0);
  });

  it('signs in with it', async () => {
    const { visitor, callback } = await arrive(strict.provider.issuer);
    expectSignedIn(await visitor.send(callback));
  });
});
