export function ensureBuilt(options?: { quiet?: boolean }): Promise<void>;
