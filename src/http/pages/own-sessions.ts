/**
 * A person's sessions and what was signed in to from each, with a way to end either. It owns the forms of
 * `POST /sessions/end` and must not know what ending means.
 */
import { html } from './html.ts';
import type { Html } from './html.ts';
import { moment } from './moment.ts';

export interface ShownSession {
  readonly id: string;
  readonly isCurrent: boolean;
  readonly authenticatedAt: Date;
  readonly expiresAt: Date;
  readonly applications: readonly string[];
  /** What ended for an application because something issued to it was used twice. */
  readonly replays: readonly { readonly clientId: string; readonly at: Date }[];
}

export function ownSessions(sessions: readonly ShownSession[]): Html {
  return html`<section aria-labelledby="sessions">
    <h2 id="sessions">Where you are signed in</h2>
    <ul class="sessions">
      ${sessions.map(sessionItem)}
    </ul>
  </section>`;
}

function sessionItem(session: ShownSession): Html {
  const { id, isCurrent, authenticatedAt, expiresAt, applications, replays } = session;
  const name = isCurrent ? html`This browser` : html`Another browser`;
  return html`<li>
    <p><strong>${name}</strong><br />since ${moment(authenticatedAt)}, until ${moment(expiresAt)}</p>
    ${!isCurrent && endForm({ session: id }, html`Sign out there`, `Sign out the browser of ${words(authenticatedAt)}`)}
    ${
      applications.length > 0 &&
      html`<ul class="applications">
        ${applications.map(
          (clientId) =>
            html`<li>
              <bdi>${clientId}</bdi>
              ${endForm({ session: id, application: clientId }, html`Sign out of it`, `Sign out of ${clientId}`)}
            </li>`,
        )}
      </ul>`
    }
    ${replays.map(replayNotice)}
  </li>`;
}

function replayNotice({ clientId, at }: ShownSession['replays'][number]): Html {
  return html`<p class="message problem" role="note">
    <bdi>${clientId}</bdi> was signed out of here by Gatehouse on ${moment(at)}: something that was issued to
    it alone was used twice, so somebody may have copied it. If you do not know this browser, sign it out, and
    tell your administrator.
  </p>`;
}

const words = (time: Date) => time.toISOString().slice(0, 16).replace('T', ' ');

function endForm(fields: Readonly<Record<string, string>>, label: Html, description: string): Html {
  return html`<form method="post" action="/sessions/end">
    ${Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)}
    <button class="button small" type="submit" aria-label="${description}">${label}</button>
  </form>`;
}
