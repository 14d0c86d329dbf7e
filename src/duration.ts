/** Durations as operators write them: a number and a unit, such as `30m`, `12h` or `7d`. */
const SECONDS_PER_UNIT = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** @returns seconds; undefined for what is no duration */
export function parseDuration(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (number === undefined || unit === undefined) return undefined;
  return Number(number) * SECONDS_PER_UNIT[unit as keyof typeof SECONDS_PER_UNIT];
}

/** @returns the shortest text that stands for so many seconds */
export function formatDuration(seconds: number): string {
  const units = Object.entries(SECONDS_PER_UNIT).filter(([, length]) => seconds % length === 0);
  const [unit, length] = units.at(-1) ?? ['s', 1];
  return `${seconds / length}${unit}`;
}
