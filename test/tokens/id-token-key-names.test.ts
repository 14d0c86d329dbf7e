/** How a token names its key, and that the keys of two issuers are never merged. */
import { describe, expect, it } from '@jest/globals';
import type { JWK } from 'jose';
import { useKeysScene } from './keys-scene.ts';
import { expectTokenRefusal } from './token-refusal.ts';

const at = useKeysScene();

describe('V-10 the keys of two issuers', () => {
  const [A, B] = ['https://a.example', 'https://b.example'];

  it('are kept apart, in one organization and in two', async () => {
    const ofA = await at().connectionTo({ keys: [at().key.jwk] }, A);
    const twin = { ...at().another, jwk: { ...at().another.jwk, kid: 'good' } };
    const ofB = await at().connectionTo({ keys: [twin.jwk] }, B);
    const elsewhere = await at().connectionTo({ keys: [twin.jwk] }, A, at().globex);
    expect(await at().show(ofA, await at().signed({ payload: at().claims(A) }))).toMatchObject({
      status: 200,
    });
    expect(await at().show(ofB, await at().signed({ by: twin, payload: at().claims(B) }))).toMatchObject({
      status: 200,
    });
    const globex = { ...at().claims(A), email: 'somebody@globex.example' };
    expect(
      await at().show(elsewhere, await at().signed({ by: twin, payload: globex }), 'globex'),
    ).toMatchObject({
      status: 200,
    });
    const forged = await at().signed({ by: twin, payload: at().claims(A) });
    await expectTokenRefusal(at().scene, () => at().show(ofA, forged), {
      reason: 'the signature is not good: it is not that of the key',
      connectionId: ofA,
    });
    await expectTokenRefusal(at().scene, () => at().show(ofB, forged), {
      reason: 'another issuer (iss)',
      connectionId: ofB,
    });
  });
});

describe('K-08 the name of a key (kid)', () => {
  const nameless = ({ kid: _none, ...jwk }: JWK): JWK => jwk;

  it.each([
    'good',
    '__proto__',
    'constructor',
    "'; DROP TABLE users; --",
    '../../etc/passwd',
    'k'.repeat(1_000),
  ])('%s is a name', async (kid) => {
    const named = { ...at().key, jwk: { ...at().key.jwk, kid } };
    await at().expectTaken({ keys: [named.jwk, at().another.jwk] }, await at().signed({ by: named }));
  });

  it('that a token has not is not missed where there is one key', async () => {
    await at().expectTaken({ keys: [at().key.jwk] }, await at().signed({ header: { kid: undefined } }));
    await at().expectTaken(
      { keys: [nameless(at().key.jwk)] },
      await at().signed({ header: { kid: undefined } }),
    );
  });

  it('that a token has not is missed where there are two', async () => {
    const token = await at().signed({ header: { kid: undefined } });
    const reason =
      'the signature is not good: more than one of the keys of the provider fits the token (kid)';
    await at().expectRefused({ keys: [at().key.jwk, at().another.jwk] }, token, { reason });
    await at().expectRefused({ keys: [nameless(at().key.jwk), nameless(at().another.jwk)] }, token, {
      reason,
    });
  });

  it('that a token has not is not missed where the others are for other algorithms', async () => {
    await at().expectTaken(
      { keys: [at().key.jwk, at().curve.jwk] },
      await at().signed({ header: { kid: undefined } }),
    );
  });

  it('of two keys is one too many', async () => {
    const reason =
      'the signature is not good: more than one of the keys of the provider fits the token (kid)';
    await at().expectRefused(
      { keys: [at().key.jwk, { ...at().another.jwk, kid: 'good' }] },
      await at().signed(),
      {
        reason,
      },
    );
    await at().expectRefused({ keys: [at().key.jwk, at().key.jwk] }, await at().signed(), { reason });
  });

  it.each(['unknown', '__proto__', 'constructor', 'toString', 'GOOD', 'good ', ''])(
    '%j is no key’s',
    async (kid) => {
      await at().expectRefused(
        { keys: [at().key.jwk, at().another.jwk] },
        await at().signed({ header: { kid } }),
        {
          reason: 'the signature is not good: none of the keys of the provider fits the token (kid)',
        },
      );
    },
  );

  it.each([7, null, [], ['good'], {}])('%j is no name', async (kid) => {
    await at().expectRefused(
      { keys: [at().key.jwk, at().another.jwk] },
      await at().signed({ header: { kid } }),
    );
  });
});
