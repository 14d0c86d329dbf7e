/** Pastes into a shell what the running demonstration prints about tokens from elsewhere, and looks at what comes of it. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { expect } from '@jest/globals';
import { Browser } from '../../scripts/demo/browser.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');

/** Curl is what people have; a machine without it cannot try those commands. */
export const hasCurl = spawnSync('curl', ['--version']).status === 0;

/** @param printed all that the demonstration has written */
export async function tryExchanges(printed: string): Promise<void> {
  const readme = await readFile(resolve(REPOSITORY, 'README.md'), 'utf8');
  const variables = linesBelow(printed, 'Or exchange a token from elsewhere');
  for (const [heading, user] of [
    ['An ID token of Acme Rockets', { email: 'ada@acme.example', name: 'Ada' }],
    ["A token of Acme Rockets' own back end", { email: null, name: 'Simon Davis' }],
  ] as const) {
    const commands = linesBelow(printed, heading);
    // The README has the same commands, after the one that gets the token.
    expect(commands).toContain('curl ');
    expect(readme).toContain(commands.slice(commands.indexOf('\n') + 1));
    if (!hasCurl) {
      process.stderr.write(`skipped: ${heading}: there is no curl here\n`);
      continue;
    }
    const [exchanged = '', session = ''] = (await inShell(variables + commands)).split('\n');
    expect(JSON.parse(exchanged)).toMatchObject({ token_type: 'Bearer', refresh_token: expect.any(String) });
    expect(JSON.parse(session)).toMatchObject({ user, organization: { slug: 'acme' } });
  }
  const said = await inShell(variables + linesBelow(printed, 'The first by an application'));
  const signedIn = 'Signed in: Ada, ada@acme\\.example, from acme, until \\S+\\.\nRenewed: the same person';
  expect(said).toMatch(new RegExp(signedIn));
}

/** What is indented below a heading, as it is pasted. */
function linesBelow(printed: string, heading: string): string {
  const [, block = ''] = new RegExp(`\n${heading}.*\n((?: {2}.*\n)+)`).exec(printed) ?? [];
  return block.replace(/^ {2}/gm, '');
}

/** What a shell writes that is given some lines. A link that is shown is opened, and Ada signs in there. */
async function inShell(lines: string): Promise<string> {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn('bash', ['-e', '-c', lines], {
    cwd: REPOSITORY,
    env: { PATH, HOME },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  let visit: Promise<void> | undefined;
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk));
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output.stdout += chunk;
    const [, link] = /^ {2}(http:\S+)$/m.exec(output.stdout) ?? [];
    if (link === undefined || visit !== undefined) return;
    visit = signIn(link);
    visit.catch(() => child.kill());
  });
  const [status] = (await once(child, 'close')) as [number | null];
  await visit;
  if (status !== 0) throw new Error(`The shell ended with ${String(status)}: ${output.stderr}`);
  return output.stdout;
}

async function signIn(link: string): Promise<void> {
  const browser = new Browser();
  await browser.open(link);
  await browser.submit({ email: 'ada@acme.example', password: 'demo' });
  expect(browser.page.body).toBe('Go back to the terminal.\n');
}
