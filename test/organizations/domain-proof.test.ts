/** T-09: domains that DNS proved, and proves no longer. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { until } from '../database/embedded-members.ts';
import { askAdmission } from '../../src/login/admission-store.ts';
import type { DomainName } from '../../src/organizations/domain-name.ts';
import { takeDueProofs } from '../../src/organizations/domain-proof-store.ts';
import { DomainScene, type ClaimedDomain, type DomainDocument } from './domain-scene.ts';

let scene: DomainScene;
let mine: ClaimedDomain;
let slug: string;
let domain: string;
let claim: DomainDocument;

beforeAll(async () => {
  scene = await DomainScene.start();
});
beforeEach(async () => {
  mine = await scene.claimDomain();
  ({ slug, domain, claim } = mine);
});
afterAll(() => scene.close());

describe('T-09 a proof that is removed later', () => {
  const known = () => `known@${domain}`;
  const named = () => `named@${domain}`;

  beforeEach(async () => {
    await mine.prove();
    expect((await scene.signIn(known())).status).toBe(303);
    await scene.cli.json(['user', 'add', slug, named()]);
    await scene.cli.json(['user', 'add', slug, `linked-later@${domain}`]);
  });

  it('is noticed by one of the nodes, once; after the grace only people who are linked come in, until it is back', async () => {
    mine.removeRecord();
    await mine.happened('domain.proof_missing');
    const missing = await scene.show(domain);
    expect(missing).toMatchObject({ verified: true, proof: 'dns', lapsed: false });
    const grace = Date.parse(String(missing?.grace_ends_at)) - Date.parse(String(missing?.missing_since));
    expect(grace).toBe(7 * 86_400_000);
    // Within the grace nothing comes of it.
    expect((await scene.signIn(`linked-later@${domain}`)).status).toBe(303);
    expect((await scene.cli.run(['explain', named()])).stdout).toMatch(
      /missing since .* From .* on only people who/,
    );

    await mine.passGrace();
    for (const email of [`new@${domain}`, named()]) {
      const refused = await scene.signIn(email);
      expect(refused).toMatchObject({ status: 403, code: 'email_not_allowed' });
      const trail = await scene.cli.json(['audit', 'list', '--reference', String(refused.reference)]);
      const reason = expect.stringMatching(
        /^the proof of the address's domain has been missing since \d{4}-/,
      );
      expect(trail).toEqual([expect.objectContaining({ action: 'login.failed', reason })]);
      const { stdout, status } = await scene.cli.run(['explain', email]);
      expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('missing since') });
      expect(await scene.cli.json(['explain', email])).toMatchObject({
        outcome: 'refused',
        code: 'email_not_allowed',
      });
    }
    expect(await scene.gateway.sql('SELECT FROM users WHERE email = $1', [`new@${domain}`])).toEqual([]);
    expect((await scene.signIn(known())).status).toBe(303);
    expect(await scene.cli.json(['explain', known()])).toMatchObject({ outcome: 'signs_in' });
    await mine.happened('domain.proof_lapsed');
    await scene.cli.refused(
      ['domain', 'verify', domain],
      /missing since .*: nobody new is let in until it is there again/,
    );
    expect((await scene.cli.run(['domain', 'list', slug])).stdout).toContain('lapsed');
    expect((await scene.cli.run(['org', 'show', slug])).stdout).toMatch(
      /lapsed, by DNS, last check .*, grace ends /,
    );

    mine.setRecord(claim.txt_value);
    await mine.happened('domain.proof_restored');
    expect(await scene.show(domain)).toMatchObject({
      missing_since: null,
      grace_ends_at: null,
      lapsed: false,
    });
    expect((await scene.signIn(named())).status).toBe(303);
    expect(await scene.actionsOf(slug)).toEqual([
      'domain.added',
      'domain.verified',
      'domain.proof_missing',
      'domain.proof_lapsed',
      'domain.proof_restored',
    ]);
    const warned = scene.gateway.logLines.filter((line) => line.includes(`"${domain}"`));
    expect(warned.filter((line) => line.includes('"warn"'))).toHaveLength(2);
  });

  it('stops whoever else would be created or linked, and a known person with another address', async () => {
    mine.removeRecord();
    await scene.cli.refused(['domain', 'verify', domain], /nobody new is let in from/);
    await mine.passGrace();
    const [identity] = await scene.gateway.sql<{ issuer: string; subject: string }>(
      'SELECT issuer, subject FROM identities WHERE connection_id = $1',
      [mine.connection.id],
    );
    const question = {
      organizationId: mine.connection.organizationId,
      connectionId: mine.connection.id,
      revision: mine.connection.revision,
      domain,
      issuer: String(identity?.issuer),
      linksByEmail: true,
      creates: 'always',
    } as const;
    const answerTo = async (subject: string, email: string | null) => {
      const asked = { ...question, subject, email, ...(email === null ? { domain: null } : {}) };
      return (await askAdmission(scene.gateway.database, asked)).answer;
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
    scene.dns.zones.set(mine.recordName, 'servfail');
    await until('noticed', () =>
      scene.gateway.logLines.some((line) => line.includes(domain) && line.includes('SERVFAIL')),
    );
    await scene.gateway.sql(
      `UPDATE domain_proofs SET unanswered_since = unanswered_since - interval '90 days', checked_at = now() - interval '90 days'
       WHERE domain = $1`,
      [domain],
    );
    await scene.cli.refused(['domain', 'verify', domain], /^DNS did not answer/);
    expect(await scene.show(domain)).toMatchObject({ verified: true, missing_since: null, lapsed: false });
    expect((await scene.signIn(named())).status).toBe(303);
    expect(await scene.actionsOf(slug)).toEqual(['domain.added', 'domain.verified']);
  });

  it('is noticed by a command as by the server, and an operator’s word can take its place', async () => {
    scene.dns.zones.set(mine.recordName, ['another=record']);
    await scene.cli.refused(
      ['domain', 'verify', domain],
      /yet, but "another=record".*nobody new is let in from \d{4}-/,
    );
    expect(await scene.actionsOf(slug)).toContain('domain.proof_missing');
    await mine.passGrace();
    expect(await scene.cli.json(['domain', 'add', slug, domain, '--verified'])).toMatchObject({
      proof: 'operator',
      missing_since: null,
      lapsed: false,
    });
    expect((await scene.signIn(named())).status).toBe(303);
  });
});

describe('a domain that is due', () => {
  it('is one node’s at a time, and another’s after a lease', async () => {
    await mine.prove();
    // Those of the running nodes are out of the way.
    const due = Array.from({ length: 30 }, (_, index) => `due-${index}.${domain}` as DomainName);
    await scene.gateway.sql(`UPDATE domain_proofs SET claimed_until = now() + interval '1 day'`);
    await scene.gateway.sql(
      `INSERT INTO domains (name, organization_id, verified_at)
       SELECT name, (SELECT id FROM organizations WHERE slug = $2), now() FROM unnest(CAST($1 AS text[])) AS name`,
      [due, slug],
    );
    await scene.gateway.sql(
      `INSERT INTO domain_proofs (domain, challenge, proved_at, checked_at, claimed_until)
       SELECT name, 'x', now(), now() - interval '10 days', now() + interval '1 day' FROM unnest(CAST($1 AS text[])) AS name`,
      [due],
    );
    const limits = { everySeconds: 5 * 86_400, againSeconds: 3_600, most: 20 };
    const taking = async () => (await takeDueProofs(scene.gateway.database, limits)).map(({ name }) => name);
    expect(await taking()).toEqual([]);
    const release = (interval: string) =>
      scene.gateway.sql(
        `UPDATE domain_proofs SET claimed_until = now() + CAST($2 AS interval) WHERE domain = ANY ($1)`,
        [due, interval],
      );
    await release('-1 second');
    const taken = (await Promise.all(Array.from({ length: 4 }, taking))).flat();
    // The running nodes may have been among those who took.
    expect(new Set(taken).size).toBe(taken.length);
    await scene.gateway.sql('DELETE FROM domains WHERE name = ANY ($1)', [due]);
    await scene.gateway.sql('UPDATE domain_proofs SET claimed_until = NULL');
  });
});
