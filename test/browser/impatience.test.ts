/** People click twice, and go back, on connections that take a while: none of it may end badly. */
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { describeInChromium } from './chromium.ts';
import { openScene, type Scene } from './scene.ts';
import { giveCredentials, seeHeading, signIn, whoIsSignedIn } from './steps.ts';

const LATENCY_MS = 800;
const BETWEEN_CLICKS_MS = 100;

describeInChromium('an impatient person', (people) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await openScene(people);
  });
  beforeEach(async () => {
    await scene.gateway.sql('DELETE FROM sessions');
  });
  afterAll(() => scene.close());

  /** Both clicks are sent before an answer comes: the browser forgets the first request, and the server does not. */
  async function clickTwice(page: Page, name: string): Promise<void> {
    const { x, y } = (await page.getByRole('button', { name }).boundingBox()) ?? { x: 0, y: 0 };
    const devtools = await page.context().newCDPSession(page);
    const throughput = { downloadThroughput: -1, uploadThroughput: -1 };
    await devtools.send('Network.enable');
    await devtools.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: LATENCY_MS,
      ...throughput,
    });
    await page.mouse.click(x + 10, y + 10);
    await page.waitForTimeout(BETWEEN_CLICKS_MS);
    await page.mouse.click(x + 10, y + 10);
  }

  async function openQuestion(page: Page, email: string): Promise<void> {
    const target = `${scene.gateway.url}/sso/brand`;
    await page.goto(scene.otherSite.addPage('/portal', `<a href="${target}">Sign in</a>`));
    await page.getByRole('link').click();
    await giveCredentials(page, email);
    await seeHeading(page, /^Continue as/);
  }

  it('signs in after two clicks on the e-mail page, and out after two on "Sign out"', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login`);
    await page.getByLabel('Email address').fill('ada@acme.example');
    await clickTwice(page, 'Continue');
    await giveCredentials(page, 'ada@acme.example');
    await seeHeading(page, 'You are signed in');
    await clickTwice(page, 'Sign out');
    await page.getByText('You are signed out.').waitFor();
    expect(await whoIsSignedIn(page, scene.gateway)).toBeUndefined();
  });

  it('signs in after two clicks on the answer to "Continue as …?"', async () => {
    const page = await people.enter();
    await openQuestion(page, 'grace@brand.example');
    await clickTwice(page, 'Continue');
    await page.getByRole('heading', { name: /^(?!Continue as)/ }).waitFor();
    expect(await page.getByRole('heading').innerText()).toBe('You are signed in');
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('grace@brand.example');
    expect(await scene.gateway.sql('SELECT id FROM sessions')).toHaveLength(1);
  });

  it('stays signed in after going back to the question that was answered', async () => {
    const page = await people.enter();
    await openQuestion(page, 'joan@brand.example');
    await page.getByRole('button', { name: 'Continue' }).click();
    await seeHeading(page, 'You are signed in');
    await page.goBack();
    await seeHeading(page, 'This sign-in has expired or was already used.');
    await page.getByRole('link', { name: 'Continue' }).click();
    await seeHeading(page, 'You are signed in');
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('joan@brand.example');
  });

  it('stays signed in after going back to the e-mail page and leaving it', async () => {
    const page = await people.enter();
    await signIn(page, scene.gateway, 'alan@acme.example');
    await page.goto(`${scene.gateway.url}/login`);
    await page.goto(scene.gateway.url);
    await seeHeading(page, 'You are signed in');
    expect(await whoIsSignedIn(page, scene.gateway)).toBe('alan@acme.example');
  });
});
