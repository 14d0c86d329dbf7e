/**
 * The surface: the list of all routes, each with who may use it and what it reads of a body. A route that is not in the list does not exist; one without its line of access does not compile.
 */
import express, {
  type Express,
  type NextFunction,
  type Request,
  type RequestHandler,
  type Response,
} from 'express';
import { GatewayError } from '../errors.ts';
import type { ConnectionKind } from '../connections/connection.ts';
import { describeError } from '../log.ts';
import { failAgain } from './fail-in-app.ts';
import { respondWithFailure } from './failures.ts';
import { giveTicket, showHostSignOut, signOutOfHost, startSignIn, takeTicket } from './host-routes.ts';
import { verifyForProxy } from './verify-routes.ts';
import { showLive, showReady } from './health-routes.ts';
import { confirmLogin, showConfirmPage } from './confirm-routes.ts';
import { showBreakGlass, useBreakGlass } from './break-glass-routes.ts';
import { startConnectionTest } from './connection-test-routes.ts';
import { decideOnDevice, showDevicePage } from './device-routes.ts';
import { completeJwtCallback } from './jwt-callback-routes.ts';
import { showLoginPage, startFromAddress } from './login-routes.ts';
import type { Metrics } from './metrics.ts';
import { METRICS_PATH, showMetrics } from './metrics-routes.ts';
import { DEVICE_PATH } from './opened-code.ts';
import type { AppParts, HttpParts } from './parts.ts';
import { MOUNT, serveOpenIdProvider } from './provider-routes.ts';
import { isFromOurPages, prefetchStatus } from './request-facts.ts';
import { completeOidc, startFromEntryLink } from './sso-routes.ts';
import { endOwn, showHome, showSession } from './session-routes.ts';
import { endByProviderToken, finishSignOut, signOut, SIGNED_OUT_PATH } from './sign-out-routes.ts';

/**
 * Who may use a route. `look`: anybody, it changes nothing. `attempt`: anybody, counted, a step of a sign-in that looking
 * ahead must not take. `own pages`: pages of this origin, because it acts on a browser's session.
 * `pages of the host`: the same at a host behind a proxy; the route knows which host that is.
 */
type Access = 'look' | 'attempt' | 'own pages' | 'pages of the host';

interface Route {
  readonly method: 'get' | 'post';
  readonly path: string;
  readonly access: Access;
  /** A failure here may not show whether a domain is known. */
  readonly isCallback?: boolean;
  /** Where providers of one kind send people back to. */
  readonly kind?: ConnectionKind;
  /** It is a program that asks, and it understands the errors of RFC 6749 section 5.2. */
  readonly answersOAuth?: boolean;
  readonly handle: (request: Request, response: Response) => void | Promise<void>;
}

function routes(parts: AppParts): readonly Route[] {
  return [
    { method: 'get', path: '/', access: 'look', handle: showHome(parts) },
    { method: 'get', path: '/login', access: 'look', handle: showLoginPage(parts) },
    { method: 'post', path: '/login', access: 'attempt', handle: startFromAddress(parts) },
    { method: 'get', path: '/login/confirm', access: 'look', handle: showConfirmPage(parts) },
    { method: 'post', path: '/login/confirm', access: 'own pages', handle: confirmLogin(parts) },
    { method: 'get', path: '/sso/:organization', access: 'attempt', handle: startFromEntryLink(parts) },
    { method: 'get', path: '/sso/test/:ticket', access: 'attempt', handle: startConnectionTest(parts) },
    {
      method: 'get',
      path: '/sso/oidc/:connection_id/callback',
      access: 'attempt',
      isCallback: true,
      kind: 'oidc',
      handle: completeOidc(parts),
    },
    {
      method: 'get',
      path: '/v3/api/user/sso/:domain/authenticate',
      access: 'attempt',
      isCallback: true,
      kind: 'jwt-callback',
      handle: completeJwtCallback(parts),
    },
    { method: 'get', path: DEVICE_PATH, access: 'attempt', handle: showDevicePage(parts) },
    { method: 'post', path: DEVICE_PATH, access: 'own pages', handle: decideOnDevice(parts) },
    { method: 'get', path: '/break-glass/:ticket', access: 'attempt', handle: showBreakGlass(parts) },
    { method: 'post', path: '/break-glass/:ticket', access: 'own pages', handle: useBreakGlass(parts) },
    { method: 'get', path: '/session', access: 'look', handle: showSession(parts) },
    { method: 'post', path: '/logout', access: 'own pages', handle: signOut(parts) },
    { method: 'post', path: '/sessions/end', access: 'own pages', handle: endOwn(parts) },
    { method: 'get', path: SIGNED_OUT_PATH, access: 'look', handle: finishSignOut(parts) },
    {
      method: 'post',
      path: '/sso/oidc/:connection_id/backchannel-logout',
      access: 'attempt',
      answersOAuth: true,
      handle: endByProviderToken(parts),
    },
    { method: 'get', path: '/auth/verify', access: 'look', handle: verifyForProxy(parts) },
    { method: 'get', path: '/auth/host', access: 'attempt', handle: giveTicket(parts) },
    { method: 'get', path: '/.gatehouse/start', access: 'attempt', handle: startSignIn(parts) },
    {
      method: 'get',
      path: '/.gatehouse/callback',
      access: 'attempt',
      isCallback: true,
      handle: takeTicket(parts),
    },
    { method: 'get', path: '/.gatehouse/sign-out', access: 'look', handle: showHostSignOut(parts) },
    {
      method: 'post',
      path: '/.gatehouse/sign-out',
      access: 'pages of the host',
      handle: signOutOfHost(parts),
    },
    { method: 'get', path: '/health/live', access: 'look', handle: showLive },
    { method: 'get', path: '/health/ready', access: 'look', handle: showReady(parts) },
    ...(parts.metrics === undefined ? [] : [metricsRoute(parts.metrics)]),
  ];
}

