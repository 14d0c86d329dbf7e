/** Whom of its organization's people a connection is for. Which one a person takes is decided in login/choose-connection.ts. */

export type RouteKind = 'address' | 'domain' | 'everybody';

export interface ConnectionRoute {
  readonly kind: RouteKind;
  /** A canonical address or domain; empty for everybody. */
  readonly value: string;
  readonly connectionId: string;
}
