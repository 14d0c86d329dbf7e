/** What access tokens for an application's resources are like (RFC 8707, RFC 9068). */
import { errors, type ResourceServer } from 'oidc-provider';
import type { Application } from '../applications/application.ts';
import { claimsByScope } from './account.ts';

export const ACCESS_TOKEN_TTL_SECONDS = 300;

/** @throws errors.InvalidTarget for a resource that the application is not registered for */
export function resourceServerOf(application: Application | undefined, resource: string): ResourceServer {
  if (application?.settings.resources.includes(resource) !== true) throw new errors.InvalidTarget();
  return {
    scope: Object.keys(claimsByScope).join(' '),
    audience: resource,
    accessTokenFormat: 'jwt',
    accessTokenTTL: ACCESS_TOKEN_TTL_SECONDS,
    jwt: { sign: { alg: application.settings.signingAlgorithm } },
  };
}
