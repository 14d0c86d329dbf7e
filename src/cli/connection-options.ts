/** The options of `connection add` and `connection update`: which kind has which, and how they are read. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Connection, ConnectionKind } from '../connections/connection.ts';
import { isFollowInterval } from '../connections/oidc/settings.ts';
import type { Mapping, OpaqueTokenSettings } from '../connections/opaque-token/settings.ts';
import type { TokenPlace } from '../connections/opaque-token/verify-request.ts';
import { parseDuration } from '../duration.ts';
import { parseDate } from '../parse-date.ts';

type Requirements = OpaqueTokenSettings['require'];

export interface ConnectionOptions {
  readonly discoveryUrl?: string;
  readonly clientId?: string;
  readonly clientSecretFile?: string;
  readonly clientSecretExpires?: Date | 'never';
  readonly scope?: string;
  readonly emailClaim?: string;
  readonly clientAuth?: 'client_secret_basic' | 'client_secret_post';
  readonly logoutReturns?: 'yes' | 'no';
  readonly maxAge?: number;
  readonly requireAcr?: string;
  readonly requireAmr?: string;
  readonly followProvider?: number;
  readonly followConsent?: 'auto' | 'yes' | 'no';
  readonly loginUrl?: string;
  readonly publicKeyFile?: string;
  readonly issuer?: string;
  readonly audience?: string;
  readonly jwksUri?: string;
  readonly match?: 'sub' | 'email';
  readonly trustEmail?: 'yes' | 'no';
  readonly verifyUrl?: string;
  readonly verifyMethod?: 'GET' | 'POST';
  readonly tokenIn?: TokenPlace;
  readonly map?: Partial<Mapping>;
  readonly require?: Requirements;
  readonly createUsers?: boolean;
  readonly linkExisting?: boolean;
  readonly application?: readonly string[];
  readonly label?: string;
  readonly draft?: boolean;
  readonly json?: boolean;
}

/** Which options a kind has; the first of each pair must be there when a connection is added. */
const OPTIONS_OF_KIND = {
  oidc: {
    required: ['discoveryUrl', 'clientId', 'clientSecretFile'],
    optional: [
      ...['scope', 'emailClaim', 'clientAuth', 'logoutReturns', 'maxAge', 'requireAcr', 'requireAmr'],
      ...['followProvider', 'followConsent', 'clientSecretExpires'],
    ],
  },
  'jwt-callback': { required: ['loginUrl', 'publicKeyFile'], optional: ['issuer', 'audience'] },
  'id-token': {
    required: ['jwksUri', 'issuer', 'audience', 'match', 'application'],
    optional: ['trustEmail'],
  },
  'opaque-token': {
    required: ['verifyUrl', 'map', 'application'],
    optional: ['verifyMethod', 'tokenIn', 'require', 'createUsers', 'linkExisting'],
  },
} as const satisfies Record<ConnectionKind, KindOptions>;

interface KindOptions {
  readonly required: readonly (keyof ConnectionOptions)[];
  readonly optional: readonly (keyof ConnectionOptions)[];
}

export const KINDS = Object.keys(OPTIONS_OF_KIND);

export function withKindOptions(command: Command): Command {
  return withTokenOptions(withRedirectOptions(command))
    .option('--label <text>', 'what people read where they choose; empty takes it back')
    .option('--json', 'print JSON');
}

function withRedirectOptions(command: Command): Command {
  return command
    .option('--discovery-url <url>', 'oidc: the issuer, or the URL of its discovery document')
    .option('--client-id <id>', 'oidc: as the provider gave it')
    .option('--client-secret-file <file>', 'oidc: a file that holds the secret, or - for standard input')
    .option(
      '--client-secret-expires <date>',
      'oidc: until when the provider takes the secret, such as 2027-06-30; never takes it back',
      expiryDate,
    )
    .option('--scope <scopes>', 'oidc: default "openid email profile"')
    .option('--email-claim <name>', 'oidc: claim that holds the address, default "email"')
    .addOption(
      new Option('--client-auth <method>', "oidc: default what the provider's discovery prefers").choices([
        'client_secret_basic',
        'client_secret_post',
      ]),
    )
    .addOption(
      new Option(
        '--logout-returns <yes|no>',
        'oidc: whether the provider knows our post_logout_redirect_uri, default no',
      ).choices(['yes', 'no']),
    )
    .option('--max-age <seconds>', 'oidc: longest time since the sign-in at the provider', wholeSeconds)
    .option('--require-acr <value>', 'oidc: acr that is asked for and required; empty takes it back')
    .option('--require-amr <value>', 'oidc: amr that is required; empty takes it back')
    .option(
      '--follow-provider <duration|no>',
      'oidc: how often the provider is asked whether it still stands by a sign-in, 1m to 24h, default no',
      followInterval,
    )
    .addOption(
      new Option(
        '--follow-consent <auto|yes|no>',
        'oidc: whether people are asked to consent to that, as some providers need, default auto',
      ).choices(['auto', 'yes', 'no']),
    )
    .option('--login-url <url>', 'jwt-callback: where its people sign in')
    .option('--public-key-file <file>', 'jwt-callback: PEM of an RSA public key, or - for standard input')
    .option('--issuer <issuer>', 'jwt-callback, id-token: required in tokens, exactly so')
    .option('--audience <audience>', 'jwt-callback, id-token: required in tokens, exactly so');
}

