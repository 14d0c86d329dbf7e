/**
 * The page of a person who is signed in: who, at which organization, until when, and the way out.
 * It owns the form of `POST /logout` and must not know how a session is kept.
 */
import { facts } from './facts.ts';
import { html } from './html.ts';
import { moment } from './moment.ts';
import { ownSessions, type ShownSession } from './own-sessions.ts';
import { renderPage } from './page.ts';
import type { Brand } from './page.ts';

interface HomePageOptions {
  readonly brand: Brand;
  readonly user: { readonly email: string; readonly name?: string | undefined };
  /** The organization's name. */
  readonly organization: string;
  readonly expiresAt: Date;
  readonly authenticatedAt: Date;
  /** All of the person's, this browser's included. */
  readonly sessions: readonly ShownSession[];
}

export function renderHomePage(options: HomePageOptions): string {
  const { brand, user } = options;
  const body = html`<h1>You are signed in</h1>
    ${facts([
      ...(user.name === undefined ? [] : [{ label: 'Name', value: user.name }]),
      { label: 'Email', value: user.email },
      { label: 'Organization', value: options.organization },
      { label: 'Signed in', value: moment(options.authenticatedAt) },
      { label: 'Until', value: moment(options.expiresAt) },
    ])}
    <form method="post" action="/logout">
      <button class="button" type="submit">Sign out</button>
    </form>
    ${hasMore(options.sessions) && ownSessions(options.sessions)}`;
  return renderPage({ title: 'You are signed in', brand, body });
}

/** One browser without an application is what the page says already. */
function hasMore(sessions: readonly ShownSession[]): boolean {
  return (
    sessions.length > 1 ||
    sessions.some(({ applications, replays }) => applications.length > 0 || replays.length > 0)
  );
}
