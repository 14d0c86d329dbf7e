/** T-07, T-10, T-15, D-05, D-06: who can have a domain, what proves it, and how it becomes another organization's. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { until } from '../database/embedded-members.ts';
import type { Zone } from './dns-server.ts';
import { DomainScene, VALUE, type ClaimedDomain, type DomainDocument } from './domain-scene.ts';

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

describe('T-07 a claim', () => {
  it('routes nobody, and says the same record each time', async () => {
    expect(claim).toMatchObject({ organization: slug, domain, verified: false, proof: null });
    expect(claim.txt_name).toBe(mine.recordName);
    expect(claim.txt_value).toMatch(VALUE);
    const again = await scene.cli.json<DomainDocument>(['domain', 'add', slug, domain.toUpperCase()]);
    expect(again.txt_value).toBe(claim.txt_value);
    const { stdout } = await scene.cli.run(['domain', 'add', slug, domain]);
    for (const text of [mine.recordName, 'TXT', claim.txt_value, `domain verify ${domain}`]) {
      expect(stdout).toContain(text);
    }
    expect(await scene.typing(`ada@${domain}`)).toBe(404);
    expect(await scene.actionsOf(slug)).toEqual(['domain.added']);
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
      if (zone !== undefined) scene.dns.zones.set(mine.recordName, zone);
      await scene.cli.refused(['domain', 'verify', domain], line);
    }
    await scene.cli.refused(['domain', 'verify', domain, '--json'], /^DNS did not answer/);
    expect(await scene.typing(`ada@${domain}`)).toBe(404);
    expect(await scene.actionsOf(slug)).toEqual(['domain.added']);
  });

  it('is proved by its record, alone, among others and in chunks, and the server obeys at once', async () => {
    mine.setRecord('v=spf1 -all', claim.txt_value);
    expect(await mine.verify()).toMatchObject({ verified: true, proof: 'dns', missing_since: null });
    await until('obeyed', async () => (await scene.typing(`ada@${domain}`)) === 200);
    expect((await scene.signIn(`ada@${domain}`)).status).toBe(303);
    for (const record of [claim.txt_value, [claim.txt_value.slice(0, 9), claim.txt_value.slice(9)]]) {
      mine.setRecord(record);
      expect(await mine.verify()).toMatchObject({ verified: true, missing_since: null });
    }
    expect(await scene.actionsOf(slug)).toEqual(['domain.added', 'domain.verified']);
  });

  it('D-05, D-06, T-15 is of one name in any spelling, and of none below it', async () => {
    await mine.prove();
    expect(await scene.cli.json(['domain', 'verify', `${domain.toUpperCase()}.`])).toMatchObject({ domain });
    expect(await scene.typing(`u@sub.${domain}`)).toBe(404);
    for (const text of ['*', '%', '_', '', 'com', `${'a.'.repeat(126)}ab`]) {
      await scene.cli.refused(['domain', 'verify', text], /^This is not a domain name/);
    }
    await scene.cli.refused(['domain', 'verify', `sub.${domain}`], /^Nobody has the domain/);
    const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.test`;
    await scene.cli.refused(['domain', 'add', slug, long], /^The domain is too long for a name below it/);
    expect(await scene.cli.json(['domain', 'add', slug, long, '--verified'])).toHaveProperty(
      'verified',
      true,
    );
  });

  it('gives way to a proof of another, and a proof to none', async () => {
    const other = await scene.cli.json<{ slug: string }>(['org', 'add', `${slug}-other`, '--name', 'Other']);
    await scene.cli.refused(
      ['domain', 'add', other.slug, domain],
      new RegExp(`claimed by ${slug}\\..*domain transfer`),
    );
    await mine.prove();
    for (const word of [[], ['--verified']]) {
      const line = new RegExp(`verified for ${slug}\\..*domain transfer ${domain} ${other.slug}`);
      await scene.cli.refused(['domain', 'add', other.slug, domain, ...word], line);
    }
    expect(await scene.show(domain)).toMatchObject({ organization: slug, proof: 'dns' });
  });

  it('of what is everybody’s is refused, whoever vouches for it, and so is its transfer', async () => {
    await mine.prove();
    for (const name of ['co.uk', 'github.io', 'gmail.com', 'x.gmail.com']) {
      for (const word of [[], ['--verified']]) {
        await scene.cli.refused(['domain', 'add', slug, name, ...word], /can belong to no organization\.$/m);
      }
      await scene.cli.refused(['domain', 'transfer', name, slug], /can belong to no organization\.$/m);
    }
    const own = ['domain', 'add', slug, 'sso.vendor.example', '--verified'];
    await scene.cli.refused(own, /Gatehouse itself/, {
      env: { PUBLIC_URL: 'https://sso.vendor.example:8443' },
    });
  });

  it('T-10 of an organization that is made again is another claim', async () => {
    await mine.prove();
    await scene.cli.json(['org', 'remove', slug]);
    await scene.cli.json(['org', 'add', slug, '--name', slug]);
    const again = await scene.cli.json<DomainDocument>(['domain', 'add', slug, domain]);
    expect(again.txt_value).toMatch(VALUE);
    expect(again.txt_value).not.toBe(claim.txt_value);
    await scene.cli.refused(['domain', 'verify', domain], /has no TXT record/);
  });
});

describe("a domain that was added on an operator's word", () => {
  it('is not looked for, until its record was found', async () => {
    const added = await scene.cli.json(['domain', 'add', slug, `word.${domain}`, '--verified']);
    expect(added).toMatchObject({ verified: true, proof: 'operator', txt_value: null });
    const asked = ['domain', 'verify', `word.${domain}`];
    await scene.cli.refused(
      asked,
      /has no TXT record gatehouse-\S+ yet.* stays verified on an operator's word\./,
    );
    expect(await scene.show(`word.${domain}`)).toMatchObject({ verified: true, missing_since: null });
    const { txt_value: value } = (await scene.show(`word.${domain}`)) ?? {};
    scene.dns.zones.set(`_gatehouse.word.${domain}`, [String(value)]);
    expect(await scene.cli.json(['domain', 'verify', `word.${domain}`])).toMatchObject({
      verified: true,
      proof: 'dns',
    });
  });
});

describe('T-07 a transfer', () => {
  let heir: string;

  beforeEach(async () => {
    heir = `${slug}-heir`;
    await scene.addOrganization(heir);
    await mine.prove();
  });

  it('changes nothing until its own record is there, and then everything at once', async () => {
    const { visitor } = await scene.signIn(`ada@${domain}`);
    const elsewhere = await scene.cli.json(['domain', 'add', slug, `b.${domain}`, '--verified']);
    expect(elsewhere).toHaveProperty('verified', true);
    await until('obeyed', async () => (await scene.typing(`b@b.${domain}`)) === 200);
    const staying = await scene.signIn(`b@b.${domain}`);
    const opened = await scene.cli.json<DomainDocument>(['domain', 'transfer', domain, heir]);
    expect(opened).toMatchObject({
      domain,
      from: slug,
      to: heir,
      txt_name: mine.recordName,
      users_left_behind: 1,
    });
    expect(opened.txt_value).toMatch(VALUE);
    expect(opened.txt_value).not.toBe(claim.txt_value);
    expect(await scene.cli.json(['domain', 'transfer', domain, heir])).toHaveProperty(
      'txt_value',
      opened.txt_value,
    );

    await scene.cli.refused(
      ['domain', 'verify', domain],
      new RegExp(`${opened.txt_value} yet.* stays with ${slug}`),
    );
    expect(await scene.show(domain)).toMatchObject({
      organization: slug,
      verified: true,
      transfer: { organization: heir },
    });
    expect((await visitor.session()).status).toBe(200);

    mine.setRecord(claim.txt_value, opened.txt_value);
    expect(await mine.verify()).toMatchObject({
      organization: heir,
      proof: 'dns',
      txt_value: opened.txt_value,
      transferred_from: slug,
      users_left_behind: 1,
      sessions_ended: 1,
    });
    expect((await visitor.session()).status).toBe(401);
    expect((await staying.visitor.session()).status).toBe(200);
    await until('obeyed', async () => (await scene.signIn(`ada@${domain}`)).status === 303);
    const users = await scene.gateway.sql<{ slug: string }>(
      'SELECT o.slug FROM users u JOIN organizations o ON o.id = u.organization_id WHERE u.email = $1 ORDER BY 1',
      [`ada@${domain}`],
    );
    expect(users.map((user) => user.slug)).toEqual([slug, heir]);
    for (const party of [slug, heir]) {
      expect(await scene.actionsOf(party)).toEqual(
        expect.arrayContaining(['domain.transfer_opened', 'domain.transferred']),
      );
    }
    // The old record proves nothing for anybody.
    mine.setRecord(claim.txt_value);
    await scene.cli.refused(['domain', 'verify', domain], /has no TXT record/);
  });

  it('can be ended, is one at a time, and only of what is another’s', async () => {
    const { txt_value: value } = await scene.cli.json<DomainDocument>(['domain', 'transfer', domain, heir]);
    await scene.cli.json(['org', 'add', `${slug}-third`, '--name', 'Third']);
    await scene.cli.refused(
      ['domain', 'transfer', domain, `${slug}-third`],
      /domain transfer \S+ --cancel$/m,
    );
    await scene.cli.refused(['domain', 'transfer', domain, slug], new RegExp(`is ${slug}'s already`));
    await scene.cli.refused(
      ['domain', 'transfer', `no.${domain}`, heir],
      /^Nobody has the domain .* domain add/,
    );
    await scene.cli.misused(['domain', 'transfer', domain], /either the slug of an organization or --cancel/);
    await scene.cli.misused(['domain', 'transfer', domain, heir, '--cancel'], /either the slug/);
    expect(await scene.cli.json(['domain', 'transfer', domain, '--cancel'])).toMatchObject({
      organization: slug,
      transfer: null,
    });
    await scene.cli.refused(['domain', 'transfer', domain, '--cancel'], /^No transfer of \S+ is open/);
    mine.setRecord(claim.txt_value, value);
    expect(await mine.verify()).toMatchObject({ organization: slug, proof: 'dns' });
  });

  it('is done at once on an operator’s word, after asking', async () => {
    const { visitor } = await scene.signIn(`ada@${domain}`);
    const words = ['domain', 'transfer', domain, heir, '--verified'];
    await scene.cli.refused(
      words,
      new RegExp(`1 user of ${slug} has an address there.* Nothing was done: add --yes`),
    );
    expect(await scene.show(domain)).toMatchObject({ organization: slug });
    const { status, stdout } = await scene.cli.run([...words, '--yes']);
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringContaining(`leads to ${heir} now`),
    });
    expect(await scene.show(domain)).toMatchObject({
      organization: heir,
      proof: 'operator',
      txt_value: null,
    });
    expect((await visitor.session()).status).toBe(401);
  });
});
