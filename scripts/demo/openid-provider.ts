/**
 * An OpenID Provider as a customer's company would run it, on loopback: authorization code flow with PKCE, one client and
 * perhaps a native application, a sign-in page of its own and a session, so that a second sign-in is silent. A `login_hint` for
 * another known person than the one signed in asks again. Nothing is kept; keys are made at start. It must not know Gatehouse: tests use it
 * as a foreign counterpart.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import type Provider from 'oidc-provider';
import type * as oidcProvider from 'oidc-provider';
import type { ClientMetadata, Configuration, JWKS, KoaContextWithOIDC } from 'oidc-provider';
import { readForm, startLoopbackServer } from './loopback-server.ts';
import { memoryAdapter } from './memory-adapter.ts';
import { authenticate, DEMO_PASSWORD, findByEmail } from './people.ts';
import type { Person } from './people.ts';
import { renderMessagePage, renderSignInPage, renderSignOutPage, sendPage } from './sign-in-page.ts';
import type { CompanyPages, Page } from './sign-in-page.ts';

interface OpenIdProviderClient {
  readonly id: string;
  readonly secret: string;
  /** None: the client is unknown until `setRedirectUris`. */
  readonly redirectUris: readonly string[];
  readonly postLogoutRedirectUris?: readonly string[];
}

interface OpenIdProviderOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** Host name in the issuer; default 127.0.0.1, another site than localhost. */
  readonly issuerHost?: string;
  readonly client: OpenIdProviderClient;
  /** Client id of an application without a secret, whose redirect URI is http://127.0.0.1/callback on any port. */
  readonly nativeClientId?: string;
  readonly people: readonly Person[];
  readonly companyName: string;
  /** Whether it gives refresh tokens, to who asks for `offline_access` with `prompt=consent`; each is good once. */
  readonly givesRefreshTokens?: boolean;
  /** Asked before each answer; true: it was answered there. */
  readonly intercept?: (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;
}

export interface OpenIdProvider {
  readonly issuer: string;
  /** Replaces the client's redirect URIs at once. */
  setRedirectUris(redirectUris: readonly string[]): void;
  /** A person has left the company: nothing that was given for them is good any more. */
  dismiss(subject: string): void;
  close(): Promise<void>;
}

type Library = typeof oidcProvider;

let library: Promise<Library> | undefined;

/** On import the library warns of Node.js 20, which works and is supported here; that line would only puzzle people. */
async function importQuietly(): Promise<Library> {
  const { warn } = console;
  console.warn = () => undefined;
  try {
    return await import('oidc-provider');
  } finally {
    console.warn = warn;
  }
}

async function makeKeys(): Promise<JWKS> {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const kid = randomBytes(8).toString('base64url');
  return { keys: [{ ...(await exportJWK(privateKey)), kid, use: 'sig', alg: 'RS256' }] };
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;

/** Every client here belongs to the company, so nobody is asked for consent. */
async function grantWhatIsAsked(ctx: KoaContextWithOIDC) {
  const { client, session, params, provider } = ctx.oidc;
  if (client === undefined || session?.accountId === undefined) return undefined;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  if (typeof params?.['scope'] === 'string') grant.addOIDCScope(params['scope']);
  await grant.save();
  return grant;
}

/** Adds to the sign-in prompt: the person signed in is not the one whom the client expects. */
function interactionPolicyWithHint({ interactionPolicy }: Library, people: readonly Person[]) {
  const policy = interactionPolicy.base();
  const { Check } = interactionPolicy;
  policy.get('login')?.checks.add(
    new Check('other_person', 'another person is expected', ({ oidc }) => {
      const hint = oidc.params?.['login_hint'];
      const hinted = typeof hint === 'string' ? findByEmail(people, hint) : undefined;
      const fits = hinted === undefined || hinted.subject === oidc.session?.accountId;
      return fits || oidc.result?.login !== undefined ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT;
    }),
  );
  return policy;
}

function respond(ctx: KoaContextWithOIDC, page: Page): void {
  ctx.set(page.headers);
  ctx.body = page.html;
}

function pagesConfiguration(company: CompanyPages) {
  return {
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx: KoaContextWithOIDC, form: string) => {
          respond(ctx, renderSignOutPage(company, form, 'op.logoutForm'));
        },
        postLogoutSuccessSource: (ctx: KoaContextWithOIDC) => {
          respond(ctx, renderMessagePage(company, 'Signed out', 'You can close this page.'));
        },
      },
    },
    renderError: (
      ctx: KoaContextWithOIDC,
      out: { error: string; error_description?: string | undefined },
    ) => {
      const text = `${out.error}: ${out.error_description ?? 'the request was refused'}`;
      respond(ctx, renderMessagePage(company, 'Something went wrong', text));
    },
  } satisfies Configuration;
}

function findAccount(people: readonly Person[], subject: string) {
  const person = people.find((one) => one.subject === subject);
  if (person === undefined) return undefined;
  return {
    accountId: subject,
    claims: () => ({ sub: subject, email: person.email, email_verified: true, name: person.name }),
  };
}

