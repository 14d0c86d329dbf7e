/**
 * What is stored of an opaque token connection: how the customer's back end is asked about a token, what in its answer is what, and
 * what may become of a person that it vouches for. All of it is configuration; none of it is code of the customer's.
 */
import * as z from 'zod';
import { Refusal } from '../../errors.ts';
import { urlObjection, type OutboundPolicy } from '../../outbound/guarded-fetch.ts';
import { requireReachable } from '../../outbound/resolvable.ts';
import { PLACEHOLDER, tokenPlace, verifyUrlFor, type TokenPlace } from './verify-request.ts';

/** Members of the answer by their path: names with dots between them. */
const mapping = z.object({
  subject: z.string(),
  email: z.string().optional(),
  /** What the person is shown as. */
  name: z.string().optional(),
  /** What stands for the name where there is none. */
  login: z.string().optional(),
});

const requirement = z.object({
  path: z.string(),
  value: z.union([z.string(), z.number(), z.boolean()]),
});

export const opaqueTokenSettings = z.object({
  verifyUrl: z.string(),
  method: z.enum(['GET', 'POST']),
  tokenIn: tokenPlace,
  map: mapping,
  /** What the answer must hold beside the subject, of the same type. */
  require: z.array(requirement).readonly().default([]),
  /** Whether a person without a user gets one. */
  createsUsers: z.boolean(),
  /** Whether a person may be a user of the same address who was there before. */
  linksExisting: z.boolean(),
  /** Client ids of the applications that may show tokens. */
  applications: z.array(z.string()).readonly(),
});

export type OpaqueTokenSettings = Readonly<z.output<typeof opaqueTokenSettings>>;
export type Mapping = OpaqueTokenSettings['map'];

/** What the operator says about a connection. */
export interface OpaqueTokenRegistration {
  readonly verifyUrl: string;
  readonly method?: OpaqueTokenSettings['method'] | undefined;
  readonly tokenIn?: TokenPlace | undefined;
  readonly map: Partial<Mapping>;
  readonly require?: OpaqueTokenSettings['require'] | undefined;
  readonly createsUsers?: boolean | undefined;
  readonly linksExisting?: boolean | undefined;
}

/**
 * @param isDraft whether the back end may come later
 * @throws Refusal if anything is not fit, or the back end's name leads nowhere or where calls may not go
 */
export async function settleOpaqueTokenSettings(
  registration: OpaqueTokenRegistration,
  policy: OutboundPolicy,
  isDraft: boolean,
): Promise<Omit<OpaqueTokenSettings, 'applications'>> {
  const { verifyUrl, require = [] } = registration;
  const map = withSubject(registration.map);
  const { tokenIn: place = { place: 'url' } } = registration;
  requireTemplate(verifyUrl, place, policy);
  const hasBody = place.place === 'form' || place.place === 'json';
  const { method = hasBody ? 'POST' : 'GET' } = registration;
  if (place.place === 'header' && isTaken(place.name)) {
    throw new Refusal(`A token cannot be the header ${place.name}, which has a meaning of its own.`);
  }
  if (hasBody && method === 'GET') throw new Refusal('A token in a body needs --verify-method POST.');
  const paths = [map.subject, map.email, map.name, map.login, ...require.map(({ path }) => path)];
  for (const path of paths) if (path !== undefined) requirePath(path);
  if (!isDraft) await requireReachable(verifyUrlFor(verifyUrl, place, 'x').href, policy);
  return {
    verifyUrl,
    method,
    tokenIn: place,
    map,
    require,
    createsUsers: registration.createsUsers ?? false,
    linksExisting: registration.linksExisting ?? false,
  };
}

/** What HTTP itself, or what is asked, needs: in the place of one of them a token would change more than whom it names. */
const TAKEN_HEADERS: ReadonlySet<string> = new Set(
  [
    'accept accept-charset accept-encoding connection content-encoding content-length content-type cookie date expect',
    'host keep-alive origin range te trailer transfer-encoding upgrade via',
  ].flatMap((names) => names.split(' ')),
);

function isTaken(header: string): boolean {
  const name = header.toLowerCase();
  // What an object inherits is no name either: clients lose it.
  return (
    !/^[a-z]/.test(name) || TAKEN_HEADERS.has(name) || name.startsWith('proxy-') || name.startsWith('sec-')
  );
}

function withSubject({ subject, ...others }: Partial<Mapping>): Mapping {
  if (subject === undefined) throw new Refusal('--map must say where the subject is: subject=<path>.');
  return { subject, ...others };
}

function requireTemplate(verifyUrl: string, { place }: TokenPlace, policy: OutboundPolicy): void {
  const objection = urlObjection(verifyUrl.replaceAll('{token}', 'x'), policy);
  if (objection !== undefined) throw new Refusal(`--verify-url ${objection}.`);
  const places = verifyUrl.split('{token}').length - 1;
  if (place !== 'url') {
    if (places > 0) throw new Refusal('--verify-url must not hold {token} where the token goes elsewhere.');
    return;
  }
  if (places !== 1) {
    throw new Refusal('--verify-url must hold {token} once, or say with --token-in where the token goes.');
  }
  const { pathname, search } = new URL(verifyUrl.replace('{token}', PLACEHOLDER));
  if (!pathname.includes(PLACEHOLDER) && !search.includes(PLACEHOLDER)) {
    throw new Refusal('--verify-url must hold {token} in its path or its query.');
  }
}

const PATH = /^[\w$:@/-]{1,64}(?:\.[\w$:@/-]{1,64}){0,7}$/;

function requirePath(path: string): void {
  if (!PATH.test(path)) throw new Refusal(`"${path}" is not a path such as user.id.`);
}
