/** A moment as pages show it. The server cannot know where the person is, so every time is in UTC and says so. */
import { html } from './html.ts';
import type { Html } from './html.ts';

/** Made when the first is shown: making one takes a fiftieth of a server's start. */
let format: Intl.DateTimeFormat | undefined;

const newFormat = () =>
  new Intl.DateTimeFormat('en-GB', {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    timeZone: 'UTC',
  });

export function moment(time: Date): Html {
  format ??= newFormat();
  return html`<time datetime="${time.toISOString()}">${format.format(time)} UTC</time>`;
}