async function makeProvider(
  issuer: string,
  options: OpenIdProviderOptions,
  findClient: (id: string) => ClientMetadata | undefined,
  company: CompanyPages,
): Promise<Provider> {
  const oidc = await (library ??= importQuietly());
  const { people } = options;
  return new oidc.default(issuer, {
    ...pagesConfiguration(company),
    adapter: memoryAdapter(findClient),
    jwks: await makeKeys(),
    // Cookies know no ports: names of their own keep them apart from another provider on this host.
    cookies: {
      keys: [randomBytes(32).toString('base64url')],
      names: { session: 'openid_session', interaction: 'openid_interaction', resume: 'openid_resume' },
    },
    scopes: [
      'openid',
      'email',
      'profile',
      ...(options.givesRefreshTokens === true ? ['offline_access'] : []),
    ],
    rotateRefreshToken: true,
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: false,
    responseTypes: ['code'],
    pkce: { required: () => true },
    ttl: {
      AccessToken: 5 * MINUTE,
      AuthorizationCode: MINUTE,
      Grant: HOUR,
      IdToken: 5 * MINUTE,
      Interaction: 10 * MINUTE,
      RefreshToken: 8 * HOUR,
      Session: 8 * HOUR,
    },
    clientBasedCORS: () => false,
    interactions: {
      policy: interactionPolicyWithHint(oidc, people),
      url: (_ctx, interaction) => `/interaction/${interaction.uid}`,
    },
    loadExistingGrant: grantWhatIsAsked,
    findAccount: (_ctx, subject) => findAccount(people, subject),
  });
}

/** The sign-in page and its answer, for one request to /interaction/{uid}. */
async function interact(
  provider: Provider,
  { people }: OpenIdProviderOptions,
  company: CompanyPages,
  [request, response]: [IncomingMessage, ServerResponse],
): Promise<void> {
  const { prompt, params, uid } = await provider.interactionDetails(request, response);
  if (prompt.name !== 'login') {
    await provider.interactionFinished(request, response, { consent: {} });
    return;
  }
  const form = request.method === 'POST' ? await readForm(request) : undefined;
  const person = form === undefined ? undefined : authenticate(people, form);
  if (person !== undefined) {
    await provider.interactionFinished(request, response, { login: { accountId: person.subject } });
    return;
  }
  const hint = typeof params['login_hint'] === 'string' ? params['login_hint'] : '';
  const page = renderSignInPage(company, {
    action: `/interaction/${uid}`,
    email: form?.get('email') ?? hint,
    password: DEMO_PASSWORD,
    ...(form !== undefined && { problem: 'This address and password do not fit together.' }),
  });
  sendPage(response, form === undefined ? 200 : 401, page);
}

function nativeClient(id: string): ClientMetadata {
  return {
    client_id: id,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    redirect_uris: ['http://127.0.0.1/callback'],
    grant_types: ['authorization_code'],
    response_types: ['code'],
  };
}

async function intercepted(
  intercept: NonNullable<OpenIdProviderOptions['intercept']>,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  [request, response]: [IncomingMessage, ServerResponse],
): Promise<void> {
  if (!(await intercept(request, response))) handle(request, response);
}

/** Starts an OpenID Provider on loopback http. */
export async function startOpenIdProvider(options: OpenIdProviderOptions): Promise<OpenIdProvider> {
  const { client, nativeClientId, companyName, givesRefreshTokens = false } = options;
  const people = [...options.people];
  const company: CompanyPages = { companyName, look: 'rounded' };
  let { redirectUris } = client;
  const findClient = (id: string): ClientMetadata | undefined => {
    if (id === nativeClientId) return nativeClient(id);
    return id !== client.id || redirectUris.length === 0
      ? undefined
      : {
          client_id: client.id,
          client_secret: client.secret,
          redirect_uris: [...redirectUris],
          post_logout_redirect_uris: [...(client.postLogoutRedirectUris ?? [])],
          grant_types: ['authorization_code', ...(givesRefreshTokens ? ['refresh_token'] : [])],
          response_types: ['code'],
        };
  };
  const loopback = await startLoopbackServer(options.issuerHost ?? '127.0.0.1', options.port ?? 0);
  const provider = await makeProvider(loopback.origin, { ...options, people }, findClient, company);
  const answer = provider.callback();
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    if (request.url?.startsWith('/interaction/') !== true) {
      void answer(request, response);
      return;
    }
    interact(provider, options, company, [request, response]).catch(() => {
      // The library throws for a sign-in that it does not know (any more), before anything is answered.
      sendPage(
        response,
        400,
        renderMessagePage(company, 'This sign-in has expired', 'Go back and start again.'),
      );
    });
  };
  const { intercept } = options;
  loopback.server.on('request', (request, response) => {
    if (intercept === undefined) handle(request, response);
    else void intercepted(intercept, handle, [request, response]);
  });
  return {
    issuer: loopback.origin,
    setRedirectUris(uris) {
      redirectUris = uris;
    },
    dismiss(subject) {
      people.splice(0, people.length, ...people.filter((person) => person.subject !== subject));
    },
    close: () => loopback.close(),
  };
}
