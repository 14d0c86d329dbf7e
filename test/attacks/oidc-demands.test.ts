/** O-23: a sign-in that is not what the organization demands of its provider is refused in the flow, and nothing comes of it. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { expectSignedIn, newEmail, openScene, type Company, type Scene } from './oidc-scene.ts';
import { expectRefusal } from './refusal.ts';

const now = () => Math.floor(Date.now() / 1000);

let scene: Scene;
let strict: Company;
beforeAll(async () => {
  scene = await openScene();
  strict = await scene.addCompany('strict', {
    requiredAcr: 'gold',
    requiredAmr: 'mfa',
    maxAgeSeconds: 3_600,
  });
});
afterAll(() => scene.close());

const GOOD = { acr: 'gold', amr: ['pwd', 'mfa'] };

async function arrive(claims: () => object) {
  strict.provider.bend = { claims: (usual) => ({ ...usual, ...GOOD, auth_time: now(), ...claims() }) };
  const visitor = scene.visitor();
  return { visitor, callback: await visitor.goToProvider(newEmail('strict.example')) };
}

it('signs in as it is demanded, and asks the provider for it', async () => {
  const { visitor, callback } = await arrive(() => ({}));
  expectSignedIn(await visitor.send(callback));
  const asked = strict.provider.authorizations.at(-1);
  expect([asked?.get('acr_values'), asked?.get('max_age')]).toEqual(['gold', '3600']);
});

it.each<readonly [string, () => object]>([
  ['without acr', () => ({ acr: undefined })],
  ['of another acr', () => ({ acr: 'silver' })],
  ['without amr', () => ({ amr: undefined })],
  ['of another amr', () => ({ amr: ['pwd'] })],
  ['without auth_time', () => ({ auth_time: undefined })],
  ['of two hours ago', () => ({ auth_time: now() - 7_200 })],
])('O-23 refuses a sign-in %s', async (_, claims) => {
  const { visitor, callback } = await arrive(claims);
  const refused = { status: 403, code: 'access_denied', uses: 1 } as const;
  await expectRefusal(scene.gateway, () => visitor.send(callback), refused);
});
