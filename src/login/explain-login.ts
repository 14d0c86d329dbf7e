/**
 * Which way an address would go and why, without signing in. It asks what a sign-in asks, so what it says is what
 * would happen, up to what only the provider knows.
 */
import {
  followSeconds,
  USERS_OF_THE_ORGANIZATION,
  type Connection,
  type RedirectConnection,
} from '../connections/connection.ts';
import { connectionKinds, isRedirectConnection } from '../connections/connection-kinds.ts';
import type { Database } from '../database/database.ts';
import type { MoveReason } from '../cutover/cutover.ts';
import { formatDuration } from '../duration.ts';
import { GatewayError, type FailureCode } from '../errors.ts';
import { canonicalDomain } from '../organizations/domain-name.ts';
import { canonicalEmail, type ParsedEmail } from '../organizations/email-address.ts';
import { findDomain } from '../organizations/domain-store.ts';
import type { Regions } from '../organizations/home-region.ts';
import { askAdmission } from './admission-store.ts';
import { admissionRefusal } from './admit-identity.ts';
import { chooseConnection, type RouteDecision } from './choose-connection.ts';
import { findDirectoryEntry, findPersonRoutes, type DirectoryEntry } from './directory-store.ts';
import { homeOf } from './find-home.ts';
import { admissionQuestion } from './open-session.ts';

interface ExplainedConnection {
  readonly id: string;
  readonly kind: Connection['kind'];
  readonly status: string;
}

export interface Explanation {
  /** As it was asked. */
  readonly asked: string;
  readonly outcome: 'signs_in' | 'sent_to_region' | 'refused';
  /** Reason code of a refusal. */
  readonly code?: FailureCode;
  readonly email?: string;
  readonly domain?: string;
  readonly organization?: { readonly slug: string; readonly name: string; readonly enabled: boolean };
  readonly connection?: ExplainedConnection;
  /** Where the person chooses: all that there are. */
  readonly choice?: readonly ExplainedConnection[];
  /** Where the person is sent, whose organization lives elsewhere. */
  readonly region?: { readonly name: string; readonly url: string };
  /** What was decided, step by step, in words for the operator. */
  readonly steps: readonly string[];
}

export async function explainLogin(
  database: Database,
  asked: string,
  regions: Regions | undefined,
): Promise<Explanation> {
  const email = canonicalEmail(asked);
  if (email === undefined) {
    const steps = ['This is not an e-mail address that Gatehouse accepts.'];
    const domain = canonicalDomain(asked);
    if (domain !== undefined) steps.push(`It is a domain. Ask with an address: explain someone@${domain}`);
    return { asked, outcome: 'refused', code: 'malformed_request', steps };
  }
  const found = { asked, email: email.address, domain: email.domain };
  const entry = await findDirectoryEntry(database, 'domain', email.domain);
  if (entry === undefined) {
    return {
      ...found,
      outcome: 'refused',
      code: 'unknown_domain',
      steps: [await whyNobody(database, email)],
    };
  }
  const { organization } = entry;
  const elsewhere = explainHome(entry, email, regions);
  return { ...found, organization, ...(elsewhere ?? (await explainEntry(database, entry, email))) };
}

/** Undefined for an organization that lives here, or is disabled. */
function explainHome(
  entry: DirectoryEntry,
  { domain }: ParsedEmail,
  regions: Regions | undefined,
): Omit<Explanation, 'asked'> | undefined {
  const { slug, name, enabled, region } = entry.organization;
  if (region === undefined || !enabled) return undefined;
  const steps = [`The domain ${domain} leads to ${slug} (${name}), which lives in the region ${region}.`];
  try {
    const home = homeOf(regions, entry, 'unknown_domain');
    if (home === undefined) throw new GatewayError('unknown_domain', { reason: 'this node has no REGIONS' });
    steps.push(`The person is sent to ${home.url}. What happens there is explained there.`);
    return { outcome: 'sent_to_region', region: { name: region, url: home.url }, steps };
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    steps.push(`Nobody can be sent there: ${error.context.reason ?? error.code}.`);
    return { outcome: 'refused', code: error.code, steps };
  }
}

async function whyNobody(database: Database, { domain }: ParsedEmail): Promise<string> {
  const claim = await findDomain(database, domain);
  return claim !== undefined
    ? `The domain ${domain} is claimed but not verified, so it routes nobody. Prove it: domain verify ${domain}, or on your word: domain add ${claim.organizationSlug} ${domain} --verified`
    : `No organization has the domain ${domain}. Domains are compared exactly: a parent domain does not count.`;
}

async function whatIsMissing(database: Database, { domain }: ParsedEmail): Promise<readonly string[]> {
  const { missingSince, graceEndsAt, isLapsed } = (await findDomain(database, domain)) ?? {};
  if (missingSince === undefined || graceEndsAt === undefined) return [];
  const end = graceEndsAt.toISOString();
  return [
    `Its DNS record has been missing since ${missingSince.toISOString()}. ` +
      (isLapsed
        ? `Since ${end} only people who signed in before are let in. `
        : `From ${end} on only people who signed in before are let in. `) +
      `Have the record set again, then run: domain verify ${domain}`,
  ];
}

