/** Whoever is kept out is out, even while tokens are exchanged; and who asks another back end knows nobody of the one before. */
import { afterAll, beforeAll, describe, it, expect } from '@jest/globals';
import {
  APP,
  OPAQUE_TYPE,
  startBackEnd,
  startTokenScene,
  until,
  type BackEnd,
  type Exchanged,
  type TokenScene,
} from './token-scene.ts';

let scene: TokenScene;
let backEnd: BackEnd;
let secondPort: number;
let closeSecond: () => Promise<void>;
let connectionId: string;
const options = () => [
  ...['opaque-token', '--verify-url', `${backEnd.origin}/verify?token={token}`, '--map', 'subject=id'],
  ...['--application', APP, '--create-users'],
];
beforeAll(async () => {
  [scene, backEnd] = await Promise.all([startTokenScene(), startBackEnd()]);
  const second = await scene.gateway.startNode();
  secondPort = second.port;
  closeSecond = () => second.close();
  connectionId = await scene.addConnection(options());
});
afterAll(async () => {
  await closeSecond();
  await Promise.all([scene.close(), backEnd.close()]);
});

let shown = 0;
const newToken = () => `opaque-token-${++shown}`;
const show = (subject_token = newToken(), port?: number): Promise<Exchanged> =>
  scene.exchange({ subject_token, subject_token_type: OPAQUE_TYPE, connection: connectionId }, APP, port);

describe('whoever is kept out while tokens are exchanged', () => {
  it.each<readonly [string, (user: string) => readonly string[], (user: string) => readonly string[]]>([
    ['user', (id) => ['user', 'disable', 'acme', id, '--yes'], (id) => ['user', 'enable', 'acme', id]],
    [
      'connection',
      () => ['connection', 'disable', connectionId, '--yes'],
      () => ['connection', 'enable', connectionId],
    ],
    ['organization', () => ['org', 'disable', 'acme', '--yes'], () => ['org', 'enable', 'acme']],
    ['application', () => ['app', 'disable', APP, '--yes'], () => ['app', 'enable', APP]],
  ])('is out: the %s', async (_, disable, enable) => {
    backEnd.says({ id: 'racing' });
    const { id } = await scene.userOf(await show());
    const ports = [scene.gateway.port, secondPort];
    const exchanges = Array.from({ length: 12 }, (_one, index) => show(newToken(), ports[index % 2]));
    await scene.command.json(disable(id));
    const answers = await Promise.all(exchanges);
    await until(
      ({ status }) => status !== 200,
      () => show(),
    );
    for (const answer of answers) {
      if (answer.status === 200)
        await until(
          ({ status }) => status === 401,
          () => scene.session(answer),
        );
    }
    await scene.command.json(enable(id));
    await until(
      ({ status }) => status === 200,
      () => show(),
    );
  });
});

it('a connection that asks another back end knows nobody of the one before', async () => {
  const moved = await scene.addConnection(options());
  const other = await startBackEnd();
  backEnd.says({ id: 'moved' });
  other.says({ id: 'moved' });
  const exchange = () =>
    scene.exchange({ subject_token: newToken(), subject_token_type: OPAQUE_TYPE, connection: moved });
  const before = await scene.userOf(await exchange());
  await scene.command.json([
    'connection',
    'update',
    moved,
    '--verify-url',
    `${other.origin}/verify?token={token}`,
  ]);
  await until(() => other.asked.length > 0, exchange);
  const after = await scene.userOf(await exchange());
  expect(after.id).not.toBe(before.id);
  await other.close();
});