function withTokenOptions(command: Command): Command {
  return command
    .option('--jwks-uri <url>', "id-token: where the issuer's keys are")
    .addOption(
      new Option(
        '--match <claim>',
        "id-token: the claim that an application's external_id must equal",
      ).choices(['sub', 'email']),
    )
    .addOption(
      new Option(
        '--trust-email <yes|no>',
        'id-token matched by email: whether an address is taken that the issuer does not call verified, default no',
      ).choices(['yes', 'no']),
    )
    .option(
      '--verify-url <url>',
      'opaque-token: where the back end is asked, {token} in the place of the token',
    )
    .addOption(
      new Option(
        '--verify-method <method>',
        'opaque-token: default GET, or POST for a token in a body',
      ).choices(['GET', 'POST']),
    )
    .option(
      '--token-in <place>',
      'opaque-token: where the token goes: url (default), bearer, header:<name>, form:<name> or json:<name>',
      tokenIn,
    )
    .option(
      '--map <what=path...>',
      'opaque-token: what is where in the answer: subject=user.id, and email, name, login if they are there',
      mapOne,
    )
    .option(
      '--require <path=value...>',
      'opaque-token: what the answer must hold beside the subject, as JSON: active=true',
      requireOne,
    )
    .option('--create-users', 'opaque-token: a person who is no user yet becomes one')
    .option('--no-create-users', 'opaque-token: they do not')
    .option(
      '--link-existing',
      'opaque-token: a person may be a user of the same address who was there before',
    )
    .option('--no-link-existing', 'opaque-token: they may not')
    .option('--application <client-id...>', 'id-token, opaque-token: who may show tokens');
}

const flag = (name: string) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** What is wrong with the options: another kind's, or in a new connection the lack of those that it needs. */
export function optionFault(
  kind: Connection['kind'],
  options: ConnectionOptions,
  isNew: boolean,
): string | undefined {
  const { required, optional } = OPTIONS_OF_KIND[kind];
  const known: readonly string[] = ['json', 'label', 'draft', ...required, ...optional];
  const strange = Object.keys(options).find((name) => !known.includes(name));
  if (strange !== undefined) return `${flag(strange)} is not an option of connections of the kind ${kind}`;
  if (options.map !== undefined && options.map.subject === undefined) return '--map needs subject=<path>';
  const missing = isNew
    ? required.filter((name) => options[name as keyof ConnectionOptions] === undefined)
    : [];
  return missing.length === 0
    ? undefined
    : `a connection of the kind ${kind} needs ${missing.map(flag).join(', ')}`;
}

export function expiryDate(text: string): Date | 'never' {
  const date = text === 'never' ? text : parseDate(text);
  if (date === undefined) {
    throw new InvalidArgumentError(
      'a date is expected, such as 2027-06-30 or 2027-06-30T12:00:00Z, or never',
    );
  }
  return date;
}

function wholeSeconds(text: string): number {
  if (!/^\d{1,8}$/.test(text)) throw new InvalidArgumentError('a number of seconds is expected');
  return Number(text);
}

/** Seconds; 0: not at all. */
function followInterval(text: string): number {
  if (text === 'no') return 0;
  const seconds = parseDuration(text);
  if (seconds === undefined || !isFollowInterval(seconds)) {
    throw new InvalidArgumentError('a duration between 1m and 24h is expected, such as 15m, or no');
  }
  return seconds;
}

function tokenIn(text: string): TokenPlace {
  if (text === 'url' || text === 'bearer') return { place: text };
  const [, place, name = ''] = /^(header|form|json):([\w-]{1,64})$/.exec(text) ?? [];
  if (place === 'header' || place === 'form' || place === 'json') return { place, name };
  throw new InvalidArgumentError('url, bearer, header:<name>, form:<name> or json:<name> is expected');
}

const MAPPED = ['subject', 'email', 'name', 'login'] as const;

function mapOne(text: string, before: Partial<Mapping> = {}): Partial<Mapping> {
  const { name, value } = pair(text);
  const what = MAPPED.find((known) => known === name);
  if (what === undefined || value === '' || before[what] !== undefined) {
    throw new InvalidArgumentError(`${MAPPED.join('=<path>, ')}=<path> are expected, each once`);
  }
  return { ...before, [what]: value };
}

function requireOne(text: string, before: Requirements = []): Requirements {
  const { name: path, value: json } = pair(text);
  const value = scalar(json);
  if (path === '' || value === undefined) {
    throw new InvalidArgumentError(
      'a path and a JSON value are expected, such as active=true or type="user"',
    );
  }
  return [...before, { path, value }];
}

function pair(text: string): { readonly name: string; readonly value: string } {
  const at = text.indexOf('=');
  return at < 0 ? { name: text, value: '' } : { name: text.slice(0, at), value: text.slice(at + 1) };
}

function scalar(json: string): string | number | boolean | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
      ? value
      : undefined;
  } catch {
    return undefined;
  }
}
