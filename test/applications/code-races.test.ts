/** A code is used once: many who come at once get one set of tokens, and who comes again ends it. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Company } from '../http/visitor.ts';
import { errorOf, expectDead, startStage, tokensOf, type App, type Stage } from './stage.ts';

const OVER = [400, 'invalid_grant'];

let stage: Stage;
let app: App;
let company: Company & { readonly domain: string };
beforeAll(async () => {
  stage = await startStage();
  app = await stage.addApp('app');
  company = await stage.addCompany();
});
afterAll(() => stage.close());

const newCode = async () => app.code(await stage.signedIn(company, `ada@${company.domain}`));

it.each([1, 2, 3, 4, 5, 6])(
  'P-05 20 uses at once on two nodes give one set of tokens, which works (%i)',
  async () => {
    const code = await newCode();
    const answers = await app.exchangeAtOnce(code, stage.ports, 20);
    const good = answers.filter(({ status }) => status === 200);
    expect(good).toHaveLength(1);
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.map(errorOf)).toEqual(refused.map(() => OVER));
    const tokens = good.map(tokensOf);
    for (const one of tokens) {
      expect(await app.userInfoStatus(one, stage.ports[1])).toBe(200);
      tokensOf(await app.refresh(one.refresh_token));
    }
  },
);

it.each([
  ['at once, on the same node', 0, '0 seconds'],
  ['at once, on the other node', 1, '0 seconds'],
  ['after half a minute', 1, '30 seconds'],
] as const)('P-04 a use %s after the first ends what the first got', async (_, node, later) => {
  const code = await newCode();
  const tokens = tokensOf(await app.exchange(code, stage.ports[0]));
  await stage.gateway.sql('UPDATE grant_tokens SET consumed_at = consumed_at - CAST($1 AS interval)', [
    later,
  ]);
  expect(errorOf(await app.exchange(code, stage.ports[node]))).toEqual(OVER);
  await expectDead(stage, app, tokens);
});

it('P-04 a replay ends what was refreshed since, too', async () => {
  const code = await newCode();
  const first = tokensOf(await app.exchange(code));
  const second = tokensOf(await app.refresh(first.refresh_token));
  expect(errorOf(await app.exchange(code))).toEqual(OVER);
  await expectDead(stage, app, second);
});

it('P-04 a code that another application tries stays good', async () => {
  const code = await newCode();
  const thief = await stage.addApp('thief');
  expect(errorOf(await thief.exchange(code))).toEqual(OVER);
  tokensOf(await app.exchange(code));
});
