/**
 * An organization: a customer of the vendor, with its own domains, connections and users. Everything that belongs to it
 * carries its id, and nothing that belongs to another is ever reached from it.
 */
/** Whether people of a proved domain need to be registered first, or get an account at their first sign-in. */
export type Provisioning = 'manual' | 'just-in-time';

export interface Organization {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly provisioning: Provisioning;
  /** Where its people land when a sign-in names no place of its own. */
  readonly returnUrl: string | undefined;
  /** Name of the region that it lives in; undefined: this one. */
  readonly region: string | undefined;
  readonly enabled: boolean;
  readonly createdAt: Date;
}

const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** A slug is one lower-case DNS label: it stands in URLs and headers. */
export function isSlug(text: string): boolean {
  return SLUG.test(text);
}
