/**
 * Finds a Chromium on this machine and starts it for a file of tests. Where there is none, the file is skipped and says
 * so: nobody has to install a browser to work on the rest. It must not know what is tested.
 */
import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe } from '@jest/globals';
import { chromium, type Browser } from 'playwright-core';
import { People } from './people.ts';

/** The one without windows first: the same browser of half the work. */
const USUAL_PLACES = [
  '/usr/bin/chromium-headless-shell',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

const QUIET = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * What nobody sees here, and what takes time or asks other servers. A list given to Chromium replaces the one that Playwright gives, so
 * Playwright's is repeated, without what is about other browsers.
 */
const FEATURES_OFF = [
  // Pages of Chromium's own behind the address bar, which every new window would load.
  'WebUIOmniboxPopup',
  'WebUIOmniboxAimPopup',
  'AimEnabled',
  'AvoidCorsURLLoaderRestartOnRedirect',
  'AvoidUnnecessaryBeforeUnloadCheckSync',
  'DestroyProfileOnBrowserClose',
  'HttpsFirstBalancedModeAutoEnable',
  'HttpsUpgrades',
  'LensOverlay',
  'MediaRouter',
  'NetworkTimeServiceQuerying',
  'OptimizationHints',
  'PaintHolding',
  'PreconnectToSearch',
  'ThirdPartyStoragePartitioning',
];

/** One that was named has to be there: then its absence is a failure, not a reason to skip. */
function findChromium(): string | undefined {
  const named = process.env['CHROMIUM_PATH'] ?? '';
  return named === '' ? USUAL_PLACES.find((path) => existsSync(path)) : named;
}

function startChromium(executablePath: string, furtherArgs: readonly string[]): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [...QUIET, `--disable-features=${FEATURES_OFF.join(',')}`, ...furtherArgs],
    // Chromium's sandbox refuses root; everybody else has it.
    chromiumSandbox: process.getuid?.() !== 0,
    // People's browsers keep pages in memory for the back button; what is shown after signing out depends on it.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  });
}

/**
 * A describe block with real browsers in it.
 * @param furtherArgs for Chromium's command line
 */
export function describeInChromium(
  title: string,
  cases: (people: People) => void,
  furtherArgs: readonly string[] = [],
): void {
  const executablePath = findChromium();
  const people = new People();
  if (executablePath === undefined) {
    process.stderr.write(`Skipped "${title}": no Chromium was found. Install one, or set CHROMIUM_PATH.\n`);
    describe.skip(`${title} (no Chromium was found)`, () => {
      cases(people);
    });
    return;
  }
  describe(title, () => {
    beforeAll(async () => {
      people.useBrowser(await startChromium(executablePath, furtherArgs));
    });
    afterEach(() => people.leave());
    afterAll(() => people.closeBrowser());
    cases(people);
  });
}
