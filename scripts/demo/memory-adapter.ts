/**
 * Where the demonstration's OpenID Provider keeps its records: in memory, per provider, gone with the process. Clients
 * are not kept but asked for each time, so that their redirect URIs may change while the provider runs.
 */
import type { Adapter, AdapterFactory, AdapterPayload, ClientMetadata } from 'oidc-provider';

class MemoryAdapter implements Adapter {
  readonly #records = new Map<string, AdapterPayload>();

  upsert(id: string, payload: AdapterPayload): Promise<void> {
    this.#records.set(id, payload);
    return Promise.resolve();
  }

  find(id: string): Promise<AdapterPayload | undefined> {
    return Promise.resolve(this.#records.get(id));
  }

  findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return Promise.resolve([...this.#records.values()].find((record) => record.uid === uid));
  }

  findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    return Promise.resolve([...this.#records.values()].find((record) => record.userCode === userCode));
  }

  consume(id: string): Promise<void> {
    const record = this.#records.get(id);
    if (record !== undefined) record.consumed = Math.floor(Date.now() / 1000);
    return Promise.resolve();
  }

  destroy(id: string): Promise<void> {
    this.#records.delete(id);
    return Promise.resolve();
  }

  revokeByGrantId(grantId: string): Promise<void> {
    for (const [id, record] of this.#records) if (record.grantId === grantId) this.#records.delete(id);
    return Promise.resolve();
  }
}

class ClientAdapter extends MemoryAdapter {
  readonly #findClient: (id: string) => ClientMetadata | undefined;

  constructor(findClient: (id: string) => ClientMetadata | undefined) {
    super();
    this.#findClient = findClient;
  }

  override find(id: string): Promise<AdapterPayload | undefined> {
    return Promise.resolve(this.#findClient(id));
  }
}

/** @param findClient the client as it is registered at this moment */
export function memoryAdapter(findClient: (id: string) => ClientMetadata | undefined): AdapterFactory {
  return (model) => (model === 'Client' ? new ClientAdapter(findClient) : new MemoryAdapter());
}