const metricsRoute = (metrics: Metrics): Route => ({
  method: 'get',
  path: METRICS_PATH,
  access: 'look',
  handle: showMetrics(metrics),
});

export function createApp(parts: AppParts): Express {
  const app = express();
  app.set('query parser', 'simple');
  app.set('case sensitive routing', true);
  app.set('strict routing', true);
  app.set('etag', false);
  app.disable('x-powered-by');
  if (parts.config.trustProxy !== undefined) app.set('trust proxy', parts.config.trustProxy);
  app.use(failAgain);
  const all = routes(parts);
  for (const route of all) {
    const readers = route.method === 'post' ? bodyReaders : [];
    app[route.method](route.path, admit(parts, route), ...readers, handler(route));
  }
  for (const path of new Set(all.map((route) => route.path))) {
    const allowedMethods = all.filter((route) => route.path === path).flatMap(methodsOf);
    app.all(path, (request) => {
      // A body and a query that both hold a token are not another method but another protocol.
      if (request.method === 'POST' && all.some((route) => route.path === path && route.isCallback)) {
        throw new GatewayError('malformed_request', { reason: 'callbacks come by GET' });
      }
      throw new GatewayError('method_not_allowed', { allowedMethods });
    });
  }
  // Applications prove who they are, and a person's session is only looked at: the protocol says how, not a line here.
  app.use(MOUNT, serveOpenIdProvider(parts));
  app.get('/favicon.ico', (_request, response) => {
    response.status(204).end();
  });
  app.use(() => {
    throw new GatewayError('not_found');
  });
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) =>
    answer(parts, error, request, response),
  );
  return app;
}

const bodyReaders: readonly RequestHandler[] = [
  express.urlencoded({ extended: false, limit: '16kb', parameterLimit: 20, inflate: false }),
  express.json({ limit: '16kb', inflate: false }),
];

function methodsOf(route: Route): readonly string[] {
  return route.method === 'post' ? ['POST'] : route.access === 'look' ? ['GET', 'HEAD'] : ['GET'];
}

function admit(parts: HttpParts, route: Route): RequestHandler {
  const { publicUrl } = parts.config;
  return async (request, response, next) => {
    // Express answers HEAD with the handler of GET, which for a step of a sign-in would be the step itself.
    if (!methodsOf(route).includes(request.method)) {
      next('route');
      return;
    }
    if (route.access === 'attempt') {
      const status = request.method === 'GET' ? prefetchStatus(request) : undefined;
      if (status !== undefined) {
        response.status(status).end();
        return;
      }
      await parts.limits.countAttempt(request);
    }
    if (route.access === 'own pages' && !isFromOurPages(request, publicUrl)) {
      throw new GatewayError('malformed_request', { reason: 'another site sent it' });
    }
    next();
  };
}

function handler(route: Route): RequestHandler {
  return async (request, response) => {
    try {
      await route.handle(request, response);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      throw error.with({
        isCallback: route.isCallback === true,
        connectionKind: route.kind,
        answersOAuth: route.answersOAuth === true,
      });
    }
  };
}

/** The last resort must not throw: whatever is wrong with answering ends the answer. */
async function answer(parts: HttpParts, error: unknown, request: Request, response: Response): Promise<void> {
  try {
    await respondWithFailure(parts, error, { request, response });
  } catch (fault) {
    parts.log.error({ error: describeError(fault) }, 'a failure could not be answered');
    response.destroy();
  }
}
