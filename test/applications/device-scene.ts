/** A program that cannot show a page, and the person who lets it sign in: both sides of RFC 8628, request by request. */
import { createHash, randomBytes } from 'node:crypto';
import { expect } from '@jest/globals';
import { addApplication, type ApplicationRegistration } from '../../src/applications/register-application.ts';
import { findForm } from '../../scripts/demo/html-form.ts';
import { send, type Answer } from '../attacks/refusal.ts';
import { FROM_OUR_PAGE, type Visitor } from '../http/visitor.ts';
import { tokensOf, type Stage } from './stage.ts';

export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
export const VERIFIER = randomBytes(32).toString('base64url');
export const PKCE = {
  code_challenge: createHash('sha256').update(VERIFIER).digest('base64url'),
  code_challenge_method: 'S256',
};

export type Fields = Readonly<Record<string, string>>;

export interface Started {
  readonly device_code: string;
  readonly user_code: string;
  readonly verification_uri: string;
  readonly verification_uri_complete: string;
  readonly expires_in: number;
  readonly interval: number;
}

/** A public application, as its program sends requests. */
export class Device {
  readonly clientId: string;
  readonly #stage: Stage;

  constructor(stage: Stage, clientId: string) {
    this.#stage = stage;
    this.clientId = clientId;
  }

  static async registered(
    stage: Stage,
    clientId: string,
    registration: ApplicationRegistration = {},
  ): Promise<Device> {
    const redirectUris = ['http://127.0.0.1/callback'];
    await addApplication(stage.parts, clientId, { redirectUris, ...registration, isPublic: true });
    return new Device(stage, clientId);
  }

  /** The answer to a request for codes. */
  ask(fields: Fields = {}, port?: number): Promise<Answer> {
    return this.#post('/oidc/device/auth', { scope: 'openid email profile', ...fields }, port);
  }

  async start(fields: Fields = {}, port?: number): Promise<Started> {
    const answer = await this.ask(fields, port);
    if (answer.status !== 200) throw new Error(`no device code: ${answer.status} ${answer.body}`);
    const started = JSON.parse(answer.body) as Started;
    this.#stage.gateway.neverLogged(started.device_code, started.user_code);
    return started;
  }

  async poll(code: Pick<Started, 'device_code'>, fields: Fields = {}, port?: number): Promise<Answer> {
    const asked = { grant_type: DEVICE_GRANT, device_code: code.device_code, ...fields };
    const answer = await this.#post('/oidc/token', asked, port);
    if (answer.status === 200) {
      const { access_token: access, refresh_token: refresh, id_token: identity } = tokensOf(answer);
      this.#stage.gateway.neverLogged(access, refresh, identity);
    }
    return answer;
  }

  refresh(token: string, port?: number): Promise<Answer> {
    return this.#post('/oidc/token', { grant_type: 'refresh_token', refresh_token: token }, port);
  }

  /** Status of `/oidc/userinfo`. */
  async userInfoStatus(token: string, port: number): Promise<number> {
    const headers = { authorization: `Bearer ${token}` };
    return (await send(`${this.#stage.gateway.url}/oidc/userinfo`, { headers, port })).status;
  }

  #post(path: string, fields: Fields, port = this.#stage.ports[0]): Promise<Answer> {
    return send(`${this.#stage.gateway.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ client_id: this.clientId, ...fields }).toString(),
      port,
    });
  }
}

/** Opens the complete link of a code; a browser that came without a cookie comes once more with the one that it got. */
export async function open(
  browser: Pick<Visitor, 'send'>,
  { user_code: userCode }: Pick<Started, 'user_code'>,
  options: { readonly headers?: Fields; readonly port?: number } = {},
): Promise<Answer> {
  const send = (path: string) =>
    browser.send(path, { ...options, headers: { accept: 'text/html', ...options.headers } });
  const path = `/device?user_code=${encodeURIComponent(userCode)}`;
  const answer = await send(path);
  const isAgain = answer.headers.location === `${path}&again=1`;
  return isAgain ? send(`${path}&again=1`) : answer;
}

/** Sends a form to `/device`. */
export function submit(
  browser: Pick<Visitor, 'send'>,
  fields: Fields,
  options: { readonly headers?: Fields; readonly port?: number } = {},
): Promise<Answer> {
  return browser.send('/device', {
    ...options,
    method: 'POST',
    headers: { ...FROM_OUR_PAGE, 'content-type': 'application/x-www-form-urlencoded', ...options.headers },
    body: new URLSearchParams(fields).toString(),
  });
}

/** Opens a code and presses a button of the page that comes. */
export async function decide(
  browser: Pick<Visitor, 'send'>,
  code: Pick<Started, 'user_code'>,
  decision: 'allow' | 'deny',
  port?: number,
): Promise<Answer> {
  const options = port === undefined ? {} : { port };
  const page = await open(browser, code, options);
  expect({ status: page.status, location: page.headers.location }).toEqual({ status: 200 });
  return submit(browser, { ...formOf(page), decision }, options);
}

/** What the page's form holds. */
export function formOf({ body }: Pick<Answer, 'body'>): Fields {
  const form = findForm(body, ['decision']);
  if (form === undefined) throw new Error(`nobody is asked anything: ${body.slice(0, 500)}`);
  return Object.fromEntries(form.values);
}

/** A poll's error, asserted to be of RFC 6749 section 5.2. */
export function pollError({ status, headers, body }: Answer): string | undefined {
  const { error } = JSON.parse(body) as { readonly error?: string };
  const expected = error === 'invalid_client' ? 401 : 400;
  expect({ status, cache: headers['cache-control'] }).toEqual({ status: expected, cache: 'no-store' });
  return error;
}

/** Asserts that a code is pending, whatever was tried, and that its own browser can still decide about it. */
export async function expectUntouched(
  stage: Stage,
  device: Device,
  started: Started,
  browser: Visitor,
): Promise<void> {
  await stage.gateway.sql('UPDATE device_codes SET next_poll_at = now()');
  expect(pollError(await device.poll(started))).toBe('authorization_pending');
  expect((await decide(browser, started, 'allow')).status).toBe(200);
  expect((await device.poll(started)).status).toBe(200);
}
