/**
 * What is made of the library's answers: what they issue is saved before they leave, no cookie of its own does, refusals are
 * written down, and signing out becomes a page of ours.
 */
import type Provider from 'oidc-provider';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { findGatewayError } from '../errors.ts';
import type { Database } from '../database/database.ts';
import { DEVICE_CODE_GRANT } from './client-directory.ts';
import { completeDeviceAnswer } from './device-code-room.ts';
import type { GrantMemory } from './grant-memory.ts';
import type { EndSessionRequest, ProviderFaces, ProviderRefusal } from './provider-request.ts';
import { requestState, type RequestState } from './request-state.ts';
import { saveIssue } from './save-issue.ts';
import type { TokenQuestions } from './token-questions.ts';

/** Failures that the library reports as events. What a person or an application may cause all day is not among them. */
const FAILURES = [
  'authorization.error',
  'grant.error',
  'device_authorization.error',
  'introspection.error',
  'revocation.error',
  'end_session.error',
  'server_error',
] as const;
/** Answers to `prompt=none` that say that somebody has to be asked: no failure of anybody. */
const NOT_SIGNED_IN = new Set([
  'login_required',
  'interaction_required',
  'consent_required',
  'account_selection_required',
]);

/** Answers to a program that polls: it asks all day, and what a person decided is in the audit trail already. */
const POLLED = new Set(['authorization_pending', 'slow_down', 'expired_token', 'access_denied']);

/** Adds our part around every answer of a new provider. */
export function surroundAnswers(
  provider: Provider,
  parts: {
    readonly database: Database;
    readonly faces: ProviderFaces;
    readonly publicUrl: string;
    readonly memory: GrantMemory;
    readonly tokens: TokenQuestions;
  },
): void {
  const { faces, publicUrl, memory } = parts;
  for (const event of FAILURES) {
    provider.on(event as 'server_error', (ctx: KoaContextWithOIDC, error: Error) => {
      requestState(ctx.req).failure = error;
    });
  }
  provider.use(async (context, next) => {
    await next();
    const ctx = context as KoaContextWithOIDC;
    ctx.remove('Set-Cookie');
    const state = requestState(ctx.req);
    if (ctx.status === 200) await finishIssue(ctx, parts);
    if (ctx.status === 200 && routeOf(ctx) === 'device_authorization') completeDeviceAnswer(ctx, publicUrl);
    if (ctx.status === 200 && routeOf(ctx) === 'userinfo') holdUserinfo(ctx, memory);
    const refusal = state.failure === undefined ? undefined : refusalOf(ctx, state);
    if (refusal !== undefined) nameFailure(ctx, state, await faces.onRefusal(ctx.req, refusal));
    else if (isEndSession(ctx)) {
      ctx.respond = false;
      // Of the page that the library made.
      for (const name of ['Content-Type', 'Content-Length']) ctx.remove(name);
      // What follows is ours, and reads the browser's cookies.
      ctx.req.headers.cookie = state.cookie;
      await faces.endSession(ctx.req, ctx.res, endSessionRequest(ctx));
    }
  });
}

/** What a sign-in failed with has a code of ours and a reference, whichever protocol it came by. */
function nameFailure(
  ctx: KoaContextWithOIDC,
  { failure }: RequestState,
  { reference, isLost }: Awaited<ReturnType<ProviderFaces['onRefusal']>>,
): void {
  const known = findGatewayError(failure);
  if (known === undefined || !isRecord(ctx.body)) return;
  // Nobody is refused at a sign-in without a trace.
  if (isLost) {
    const error = 'temporarily_unavailable';
    ctx.status = 503;
    ctx.body = { error, code: error, reference };
    ctx.set('Retry-After', '2');
    return;
  }
  ctx.body = { ...ctx.body, code: known.code, reference };
  const { retryAfterSeconds } = known.context;
  if (retryAfterSeconds !== undefined) ctx.set('Retry-After', String(retryAfterSeconds));
}

function isRecord(body: unknown): body is Record<string, unknown> {
  return typeof body === 'object' && body !== null && Object.getPrototypeOf(body) === Object.prototype;
}

/** Nothing was issued until it is saved: what cannot be is a refusal in the place of the answer. */
async function finishIssue(ctx: KoaContextWithOIDC, parts: Parameters<typeof saveIssue>[0]): Promise<void> {
  const state = requestState(ctx.req);
  try {
    await saveIssue(parts, state);
  } catch (error) {
    state.failure = error;
    const isProtocol = error instanceof errors.OIDCProviderError;
    ctx.status = isProtocol ? error.statusCode : 500;
    ctx.body = isProtocol
      ? { error: error.error, error_description: error.error_description }
      : { error: 'server_error' };
  }
}

/** Asked in the usual way, the next answer to the same token is this one. */
function holdUserinfo(ctx: KoaContextWithOIDC, memory: GrantMemory): void {
  const { found } = requestState(ctx.req);
  const isUsual = ctx.method === 'GET' && ctx.querystring === '' && ctx.req.headers.origin === undefined;
  if (found === undefined || !isUsual || !isRecord(ctx.body)) return;
  const headers = ctx.res.getHeaderNames().flatMap((name) => [name, String(ctx.res.getHeader(name))]);
  memory.holdUserinfo({ headers, body: JSON.stringify(ctx.body) }, found);
}

function routeOf(ctx: KoaContextWithOIDC): string | undefined {
  return (ctx.oidc as { route?: string } | undefined)?.route;
}

function isEndSession(ctx: KoaContextWithOIDC): boolean {
  return routeOf(ctx) === 'end_session' && ctx.status === 200;
}

function endSessionRequest(ctx: KoaContextWithOIDC): EndSessionRequest {
  const found = (ctx.oidc.session?.state ?? {}) as {
    readonly clientId?: string;
    readonly postLogoutRedirectUri?: string;
    readonly state?: string;
  };
  const payload = (ctx.oidc.entities.IdTokenHint as { payload?: Record<string, unknown> } | undefined)
    ?.payload;
  const userId = payload?.['sub'];
  const sessionId = payload?.['sid'];
  return {
    clientId: found.clientId,
    postLogoutUri: found.postLogoutRedirectUri,
    state: found.state,
    hint:
      typeof userId === 'string'
        ? { userId, sessionId: typeof sessionId === 'string' ? sessionId : undefined }
        : undefined,
  };
}

/** Undefined for what is not worth an audit event. */
function refusalOf(
  ctx: KoaContextWithOIDC,
  { failure, reference }: RequestState,
): ProviderRefusal | undefined {
  const { error, error_description, error_detail } = failure as {
    readonly error?: string;
    readonly error_description?: string;
    readonly error_detail?: string;
  };
  if (error !== undefined && NOT_SIGNED_IN.has(error)) return undefined;
  const oidc = ctx.oidc as Partial<KoaContextWithOIDC['oidc']> | undefined;
  if (error !== undefined && POLLED.has(error) && oidc?.params?.['grant_type'] === DEVICE_CODE_GRANT) {
    return undefined;
  }
  return {
    error: error ?? 'server_error',
    reason: [error_description, error_detail].filter((text) => text !== undefined).join(': '),
    clientId: oidc?.client?.clientId,
    reference,
    cause: failure,
  };
}
