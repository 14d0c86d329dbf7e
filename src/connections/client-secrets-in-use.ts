/**
 * The client secrets of one connection as this process uses them: the one that the provider took last is tried first. What a provider
 * says of a secret is passed on once, and again when it says something else.
 */
import type { ClientSecret } from './client-secret.ts';

export type SecretVerdict = 'accepted' | 'refused';

export interface ClientSecretsInUse {
  /** In the order in which they are tried; empty if none can be decrypted. */
  inOrder(): readonly ClientSecret[];
  note(secret: ClientSecret, verdict: SecretVerdict): void;
}

/** @param onVerdict what it cannot pass on it is told again */
export function clientSecretsInUse(
  secrets: readonly ClientSecret[],
  onVerdict: (secretId: string, verdict: SecretVerdict) => Promise<void>,
): ClientSecretsInUse {
  let order = secrets;
  /** Undefined until a provider has said something. */
  let said: Map<string, SecretVerdict> | undefined;
  return {
    inOrder: () => order,
    note(secret, verdict) {
      if (verdict === 'accepted') order = [secret, ...order.filter(({ id }) => id !== secret.id)];
      said ??= new Map();
      if (said.get(secret.id) === verdict) return;
      said.set(secret.id, verdict);
      onVerdict(secret.id, verdict).catch(() => {
        if (said?.get(secret.id) === verdict) said.delete(secret.id);
      });
    },
  };
}
