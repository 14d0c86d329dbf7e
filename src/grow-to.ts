/** A bound for LRUCache by which room is made as it is needed: by `max` it would be made for all at the start, which takes tens of milliseconds. */
export const growTo = (most: number) => ({ maxSize: most, sizeCalculation: () => 1 });
