/** From the options of a command to the rules of its kind (register-connection.ts, register-token-connection.ts). */
import type { Connection, ConnectionKind } from '../connections/connection.ts';
import {
  addJwtCallbackConnection,
  addOidcConnection,
  updateJwtCallbackConnection,
  updateOidcConnection,
} from '../connections/register-connection.ts';
import {
  addIdTokenConnection,
  addOpaqueTokenConnection,
  updateIdTokenConnection,
  updateOpaqueTokenConnection,
} from '../connections/register-token-connection.ts';
import type { Organization } from '../organizations/organization.ts';
import { withoutUndefined } from '../without-undefined.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { registrationParts } from './connection-output.ts';
import { readInput, readSecret, type CommandContext, type Terminal } from './terminal.ts';

/** The options are those of the kind, and what it needs is among them. */
export async function addByOptions(
  context: CommandContext,
  organization: Organization,
  { kind, options }: { readonly kind: ConnectionKind; readonly options: ConnectionOptions },
): Promise<Connection> {
  const { terminal } = context;
  const parts = registrationParts(context);
  const beginning = { isDraft: options.draft === true, label: options.label };
  switch (kind) {
    case 'oidc': {
      const registration = await oidcRegistration(terminal, options);
      return addOidcConnection(parts, organization, { ...registration, ...beginning });
    }
    case 'jwt-callback': {
      const registration = await callbackRegistration(terminal, options);
      return addJwtCallbackConnection(parts, organization, { ...registration, ...beginning });
    }
    case 'id-token':
      return addIdTokenConnection(parts, organization, { ...idTokenRegistration(options), ...beginning });
    case 'opaque-token':
      return addOpaqueTokenConnection(parts, organization, {
        ...opaqueTokenRegistration(options),
        ...beginning,
      });
  }
}

export async function updateByOptions(
  context: CommandContext,
  current: Connection,
  options: ConnectionOptions,
): Promise<Connection> {
  const { terminal } = context;
  const { label } = options;
  const parts = registrationParts(context);
  switch (current.kind) {
    case 'oidc': {
      const { discoveryUrl, clientId, scope, emailClaim, clientAuth, clientSecretFile } = options;
      const clientSecret =
        clientSecretFile === undefined ? undefined : await readSecret(terminal, clientSecretFile);
      const given = { discoveryUrl, clientId, scope, emailClaim, clientAuth, ...demandsOf(options) };
      const secret = { clientSecret, secretExpiresAt: options.clientSecretExpires };
      return updateOidcConnection(parts, current, { ...withoutUndefined(given), ...secret, label });
    }
    case 'jwt-callback': {
      const { loginUrl, issuer, audience, publicKeyFile } = options;
      const publicKeyPem = publicKeyFile === undefined ? undefined : await readInput(terminal, publicKeyFile);
      const given = withoutUndefined({ loginUrl, issuer, audience });
      return updateJwtCallbackConnection(parts, current, { ...given, label, publicKeyPem });
    }
    case 'id-token':
      return updateIdTokenConnection(parts, current, { ...withoutUndefined(idTokenOptions(options)), label });
    case 'opaque-token':
      return updateOpaqueTokenConnection(parts, current, {
        ...withoutUndefined(opaqueTokenOptions(options)),
        label,
      });
  }
}

async function oidcRegistration(terminal: Terminal, options: ConnectionOptions) {
  const { discoveryUrl = '', clientId = '', clientSecretFile = '-', scope, emailClaim, clientAuth } = options;
  const { clientSecretExpires: expires } = options;
  const clientSecret = await readSecret(terminal, clientSecretFile);
  const secretExpiresAt = expires === 'never' ? undefined : expires;
  const given = { discoveryUrl, clientId, clientSecret, secretExpiresAt, scope, emailClaim, clientAuth };
  return { ...given, ...demandsOf(options) };
}

function demandsOf(options: ConnectionOptions) {
  const { logoutReturns, maxAge, requireAcr, requireAmr, followProvider, followConsent } = options;
  return {
    logoutReturns: logoutReturns === undefined ? undefined : logoutReturns === 'yes',
    maxAgeSeconds: maxAge,
    requiredAcr: requireAcr,
    requiredAmr: requireAmr,
    followSeconds: followProvider,
    followConsent,
  };
}

async function callbackRegistration(terminal: Terminal, options: ConnectionOptions) {
  const { loginUrl = '', publicKeyFile = '-', issuer, audience } = options;
  return { loginUrl, publicKeyPem: await readInput(terminal, publicKeyFile), issuer, audience };
}

function idTokenOptions({ jwksUri, issuer, audience, match, trustEmail, application }: ConnectionOptions) {
  const trustsEmail = trustEmail === undefined ? undefined : trustEmail === 'yes';
  return { jwksUri, issuer, audience, match, trustsEmail, applications: application };
}

function idTokenRegistration(options: ConnectionOptions) {
  const { jwksUri = '', issuer = '', audience = '', match = 'sub', application = [] } = options;
  return { ...idTokenOptions(options), jwksUri, issuer, audience, match, applications: application };
}

function opaqueTokenOptions(options: ConnectionOptions) {
  const { verifyUrl, verifyMethod, tokenIn, map, require, createUsers, linkExisting, application } = options;
  return {
    ...{ verifyUrl, method: verifyMethod, tokenIn, map, require, applications: application },
    ...{ createsUsers: createUsers, linksExisting: linkExisting },
  };
}

function opaqueTokenRegistration(options: ConnectionOptions) {
  const { verifyUrl = '', map = {}, application = [] } = options;
  return { ...opaqueTokenOptions(options), verifyUrl, map, applications: application };
}
