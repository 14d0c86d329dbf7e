/** What is limited, and to how much. It must not know what a request is. */

/** How much is allowed of one thing, for each key that it is counted by. */
export interface Limit {
  /** Begins the stored keys. */
  readonly name: string;
  readonly most: number;
  readonly windowSeconds: number;
  /** From how many on a node shares what it counted. At 1 it waits until that is done. */
  readonly sharedFrom: number;
}

/** An ordinary sign-in is far from being shared, and so it writes nothing. */
const SUSPICIOUS = 1 / 8;

const perMinute = (name: string, most: number): Limit => ({
  name,
  most,
  windowSeconds: 60,
  sharedFrom: Math.ceil(most * SUSPICIOUS),
});

/**
 * IPv6 /48s hold 65,536 blocks and are what one site is given at most (RFC 6177), so nobody pays for strangers, and who rotates the
 * blocks of a site gains little. A company on several of them, or a mobile network, has room for five blocks that are full.
 */
const SITE = 5;

/** Of an address block and of the IPv6 site that it is in. */
export interface PlaceLimit {
  readonly block: Limit;
  readonly site: Limit;
}

const ofPlaces = (name: string, most: number): PlaceLimit => ({
  block: perMinute(`${name} of a block`, most),
  site: perMinute(`${name} of a site`, most * SITE),
});

/** Steps of sign-ins: enough for a whole company behind one address at nine o'clock. */
export const ATTEMPTS = ofPlaces('attempts', 2_000);
/** Addresses that nobody knows. */
export const UNKNOWN_ADDRESSES = ofPlaces('unknown addresses', 600);
/** The same, whoever asks. */
export const ALL_UNKNOWN_ADDRESSES = perMinute('all unknown addresses', 3_000);
/** One address typed in one block: elsewhere its person types it as if nothing were. */
export const TYPED_ADDRESS = perMinute('an address typed', 100);
/** Failures at a callback of one organization, wherever they come from. Reaching it alone refuses nobody. */
export const CALLBACK_FAILURES = perMinute('failures at a callback', 600);
/** Those of one block, while the callback has too many. */
export const CALLBACK_FAILURES_OF_BLOCK = perMinute('failures of a block at a callback', 20);
/** Of one application in one block: somebody else's wrong secrets do not hinder it. */
export const REFUSED_CLIENT = perMinute('refused authentications', 100);
/** Anybody can start one, and each is written down. */
export const DEVICE_STARTS = ofPlaces('device starts', 300);

const guesses = (name: string, most: number): Limit => ({ name, most, windowSeconds: 300, sharedFrom: 1 });

/** User codes that nobody has, of a block (or of a person) and of a site. */
export const UNKNOWN_USER_CODES: PlaceLimit = {
  block: guesses('unknown user codes', 5),
  site: guesses('unknown user codes of a site', 5 * SITE),
};
/**
 * Many address blocks cost little: this is the limit that guessing cannot get around. Who meets it alone is sent to sign in, and
 * then counted by themselves.
 */
export const ALL_UNKNOWN_USER_CODES = guesses('all unknown user codes', 1_000);
