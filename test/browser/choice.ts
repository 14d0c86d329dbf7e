/** An organization with two connections, between which its people choose. It must not know who they are. */
import type { Organization } from '../../src/organizations/organization.ts';
import { addRoutes } from '../../src/connections/route-store.ts';
import { until } from '../database/embedded-members.ts';
import { rsaKeyPair, type TestGateway } from '../support/test-gateway.ts';

/** Adds one more connection beside those that the organization's people have, and waits until the gateway offers it. */
export async function addAnotherWay(gateway: TestGateway, organization: Organization): Promise<void> {
  const { publicKey } = rsaKeyPair();
  const added = await gateway.addJwtCallback(organization, { publicKey, loginUrl: 'http://127.0.0.2:1/' });
  const routes = [{ kind: 'everybody', value: '' } as const];
  await addRoutes(gateway.database, added, { routes, mayLockOut: true }, 'test');
  const headers = { accept: 'application/json' };
  const ask = () => fetch(`${gateway.url}/sso/${organization.slug}`, { headers, redirect: 'manual' });
  await until('offered', async () => (await ask()).status === 200);
}
