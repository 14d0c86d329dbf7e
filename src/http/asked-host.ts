/** About which host a request is: a trusted proxy says it, and else it is Gatehouse's own. */
import type { Request } from 'express';
import { canonicalHost, type Host } from '../hosts/host.ts';
import type { HttpParts } from './parts.ts';
import { forwarded } from './request-facts.ts';

/** A name that nobody registered has no `host`, as Gatehouse's own has none. */
export interface AskedHost {
  readonly name: string;
  readonly isOwn: boolean;
  readonly host: Host | undefined;
}

export async function askedHost(parts: HttpParts, request: Request): Promise<AskedHost> {
  const own = new URL(parts.config.publicUrl).host;
  const said = forwarded(request);
  const name = said === undefined ? own : canonicalHost(said.host);
  if (name === own) {
    if (said === undefined) noteDoubtfulHost(parts, request, own);
    return { name, isOwn: true, host: undefined };
  }
  const host = name === undefined ? undefined : await parts.hosts.directory.find(name);
  if (host === undefined && name !== undefined) {
    parts.hosts.onDoubt(name, 'a proxy asks about a host that is not registered; add it with: host add');
  }
  return { name: name ?? '', isOwn: false, host };
}

/** Somebody names another host and is not believed: most likely a proxy that TRUST_PROXY leaves out. */
function noteDoubtfulHost({ hosts }: HttpParts, request: Request, own: string): void {
  const claimed = canonicalHost(request.get('x-forwarded-host') ?? own);
  if (claimed === undefined || claimed === own) return;
  hosts.onDoubt(
    `${claimed} from ${String(request.socket.remoteAddress)}`,
    'X-Forwarded-Host is not believed: set TRUST_PROXY to the address of the proxy',
  );
}
