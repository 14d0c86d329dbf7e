/**
 * One request to the OpenID Provider: what the library is told of it. The request's Host and forwarded headers have no say in
 * it, and the only cookie that the library sees is a stand-in for our session.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type Provider from 'oidc-provider';
import type { TokenKind } from '../connections/connection.ts';
import type { PresentedToken } from '../connections/connector.ts';
import type { FailureCode } from '../errors.ts';
import type { Session } from '../sessions/session.ts';
import type { DevicePlace } from './device-code-store.ts';
import { beginRequest } from './request-state.ts';

/** A request to end the session that the library found to be in order (OpenID Connect RP-Initiated Logout 1.0). */
export interface EndSessionRequest {
  readonly clientId: string | undefined;
  /** Registered for the application, and where the person wants to go. */
  readonly postLogoutUri: string | undefined;
  readonly state: string | undefined;
  /** Whose session the application means, as its ID token says. */
  readonly hint: { readonly userId: string; readonly sessionId: string | undefined } | undefined;
}

/** A person's sign-in by a token that an application shows. */
export interface PresentedSignIn {
  /** Slug of the organization. */
  readonly organization: string;
  readonly kind: TokenKind;
  readonly clientId: string;
  /** Where the application names it. */
  readonly connectionId: string | undefined;
  /** Organizations that the application is for; undefined: all. */
  readonly organizationIds: readonly string[] | undefined;
  readonly presented: PresentedToken;
}

/** What the library refused, for the audit trail. */
export interface ProviderRefusal {
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
  /**
   * Writes down what was refused.
   * @returns the reference that stands for it in the audit trail, and whether it could not be written there
   */
  readonly onRefusal: (
    request: IncomingMessage,
    refusal: ProviderRefusal,
  ) => Promise<{ readonly reference: string; readonly isLost: boolean }>;
  /**
   * Asked before an application proves who it is.
   * @param clientId undefined: there is no such application
   * @throws GatewayError `rate_limited` where it failed too often from there
   */
  readonly requireClientTries: (request: IncomingMessage, clientId: string | undefined) => Promise<void>;
  /**
   * Signs a person in by a token from outside.
   * @throws GatewayError
   */
  readonly signInByToken: (signIn: PresentedSignIn) => Promise<Session>;
  /** What the public learns of a failure. */
  readonly publicFailure: (code: FailureCode) => { readonly status: number; readonly sentence: string };
}

export interface ProviderRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Of the browser, at endpoints that browsers visit. */
  readonly session: Session | undefined;
  /** Where it came from, for a person to compare. */
  readonly place: () => DevicePlace;
  /** When the request set out, in milliseconds on the process's monotonic clock. */
  readonly startedAtMs: number;
}

/** Hands one request to the library. */
export function serveProviderRequest(
  provider: Provider,
  sessionCookie: string,
  { request, response, session, place, startedAtMs }: ProviderRequest,
): Promise<void> {
  const { answer, host, scheme } = servedBy(provider);
  const { headers } = request;
  beginRequest(request, { session, cookie: headers.cookie, place, startedAtMs });
  // A request target may be absolute and name any host (RFC 9112 section 3.2.2).
  const express = request as IncomingMessage & { originalUrl: string };
  request.url = withoutAuthority(request.url ?? '/');
  express.originalUrl = withoutAuthority(express.originalUrl);
  headers.host = host;
  headers['x-forwarded-proto'] = scheme;
  delete headers['x-forwarded-host'];
  delete headers.cookie;
  if (session !== undefined) headers.cookie = `${sessionCookie}=${session.id}`;
  return answer(request, response);
}

interface Served {
  readonly answer: ReturnType<Provider['callback']>;
  readonly host: string;
  readonly scheme: string;
}

const served = new WeakMap<Provider, Served>();

/** What is the same with every request to a provider. */
function servedBy(provider: Provider): Served {
  const known = served.get(provider);
  if (known !== undefined) return known;
  const { host, protocol } = new URL(provider.issuer);
  const made = { answer: provider.callback(), host, scheme: protocol.slice(0, -1) };
  served.set(provider, made);
  return made;
}

function withoutAuthority(target: string): string {
  const path = target.replace(/^https?:\/\/[^/?]*/i, '');
  return path.startsWith('/') ? path : `/${path}`;
}
