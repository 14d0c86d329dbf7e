/**
 * The rules of "add an application" and "change an application", once. The command line, and whatever face comes later, only
 * gathers what they need.
 */
import { createPublicKey, randomBytes, type JsonWebKey } from 'node:crypto';
import type { Database } from '../database/database.ts';
import { Refusal } from '../errors.ts';
import { urlObjection, type OutboundPolicy } from '../outbound/guarded-fetch.ts';
import { requireReachable } from '../outbound/resolvable.ts';
import type { SecretBox } from '../secret-box.ts';
import { parseJsonObject } from '../strict-json.ts';
import {
  applicationSecretPlace,
  isClientId,
  redirectUriObjection,
  resourceObjection,
  type Application,
  type ApplicationSettings,
  type SealedApplicationSecret,
} from './application.ts';
import { insertApplication, updateApplication } from './application-store.ts';

export interface ApplicationParts {
  readonly database: Database;
  readonly secrets: SecretBox;
  readonly outbound: OutboundPolicy;
  readonly actor: string;
}

/** What the operator says about an application. Lists replace what was there. */
export interface ApplicationRegistration {
  readonly redirectUris?: readonly string[] | undefined;
  readonly postLogoutUris?: readonly string[] | undefined;
  /** Empty: it no longer hears. */
  readonly backchannelLogoutUri?: string | undefined;
  readonly resources?: readonly string[] | undefined;
  readonly signingAlgorithm?: ApplicationSettings['signingAlgorithm'] | undefined;
  /** PEM of a public key, a JWK or a JWK Set: it proves itself with the private half. */
  readonly publicKey?: string | undefined;
  /** Takes the place of the secret, which stays valid beside it until it is retired. */
  readonly secret?: string | undefined;
  /** Empty: all organizations. */
  readonly organizationIds?: readonly string[] | undefined;
}

export interface RegisteredApplication {
  readonly application: Application;
  /** A secret that was made here, and is shown this once. */
  readonly generatedSecret?: string;
}

/** @throws Refusal if anything is not fit, or the client id is taken */
export async function addApplication(
  parts: ApplicationParts,
  clientId: string,
  registration: ApplicationRegistration & { readonly isPublic: boolean },
): Promise<RegisteredApplication> {
  if (!isClientId(clientId)) {
    throw new Refusal('A client id is made of letters, digits, ".", "_", "~" and "-", 128 at most.');
  }
  const type = registration.isPublic ? 'public' : 'confidential';
  const settings = settle(parts, registration, { ...NOTHING, type });
  await requireNotifiable(parts, registration.backchannelLogoutUri);
  const needsSecret = type === 'confidential' && settings.publicKeys === undefined;
  if (!needsSecret && registration.secret !== undefined) {
    throw new Refusal('A public application, or one with a public key, has no secret.');
  }
  const generatedSecret =
    needsSecret && registration.secret === undefined ? randomBytes(32).toString('base64url') : undefined;
  const secret = registration.secret ?? generatedSecret;
  const application = await insertApplication(
    parts.database,
    clientId,
    {
      settings,
      sealedSecrets: secret === undefined ? [] : [sealSecret(parts, clientId, secret)],
      organizationIds: limitOf(registration.organizationIds),
    },
    parts.actor,
  );
  return { application, ...(generatedSecret === undefined ? {} : { generatedSecret }) };
}

/**
 * Changes what is given. A new secret is valid beside the old one, so that nothing stops while the application is switched
 * over; `retiresOldSecret` ends that.
 * @throws Refusal
 */
export async function changeApplication(
  parts: ApplicationParts,
  application: Application,
  change: ApplicationRegistration & { readonly retiresOldSecret?: boolean | undefined },
): Promise<Application> {
  const { clientId, settings, sealedSecrets, organizationIds } = application;
  const changed = settle(parts, change, settings);
  await requireNotifiable(parts, change.backchannelLogoutUri);
  const hasSecret = changed.type === 'confidential' && changed.publicKeys === undefined;
  if (change.secret !== undefined && !hasSecret) {
    throw new Refusal('A public application, or one with a public key, has no secret.');
  }
  const fresh = change.secret === undefined ? [] : [sealSecret(parts, clientId, change.secret)];
  const kept = [...fresh, ...sealedSecrets].slice(0, change.retiresOldSecret === true ? 1 : 2);
  return updateApplication(
    parts.database,
    application,
    {
      settings: changed,
      sealedSecrets: hasSecret ? kept : [],
      organizationIds:
        change.organizationIds === undefined ? organizationIds : limitOf(change.organizationIds),
    },
    parts.actor,
  );
}

