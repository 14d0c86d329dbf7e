/** What a program says it is, as far as a page may repeat it: a word, and never a sentence of somebody else's. */

/** Browsers name others before themselves: the first that is found is the one. */
const BROWSERS = ['Edg', 'OPR', 'Firefox', 'Chrome', 'Safari'] as const;
const BROWSER_NAMES: Readonly<Record<(typeof BROWSERS)[number], string>> = {
  Edg: 'Edge',
  OPR: 'Opera',
  Firefox: 'Firefox',
  Chrome: 'Chrome',
  Safari: 'Safari',
};
const PRODUCT = /^[A-Za-z][A-Za-z0-9._-]{0,31}(?=\/|$| )/;

/** Family of a `User-Agent` (RFC 9110 section 10.1.5): `curl`, `Firefox`; undefined for what says nothing. */
export function programName(userAgent: string | undefined): string | undefined {
  const [product] = PRODUCT.exec(userAgent ?? '') ?? [];
  if (product !== 'Mozilla') return product;
  const browser = BROWSERS.find((name) => userAgent?.includes(`${name}/`) === true);
  return browser === undefined ? 'a browser' : BROWSER_NAMES[browser];
}
