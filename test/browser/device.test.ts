/** Letting a program in a terminal sign in, in a real browser. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeInChromium } from './chromium.ts';
import { addTerminal, startDevice } from './device.ts';
import { openScene, type Scene } from './scene.ts';
import { giveAddress, giveCredentials, seeHeading, signIn } from './steps.ts';

describeInChromium('letting a program sign in', (people) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await openScene(people);
    await addTerminal(scene.gateway);
  });
  afterAll(() => scene.close());

  it('by its link, through a sign-in at another site', async () => {
    const device = await startDevice(scene.gateway);
    const page = await people.enter();
    await page.goto(device.link);
    expect(new URL(page.url()).pathname).toBe('/login');
    await giveAddress(page, 'ada@acme.example');
    await giveCredentials(page, 'ada@acme.example');
    await seeHeading(page, /^Let/);
    for (const shown of [device.userCode, 'ada@acme.example', 'acme']) {
      expect(await page.getByRole('main').getByText(shown, { exact: true }).count()).toBe(1);
    }
    expect(await page.evaluate('document.activeElement.tagName')).toBe('BODY');
    expect(await device.poll()).toBe('authorization_pending');
    await page.getByRole('button', { name: /allow/ }).click();
    await seeHeading(page, 'Go back to the application');
    expect(await device.poll()).toBeUndefined();
    expect(await device.poll()).toBe('invalid_grant');
    await page.getByRole('link', { name: 'Where you are signed in' }).click();
    await seeHeading(page, 'You are signed in');
    expect(await page.getByText('terminal', { exact: true }).count()).toBe(1);
  });

  it('by its link from another site, as a mail or a chat has it, and a custom JWT', async () => {
    const device = await startDevice(scene.gateway);
    const page = await people.enter();
    await page.goto(scene.otherSite.addPage('/mail', `<a href="${device.link}">Sign in</a>`));
    await page.getByRole('link').click();
    await giveAddress(page, 'grace@brand.example');
    await giveCredentials(page, 'grace@brand.example');
    await seeHeading(page, /^Let/);
    await page.getByRole('button', { name: /allow/ }).click();
    await seeHeading(page, 'Go back to the application');
    expect(await device.poll()).toBeUndefined();
  });

  it('by a code that is typed, with the keyboard, in any spelling; and denied', async () => {
    const device = await startDevice(scene.gateway);
    const page = await people.enter();
    await signIn(page, scene.gateway, 'alan@acme.example');
    await page.goto(`${scene.gateway.url}/device`);
    await page.locator('#user_code:focus').waitFor();
    await page.keyboard.type('bcdf ghjk');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    await page.locator('#user_code').fill(device.userCode.toLowerCase().replace('-', ' '));
    await page.keyboard.press('Enter');
    await seeHeading(page, /^Let/);
    const deny = page.getByRole('button', { name: /deny/ });
    await deny.focus();
    await page.keyboard.press('Enter');
    await seeHeading(page, 'Nothing was allowed');
    expect(await device.poll()).toBe('access_denied');
  });

  it('opened twice at once in one browser, it is not lost', async () => {
    const device = await startDevice(scene.gateway);
    const page = await people.enter();
    await signIn(page, scene.gateway, 'ada@acme.example');
    const other = await page.context().newPage();
    await Promise.all([page.goto(device.link), other.goto(device.link)]);
    for (const tab of [page, other]) await seeHeading(tab, /^Let/);
    await other.getByRole('button', { name: /allow/ }).click();
    await seeHeading(other, 'Go back to the application');
    expect(await device.poll()).toBeUndefined();
  });

  it('a second browser is told where to go on; an impatient one gets what it asked for', async () => {
    const device = await startDevice(scene.gateway);
    const [first, second] = [await people.enter(), await people.enter()];
    for (const page of [first, second]) await signIn(page, scene.gateway, 'ada@acme.example');
    await first.goto(device.link);
    await second.goto(device.link);
    await seeHeading(second, 'This code was opened in another browser.');
    await first.getByRole('button', { name: /allow/ }).dblclick();
    await seeHeading(first, 'Go back to the application');
    expect(await device.poll()).toBeUndefined();
    await first.goto(device.link);
    await seeHeading(first, 'This code has expired or was already used.');
  });
});