/**
 * A name that leads inside would be refused at every notice. Where Gatehouse may call inside, as in a first try, the application may
 * be still to come.
 * @throws Refusal
 */
async function requireNotifiable({ outbound }: ApplicationParts, uri: string | undefined): Promise<void> {
  if (uri !== undefined && uri !== '' && !outbound.allowPrivateNetworks)
    await requireReachable(uri, outbound);
}

const NOTHING = {
  redirectUris: [],
  postLogoutUris: [],
  resources: [],
  signingAlgorithm: 'RS256',
} as const;

const limitOf = (ids: readonly string[] | undefined) =>
  ids === undefined || ids.length === 0 ? undefined : ids;

function sealSecret(parts: ApplicationParts, clientId: string, secret: string): SealedApplicationSecret {
  const sealed = parts.secrets.seal('application-secret', applicationSecretPlace(clientId), secret);
  return { sealed, addedAt: new Date().toISOString() };
}

function settle(
  parts: ApplicationParts,
  given: ApplicationRegistration,
  current: ApplicationSettings,
): ApplicationSettings {
  const {
    redirectUris = current.redirectUris,
    postLogoutUris = current.postLogoutUris,
    resources = current.resources,
    signingAlgorithm = current.signingAlgorithm,
  } = given;
  if (redirectUris.length === 0) throw new Refusal('An application needs --redirect-uri.');
  requireUris('--redirect-uri', redirectUris, redirectUriObjection);
  requireUris('--post-logout-uri', postLogoutUris, redirectUriObjection);
  requireUris('--resource', resources, resourceObjection);
  const backchannelLogoutUri = orGone(given.backchannelLogoutUri, current.backchannelLogoutUri);
  if (backchannelLogoutUri !== undefined) {
    requireUris('--backchannel-logout-uri', [backchannelLogoutUri], (text) =>
      urlObjection(text, parts.outbound),
    );
  }
  const publicKeys = given.publicKey === undefined ? current.publicKeys : readPublicKeys(given.publicKey);
  if (publicKeys !== undefined && current.type === 'public') {
    throw new Refusal('A public application cannot keep a private key, so it has no public one.');
  }
  return {
    type: current.type,
    redirectUris,
    postLogoutUris,
    resources,
    signingAlgorithm,
    ...(backchannelLogoutUri === undefined ? {} : { backchannelLogoutUri }),
    ...(publicKeys === undefined ? {} : { publicKeys }),
  };
}

/** What is given, or else what there was; an empty text takes it away. */
function orGone(given: string | undefined, current: string | undefined): string | undefined {
  if (given === undefined) return current;
  return given === '' ? undefined : given;
}

function requireUris(
  option: string,
  texts: readonly string[],
  objectionTo: (text: string) => string | undefined,
): void {
  for (const text of texts) {
    const objection = objectionTo(text);
    if (objection !== undefined) throw new Refusal(`${option} ${objection}.`);
  }
}

const MOST_PUBLIC_KEYS = 4;

/**
 * Public keys from PEM, a JWK or a JWK Set, as JWKs with nothing private in them.
 * @throws Refusal for anything else; its message never quotes the text
 */
function readPublicKeys(text: string): readonly Record<string, unknown>[] {
  const document = parseJsonObject(text);
  const keys =
    document === undefined ? [text] : Array.isArray(document['keys']) ? document['keys'] : [document];
  if (keys.length === 0 || keys.length > MOST_PUBLIC_KEYS) {
    throw new Refusal(`One to ${MOST_PUBLIC_KEYS} public keys are expected.`);
  }
  return keys.map(publicJwk);
}

function publicJwk(key: unknown): Record<string, unknown> {
  const isPrivate =
    typeof key === 'string' ? key.includes('PRIVATE KEY') : Object.hasOwn(Object(key) as object, 'd');
  if (isPrivate) {
    throw new Refusal('This is a private key. It was not stored. Give the public half of it.');
  }
  try {
    const imported =
      typeof key === 'string'
        ? createPublicKey(key)
        : createPublicKey({ key: key as JsonWebKey, format: 'jwk' });
    const bits = imported.asymmetricKeyDetails?.modulusLength;
    if (bits === undefined || bits >= 2048) {
      const { kid } = (typeof key === 'string' ? {} : key) as { kid?: unknown };
      const jwk = imported.export({ format: 'jwk' });
      return { ...jwk, use: 'sig', ...(typeof kid === 'string' ? { kid } : {}) };
    }
  } catch {
    // The library's message says nothing that the sentence below does not.
  }
  throw new Refusal('These are no public keys of RSA (2048 bits or more), EC or Ed25519, in PEM or as JWK.');
}
