/**
 * T-07, T-09, T-10, T-15: domains that a DNS server on loopback proves, no longer proves, and proves for somebody else, through the
 * command line and two nodes of a running gateway.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Connection } from '../../src/connections/connection.ts';
import { askAdmission } from '../../src/login/admission-store.ts';
import type { DomainName } from '../../src/organizations/domain-name.ts';
import { takeDueProofs } from '../../src/organizations/domain-proof-store.ts';
import { CommandLine, SECRET_KEY } from '../cli/command-line.ts';
import { until } from '../database/embedded-members.ts';
import { rsaKeyPair, startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { problemOf, Visitor } from '../tenants/visitor.ts';
import { startDnsServer, type DnsServer, type Zone } from './dns-server.ts';

const keys = rsaKeyPair();
const VALUE = /^gatehouse-domain-verification=[0-9a-f]{32}$/;

interface DomainDocument {
  readonly organization: string;
  readonly domain: string;
  readonly verified: boolean;
  readonly proof: string | null;
  readonly txt_name: string;
  readonly txt_value: string;
  readonly missing_since: string | null;
  readonly grace_ends_at: string | null;
  readonly lapsed: boolean;
}

let dns: DnsServer;
let gateway: TestGateway;
let node: Awaited<ReturnType<TestGateway['startNode']>>;
let cli: CommandLine;
let names = 0;
/** An organization that nobody has seen before, and a domain that it claims. */
let slug: string;
let domain: string;
let claim: DomainDocument;
let connection: Connection;

beforeAll(async () => {
  dns = await startDnsServer();
  const env = { DNS_SERVERS: dns.address, DOMAIN_CHECK_INTERVAL: '1s' };
  gateway = await startTestGateway({ env: { ...env, SECRET_KEY } });
  node = await gateway.startNode();
  cli = new CommandLine({ DATABASE_URL: gateway.databaseUrl, PUBLIC_URL: gateway.url, ...env });
});
beforeEach(async () => {
  names += 1;
  slug = `org-${names}`;
  domain = `${slug}.example`;
  connection = await addOrganization(slug);
  claim = await cli.json<DomainDocument>(['domain', 'add', slug, domain]);
});
afterAll(async () => {
  await node.close();
  await gateway.close();
  await dns.close();
});

/** One whose people get an account at their first sign-in, with a way in and no domain. */
async function addOrganization(name: string): Promise<Connection> {
  const organization = await gateway.addOrganization(name, { domains: [], provisioning: 'just-in-time' });
  return gateway.addJwtCallback(organization, { publicKey: keys.publicKey });
}

const recordOf = (name = domain) => `_gatehouse.${name}`;
const verify = (name = domain) => cli.json<DomainDocument>(['domain', 'verify', name]);
const setRecord = (...values: readonly (string | readonly string[])[]) => dns.zones.set(recordOf(), values);
const show = async (name = domain) =>
  (await cli.json<DomainDocument[]>(['domain', 'list'])).find((one) => one.domain === name);
const typing = async (email: string) => (await new Visitor(gateway.port).typeAddress(email)).status;

/** Status and code of a whole sign-in, and the reference of a refusal. */
async function signIn(email: string) {
  const visitor = new Visitor(gateway.port);
  const answer = await visitor.request(await visitor.startWithJwt(email, keys.privateKey));
  const { code, reference } = answer.status === 303 ? {} : problemOf(answer);
  return { visitor, status: answer.status, code, reference };
}

async function prove(): Promise<void> {
  setRecord(claim.txt_value);
  await verify();
}

const actionsOf = async (of = slug) =>
  (await cli.json<{ action: string; reason: string | null }[]>(['audit', 'list', '--organization', of]))
    .filter(({ action }) => action.startsWith('domain.'))
    .map(({ action }) => action);

const happened = (action: string) => until(action, async () => (await actionsOf()).includes(action));

/** The record has been absent for eight days. */
const passGrace = () =>
  gateway.sql(
    `UPDATE domain_proofs SET missing_since = missing_since - interval '8 days', grace_ends_at = grace_ends_at - interval '8 days'
     WHERE domain = $1`,
    [domain],
  );

