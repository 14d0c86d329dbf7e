/**
 * The room of device codes among oidc-provider's records (RFC 8628), and what the library lacks there: an interval that polls
 * must keep, a challenge that every poll must meet, and a page of ours. Who polls learns here how things stand; the library
 * goes on with what a person approved. It must not know who decides, nor how.
 */
import Provider, { errors, type Adapter, type KoaContextWithOIDC } from 'oidc-provider';
import { createHash } from 'node:crypto';
import type { Database } from '../database/database.ts';
import { extraParameters } from './authorization-request.ts';
import { insertDeviceCode, pollDeviceCode } from './device-code-store.ts';
import { findGrantToken } from './grant-store.ts';
import { requestState } from './request-state.ts';
import { canonicalUserCode } from './user-code.ts';

/** Where devices ask, below the issuer. */
export const DEVICE_ROUTE = '/device/auth';
/** How long a person has to decide, and the program to fetch what they decided. */
export const DEVICE_CODE_TTL_SECONDS = 300;
const INTERVAL_SECONDS = 5;
/** In characters: anybody can ask, and it is stored. */
const MOST_ASKED_FOR = 4_000;

/** RFC 7636 section 4.2 for SHA-256: 32 bytes in base64url. */
const CHALLENGE = /^[A-Za-z0-9_-]{43}$/;
/** RFC 7636 section 4.1. */
const VERIFIER = /^[A-Za-z0-9._~-]{43,128}$/;
/** A digest in base64url is never this. */
const FITS_NOTHING = '';

/** Of an authorization request, but it would be a lie to take them and do nothing. */
const NOT_FOR_DEVICES = ['prompt', 'max_age', 'id_token_hint'] as const;

type Form = Readonly<Record<string, unknown>>;

/**
 * What the library has no place for and hands on to where codes are kept: the challenge, if the program sent one.
 * @throws errors.InvalidRequest
 */
export function deviceInfo(ctx: KoaContextWithOIDC): { codeChallenge: string | undefined } {
  const form: Form = ctx.oidc.body ?? {};
  const refused = NOT_FOR_DEVICES.find((name) => form[name] !== undefined);
  if (refused !== undefined) throw new errors.InvalidRequest(`${refused} is not for device authorization`);
  const { code_challenge: challenge, code_challenge_method: method } = form;
  if (challenge === undefined && method === undefined) return { codeChallenge: undefined };
  if (typeof challenge !== 'string' || !CHALLENGE.test(challenge) || method !== 'S256') {
    throw new errors.InvalidRequest('code_challenge must be one of the method S256');
  }
  return { codeChallenge: challenge };
}

/** The challenge that a verifier meets; undefined where there is no verifier. */
function challengeOf(verifier: unknown): string | undefined {
  if (verifier === undefined || verifier === '') return undefined;
  if (typeof verifier !== 'string' || !VERIFIER.test(verifier)) return FITS_NOTHING;
  return createHash('sha256').update(verifier).digest('base64url');
}

/** Adds to the library's answer what it lacks, and names the page that is ours. */
export function completeDeviceAnswer(ctx: KoaContextWithOIDC, publicUrl: string): void {
  const answer = ctx.body as { readonly user_code: string } & Record<string, unknown>;
  const page = new URL('/device', publicUrl);
  const complete = new URL(page);
  complete.searchParams.set('user_code', answer.user_code);
  ctx.body = {
    ...answer,
    verification_uri: page.href,
    verification_uri_complete: complete.href,
    interval: INTERVAL_SECONDS,
  };
}

export function deviceCodeRoom(database: Database): Partial<Adapter> {
  return {
    async upsert(value, payload, ttlSeconds = 0) {
      const ctx = currentContext();
      const userCode = canonicalUserCode(payload.userCode);
      if (userCode === undefined) throw new Error('a user code that nobody can type');
      const asked = askedFor(ctx);
      if (JSON.stringify(asked).length > MOST_ASKED_FOR) {
        throw new errors.InvalidRequest('the request is too long');
      }
      const wasNew = await insertDeviceCode(database, {
        value,
        userCode,
        clientId: String(payload.clientId),
        payload: asked,
        codeChallenge: (payload.deviceInfo as ReturnType<typeof deviceInfo>).codeChallenge,
        place: requestState(ctx.req).place(),
        ttlSeconds,
        intervalSeconds: INTERVAL_SECONDS,
      });
      if (!wasNew) throw new errors.TemporarilyUnavailable('try again');
    },
    find: (value) => approvedCode(database, currentContext(), value),
  };
}

function currentContext(): KoaContextWithOIDC {
  const { ctx } = Provider;
  if (ctx === undefined) throw new Error('device codes are asked for in requests alone');
  return ctx;
}

/** What the token and its grant will hold, but for the person: nothing is made for anybody before they approve. */
function askedFor({ oidc }: KoaContextWithOIDC) {
  const { organization, login_hint: loginHint, nonce, resource } = parametersOf(oidc);
  const scope = [...oidc.requestParamOIDCScopes].join(' ');
  const resources = Object.entries(oidc.resourceServers ?? {}).map(([indicator, server]) => [
    indicator,
    [...server.scopes].join(' '),
  ]);
  return {
    token: { kind: 'DeviceCode', clientId: oidc.client?.clientId, scope, nonce, resource },
    grant: {
      openid: { scope },
      ...(resources.length > 0 && { resources: Object.fromEntries(resources) as Form }),
    },
    demands: { organization: textOf(organization), loginHint: textOf(loginHint) },
  };
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);

function parametersOf({ params = {} }: KoaContextWithOIDC['oidc']) {
  return {
    organization: params[extraParameters.organization],
    login_hint: params['login_hint'],
    nonce: params['nonce'],
    resource: params['resource'],
  };
}

/**
 * The code if it can be redeemed now. A code that lost a race is refused and ends nothing: polls of one program overlap.
 * @throws errors.OIDCProviderError that says how things stand (RFC 8628 section 3.5)
 */
async function approvedCode(database: Database, ctx: KoaContextWithOIDC, value: string) {
  const clientId = String(ctx.oidc.client?.clientId);
  const codeChallenge = challengeOf(ctx.oidc.body?.['code_verifier']);
  switch (await pollDeviceCode(database, { value, clientId, codeChallenge })) {
    case undefined:
      return undefined;
    case 'pending':
      throw new errors.AuthorizationPending('nobody has decided yet');
    case 'early':
      throw new errors.SlowDown('the interval is longer by 5 seconds from now on');
    case 'denied':
      throw new errors.AccessDenied('the person denied the request');
    case 'expired':
      throw new errors.ExpiredToken('the device code is over');
    case 'used':
      throw new errors.InvalidGrant('the device code was used already');
    case 'approved':
  }
  const found = await findGrantToken(database, { kind: 'DeviceCode', value });
  // Approved, and since then the person, or what lets them in, was disabled, or the session has ended.
  if (found === undefined) throw new errors.AccessDenied('the approval has ended');
  if (found.consumedSecondsAgo !== undefined)
    throw new errors.InvalidGrant('the device code was used already');
  requestState(ctx.req).grants.set(found.grant.id, found.grant);
  // Its end is the database's to say, and has been asked for.
  return { ...found.payload, exp: Math.ceil(Date.now() / 1000) + DEVICE_CODE_TTL_SECONDS };
}
