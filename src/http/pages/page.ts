/**
 * The document around every page: head, brand, card, support link, and the one style sheet with its CSP source.
 * It owns what all pages share and must not know any page, any request or any failure.
 * A page has no script, no style attribute, and no asset of another origin but the vendor's logo.
 */
import { createHash } from 'node:crypto';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { safeHref, safeImageSource } from './safe-href.ts';
import { style } from './style.ts';

/** The vendor as the pages show it. */
export interface Brand {
  readonly name: string;
  readonly logoUrl?: string | undefined;
  readonly supportUrl?: string | undefined;
}

interface PageOptions {
  /** What the page is about; the brand's name is added to it. */
  readonly title: string;
  readonly brand: Brand;
  readonly body: Html;
  /** False on a page whose URL carried a token: it then asks no other host for anything. */
  readonly externalAssets?: boolean | undefined;
}

/** What `style-src` must allow: the hash of the one style element, so that no other style takes effect. */
export const styleSource = `'sha256-${createHash('sha256').update(style, 'utf8').digest('base64')}'`;

/** A whole document. */
export function renderPage(options: PageOptions): string {
  const { brand, externalAssets = true } = options;
  const head = html`<meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <meta name="robots" content="noindex" />
    <meta name="format-detection" content="telephone=no, date=no, address=no, email=no" />
    <title>${options.title} · ${brand.name}</title>`;
  const body = html`<div class="card">
      <header class="brand">${brandMark(brand, externalAssets)}</header>
      <main>${options.body}</main>
    </div>
    ${supportLine(brand)}`;
  return `<!doctype html>
<html lang="en">
<head>
${head.text}
<style>${style}</style>
</head>
<body>
${body.text}
</body>
</html>
`;
}

function brandMark(brand: Brand, externalAssets: boolean): Html {
  const logo = externalAssets ? safeImageSource(brand.logoUrl) : undefined;
  if (logo !== undefined) {
    return html`<img class="logo" src="${logo}" alt="${brand.name}" referrerpolicy="no-referrer" />`;
  }
  const initial = /[\p{L}\p{N}]/u.exec(brand.name)?.[0].toUpperCase();
  return html`${initial !== undefined && html`<span class="initial" aria-hidden="true">${initial}</span>`}<bdi
      class="name"
      >${brand.name}</bdi
    >`;
}

function supportLine(brand: Brand): Html | undefined {
  const href = safeHref(brand.supportUrl);
  if (href === undefined) return undefined;
  return html`<footer>
    <p>Need help? <a href="${href}" rel="noreferrer">Contact support</a></p>
  </footer>`;
}