describe('T-07 a claim', () => {
  it('routes nobody, and says the same record each time', async () => {
    expect(claim).toMatchObject({ organization: slug, domain, verified: false, proof: null });
    expect(claim.txt_name).toBe(recordOf());
    expect(claim.txt_value).toMatch(VALUE);
    const again = await cli.json<DomainDocument>(['domain', 'add', slug, domain.toUpperCase()]);
    expect(again.txt_value).toBe(claim.txt_value);
    const { stdout } = await cli.run(['domain', 'add', slug, domain]);
    for (const text of [recordOf(), 'TXT', claim.txt_value, `domain verify ${domain}`]) {
      expect(stdout).toContain(text);
    }
    expect(await typing(`ada@${domain}`)).toBe(404);
    expect(await actionsOf()).toEqual(['domain.added']);
  });

  it('stays one with no record, with others, and while DNS does not answer', async () => {
    const cases: readonly (readonly [Zone | undefined, RegExp])[] = [
      [undefined, /has no TXT record gatehouse-\S+ yet, nor any other\. .* DNS may take a while/],
      ['no data', /nor any other/],
      [['v=spf1 -all', 'x\u001b[31m'], /yet, but "v=spf1 -all", "x\ufffd\[31m"\. Set it/],
      [['gatehouse-domain-verification=0'], /yet, but "gatehouse-domain-verification=0"/],
      [[claim.txt_value.toUpperCase(), `${claim.txt_value} `], /yet, but "GATEHOUSE-/],
      ['servfail', /^DNS did not answer .*SERVFAIL.* not the same as no record/],
    ];
    for (const [zone, line] of cases) {
      if (zone !== undefined) dns.zones.set(recordOf(), zone);
      await cli.refused(['domain', 'verify', domain], line);
    }
    await cli.refused(['domain', 'verify', domain, '--json'], /^DNS did not answer/);
    expect(await typing(`ada@${domain}`)).toBe(404);
    expect(await actionsOf()).toEqual(['domain.added']);
  });

  it('is proved by its record, alone, among others and in chunks, and the server obeys at once', async () => {
    setRecord('v=spf1 -all', claim.txt_value);
    expect(await verify()).toMatchObject({ verified: true, proof: 'dns', missing_since: null });
    await until('obeyed', async () => (await typing(`ada@${domain}`)) === 200);
    expect((await signIn(`ada@${domain}`)).status).toBe(303);
    for (const record of [claim.txt_value, [claim.txt_value.slice(0, 9), claim.txt_value.slice(9)]]) {
      setRecord(record);
      expect(await verify()).toMatchObject({ verified: true, missing_since: null });
    }
    expect(await actionsOf()).toEqual(['domain.added', 'domain.verified']);
  });

  it('D-05, D-06, T-15 is of one name in any spelling, and of none below it', async () => {
    await prove();
    expect(await cli.json(['domain', 'verify', `${domain.toUpperCase()}.`])).toMatchObject({ domain });
    expect(await typing(`u@sub.${domain}`)).toBe(404);
    for (const text of ['*', '%', '_', '', 'com', `${'a.'.repeat(126)}ab`]) {
      await cli.refused(['domain', 'verify', text], /^This is not a domain name/);
    }
    await cli.refused(['domain', 'verify', `sub.${domain}`], /^Nobody has the domain/);
    const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.test`;
    await cli.refused(['domain', 'add', slug, long], /^The domain is too long for a name below it/);
    expect(await cli.json(['domain', 'add', slug, long, '--verified'])).toHaveProperty('verified', true);
  });

  it('gives way to a proof of another, and a proof to none', async () => {
    const other = await cli.json<{ slug: string }>(['org', 'add', `${slug}-other`, '--name', 'Other']);
    await cli.refused(
      ['domain', 'add', other.slug, domain],
      new RegExp(`claimed by ${slug}\\..*domain transfer`),
    );
    await prove();
    for (const word of [[], ['--verified']]) {
      const line = new RegExp(`verified for ${slug}\\..*domain transfer ${domain} ${other.slug}`);
      await cli.refused(['domain', 'add', other.slug, domain, ...word], line);
    }
    expect(await show()).toMatchObject({ organization: slug, proof: 'dns' });
  });

  it('of what is everybody’s is refused, whoever vouches for it, and so is its transfer', async () => {
    await prove();
    for (const name of ['co.uk', 'github.io', 'gmail.com', 'x.gmail.com']) {
      for (const word of [[], ['--verified']]) {
        await cli.refused(['domain', 'add', slug, name, ...word], /can belong to no organization\.$/m);
      }
      await cli.refused(['domain', 'transfer', name, slug], /can belong to no organization\.$/m);
    }
    const own = ['domain', 'add', slug, 'sso.vendor.example', '--verified'];
    await cli.refused(own, /Gatehouse itself/, { env: { PUBLIC_URL: 'https://sso.vendor.example:8443' } });
  });

  it('T-10 of an organization that is made again is another claim', async () => {
    await prove();
    await cli.json(['org', 'remove', slug]);
    await cli.json(['org', 'add', slug, '--name', slug]);
    const again = await cli.json<DomainDocument>(['domain', 'add', slug, domain]);
    expect(again.txt_value).toMatch(VALUE);
    expect(again.txt_value).not.toBe(claim.txt_value);
    await cli.refused(['domain', 'verify', domain], /has no TXT record/);
  });
});

describe("a domain that was added on an operator's word", () => {
  it('is not looked for, until its record was found', async () => {
    const added = await cli.json(['domain', 'add', slug, `word.${domain}`, '--verified']);
    expect(added).toMatchObject({ verified: true, proof: 'operator', txt_value: null });
    const asked = ['domain', 'verify', `word.${domain}`];
    await cli.refused(asked, /has no TXT record gatehouse-\S+ yet.* stays verified on an operator's word\./);
    expect(await show(`word.${domain}`)).toMatchObject({ verified: true, missing_since: null });
    const { txt_value: value } = (await show(`word.${domain}`)) ?? {};
    dns.zones.set(recordOf(`word.${domain}`), [String(value)]);
    expect(await verify(`word.${domain}`)).toMatchObject({ verified: true, proof: 'dns' });
  });
});

describe('T-09 a proof that is removed later', () => {
  const known = () => `known@${domain}`;
  const named = () => `named@${domain}`;

  beforeEach(async () => {
    await prove();
    await until('obeyed', async () => (await typing(known())) === 200);
    expect((await signIn(known())).status).toBe(303);
    await cli.json(['user', 'add', slug, named()]);
    await cli.json(['user', 'add', slug, `linked-later@${domain}`]);
  });

  it('is noticed by one of the nodes, once; after the grace only people who are linked come in, until it is back', async () => {
    dns.zones.delete(recordOf());
    await happened('domain.proof_missing');
    const missing = await show();
    expect(missing).toMatchObject({ verified: true, proof: 'dns', lapsed: false });
    const grace = Date.parse(String(missing?.grace_ends_at)) - Date.parse(String(missing?.missing_since));
    expect(grace).toBe(7 * 86_400_000);
    // Within the grace nothing comes of it.
    expect((await signIn(`linked-later@${domain}`)).status).toBe(303);
    expect((await cli.run(['explain', named()])).stdout).toMatch(
      /missing since .* From .* on only people who/,
    );

    await passGrace();
    for (const email of [`new@${domain}`, named()]) {
      const refused = await signIn(email);
      expect(refused).toMatchObject({ status: 403, code: 'email_not_allowed' });
      const trail = await cli.json(['audit', 'list', '--reference', String(refused.reference)]);
      const reason = expect.stringMatching(
        /^the proof of the address's domain has been missing since \d{4}-/,
      );
      expect(trail).toEqual([expect.objectContaining({ action: 'login.failed', reason })]);
      const { stdout, status } = await cli.run(['explain', email]);
      expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('missing since') });
      expect(await cli.json(['explain', email])).toMatchObject({
        outcome: 'refused',
        code: 'email_not_allowed',
      });
    }
    expect(await gateway.sql('SELECT FROM users WHERE email = $1', [`new@${domain}`])).toEqual([]);
    expect((await signIn(known())).status).toBe(303);
    expect(await cli.json(['explain', known()])).toMatchObject({ outcome: 'signs_in' });
    await happened('domain.proof_lapsed');
    await cli.refused(
      ['domain', 'verify', domain],
      /missing since .*: nobody new is let in until it is there again/,
    );
    expect((await cli.run(['domain', 'list', slug])).stdout).toContain('lapsed');
    expect((await cli.run(['org', 'show', slug])).stdout).toMatch(
      /lapsed, by DNS, last check .*, grace ends /,
    );

    setRecord(claim.txt_value);
    await happened('domain.proof_restored');
    expect(await show()).toMatchObject({ missing_since: null, grace_ends_at: null, lapsed: false });
    expect((await signIn(named())).status).toBe(303);
    expect(await actionsOf()).toEqual([
      'domain.added',
      'domain.verified',
      'domain.proof_missing',
      'domain.proof_lapsed',
      'domain.proof_restored',
    ]);
    const warned = gateway.logLines
      .filter((line) => line.includes(`"${domain}"`))
      .map((line) => String(line));
    expect(warned.filter((line) => line.includes('"warn"'))).toHaveLength(2);
  });

  it('stops whoever else would be created or linked, and a known person with another address', async () => {
    dns.zones.delete(recordOf());
    await cli.refused(['domain', 'verify', domain], /nobody new is let in from/);
    await passGrace();
    const [identity] = await gateway.sql<{ issuer: string; subject: string }>(
      'SELECT issuer, subject FROM identities WHERE connection_id = $1',
      [connection.id],
    );
    const question = {
      organizationId: connection.organizationId,
      connectionId: connection.id,
      revision: connection.revision,
      domain,
      issuer: String(identity?.issuer),
      linksByEmail: true,
      creates: 'always',
    } as const;
    const answerTo = async (subject: string, email: string | null) => {
      const asked = { ...question, subject, email, ...(email === null ? { domain: null } : {}) };
      return (await askAdmission(gateway.database, asked)).answer;
    };
    const subject = String(identity?.subject);
    expect(await answerTo(subject, known())).toBe('admitted');
    expect(await answerTo(subject, `renamed@${domain}`)).toBe('domain_lapsed');
    expect(await answerTo('s', `new@${domain}`)).toBe('domain_lapsed');
    expect(await answerTo('s', named())).toBe('domain_lapsed');
    // Somebody without an address has none there.
    expect(await answerTo('s', null)).toBe('admitted');
  });

  it('is not one while DNS does not answer, for however long', async () => {
    dns.zones.set(recordOf(), 'servfail');
    await until('noticed', async () =>
      gateway.logLines.some((line) => line.includes(domain) && line.includes('SERVFAIL')),
    );
    await gateway.sql(
      `UPDATE domain_proofs SET unanswered_since = unanswered_since - interval '90 days', checked_at = now() - interval '90 days'
       WHERE domain = $1`,
      [domain],
    );
    await cli.refused(['domain', 'verify', domain], /^DNS did not answer/);
    expect(await show()).toMatchObject({ verified: true, missing_since: null, lapsed: false });
    expect((await signIn(named())).status).toBe(303);
    expect(await actionsOf()).toEqual(['domain.added', 'domain.verified']);
  });

  it('is noticed by a command as by the server, and an operator’s word can take its place', async () => {
    dns.zones.set(recordOf(), ['another=record']);
    await cli.refused(
      ['domain', 'verify', domain],
      /yet, but "another=record".*nobody new is let in from \d{4}-/,
    );
    expect(await actionsOf()).toContain('domain.proof_missing');
    await passGrace();
    expect(await cli.json(['domain', 'add', slug, domain, '--verified'])).toMatchObject({
      proof: 'operator',
      missing_since: null,
      lapsed: false,
    });
    expect((await signIn(named())).status).toBe(303);
  });
});

describe('a domain that is due', () => {
  it('is one node’s at a time, and another’s after a lease', async () => {
    await prove();
    // Those of the running nodes are out of the way.
    const due = Array.from({ length: 30 }, (_, index) => `due-${index}.${domain}` as DomainName);
    await gateway.sql(`UPDATE domain_proofs SET claimed_until = now() + interval '1 day'`);
    await gateway.sql(
      `INSERT INTO domains (name, organization_id, verified_at)
       SELECT name, (SELECT id FROM organizations WHERE slug = $2), now() FROM unnest(CAST($1 AS text[])) AS name`,
      [due, slug],
    );
    await gateway.sql(
      `INSERT INTO domain_proofs (domain, challenge, proved_at, checked_at, claimed_until)
       SELECT name, 'x', now(), now() - interval '10 days', now() + interval '1 day' FROM unnest(CAST($1 AS text[])) AS name`,
      [due],
    );
    const limits = { everySeconds: 5 * 86_400, againSeconds: 3_600, most: 20 };
    const taking = async () => (await takeDueProofs(gateway.database, limits)).map(({ name }) => name);
    expect(await taking()).toEqual([]);
    const release = (interval: string) =>
      gateway.sql(
        `UPDATE domain_proofs SET claimed_until = now() + CAST($2 AS interval) WHERE domain = ANY ($1)`,
        [due, interval],
      );
    await release('-1 second');
    const taken = (await Promise.all(Array.from({ length: 4 }, taking))).flat();
    // The running nodes may have been among those who took.
    expect(new Set(taken).size).toBe(taken.length);
    await gateway.sql('DELETE FROM domains WHERE name = ANY ($1)', [due]);
    await gateway.sql('UPDATE domain_proofs SET claimed_until = NULL');
  });
});

describe('T-07 a transfer', () => {
  let heir: string;

  beforeEach(async () => {
    heir = `${slug}-heir`;
    await addOrganization(heir);
    await prove();
    await until('obeyed', async () => (await typing(`ada@${domain}`)) === 200);
  });

  it('changes nothing until its own record is there, and then everything at once', async () => {
    const { visitor } = await signIn(`ada@${domain}`);
    const elsewhere = await cli.json(['domain', 'add', slug, `b.${domain}`, '--verified']);
    expect(elsewhere).toHaveProperty('verified', true);
    await until('obeyed', async () => (await typing(`b@b.${domain}`)) === 200);
    const staying = await signIn(`b@b.${domain}`);
    const opened = await cli.json<DomainDocument>(['domain', 'transfer', domain, heir]);
    expect(opened).toMatchObject({
      domain,
      from: slug,
      to: heir,
      txt_name: recordOf(),
      users_left_behind: 1,
    });
    expect(opened.txt_value).toMatch(VALUE);
    expect(opened.txt_value).not.toBe(claim.txt_value);
    expect(await cli.json(['domain', 'transfer', domain, heir])).toHaveProperty(
      'txt_value',
      opened.txt_value,
    );

    await cli.refused(
      ['domain', 'verify', domain],
      new RegExp(`${opened.txt_value} yet.* stays with ${slug}`),
    );
    expect(await show()).toMatchObject({
      organization: slug,
      verified: true,
      transfer: { organization: heir },
    });
    expect((await visitor.session()).status).toBe(200);

    setRecord(claim.txt_value, opened.txt_value);
    expect(await verify()).toMatchObject({
      organization: heir,
      proof: 'dns',
      txt_value: opened.txt_value,
      transferred_from: slug,
      users_left_behind: 1,
      sessions_ended: 1,
    });
    expect((await visitor.session()).status).toBe(401);
    expect((await staying.visitor.session()).status).toBe(200);
    const { status } = await signIn(`ada@${domain}`);
    expect(status).toBe(303);
    const users = await gateway.sql<{ slug: string }>(
      'SELECT o.slug FROM users u JOIN organizations o ON o.id = u.organization_id WHERE u.email = $1 ORDER BY 1',
      [`ada@${domain}`],
    );
    expect(users.map((user) => user.slug)).toEqual([slug, heir]);
    for (const party of [slug, heir]) {
      expect(await actionsOf(party)).toEqual(
        expect.arrayContaining(['domain.transfer_opened', 'domain.transferred']),
      );
    }
    // The old record proves nothing for anybody.
    setRecord(claim.txt_value);
    await cli.refused(['domain', 'verify', domain], /has no TXT record/);
  });

  it('can be ended, is one at a time, and only of what is another’s', async () => {
    const { txt_value: value } = await cli.json<DomainDocument>(['domain', 'transfer', domain, heir]);
    await cli.json(['org', 'add', `${slug}-third`, '--name', 'Third']);
    await cli.refused(['domain', 'transfer', domain, `${slug}-third`], /domain transfer \S+ --cancel$/m);
    await cli.refused(['domain', 'transfer', domain, slug], new RegExp(`is ${slug}'s already`));
    await cli.refused(['domain', 'transfer', `no.${domain}`, heir], /^Nobody has the domain .* domain add/);
    await cli.misused(['domain', 'transfer', domain], /either the slug of an organization or --cancel/);
    await cli.misused(['domain', 'transfer', domain, heir, '--cancel'], /either the slug/);
    expect(await cli.json(['domain', 'transfer', domain, '--cancel'])).toMatchObject({
      organization: slug,
      transfer: null,
    });
    await cli.refused(['domain', 'transfer', domain, '--cancel'], /^No transfer of \S+ is open/);
    setRecord(claim.txt_value, value);
    expect(await verify()).toMatchObject({ organization: slug, proof: 'dns' });
  });

  it('is done at once on an operator’s word, after asking', async () => {
    const { visitor } = await signIn(`ada@${domain}`);
    const words = ['domain', 'transfer', domain, heir, '--verified'];
    await cli.refused(
      words,
      new RegExp(`1 user of ${slug} has an address there.* Nothing was done: add --yes`),
    );
    expect(await show()).toMatchObject({ organization: slug });
    const { status, stdout } = await cli.run([...words, '--yes']);
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringContaining(`leads to ${heir} now`),
    });
    expect(await show()).toMatchObject({ organization: heir, proof: 'operator', txt_value: null });
    expect((await visitor.session()).status).toBe(401);
  });
});
