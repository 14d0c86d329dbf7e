/** What DNS says of a TXT record, and what it leaves open: that a record is absent is an answer, and trouble is none. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startDnsServer, type DnsServer, type Zone } from '../organizations/dns-server.ts';
import { txtRecords } from '../../src/outbound/txt-records.ts';
import { freePort } from '../support/test-gateway.ts';

const NAME = '_gatehouse.acme.example';
const LONG = 'x'.repeat(200);

let dns: DnsServer;

beforeAll(async () => {
  dns = await startDnsServer();
});
afterAll(() => dns.close());

const ask = async (zone: Zone | undefined) => {
  if (zone === undefined) dns.zones.delete(NAME);
  else dns.zones.set(NAME, zone);
  return txtRecords([dns.address])(NAME);
};

describe('T-09 the TXT records of a name', () => {
  it.each<[string, Zone | undefined, readonly string[]]>([
    ['one', ['a=b'], ['a=b']],
    ['several', ['v=spf1 -all', 'a=b', ''], ['v=spf1 -all', 'a=b', '']],
    ['one in chunks, joined', [['a', '=', 'b']], ['a=b']],
    [
      'too many for one datagram',
      Array.from({ length: 30 }, () => LONG),
      Array.from({ length: 30 }, () => LONG),
    ],
    ['a name without any', 'no data', []],
    ['no such name', undefined, []],
  ])('%s', async (_, zone, values) => {
    const answer = await ask(zone);
    expect(answer).toEqual({ kind: 'answered', values: expect.anything() });
    expect(answer.kind === 'answered' && [...answer.values].sort()).toEqual([...values].sort());
  });

  it.each<[string, Zone, RegExp]>([
    ['a failing server', 'servfail', /SERVFAIL/],
    ['a refusing server', 'refused', /REFUSED/],
    ['a silent server', 'silence', /no answer in time/],
  ])('%s has not answered', async (_, zone, reason) => {
    expect(await ask(zone)).toEqual({ kind: 'unanswered', reason: expect.stringMatching(reason) });
  });

  it('nor has one that is not there; where there is another, that one is asked', async () => {
    const nobody = `127.0.0.1:${await freePort()}`;
    expect(await txtRecords([nobody])(NAME)).toMatchObject({ kind: 'unanswered' });
    dns.zones.set(NAME, ['a=b']);
    expect(await txtRecords([nobody, dns.address])(NAME)).toEqual({ kind: 'answered', values: ['a=b'] });
  });
});
