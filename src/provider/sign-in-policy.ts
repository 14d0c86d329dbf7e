/**
 * When a person has to sign in before an application gets its code, and where they are sent. The way back is the authorization
 * request itself, asked again: nothing is stored about it, and everything is checked again when it comes back. With it comes,
 * sealed for this very request, the time that a sign-in must be newer than, so that nobody is asked twice.
 */
import { errors, interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import type { SecretBox } from '../secret-box.ts';
import type { Session } from '../sessions/session.ts';
import { extraParameters, placeOf, requestAgain } from './authorization-request.ts';
import type { ClientDirectory } from './client-directory.ts';
import { requestState } from './request-state.ts';

/** Longest authorization request in characters that can go with a person who has to sign in first. */
const LONGEST_REQUEST = 2_000;

const { Check, Prompt } = interactionPolicy;

const sessionOf = (ctx: KoaContextWithOIDC): Session | undefined => requestState(ctx.req).session;

const parameter = (ctx: KoaContextWithOIDC, name: string): string | undefined => {
  const value = ctx.oidc.params?.[name];
  return typeof value === 'string' ? value : undefined;
};

/** Parameters of the request but for what is ours to say. */
function requestParameters(ctx: KoaContextWithOIDC): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(ctx.oidc.params ?? {})) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (typeof item === 'string' && name !== extraParameters.newerThan) parameters.append(name, item);
    }
  }
  parameters.sort();
  return parameters;
}

/** Whether the person signed in because this request sent them to. */
function hasSignedInFor(secrets: SecretBox, ctx: KoaContextWithOIDC): boolean {
  const sealed = parameter(ctx, extraParameters.newerThan);
  const session = sessionOf(ctx);
  if (sealed === undefined || session === undefined) return false;
  const time = secrets.open('authorization-request', placeOf(requestParameters(ctx)), sealed);
  return time !== undefined && session.authenticatedAt.getTime() > Number(time);
}

/** The checks that ask for a sign-in, by the reason for it. The first that applies decides. */
export function signInPolicy({
  clients,
  secrets,
}: {
  readonly clients: ClientDirectory;
  readonly secrets: SecretBox;
}): InstanceType<typeof Prompt>[] {
  const login = new Prompt(
    { name: 'login', requestable: true },
    new Check('no_session', 'the person is not signed in', (ctx) => sessionOf(ctx) === undefined),
    new Check('other_organization', 'the person is signed in at another organization', (ctx) => {
      const organization = parameter(ctx, extraParameters.organization);
      const session = sessionOf(ctx);
      return (
        organization !== undefined && session !== undefined && session.organization.slug !== organization
      );
    }),
    new Check('max_age', 'the person signed in too long ago', (ctx) => {
      const maxAge = parameter(ctx, 'max_age');
      const session = sessionOf(ctx);
      if (maxAge === undefined || session === undefined || hasSignedInFor(secrets, ctx)) return false;
      return Date.now() - session.authenticatedAt.getTime() > Number(maxAge) * 1000;
    }),
    new Check('other_person', 'the id_token_hint names somebody else', (ctx) => {
      const hinted = (ctx.oidc.entities.IdTokenHint as { payload?: { sub?: unknown } } | undefined)?.payload
        ?.sub;
      const session = sessionOf(ctx);
      if (hinted === undefined || session === undefined || hinted === session.user.id) return false;
      // They signed in again and are still somebody else: asking once more would not help.
      if (hasSignedInFor(secrets, ctx)) throw new errors.LoginRequired('somebody else is signed in');
      return true;
    }),
    new Check('not_for_organization', 'the application is not for this organization', async (ctx) => {
      const session = sessionOf(ctx);
      const clientId = ctx.oidc.client?.clientId;
      if (session === undefined || clientId === undefined) return false;
      const application = await clients.application(clientId);
      if (application?.organizationIds?.includes(session.organization.id) === false) {
        throw new errors.AccessDenied('the application is not for the people of this organization');
      }
      return false;
    }),
  );
  // `prompt=login` is over once the person has signed in because of it.
  login.checks.remove('login_prompt');
  login.checks.add(
    new Check('login_prompt', 'the application asks for a new sign-in', 'login_required', (ctx) => {
      return ctx.oidc.prompts.has('login') && !hasSignedInFor(secrets, ctx);
    }),
    0,
  );
  // A choice among accounts is a sign-in: whoever wants another one types another address.
  const selection = new Prompt({ name: 'select_account', requestable: true });
  selection.checks.remove('select_account_prompt');
  selection.checks.add(
    new Check('select_account_prompt', 'the application asks for a choice of account', (ctx) => {
      return ctx.oidc.prompts.has('select_account') && !hasSignedInFor(secrets, ctx);
    }),
  );
  // The vendor's own applications: nobody is asked for consent, and asking for it is no mistake.
  const consent = new Prompt({ name: 'consent', requestable: true });
  consent.checks.clear();
  return [login, selection, consent];
}

/**
 * Where a person goes to sign in first: to their organization's provider if the request names it, else to the page that asks
 * for an address.
 * @returns a path of this origin
 */
export function signInPath(secrets: SecretBox, ctx: KoaContextWithOIDC): string {
  const returnTo = requestAgain(secrets, requestParameters(ctx), sessionOf(ctx));
  if (returnTo.length > LONGEST_REQUEST) {
    throw new errors.InvalidRequest(`the authorization request is longer than ${LONGEST_REQUEST} characters`);
  }
  const query = new URLSearchParams({ return_to: returnTo });
  const hint = parameter(ctx, 'login_hint');
  if (hint !== undefined) query.set('login_hint', hint);
  const organization = parameter(ctx, extraParameters.organization);
  const path = organization === undefined ? '/login' : `/sso/${encodeURIComponent(organization)}`;
  return `${path}?${query.toString()}`;
}
