/**
 * Where the browser tests take place: a gateway on localhost, two companies with identity providers on 127.0.0.1, which is
 * another site to a browser, and a page of a third party there as well. It must not know what people do in it.
 */
import type { KeyObject } from 'node:crypto';
import type { Connection } from '../../src/connections/connection.ts';
import type { Organization } from '../../src/organizations/organization.ts';
import { startJwtProvider } from '../../scripts/demo/jwt-provider.ts';
import { startLoopbackServer } from '../../scripts/demo/loopback-server.ts';
import { startOpenIdProvider } from '../../scripts/demo/openid-provider.ts';
import {
  rsaKeyPair,
  startTestGateway,
  type TestGateway,
  type TestGatewayOptions,
} from '../support/test-gateway.ts';
import type { People } from './people.ts';

const CLIENT_SECRET = 'a client secret of the browser tests';
/** Known to their company; `nobody` has no account at the gateway. */
const ACME_PEOPLE = ['ada', 'alan', 'nobody'];
/** As long as a local part may nearly be, without a place to break. */
const LONG_NAME = 'w'.repeat(60);
const BRAND_PEOPLE = ['grace', 'joan', 'rosa', 'ruth', 'nobody', LONG_NAME];
export const LONG_ADDRESS = `${LONG_NAME}@brand.example`;

/** A site that is neither the gateway's nor a company's. */
interface OtherSite {
  readonly url: string;
  /** Paths with query that were asked for, newest last. */
  readonly visits: readonly string[];
  /** Makes a page of this body and returns its address. */
  addPage(path: string, body: string): string;
}

export interface Scene {
  readonly gateway: TestGateway;
  readonly otherSite: OtherSite;
  /** OpenID Connect. */
  readonly acme: { readonly connection: Connection; readonly issuer: string };
  /** Custom JWT. */
  readonly brand: {
    readonly organization: Organization;
    readonly loginUrl: string;
    readonly callbackUrl: string;
    readonly privateKey: KeyObject;
  };
  close(): Promise<void>;
}

export async function openScene(people: People, options: TestGatewayOptions = {}): Promise<Scene> {
  const gateway = await startTestGateway(options);
  const acme = await addAcme(gateway);
  const brand = await addBrand(gateway);
  const otherSite = await startOtherSite();
  return {
    gateway,
    otherSite,
    acme,
    brand,
    async close() {
      for (const { stop } of [acme, brand, otherSite]) await stop();
      gateway.neverLogged(...people.secrets);
      await gateway.close();
    },
  };
}

const personOf = (domain: string) => (name: string) => ({
  subject: `${domain}-${name}`,
  email: `${name}@${domain}`,
  name: `${name.charAt(0).toUpperCase()}${name.slice(1)}`,
});

async function addAcme(gateway: TestGateway) {
  const organization = await gateway.addOrganization('acme');
  const people = ACME_PEOPLE.map(personOf('acme.example'));
  const provider = await startOpenIdProvider({
    companyName: 'Acme',
    people,
    client: {
      id: 'gatehouse',
      secret: CLIENT_SECRET,
      redirectUris: [],
      postLogoutRedirectUris: [`${gateway.url}/logout/done`],
    },
  });
  const connection = await gateway.addOidc(organization, {
    discoveryUrl: provider.issuer,
    clientSecret: CLIENT_SECRET,
    logoutReturns: true,
  });
  provider.setRedirectUris([`${gateway.url}/sso/oidc/${connection.id}/callback`]);
  for (const { email, name } of people) {
    if (!email.startsWith('nobody@')) await gateway.addUser(organization, email, name);
  }
  return { connection, issuer: provider.issuer, stop: () => provider.close() };
}

async function addBrand(gateway: TestGateway) {
  const organization = await gateway.addOrganization('brand');
  const { publicKey, privateKey } = rsaKeyPair();
  const people = BRAND_PEOPLE.map(personOf('brand.example'));
  const provider = await startJwtProvider({
    companyName: 'Brand',
    privateKey,
    people,
    allowedCallbackPrefix: gateway.url,
    givesTokenIds: true,
  });
  await gateway.addJwtCallback(organization, { publicKey, loginUrl: provider.loginUrl });
  for (const { email, name } of people) {
    if (!email.startsWith('nobody@')) await gateway.addUser(organization, email, name);
  }
  const callbackUrl = `${gateway.url}/v3/api/user/sso/brand.example/authenticate`;
  const { loginUrl } = provider;
  return { organization, loginUrl, callbackUrl, privateKey, stop: () => provider.close() };
}

async function startOtherSite(): Promise<OtherSite & { readonly stop: () => Promise<void> }> {
  const loopback = await startLoopbackServer('127.0.0.1', 0);
  const pages = new Map<string, string>();
  const visits: string[] = [];
  loopback.server.on('request', (request, response) => {
    const path = request.url ?? '/';
    visits.push(path);
    const body = pages.get(path) ?? '<h1>The other site</h1>';
    response
      .writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
      .end(`<!doctype html><html lang="en"><title>Other site</title><link rel="icon" href="data:,">${body}`);
  });
  return {
    url: loopback.origin,
    visits,
    addPage(path, body) {
      pages.set(path, body);
      return `${loopback.origin}${path}`;
    },
    stop: () => loopback.close(),
  };
}
