/** Storage of oidc-provider in a Map. What has expired is never taken away: the library looks at the time itself. */
const entries = new Map();
const keysOfGrants = new Map();

export class MapAdapter {
  #kind;

  constructor(kind) {
    this.#kind = kind;
  }

  async upsert(id, payload) {
    const key = `${this.#kind}:${id}`;
    entries.set(key, payload);
    const { grantId } = payload;
    if (grantId === undefined) return;
    const keys = keysOfGrants.get(grantId);
    if (keys === undefined) keysOfGrants.set(grantId, new Set([key]));
    else keys.add(key);
  }

  async find(id) {
    return entries.get(`${this.#kind}:${id}`);
  }

  async consume(id) {
    entries.get(`${this.#kind}:${id}`).consumed = Math.floor(Date.now() / 1_000);
  }

  async destroy(id) {
    entries.delete(`${this.#kind}:${id}`);
  }

  async revokeByGrantId(grantId) {
    for (const key of keysOfGrants.get(grantId) ?? []) entries.delete(key);
    keysOfGrants.delete(grantId);
  }

  /** Sessions and user codes are not part of what is measured. */
  async findByUid() {
    return undefined;
  }

  async findByUserCode() {
    return undefined;
  }
}
