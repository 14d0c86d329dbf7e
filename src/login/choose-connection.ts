/**
 * Which connections a person may take: of the organization's routes the most precise that speak of them, and then the cut-over.
 * Where several are left, the person chooses. It decides from what it is given, and so does `explain`.
 */
import type { Connection, RedirectConnection } from '../connections/connection.ts';
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
  const known = entry.connections.filter(isRoutable);
  for (const by of person === undefined ? WITHOUT_ADDRESS : BY_PRECISION) {
    const routed = known.filter(({ id }) => isRouted(entry, person, by, id));
    if (routed.length > 0) return { by, routed };
  }
  const free = known.filter(({ id }) => !hasRoutes(entry, id));
  return { by: 'rest', routed: free.length === 1 ? free : [] };
}

const BY_PRECISION = ['address', 'domain', 'everybody'] as const;
/** Who typed nothing may be of any domain, where no connection is for everybody. */
const WITHOUT_ADDRESS = ['everybody', 'domain'] as const;

const isRoutable = (connection: Connection): connection is RedirectConnection =>
  isRedirectConnection(connection) && connection.status !== 'draft';

/** Whether a route of that precision leads the person to the connection. */
function isRouted(
  { routes }: DirectoryEntry,
  person: PersonToRoute | undefined,
  by: (typeof BY_PRECISION)[number],
  id: string,
): boolean {
  if (by === 'address') return person?.routes.connectionIds.includes(id) === true;
  const domain = by === 'domain' ? person?.email.domain : undefined;
  return routes.some(
    ({ connectionId, kind, value }) =>
      kind === by && connectionId === id && (domain === undefined || value === domain),
  );
}

const hasRoutes = ({ addressRouted, routes }: DirectoryEntry, id: string): boolean =>
  addressRouted.includes(id) || routes.some(({ connectionId }) => connectionId === id);

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
