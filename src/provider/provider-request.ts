/**
 * One request to the OpenID Provider, around the library: what it is told of the request, and what is made of its answer. The
 * request's Host and forwarded headers have no say in it, the only cookie that it sees is a stand-in for our session, and no
 * cookie of its own leaves.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Session } from '../sessions/session.ts';
import { beginRequest, requestState, type RequestState } from './request-state.ts';

/** A request to end the session that the library found to be in order (OpenID Connect RP-Initiated Logout 1.0). */
export interface EndSessionRequest {
  readonly clientId: string | undefined;
  /** Registered for the application, and where the person wants to go. */
  readonly postLogoutUri: string | undefined;
  readonly state: string | undefined;
  /** Whose session the application means, as its ID token says. */
  readonly hint: { readonly userId: string; readonly sessionId: string | undefined } | undefined;
}

/** What the library refused, for the audit trail. */
interface ProviderRefusal {
  /** As the application was told. */
  readonly error: string;
  /** What it was told beside that, and what only we know. */
  readonly reason: string;
  readonly clientId: string | undefined;
  readonly reference: string;
  readonly cause: unknown;
}

export interface ProviderFaces {
  /** A page for a person whose request failed and cannot be sent back to the application. */
  readonly failurePage: (status: number, reference: string) => string;
  /** Answers a request to sign out, in place of the library's page. */
  readonly endSession: (
    request: IncomingMessage,
    response: ServerResponse,
    end: EndSessionRequest,
  ) => Promise<void>;
  /** Writes down what was refused. */
  readonly onRefusal: (request: IncomingMessage, refusal: ProviderRefusal) => Promise<void>;
}

export interface ProviderRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Origin of this gateway. */
  readonly publicUrl: string;
  /** Of the browser, at endpoints that browsers visit. */
  readonly session: Session | undefined;
}

/** Hands one request to the library. */
export async function serveProviderRequest(
  provider: Provider,
  sessionCookie: string,
  { request, response, publicUrl, session }: ProviderRequest,
): Promise<void> {
  const { host, protocol } = new URL(publicUrl);
  const { headers } = request;
  beginRequest(request, { session, cookie: headers.cookie });
  // A request target may be absolute and name any host (RFC 9112 section 3.2.2).
  const express = request as IncomingMessage & { originalUrl: string };
  request.url = withoutAuthority(request.url ?? '/');
  express.originalUrl = withoutAuthority(express.originalUrl);
  headers.host = host;
  headers['x-forwarded-proto'] = protocol.slice(0, -1);
  delete headers['x-forwarded-host'];
  delete headers.cookie;
  if (session !== undefined) headers.cookie = `${sessionCookie}=${session.id}`;
  await provider.callback()(request, response);
}

function withoutAuthority(target: string): string {
  const path = target.replace(/^https?:\/\/[^/?]*/i, '');
  return path.startsWith('/') ? path : `/${path}`;
}

/** Failures that the library reports as events. What a person or an application may cause all day is not among them. */
const FAILURES = [
  'authorization.error',
  'grant.error',
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

/** Adds our part around every answer of a new provider. */
export function surroundAnswers(provider: Provider, faces: ProviderFaces): void {
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
    const refusal = state.failure === undefined ? undefined : refusalOf(ctx, state);
    if (refusal !== undefined) await faces.onRefusal(ctx.req, refusal);
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

function isEndSession(ctx: KoaContextWithOIDC): boolean {
  return (ctx.oidc as { route?: string } | undefined)?.route === 'end_session' && ctx.status === 200;
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
  return {
    error: error ?? 'server_error',
    reason: [error_description, error_detail].filter((text) => text !== undefined).join(': '),
    clientId: (ctx.oidc as { client?: { clientId: string } } | undefined)?.client?.clientId,
    reference,
    cause: failure,
  };
}
