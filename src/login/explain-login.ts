/**
 * Which way an address would go and why, without signing in. It asks what a sign-in asks, so what it says is what
 * would happen, up to what only the provider knows.
 */
import { followSeconds, USERS_OF_THE_ORGANIZATION, type Connection } from '../connections/connection.ts';
import { connectionKinds, isRedirectConnection } from '../connections/connection-kinds.ts';
import type { Database } from '../database/database.ts';
import { formatDuration } from '../duration.ts';
import { GatewayError, type FailureCode } from '../errors.ts';
import { canonicalDomain } from '../organizations/domain-name.ts';
import { canonicalEmail, type ParsedEmail } from '../organizations/email-address.ts';
import type { Regions } from '../organizations/home-region.ts';
import { findDomain } from '../organizations/organization-store.ts';
import { askAdmission } from './admission-store.ts';
import { admissionRefusals } from './admit-identity.ts';
import { homeOf } from './find-home.ts';
import { findDirectoryEntry, type DirectoryEntry } from './directory-store.ts';
import { activeConnection } from './route-login.ts';

export interface Explanation {
  /** As it was asked. */
  readonly asked: string;
  readonly outcome: 'signs_in' | 'sent_to_region' | 'refused';
  /** Reason code of a refusal. */
  readonly code?: FailureCode;
  readonly email?: string;
  readonly domain?: string;
  readonly organization?: { readonly slug: string; readonly name: string; readonly enabled: boolean };
  readonly connection?: { readonly id: string; readonly kind: Connection['kind']; readonly status: string };
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
    ? `The domain ${domain} is claimed but not verified, so it routes nobody. Verify it: domain add <organization> ${domain} --verified`
    : `No organization has the domain ${domain}. Domains are compared exactly: a parent domain does not count.`;
}

async function explainEntry(
  database: Database,
  entry: DirectoryEntry,
  email: ParsedEmail,
): Promise<Omit<Explanation, 'asked'>> {
  const { organization } = entry;
  const steps = [
    `The domain ${email.domain} is verified and belongs to ${organization.slug} (${organization.name}).`,
  ];
  if (!organization.enabled) {
    steps.push(`The organization is disabled. Enable it: org enable ${organization.slug}`);
    return { outcome: 'refused', code: 'unknown_domain', steps };
  }
  const connection = activeConnection(entry);
  if (connection === undefined) {
    const [disabled] = entry.connections.filter(isRedirectConnection);
    steps.push(
      disabled === undefined
        ? `The organization has no connection that a browser can sign in by. Add one: connection add ${organization.slug} oidc ...`
        : `Its connection is disabled. Enable it: connection enable ${disabled.id}`,
    );
    return { outcome: 'refused', code: 'unknown_domain', steps };
  }
  const { id, kind, status } = connection;
  steps.push(
    `Its active connection is ${id} (${connectionKinds[kind].label}): the person is sent there to sign in.`,
  );
  const { answer, userExists } = await askAdmission(database, {
    organizationId: organization.id,
    connectionId: connection.id,
    revision: connection.revision,
    domain: email.domain,
    email: email.address,
    issuer: null,
    subject: null,
    ...USERS_OF_THE_ORGANIZATION,
  });
  if (answer !== 'admitted') {
    const { code, reason } = admissionRefusals[answer];
    steps.push(`After signing in there, the person is refused: ${reason}.`);
    if (answer === 'user_unknown') steps.push(`Add the user: user add ${organization.slug} ${email.address}`);
    return { outcome: 'refused', code, connection: { id, kind, status }, steps };
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
  return { outcome: 'signs_in', connection: { id, kind, status }, steps };
}
