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
  if (name === own) return { name, isOwn: true, host: undefined };
  const host = name === undefined ? undefined : await parts.hosts.directory.find(name);
  return { name: name ?? '', isOwn: false, host };
}