async function explainEntry(
  database: Database,
  entry: DirectoryEntry,
  email: ParsedEmail,
): Promise<Omit<Explanation, 'asked'>> {
  const { organization } = entry;
  const steps = [
    `The domain ${email.domain} is verified and belongs to ${organization.slug} (${organization.name}).`,
    ...(await whatIsMissing(database, email)),
  ];
  if (!organization.enabled) {
    steps.push(`The organization is disabled. Enable it: org enable ${organization.slug}`);
    return { outcome: 'refused', code: 'unknown_domain', steps };
  }
  const routes = await findPersonRoutes(database, entry, email.address);
  const decision = chooseConnection(entry, { email, routes });
  steps.push(...explainDecision(entry, decision));
  const [connection, ...others] = decision.connections;
  if (connection === undefined) return { outcome: 'refused', code: 'unknown_domain', steps };
  if (others.length > 0) steps.push('The person chooses; what follows is said of the first one.');
  const choice = others.length === 0 ? {} : { choice: decision.connections.map(explained) };
  return { ...(await explainAdmission(database, entry, { email, connection, steps })), ...choice };
}

const explained = ({ id, kind, status }: Connection): ExplainedConnection => ({ id, kind, status });

const named = (connection: RedirectConnection) =>
  `${connection.id} (${connectionKinds[connection.kind].label})`;

const ROUTED_BY: Readonly<Record<RouteDecision['by'], string>> = {
  address: 'A route of this very address leads to',
  domain: "A route of the address's domain leads to",
  everybody: 'Everybody whom no other route speaks of is sent to',
  rest: 'The only connection without routes is',
};

/** Why the person goes where they go, or nowhere. */
function explainDecision(
  { organization, connections: all, cutover }: DirectoryEntry,
  { by, routed, cutover: move, meant, connections }: RouteDecision,
): readonly string[] {
  if (routed.length === 0) {
    const ways = all.filter(isRedirectConnection).filter(({ status }) => status !== 'draft');
    return [
      ways.length === 0
        ? `The organization has no connection that a browser can sign in by. Add one: connection add ${organization.slug} oidc ...`
        : 'No route leads to any of its connections. Add one: connection route <id> --everybody',
    ];
  }
  const steps = [`${ROUTED_BY[by]} ${routed.map(named).join(' or ')}.`];
  if (move !== undefined && cutover !== undefined) steps.push(MOVES[move.why](cutover.share, move.isMoved));
  const [first] = connections;
  if (first !== undefined) {
    const [target] = connections.length === 1 ? [named(first)] : ['one of them'];
    return [...steps, `The person is sent to ${target} to sign in.`];
  }
  const isBack = move?.isMoved === true ? `, or go back: cutover rollback ${organization.slug}` : '';
  const states = meant.map(
    (one) => `${named(one)} is ${one.status}. Enable it: connection enable ${one.id}${isBack}`,
  );
  return [...steps, ...states];
}

const MOVES: Readonly<Record<MoveReason, (share: number, isMoved: boolean) => string>> = {
  finished: () => 'The cut-over is finished: everybody goes to the new connection.',
  included: () => 'The cut-over includes this person: they go to the new connection.',
  excluded: () => 'The cut-over excludes this person: they stay with the old connection.',
  share: (share, isMoved) =>
    `The cut-over moves ${share} % of the people, and this person is ${isMoved ? '' : 'not '}among them.`,
};

async function explainAdmission(
  database: Database,
  { organization }: DirectoryEntry,
  {
    email,
    connection,
    steps,
  }: { readonly email: ParsedEmail; readonly connection: RedirectConnection; readonly steps: string[] },
): Promise<Omit<Explanation, 'asked'>> {
  const { answer, lapsedSince, userExists } = await askAdmission(
    database,
    admissionQuestion(
      { organizationId: organization.id, connectionId: connection.id, email, issuer: null, subject: null },
      { revision: connection.revision, users: USERS_OF_THE_ORGANIZATION },
    ),
  );
  if (answer !== 'admitted') {
    const { code, reason } = admissionRefusal(answer, lapsedSince);
    steps.push(`After signing in there, the person is refused: ${reason}.`);
    if (answer === 'user_unknown') steps.push(`Add the user: user add ${organization.slug} ${email.address}`);
    return { outcome: 'refused', code, connection: explained(connection), steps };
  }
  steps.push(
    userExists
      ? 'The user exists and may sign in.'
      : 'The user does not exist yet and is created at the first sign-in (just-in-time).',
  );
  const everySeconds = followSeconds(connection);
  if (everySeconds !== undefined) {
    const interval = formatDuration(everySeconds);
    steps.push(
      `The provider is asked every ${interval} whether it still stands by the person; if not, they are out.`,
    );
  }
  return { outcome: 'signs_in', connection: explained(connection), steps };
}
