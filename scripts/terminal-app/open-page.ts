/** Opens a page in the person's browser where there is a screen; where that fails, the address is on the terminal anyway. */
import { spawn } from 'node:child_process';

/** Program and arguments that open an address; undefined where nobody would see it. */
export function openerOf(
  platform: NodeJS.Platform,
  env: NodeJS.ProcessEnv,
  url: URL,
): readonly [string, ...string[]] | undefined {
  if (platform === 'darwin') return ['open', url.href];
  // Not `start`, which is a word of a shell that reads more into an address.
  if (platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler', url.href];
  const hasScreen = (env['DISPLAY'] ?? '') !== '' || (env['WAYLAND_DISPLAY'] ?? '') !== '';
  return hasScreen ? ['xdg-open', url.href] : undefined;
}

export function openPage(url: URL): void {
  const [program, ...args] = openerOf(process.platform, process.env, url) ?? [];
  if (program === undefined) return;
  const child = spawn(program, args, { stdio: 'ignore', detached: true });
  child.on('error', () => undefined);
  child.unref();
}
