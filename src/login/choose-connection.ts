/**
 * Which connections a person may take: of the organization's routes the most precise that speak of them, and then the cut-over.
 * Where several are left, the person chooses. It decides from what it is given, and so does `explain`.
 */
import type { RedirectConnection } from '../connections/connection.ts';
import { isRedirectConnection } from '../connections/connection-kinds.ts';
import { lotOf, moveOf, type Cutover, type MoveReason } from '../cutover/cutover.ts';
import type { ParsedEmail } from '../organizations/email-address.ts';
import type { DirectoryEntry, PersonRoutes } from './directory-store.ts';

export interface PersonToRoute {
  readonly email: ParsedEmail;
  readonly routes: PersonRoutes;
}

/** `rest`: no route speaks of the person, and the only connection without routes is for whoever is left. */
type RoutedBy = 'address' | 'domain' | 'everybody' | 'rest';

export interface RouteDecision {
  readonly by: RoutedBy;
  /** All that the routes lead to, whatever their state. */
  readonly routed: readonly RedirectConnection[];
  /** What the cut-over says, where it concerns the person. */
  readonly cutover: { readonly isMoved: boolean; readonly why: MoveReason } | undefined;
  /** Those that sign people in now. */
  readonly connections: readonly RedirectConnection[];
}

/**
 * @param person undefined: nobody typed an address
 * @param lot of somebody without an address, [0, 100): what an address would draw by itself
 */
export function chooseConnection(
  entry: DirectoryEntry,
  person: PersonToRoute | undefined,
  lot = 0,
): RouteDecision {
  const { by, routed } = routedConnections(entry, person);
  const { cutover } = entry;
  const concerned = isUnderWay(cutover) && routed.some(({ id }) => id === cutover.fromId);
  const drawn = concerned && person !== undefined ? lotOf(cutover, person.email.address) : lot;
  const move = concerned ? moveOf(cutover, drawn, person?.routes.isNamed) : undefined;
  const taken = concerned && move?.isMoved === true ? moved(entry, routed, cutover) : routed;
  return { by, routed, cutover: move, connections: taken.filter(({ status }) => status === 'active') };
}

const isUnderWay = (cutover: Cutover | undefined): cutover is Cutover =>
  cutover !== undefined && cutover.state !== 'rolled_back';

/** Whether it depends on the lot where somebody without an address goes. */
export function drawsLots({ cutover }: DirectoryEntry): boolean {
  return cutover?.state === 'running' && cutover.share > 0 && cutover.share < 100;
}

function routedConnections(
  entry: DirectoryEntry,
  person: PersonToRoute | undefined,
): Pick<RouteDecision, 'by' | 'routed'> {
  const known = entry.connections.filter(isRedirectConnection).filter(({ status }) => status !== 'draft');
  const among = (ids: readonly string[]) => known.filter(({ id }) => ids.includes(id));
  const routesOf = (kind: 'domain' | 'everybody', value: string) =>
    among(
      entry.routes
        .filter((route) => route.kind === kind && route.value === value)
        .map(({ connectionId }) => connectionId),
    );
  const byPrecision = [
    ['address', among(person?.routes.connectionIds ?? [])],
    ['domain', person === undefined ? [] : routesOf('domain', person.email.domain)],
    ['everybody', routesOf('everybody', '')],
  ] as const;
  for (const [by, routed] of byPrecision) if (routed.length > 0) return { by, routed };
  const hasRoutes = new Set([
    ...entry.addressRouted,
    ...entry.routes.map(({ connectionId }) => connectionId),
  ]);
  const free = known.filter(({ id }) => !hasRoutes.has(id));
  return { by: 'rest', routed: free.length === 1 ? free : [] };
}

function moved(
  { connections }: DirectoryEntry,
  routed: readonly RedirectConnection[],
  { fromId, toId }: Cutover,
): readonly RedirectConnection[] {
  const others = routed.filter(({ id }) => id !== fromId && id !== toId);
  const next = connections.filter(isRedirectConnection).filter(({ id }) => id === toId);
  return [...next, ...others];
}
