/** A program in a terminal, for people in browsers: it asks for a code and polls, and shows nothing by itself. */
import { addApplication } from '../../src/applications/register-application.ts';
import { applicationParts } from '../applications/stage.ts';
import { DEVICE_GRANT } from '../applications/device-scene.ts';
import type { TestGateway } from '../support/test-gateway.ts';

const CLIENT_ID = 'terminal';

export async function addTerminal(gateway: TestGateway): Promise<void> {
  const registration = { redirectUris: ['http://127.0.0.1/callback'], isPublic: true };
  await addApplication(applicationParts(gateway), CLIENT_ID, registration);
}

interface StartedDevice {
  readonly link: string;
  readonly userCode: string;
  /** What one poll is answered: an error, or nothing and tokens. */
  poll(): Promise<string | undefined>;
}

export async function startDevice(gateway: TestGateway): Promise<StartedDevice> {
  const send = async (path: string, fields: Readonly<Record<string, string>>) => {
    const body = new URLSearchParams({ client_id: CLIENT_ID, ...fields });
    const response = await fetch(`${gateway.url}${path}`, { method: 'POST', body });
    return (await response.json()) as Readonly<Record<string, string>>;
  };
  const started = await send('/oidc/device/auth', { scope: 'openid email' });
  const {
    device_code: deviceCode = '',
    user_code: userCode = '',
    verification_uri_complete: link = '',
  } = started;
  gateway.neverLogged(deviceCode, userCode);
  return {
    link,
    userCode,
    async poll() {
      await gateway.sql('UPDATE device_codes SET next_poll_at = now()');
      const answer = await send('/oidc/token', { grant_type: DEVICE_GRANT, device_code: deviceCode });
      return answer['error'];
    },
  };
}
