/** Dates as operators write them: a day, which counts from its beginning in UTC, or a time with its zone (RFC 3339). */
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const TIME = /^(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})$/;

/** @returns undefined for what is no date, and for a day that there is not */
export function parseDate(text: string): Date | undefined {
  const day = DAY.test(text) ? text : TIME.exec(text)?.[1];
  const date = new Date(text);
  if (day === undefined || Number.isNaN(date.getTime())) return undefined;
  // 30 February would be taken for 2 March.
  const midnight = new Date(`${day}T00:00:00Z`);
  return midnight.toISOString().startsWith(day) ? date : undefined;
}
