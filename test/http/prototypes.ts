/** H-10, asserted of everything: whatever was sent, the prototypes that all objects share are as they were. */
import { afterAll, beforeAll, expect } from '@jest/globals';

const SHARED = { Object, Array, Function, String, Number, Map, Promise, Error };

const snapshot = () =>
  Object.entries(SHARED).map(([name, { prototype }]) => [name, Reflect.ownKeys(prototype).map(String)]);

/** To be called inside of a `describe`. */
export function expectPrototypesUnchanged(): void {
  let before: unknown;
  beforeAll(() => {
    before = snapshot();
  });
  afterAll(() => {
    expect(snapshot()).toEqual(before);
    for (const name of ['admin', 'polluted', 'status', 'email', 'return_to', 'isAdmin']) {
      expect(name in {}).toBe(false);
    }
  });
}
