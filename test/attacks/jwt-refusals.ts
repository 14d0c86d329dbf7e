/**
 * Every bad token is tried three ways: in the browser that started, unasked for in a browser that did not, and on the
 * callback of a domain that nobody has, where the answer must be the very same.
 */
import { expect, it } from '@jest/globals';
import { startedVisitor, Visitor, type BadToken, type JwtScene } from './jwt-scene.ts';
import { expectRefusal, type Refusal } from './refusal.ts';

/** @param scene asked for when a test runs */
export function refusesEach(scene: () => JwtScene, tokens: readonly BadToken[]): void {
  it.each(tokens.map((bad) => [`${bad.id} refuses ${bad.what}`, bad] as const))('%s', async (_, bad) => {
    await expectRefusedEverywhere(scene(), bad);
  });
}

async function expectRefusedEverywhere(scene: JwtScene, bad: BadToken): Promise<void> {
  const { gateway, forge } = scene;
  const { status = 401, code = 'token_invalid', reason } = bad;
  const expected = { status, code, ...(reason !== undefined && { reason }) };
  const token = bad.token(forge);
  const started = await startedVisitor(scene);
  const { answer } = await expectRefusal(gateway, () => started.deliver(token), expected);
  expect(answer.body).not.toContain(token);
  // An attempt is not spoiled by what proves nothing, and the next bad token is judged like the first.
  await expectRefusal(gateway, () => started.deliver(token), expected);
  const stranger = new Visitor(gateway);
  await expectRefusal(gateway, () => stranger.deliver(token), expected);
  const page = { headers: { accept: 'text/html' } };
  const shown = await expectRefusal(gateway, () => stranger.deliver(token, page), expected);
  expect(shown.answer.body).not.toContain(token);
  // Who proved nothing learns nothing of the domain. That a token is over is said to who proved its signature.
  if (code === 'token_expired') return;
  const elsewhere = await expectRefusal(
    gateway,
    () => stranger.deliver(token, { domain: 'nobody.example' }),
    {
      status,
      code,
      ...(code === 'token_invalid' && { recordedCode: 'unknown_domain' }),
    },
  );
  expect(withoutReference(elsewhere)).toEqual(withoutReference({ answer }));
}

/** An answer without what is different each time. */
function withoutReference({ answer }: Pick<Refusal, 'answer'>): unknown {
  const { date, ...headers } = answer.headers;
  expect(date).toBeDefined();
  const { reference, ...problem } = JSON.parse(answer.body) as Record<string, unknown>;
  expect(reference).toBeDefined();
  return { status: answer.status, headers, problem };
}
