/** Who is moved at which share: the same in TypeScript, where people are sent, and in SQL, where they are counted. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { lotOf, moveOf } from '../../src/cutover/cutover.ts';
import type { EmailAddress } from '../../src/organizations/email-address.ts';
import { openCutoverScene, type CutoverScene } from './cutover-scene.ts';

const ADDRESSES = Array.from(
  { length: 10_000 },
  (_, index) => `p${index}+${index % 7}@acme.example` as EmailAddress,
);

let scene: CutoverScene;
let id: string;

beforeAll(async () => {
  scene = await openCutoverScene();
  await scene.gateway.addOrganization('acme');
  await scene.gateway.sql(
    `INSERT INTO users (organization_id, email) SELECT id, unnest($1::text[]) FROM organizations WHERE slug = 'acme'`,
    [ADDRESSES],
  );
  const [from, to] = [await scene.add('acme', scene.old), await scene.add('acme', scene.next)];
  await scene.run('cutover', 'start', 'acme', '--from', from, '--to', to);
  const [row] = await scene.gateway.sql<{ id: string }>('SELECT id FROM cutovers');
  id = row?.id ?? '';
});
afterAll(() => scene.close());

it('ten thousand lots are spread evenly over [0, 100), for life, and anew for another cut-over', () => {
  const tenths = Array.from({ length: 10 }, () => 0);
  for (const address of ADDRESSES) {
    const lot = lotOf({ id }, address);
    expect(lot).toBe(lotOf({ id }, address));
    expect(lot >= 0 && lot < 100).toBe(true);
    tenths[Math.floor(lot / 10)] = (tenths[Math.floor(lot / 10)] ?? 0) + 1;
  }
  for (const count of tenths) expect(Math.abs(count - 1_000)).toBeLessThan(160);
  const other = ADDRESSES.filter((address) => lotOf({ id: `${id}x` }, address) < 20);
  const both = other.filter((address) => lotOf({ id }, address) < 20);
  expect(both.length).toBeLessThan(other.length / 2);
});

it('whoever is moved at one share is moved at every larger one; 0 moves nobody and 100 everybody', () => {
  const movedAt = (share: number, lot: number) => moveOf({ state: 'running', share }, lot, undefined).isMoved;
  for (const address of ADDRESSES.slice(0, 1_000)) {
    const lot = lotOf({ id }, address);
    const shares = Array.from({ length: 101 }, (_, share) => movedAt(share, lot));
    expect(shares[0]).toBe(false);
    expect(shares[100]).toBe(true);
    expect(shares).toEqual([...shares].sort((a, b) => Number(a) - Number(b)));
  }
});

it('whoever is named goes as named at every share, until the end', () => {
  for (const share of [0, 50, 100]) {
    for (const isNamed of [true, false]) {
      expect(moveOf({ state: 'running', share }, 42, isNamed).isMoved).toBe(isNamed);
      expect(moveOf({ state: 'finished', share }, 42, isNamed).isMoved).toBe(true);
    }
  }
});

it.each([1, 20, 50, 99])('the count of `cutover status` at %d %% is that of the addresses', async (share) => {
  await scene.cli.json(['cutover', 'share', 'acme', String(share)]);
  const { routed_to_new: routed, people } = await scene.status('acme');
  const moved = ADDRESSES.filter((address) => lotOf({ id }, address) < share).length;
  expect({ people, routed }).toEqual({ people: 10_000, routed: moved });
});
