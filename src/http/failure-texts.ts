/**
 * What the public learns of a failure: a status, a sentence and a next step, fixed by its code. The tables are complete by
 * their types; nothing from inside, and nothing that a provider or an attacker wrote, ever becomes a sentence.
 */
import type { FailureCode } from '../errors.ts';

/** What the page's first button offers. */
type WayOn = 'start again' | 'another address' | 'another code' | 'beginning';

interface PublicFailure {
  readonly status: number;
  readonly sentence: string;
  readonly nextStep: string;
  /** Whether it is a failed sign-in, and so belongs into the audit trail. */
  readonly isSignIn: boolean;
  readonly wayOn: WayOn;
}

const signIn = (status: number, sentence: string, nextStep: string): PublicFailure => ({
  status,
  sentence,
  nextStep,
  isSignIn: true,
  wayOn: 'start again',
});

/** A refusal of who signed in: the same address would be refused again. */
const account = (sentence: string): PublicFailure => ({
  status: 403,
  sentence,
  nextStep: ASK_WITH_REFERENCE,
  isSignIn: true,
  wayOn: 'another address',
});

const request = (status: number, sentence: string, nextStep: string): PublicFailure => ({
  status,
  sentence,
  nextStep,
  isSignIn: false,
  wayOn: 'start again',
});

const INVALID_LINK = "This sign-in link isn't valid.";
const START_OVER = 'Go back to where you came from, or start again with your e-mail address.';
const EXPIRED = 'This sign-in has expired or was already used.';
const START_AGAIN = 'Start again. If you already signed in, you can go straight on.';
const NOT_ALLOWED = 'Your account may not sign in here.';
const ASK_WITH_REFERENCE = 'Ask your administrator, and give them this reference.';
const PROVIDER = "Your company's sign-in service didn't answer correctly.";
const PROVIDER_NEXT = 'Try again in a moment. If it keeps happening, give your administrator this reference.';
const NEW_CODE = 'Go on in that browser, or start again at the application, which then shows a new code.';
const UNAVAILABLE = 'Sign-in is unavailable for a moment. Nothing was lost.';

export const publicFailures: Readonly<Record<FailureCode, PublicFailure>> = {
  malformed_request: signIn(400, INVALID_LINK, START_OVER),
  payload_too_large: signIn(413, INVALID_LINK, START_OVER),
  unsupported_media_type: signIn(415, INVALID_LINK, START_OVER),
  login_expired: signIn(400, EXPIRED, START_AGAIN),
  token_expired: signIn(400, EXPIRED, START_AGAIN),
  token_replayed: signIn(400, EXPIRED, START_AGAIN),
  token_invalid: signIn(
    401,
    "We couldn't sign you in.",
    'Start again; if it keeps happening, give your administrator this reference.',
  ),
  unknown_domain: signIn(
    404,
    "We don't know a company for this address.",
    'Check the spelling, or use the address that your company gave you.',
  ),
  unknown_organization: signIn(
    404,
    "We don't know this company.",
    'Check the link, or start with your e-mail address.',
  ),
  user_not_provisioned: account('Your account has not been set up yet.'),
  user_disabled: account(NOT_ALLOWED),
  email_not_allowed: account(NOT_ALLOWED),
  access_denied: signIn(
    403,
    'The sign-in was cancelled, or refused by your company.',
    'Start again, or ask your administrator and give them this reference.',
  ),
  connection_disabled: signIn(
    403,
    "Your company's sign-in was changed or turned off.",
    'Start again; if it keeps happening, give your administrator this reference.',
  ),
  organization_disabled: account(NOT_ALLOWED),
  application_not_allowed: account('This application is not for your organization.'),
  other_region: {
    ...account('Your company signs in in another region.'),
    nextStep: 'What you were going to belongs to this one. Start again at the application of your region.',
  },
  unknown_user_code: {
    ...signIn(404, "We don't know this code.", 'Type it exactly as the application shows it.'),
    wayOn: 'another code',
  },
  user_code_claimed: {
    ...signIn(403, 'This code was opened in another browser.', NEW_CODE),
    wayOn: 'another code',
  },
  cookies_refused: {
    ...signIn(400, 'Your browser keeps no cookies of this page.', 'Allow them, then open the link again.'),
    wayOn: 'another code',
  },
  identity_provider_error: signIn(502, PROVIDER, PROVIDER_NEXT),
  identity_provider_timeout: signIn(504, PROVIDER, PROVIDER_NEXT),
  rate_limited: signIn(429, 'Too many tries.', 'Wait a minute, then try again.'),
  temporarily_unavailable: signIn(503, UNAVAILABLE, 'Try again in a few seconds.'),
  internal_error: request(500, UNAVAILABLE, 'Try again in a few seconds.'),
  host_not_allowed: {
    ...request(
      403,
      'Your account may not use this.',
      'Ask your administrator whether you should have access.',
    ),
    wayOn: 'beginning',
  },
  not_signed_in: request(401, 'You are not signed in.', 'Sign in first.'),
  not_found: request(404, 'There is nothing here.', 'Check the address, or start at the beginning.'),
  method_not_allowed: {
    ...request(405, "This address can't be used like that.", 'Go back, or start at the beginning.'),
    wayOn: 'beginning',
  },
};

/** On the sign-in page, what is wrong with an address is said beside the field. */
export const addressProblems: Partial<
  Record<FailureCode, { readonly sentence: string; readonly nextStep: string }>
> = {
  malformed_request: {
    sentence: "This isn't an e-mail address.",
    nextStep: 'Type the whole address that you use at work, such as name@company.example.',
  },
  unknown_domain: publicFailures.unknown_domain,
};

/** On the page for codes, the way on leads to the application that shows them, not to a sign-in here. */
export const userCodeProblems: Partial<
  Record<FailureCode, { readonly sentence: string; readonly nextStep: string }>
> = {
  login_expired: {
    sentence: 'This code has expired or was already used.',
    nextStep: 'Start again at the application, which then shows a new code.',
  },
  rate_limited: {
    sentence: publicFailures.rate_limited.sentence,
    nextStep: 'Wait five minutes, then try again.',
  },
};
