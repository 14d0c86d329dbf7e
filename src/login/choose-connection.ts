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
  /** What is left after that, whatever their state. */
  readonly meant: readonly RedirectConnection[];
  /** Those of them that sign people in now. */
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
  const meant = concerned && move !== undefined ? afterMove(entry, routed, { ...cutover, ...move }) : routed;
  return { by, routed, cutover: move, meant, connections: meant.filter(({ status }) => status === 'active') };
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
  const routesOf = (kind: 'domain' | 'everybody', value?: string) =>
    among(
      entry.routes
        .filter((route) => route.kind === kind && (value === undefined || route.value === value))
        .map(({ connectionId }) => connectionId),
    );
  const everybody = ['everybody', routesOf('everybody')] as const;
  const byPrecision =
    person === undefined
      ? // Who typed nothing may be of any domain, where no connection is for everybody.
        ([everybody, ['domain', routesOf('domain')]] as const)
      : ([
          ['address', among(person.routes.connectionIds)],
          ['domain', routesOf('domain', person.email.domain)],
          everybody,
        ] as const);
  for (const [by, routed] of byPrecision) if (routed.length > 0) return { by, routed };
  const hasRoutes = new Set([
    ...entry.addressRouted,
    ...entry.routes.map(({ connectionId }) => connectionId),
  ]);
  const free = known.filter(({ id }) => !hasRoutes.has(id));
  return { by: 'rest', routed: free.length === 1 ? free : [] };
}

/** One of the two connections of a cut-over is left, and whatever else the person may choose. */
function afterMove(
  { connections }: DirectoryEntry,
  routed: readonly RedirectConnection[],
  { fromId, toId, isMoved }: Pick<Cutover, 'fromId' | 'toId'> & { readonly isMoved: boolean },
): readonly RedirectConnection[] {
  const others = routed.filter(({ id }) => id !== fromId && id !== toId);
  const taken = connections.filter(isRedirectConnection).filter(({ id }) => id === (isMoved ? toId : fromId));
  return [...taken, ...others];
}
