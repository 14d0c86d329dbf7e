/**
 * A real DNS server on loopback, over UDP and TCP, whose records and moods are in the test's hand. It must not know Gatehouse.
 */
import dns2 from 'dns2';
import { freePort } from '../support/test-gateway.ts';

const SERVFAIL = 2;
const NXDOMAIN = 3;
const REFUSED = 5;
const TXT_TTL_SECONDS = 60;

/** TXT records, each a text or its chunks; or what becomes of the question. */
export type Zone = readonly (string | readonly string[])[] | 'no data' | 'servfail' | 'refused' | 'silence';

export interface DnsServer {
  /** As DNS_SERVERS takes it. */
  readonly address: string;
  /** What it says of a name; nothing: there is no such name. */
  readonly zones: Map<string, Zone>;
  /** Names that were asked for, oldest first. */
  readonly asked: string[];
  close(): Promise<void>;
}

const RCODES: Readonly<Record<string, number>> = { servfail: SERVFAIL, refused: REFUSED };

export async function startDnsServer(): Promise<DnsServer> {
  const zones = new Map<string, Zone>();
  const asked: string[] = [];
  const server = dns2.createServer({
    udp: true,
    tcp: true,
    handle(request, send) {
      const [question] = request.questions;
      const name = question?.name ?? '';
      asked.push(name);
      const zone = zones.get(name);
      if (zone === 'silence') return;
      const response = dns2.Packet.createResponseFromRequest(request);
      const rcode = zone === undefined ? NXDOMAIN : (RCODES[String(zone)] ?? 0);
      Object.assign(response.header, { rcode, ra: 1 });
      if (typeof zone === 'object') {
        for (const data of zone) {
          const { TXT: type } = dns2.Packet.TYPE;
          const record = { name, type, class: dns2.Packet.CLASS.IN, ttl: TXT_TTL_SECONDS, data };
          response.answers.push(record as (typeof response.answers)[number]);
        }
      }
      void send(response);
    },
  });
  const port = await freePort();
  const place = { port, address: '127.0.0.1' };
  await server.listen({ udp: place, tcp: place });
  return {
    address: `127.0.0.1:${port}`,
    zones,
    asked,
    async close() {
      await server.close();
    },
  };
}
