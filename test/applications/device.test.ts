import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Visitor } from '../http/visitor.ts';
import { decide, Device, open, pollError } from './device-scene.ts';
import { claimsOf, startStage, tokensOf, type Stage } from './stage.ts';

let stage: Stage;
let device: Device;
let ada: Visitor;

beforeAll(async () => {
  stage = await startStage();
  device = await Device.registered(stage, 'terminal');
  const company = await stage.addCompany();
  ada = await stage.signedIn(company, `ada@${company.domain}`);
});
afterAll(() => stage.close());

describe('device authorization', () => {
  it('P-20 gives a program its codes, and the person a page', async () => {
    const started = await device.start();
    expect(started).toEqual({
      device_code: expect.stringMatching(/^[\w-]{43}$/),
      user_code: expect.stringMatching(/^[B-Z]{4}-[B-Z]{4}$/),
      verification_uri: `${stage.gateway.url}/device`,
      verification_uri_complete: `${stage.gateway.url}/device?user_code=${started.user_code}`,
      expires_in: 300,
      interval: 5,
    });
  });

  it('P-24 start, pending, approve, tokens, on two nodes', async () => {
    const [one, other] = stage.ports;
    const started = await device.start({}, one);
    expect(pollError(await device.poll(started, {}, other))).toBe('authorization_pending');
    const page = await open(ada, started);
    expect(page.status).toBe(200);
    const done = await decide(ada, started, 'allow', other);
    expect(done.status).toBe(200);
    const tokens = tokensOf(await device.poll(started, {}, one));
    expect(claimsOf(tokens)).toMatchObject({ aud: 'terminal', email: 'ada@company1.example' });
  });
});
