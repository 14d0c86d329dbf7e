/** A ticket, with which a browser comes by a host's own cookie: good once, at one host, for one browser, for a minute. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectRefusal } from '../attacks/refusal.ts';
import { addCompany, FROM_OUR_PAGE, type Company } from '../http/visitor.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { BEHIND_PROXY, Guest, registerHost, signedInGuest } from './guest.ts';

const WIKI = 'wiki.vendor.example';
const SHOP = 'shop.vendor.example';
const OVER = { status: 400, code: 'login_expired' } as const;

let gateway: TestGateway;
let acme: Company;
let rival: Company;
beforeAll(async () => {
  gateway = await startTestGateway({ env: BEHIND_PROXY });
  acme = await addCompany(gateway, 'acme');
  rival = await addCompany(gateway, 'rival');
  await registerHost(gateway, WIKI);
  await registerHost(gateway, SHOP, { organizationIds: [rival.organization.id] });
});
afterAll(() => gateway.close());

describe('a ticket', () => {
  it('is used once', async () => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    const back = await guest.ticket(await guest.start(WIKI));
    const nonce = guest.at(WIKI).cookie('nonce');
    expect((await guest.ask(WIKI, back.pathname + back.search)).status).toBe(303);
    guest.at(WIKI).cookies.clear();
    guest.at(WIKI).cookies.set(nonce.name, nonce.value);
    const again = () => guest.ask(WIKI, back.pathname + back.search);
    await expectRefusal(gateway, again, { ...OVER, reason: /ticket/ });
  });

  it('is used once by twenty who use it at the same time', async () => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    const back = await guest.ticket(await guest.start(WIKI));
    const { name, value } = guest.at(WIKI).cookie('nonce');
    const statuses = await Promise.all(
      Array.from(
        { length: 20 },
        async () =>
          (
            await new Guest(gateway).ask(WIKI, back.pathname + back.search, {
              headers: { cookie: `${name}=${value}` },
            })
          ).status,
      ),
    );
    expect(statuses.filter((status) => status === 303)).toHaveLength(1);
    expect(statuses.filter((status) => status === 400)).toHaveLength(19);
  });

  it('S-03 is no good in another browser: nobody is signed in as somebody else by a link', async () => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    const back = await guest.ticket(await guest.start(WIKI));
    const victim = new Guest(gateway);
    await victim.start(WIKI);
    // Who has begun to sign in begins again, as who they are at Gatehouse.
    const again = await victim.ask(WIKI, back.pathname + back.search);
    expect([again.status, again.headers.location]).toEqual([
      302,
      expect.stringContaining('/auth/host?request='),
    ]);
    await expectRefusal(gateway, () => new Guest(gateway).ask(WIKI, back.pathname + back.search), OVER);
    expect((await victim.verify(WIKI)).status).toBe(401);
  });

  it('is no good at another host, at Gatehouse itself, or in place of a request', async () => {
    const guest = await signedInGuest(gateway, rival, 'ada@rival.example');
    const request = await guest.start(WIKI);
    const back = await guest.ticket(request);
    const { value } = guest.at(WIKI).cookie('nonce');
    const other = new Guest(gateway);
    const headers = { cookie: `gatehouse-nonce=${value}` };
    await expectRefusal(gateway, () => other.ask(SHOP, back.pathname + back.search, { headers }), OVER);
    await expectRefusal(gateway, () => guest.home.send(back.pathname + back.search), {
      status: 404,
      code: 'not_found',
      isRecorded: false,
    });
    const swapped = new URLSearchParams({
      ticket: new URL(request, gateway.url).searchParams.get('request') ?? '',
    });
    await expectRefusal(
      gateway,
      () => other.ask(WIKI, `/.gatehouse/callback?${swapped.toString()}`, { headers }),
      OVER,
    );
    const asRequest = `/auth/host?request=${back.searchParams.get('ticket') ?? ''}`;
    await expectRefusal(gateway, () => guest.home.send(asRequest), OVER);
  });

  it.each(['', '?ticket=', '?ticket=x', '?ticket=a.b&ticket=a.b'])(
    'that is none signs nobody in: %s',
    async (query) => {
      const guest = new Guest(gateway);
      await guest.start(WIKI);
      const answer = await expectRefusal(
        gateway,
        () => guest.ask(WIKI, `/.gatehouse/callback${query}`),
        OVER,
      );
      expect(answer.answer.body).toContain('href="/.gatehouse/start"');
    },
  );

  it('is over after a minute, and a request after ten', async () => {
    let nowMs = Date.now();
    const slow = await startTestGateway({ env: BEHIND_PROXY, now: () => nowMs });
    try {
      const company = await addCompany(slow, 'acme');
      await registerHost(slow, WIKI);
      const guest = await signedInGuest(slow, company, 'ada@acme.example');
      const [late, tooLate] = [await guest.start(WIKI), await guest.start(WIKI)];
      nowMs += 599_000;
      const back = await guest.ticket(late);
      nowMs += 61_000;
      await expectRefusal(slow, () => guest.ask(WIKI, back.pathname + back.search), OVER);
      await expectRefusal(slow, () => guest.home.send(tooLate), OVER);
    } finally {
      await slow.close();
    }
  });

  it('is of no use once the session has ended', async () => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    const back = await guest.ticket(await guest.start(WIKI));
    await guest.home.send('/logout', { method: 'POST', headers: FROM_OUR_PAGE });
    await expectRefusal(gateway, () => guest.ask(WIKI, back.pathname + back.search), OVER);
  });

  it('that is opened again by who is signed in already leads on', async () => {
    const guest = await signedInGuest(gateway, acme, 'ada@acme.example');
    const back = await guest.ticket(await guest.start(WIKI, '/there'));
    await guest.ask(WIKI, back.pathname + back.search);
    const again = await guest.ask(WIKI, back.pathname + back.search);
    expect([again.status, again.headers.location, again.headers['set-cookie']]).toEqual([
      303,
      `http://${WIKI}/there`,
      undefined,
    ]);
  });
});
