/**
 * Client secrets at rest: one, or two while they are exchanged at the provider. Each is encrypted, and has a name that says nothing
 * about it. It must not know what a connection is.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import type { SecretBox } from '../secret-box.ts';

/** A secret as it is stored: encrypted for one connection alone. */
export interface SealedSecret {
  /** Eight hexadecimal digits, which stay when it is encrypted with another key. */
  readonly id: string;
  readonly sealed: string;
  /** Undefined where nobody noted it. */
  readonly addedAt: Date | undefined;
  /** When the provider stops taking it, as the operator said; undefined: nobody said. */
  readonly expiresAt: Date | undefined;
}

/** What is known of a new secret. */
export interface NewSecret {
  readonly secret: string;
  readonly expiresAt: Date | undefined;
}

const stored = z.array(
  z.object({
    id: z.string().optional(),
    sealed: z.string(),
    addedAt: z.string().optional(),
    expiresAt: z.string().optional(),
  }),
);

export interface SecretColumns {
  /** The first one. */
  readonly sealed_secret: string | null;
  /** JSON of all. */
  readonly client_secrets: unknown;
}

/** What is encrypted differs each time, so its digest names a secret without saying whether it is the same as another. */
const idOf = (sealed: string) => createHash('sha256').update(sealed).digest('hex').slice(0, 8);

/** @param place as the secret box knows it (connection.ts) */
export function sealSecret(box: SecretBox, place: string, { secret, expiresAt }: NewSecret): SealedSecret {
  const sealed = box.seal('client-secret', place, secret);
  return { id: idOf(sealed), sealed, addedAt: new Date(), expiresAt };
}

/** A secret as it is used. */
export interface ClientSecret {
  readonly id: string;
  readonly secret: string;
}

/** Those that can be decrypted. */
export function openSecrets(
  box: SecretBox,
  place: string,
  secrets: readonly SealedSecret[],
): readonly ClientSecret[] {
  return secrets.flatMap(({ id, sealed }) => {
    const secret = box.open('client-secret', place, sealed);
    return secret === undefined ? [] : [{ id, secret }];
  });
}

/** The release before this one writes the first secret alone; what was there beside another first one is no longer good. */
export function secretsFromColumns(columns: SecretColumns): readonly SealedSecret[] {
  const { sealed_secret: first } = columns;
  if (first === null) return [];
  const all = stored.safeParse(columns.client_secrets).data ?? [];
  return (all[0]?.sealed === first ? all : [{ sealed: first }]).map((one) => ({
    id: one.id ?? idOf(one.sealed),
    sealed: one.sealed,
    addedAt: dateOf(one.addedAt),
    expiresAt: dateOf(one.expiresAt),
  }));
}

const dateOf = (text: string | undefined) => (text === undefined ? undefined : new Date(text));

export function secretColumns(secrets: readonly SealedSecret[]) {
  return {
    sealed_secret: secrets[0]?.sealed ?? null,
    client_secrets: JSON.stringify(
      secrets.map(({ id, sealed, addedAt, expiresAt }) => ({ id, sealed, addedAt, expiresAt })),
    ),
  };
}
