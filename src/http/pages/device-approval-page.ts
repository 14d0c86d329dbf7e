/**
 * The page that asks a person whether a program may sign in as them: which program, as whom, from where and when, and the code
 * to compare with what it shows. It owns the form of `POST /device` that decides. No button has the focus at first, because the
 * person who is being tricked must read this page to notice.
 */
import { facts } from './facts.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { moment } from './moment.ts';
import { renderPage } from './page.ts';
import type { Brand } from './page.ts';

interface DeviceApprovalPageOptions {
  readonly brand: Brand;
  /** The application's client id. */
  readonly application: string;
  /** The code as the application shows it. */
  readonly userCode: string;
  readonly email: string;
  /** The organization's name. */
  readonly organization: string;
  readonly startedAt: Date;
  /** The network that the application asked from, and what it says it is. */
  readonly network: string;
  readonly program: string | undefined;
  /** The network of this browser, where it is another one. */
  readonly ownNetwork: string | undefined;
  /** Public name of the session that the page speaks of. */
  readonly session: string;
}

export function renderDeviceApprovalPage(options: DeviceApprovalPageOptions): string {
  const { brand, application, userCode, session, ownNetwork } = options;
  const body = html`<h1>Let <bdi>${application}</bdi> sign in as you?</h1>
    <p class="lead">
      Never allow what you did not start yourself, a moment ago. The application must show exactly this code,
      and nobody who calls or writes to you has a reason to ask for it.
    </p>
    <p class="user-code">Code <code>${userCode}</code></p>
    ${ownNetwork !== undefined && warning(options.network, ownNetwork)}
    ${facts([
      { label: 'Application', value: application },
      { label: 'Signs in as', value: options.email },
      { label: 'Organization', value: options.organization },
      { label: 'Started', value: moment(options.startedAt) },
      { label: 'From', value: place(options) },
    ])}
    <form class="actions" method="post" action="/device">
      <input type="hidden" name="user_code" value="${userCode}" />
      <input type="hidden" name="session" value="${session}" />
      <button class="button primary" type="submit" name="decision" value="allow">
        The code is the same: allow
      </button>
      <button class="button" type="submit" name="decision" value="deny">I did not start this: deny</button>
    </form>`;
  // The tab's title names nobody: an application there could pass for a part of the browser's own words.
  return renderPage({ title: 'Does the code match?', brand, body });
}

function place({ network, program }: DeviceApprovalPageOptions): Html {
  return program === undefined ? html`${network}` : html`${network}; it says it is <bdi>${program}</bdi>`;
}

function warning(network: string, ownNetwork: string): Html {
  return html`<div class="message problem" role="note">
    <p class="sentence">It does not run where you are.</p>
    <p>
      The application asked from the network <bdi>${network}</bdi>; this browser is in
      <bdi>${ownNetwork}</bdi>. Deny, unless you know why.
    </p>
  </div>`;
}
