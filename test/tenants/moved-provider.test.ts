/** T-06: an organization's provider becomes another one. Its subjects are other people's; nobody is linked anew in silence. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { CommandLine, SECRET_KEY } from '../cli/command-line.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { startOpenIdStub, type OpenIdStub } from './openid-stub.ts';
import { expectRefusal } from './refusal.ts';
import { Visitor } from './visitor.ts';

let gateway: TestGateway;
let before: OpenIdStub;
let after: OpenIdStub;
let cli: CommandLine;
let visitor: Visitor;
let adaId: string;
let connectionId: string;

beforeAll(async () => {
  gateway = await startTestGateway({ env: { SECRET_KEY } });
  [before, after] = await Promise.all([startOpenIdStub(), startOpenIdStub()]);
  cli = new CommandLine({ DATABASE_URL: gateway.databaseUrl, PUBLIC_URL: gateway.url });
  const acme = await gateway.addOrganization('acme');
  connectionId = (await gateway.addOidc(acme, { discoveryUrl: before.issuer })).id;
  adaId = (await gateway.addUser(acme, 'ada@acme.example')).id;
  await gateway.addUser(acme, 'alan@acme.example');
  before.person = { sub: '1', email: 'ada@acme.example' };
  const ada = new Visitor(gateway.port);
  expect((await ada.request(await ada.startAtOpenId('ada@acme.example'))).status).toBe(303);
});
beforeEach(() => {
  visitor = new Visitor(gateway.port);
});
afterAll(async () => {
  await before.close();
  await after.close();
  await gateway.close();
});

it('T-06 a provider that calls itself something else all of a sudden is not believed', async () => {
  const node = await gateway.startNode();
  try {
    before.metadata = (usual) => ({ ...usual, issuer: after.issuer });
    visitor.goTo(node.port);
    await expectRefusal(gateway, visitor, () => visitor.typeAddress('ada@acme.example'), {
      status: 502,
      code: 'identity_provider_error',
    });
  } finally {
    before.metadata = (usual) => usual;
    await node.close();
  }
});

describe('T-06 after the operator registered another provider', () => {
  beforeAll(async () => {
    const update = ['connection', 'update', connectionId, '--discovery-url', after.issuer];
    await cli.json([...update, '--client-secret-file', '-'], { stdin: 'a client secret' });
    // Until every node has heard of it, sign-ins go to the old provider.
    for (let tries = 0; tries < 50; tries += 1) {
      if ((await new Visitor(gateway.port).start('ada@acme.example')).origin === after.issuer) break;
    }
  });

  it('a subject of the new one is not the person whom the old one called so', async () => {
    after.person = { sub: '1', email: 'mallory@acme.example' };
    const callback = await visitor.startAtOpenId('mallory@acme.example');
    const answer = await visitor.request(callback);
    expect(answer.status).toBe(403);
    expect(await gateway.sql('SELECT email FROM users WHERE id = $1', [adaId])).toEqual([
      { email: 'ada@acme.example' },
    ]);
    expect((await visitor.session()).status).toBe(401);
  });

  it('an address that is linked already is not linked to a new subject in silence', async () => {
    after.person = { sub: '2', email: 'ada@acme.example' };
    const callback = await visitor.startAtOpenId('ada@acme.example');
    await expectRefusal(gateway, visitor, () => visitor.request(callback), {
      status: 403,
      code: 'email_not_allowed',
    });
  });

  it('a user who never signed in before does so', async () => {
    after.person = { sub: '3', email: 'alan@acme.example' };
    expect((await visitor.request(await visitor.startAtOpenId('alan@acme.example'))).status).toBe(303);
    expect((await visitor.session()).email).toBe('alan@acme.example');
  });
});
