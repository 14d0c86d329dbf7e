/**
 * How every page looks and reads: light and dark, wide and on the smallest telephone, judged by axe-core. Screenshots go
 * to a folder outside of the repository for people to look at.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { rsaKeyPair } from '../support/test-gateway.ts';
import { describeInChromium } from './chromium.ts';
import { addAnotherWay } from './choice.ts';
import { addTerminal, startDevice } from './device.ts';
import { LONG_ADDRESS, openScene, type Scene } from './scene.ts';
import { giveAddress, giveCredentials, seeHeading, signIn, signOut } from './steps.ts';

const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 320, height: 640 };

/** The usual place, emptied; another one where somebody else's run owns that. */
function makeScreenshotFolder(): string {
  const usual = join(tmpdir(), 'gatehouse-screenshots');
  try {
    rmSync(usual, { recursive: true, force: true });
    mkdirSync(usual);
    return usual;
  } catch {
    return mkdtempSync(`${usual}-`);
  }
}

describeInChromium('every page', (people) => {
  let scene: Scene;
  let screenshots: string;
  beforeAll(async () => {
    screenshots = makeScreenshotFolder();
    scene = await openScene(people);
    await addTerminal(scene.gateway);
    const duo = await scene.gateway.addOrganization('duo');
    await scene.gateway.addJwtCallback(duo, { publicKey: rsaKeyPair().publicKey });
    await addAnotherWay(scene.gateway, duo);
  });
  afterAll(async () => {
    await scene.close();
    process.stdout.write(`Screenshots of all pages are in ${screenshots}\n`);
  });

  async function openQuestion(page: Page, email: string): Promise<void> {
    const target = `${scene.gateway.url}/sso/brand`;
    await page.goto(scene.otherSite.addPage('/portal', `<a href="${target}">Sign in</a>`));
    await page.getByRole('link').click();
    await giveCredentials(page, email);
    await seeHeading(page, /^Continue as/);
  }

  const PAGES: Readonly<Record<string, (page: Page) => Promise<void>>> = {
    login: async (page) => {
      await page.goto(`${scene.gateway.url}/login`);
    },
    'login-with-a-problem': async (page) => {
      await page.goto(`${scene.gateway.url}/login`);
      await giveAddress(page, LONG_ADDRESS.replace('brand.example', 'elsewhere.example'));
      await page.getByRole('alert').waitFor();
    },
    choice: async (page) => {
      await page.goto(`${scene.gateway.url}/login`);
      await giveAddress(page, 'ada@duo.example');
      await seeHeading(page, 'How do you want to sign in?');
    },
    'login-signed-out': async (page) => {
      await signIn(page, scene.gateway, 'ada@acme.example');
      await signOut(page);
    },
    home: (page) => signIn(page, scene.gateway, 'ada@acme.example'),
    failure: async (page) => {
      await page.goto(`${scene.gateway.url}/sso/oidc/${scene.acme.connection.id}/callback?code=a&state=b`);
      await seeHeading(page, /expired/);
    },
    'failure-not-set-up': async (page) => {
      await page.goto(`${scene.gateway.url}/login`);
      await giveAddress(page, 'nobody@acme.example');
      await giveCredentials(page, 'nobody@acme.example');
      await seeHeading(page, /not been set up/);
    },
    confirm: (page) => openQuestion(page, 'grace@brand.example'),
    device: async (page) => {
      await page.goto(`${scene.gateway.url}/device`);
    },
    'device-with-a-problem': async (page) => {
      await page.goto(`${scene.gateway.url}/device?user_code=BCDF-GHJK`);
      await page.getByRole('alert').waitFor();
    },
    'device-approval': async (page) => {
      await signIn(page, scene.gateway, 'ada@acme.example');
      await page.goto((await startDevice(scene.gateway)).link);
      await seeHeading(page, /^Let/);
    },
    'device-approval-elsewhere': async (page) => {
      await signIn(page, scene.gateway, 'ada@acme.example');
      const { link } = await startDevice(scene.gateway);
      await scene.gateway.sql(`UPDATE device_codes SET address_block = '2001:db8:1234:5678::/64'`);
      await page.goto(link);
      await page.getByText('It does not run where you are.').waitFor();
    },
    'device-done': async (page) => {
      await signIn(page, scene.gateway, 'ada@acme.example');
      await page.goto((await startDevice(scene.gateway)).link);
      await page.getByRole('button', { name: /allow/ }).click();
      await seeHeading(page, 'Go back to the application');
    },
    'confirm-long': (page) => openQuestion(page, LONG_ADDRESS),
  };

  /** What axe-core, which is loaded once into a page, finds in words. */
  async function findingsOf(page: Page): Promise<readonly string[]> {
    if (!(await page.evaluate<boolean>(`'axe' in window`))) await page.evaluate(axe.source);
    // Nothing but the findings comes back: what axe-core has to say of all that is well is long.
    const violations = await page.evaluate<axe.Result[]>(
      `axe.run(document, { resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } })
        .then(({ violations }) => violations)`,
    );
    return violations.flatMap(({ id, help, nodes }) =>
      nodes.map((node) => `${id}: ${help} (${node.html}) ${node.failureSummary ?? ''}`),
    );
  }

  it.each(Object.entries(PAGES))(
    '%s has no barrier that axe-core finds, light and dark, wide and at 320 pixels',
    async (name, open) => {
      const page = await people.enter({ viewport: WIDE });
      await open(page);
      const grounds: string[] = [];
      const pictures: string[] = [];
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        grounds.push(await page.evaluate<string>('getComputedStyle(document.body).backgroundColor'));
        for (const viewport of [WIDE, NARROW]) {
          await page.setViewportSize(viewport);
          const path = join(screenshots, `${name}-${colorScheme}-${viewport.width}.png`);
          const picture = await page.screenshot({ path, fullPage: true, animations: 'disabled' });
          pictures.push(picture.toString('base64'));
          expect(await findingsOf(page)).toEqual([]);
          const width = await page.evaluate<number>('document.documentElement.scrollWidth');
          expect(width).toBe(viewport.width);
        }
      }
      expect(new Set(grounds).size).toBe(2);
      expect(new Set(pictures).size).toBe(4);
    },
  );

  it('is watched: a style that the policy does not allow is noticed', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login`);
    await page.evaluate(`document.querySelector('main').setAttribute('style', 'color: red')`);
    await page.waitForEvent('console');
    expect(people.takeComplaints().join('\n')).toContain('securitypolicyviolation: style-src');
  });

  it('has a barrier noticed where there is one', async () => {
    const page = await people.enter();
    await page.goto(`${scene.gateway.url}/login`);
    await page.evaluate(`document.querySelector('label').remove()`);
    expect((await findingsOf(page)).join('\n')).toContain('label');
  });
});
