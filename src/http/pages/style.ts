/**
 * The one style sheet of all pages. It is inlined whole and allowed by its hash, so it holds nothing that varies.
 * Colours are named by their use and set twice, for light and dark; every pair of text and ground reaches WCAG AA.
 * Sizes are in rem, so that a larger base size enlarges everything; a long word breaks before it widens the page.
 */
export const style = `
:root {
  color-scheme: light dark;
  --page: #f2f4f7;
  --card: #ffffff;
  --text: #161b26;
  --soft: #535c6c;
  --line: #e3e6eb;
  --edge: #7f8897;
  --hover: #f2f4f7;
  --accent: #2450c8;
  --accent-hover: #1b3fa3;
  --on-accent: #ffffff;
  --link: #2450c8;
  --link-hover: #1b3fa3;
  --tint: #e9effd;
  --tint-line: #c9d7fa;
  --danger: #b3261e;
  --danger-tint: #fdf1f0;
  --danger-line: #f3c6c2;
  --shadow: 0 1px 2px rgb(22 27 38 / 6%), 0 1rem 2.5rem -1rem rgb(22 27 38 / 16%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1116;
    --card: #171b22;
    --text: #edf0f5;
    --soft: #a6afbd;
    --line: #2c323c;
    --edge: #78818f;
    --hover: #222832;
    --accent: #3b66dc;
    --accent-hover: #3059c9;
    --on-accent: #ffffff;
    --link: #8fb0ff;
    --link-hover: #b3c9ff;
    --tint: #1c263d;
    --tint-line: #2f4068;
    --danger: #ffa198;
    --danger-tint: #2b191b;
    --danger-line: #5c2b2b;
    --shadow: 0 1px 2px rgb(0 0 0 / 40%), 0 1rem 2.5rem -1rem rgb(0 0 0 / 60%);
  }
}
@media (prefers-contrast: more) {
  :root {
    --soft: var(--text);
    --line: var(--edge);
    --edge: var(--text);
  }
}

*, *::before, *::after { box-sizing: border-box; }
html {
  -webkit-text-size-adjust: 100%;
  text-size-adjust: 100%;
}
body {
  display: flex;
  flex-direction: column;
  align-items: center;
  justify-content: center;
  gap: 1.5rem;
  min-height: 100vh;
  min-height: 100dvh;
  margin: 0;
  padding: 3rem 1.5rem;
  background: var(--page);
  color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere;
  -webkit-font-smoothing: antialiased;
}
h1, p, dl, dd { margin: 0; }

.card {
  width: 100%;
  max-width: 27rem;
  padding: 2.5rem;
  border: 1px solid var(--line);
  border-radius: 1rem;
  background: var(--card);
  box-shadow: var(--shadow);
}
main { display: grid; gap: 1.5rem; }
main > *, form > * { min-width: 0; }

.brand {
  display: flex;
  align-items: center;
  gap: .625rem;
  min-height: 2.25rem;
  margin-bottom: 2rem;
  font-weight: 600;
}
.brand .name { min-width: 0; }
.initial {
  flex: none;
  display: grid;
  place-items: center;
  width: 2.25rem;
  height: 2.25rem;
  border-radius: .625rem;
  background: var(--accent);
  color: var(--on-accent);
  font-size: 1.125rem;
  line-height: 1;
}
.logo {
  display: block;
  max-width: 100%;
  height: 2.25rem;
  object-fit: contain;
  object-position: left center;
  forced-color-adjust: none;
}

h1 {
  font-size: 1.5rem;
  font-weight: 650;
  line-height: 1.25;
  letter-spacing: -.015em;
  text-wrap: balance;
}
/* An address moves to the next line whole before it is broken. */
h1 bdi { display: inline-block; max-width: 100%; }
.lead { color: var(--soft); text-wrap: pretty; }
h1 + .lead { margin-top: -1rem; }

form { display: grid; gap: .5rem; }
label { font-size: .9375rem; font-weight: 550; }
input {
  width: 100%;
  min-height: 3rem;
  padding: .625rem .875rem;
  border: 1px solid var(--edge);
  border-radius: .625rem;
  background: var(--card);
  color: var(--text);
  font: inherit;
}
input::placeholder { color: var(--soft); opacity: 1; }
input[aria-invalid="true"] { border-color: var(--danger); }

.actions { display: grid; gap: .75rem; }
.button {
  display: flex;
  align-items: center;
  justify-content: center;
  width: 100%;
  min-height: 3rem;
  padding: .625rem 1rem;
  border: 1px solid var(--edge);
  border-radius: .625rem;
  background: var(--card);
  color: var(--text);
  font: inherit;
  font-weight: 600;
  line-height: 1.25;
  text-align: center;
  text-decoration: none;
  cursor: pointer;
}
.button:hover { background: var(--hover); color: var(--text); }
.primary { border-color: transparent; background: var(--accent); color: var(--on-accent); }
.primary:hover { background: var(--accent-hover); color: var(--on-accent); }
label ~ .button { margin-top: .75rem; }
.small { width: auto; min-height: 2.25rem; padding: .25rem .75rem; font-size: .875rem; }

h2 { margin: 0; font-size: 1.125rem; }
.sessions, .applications { display: grid; gap: .75rem; margin: .75rem 0 0; padding: 0; list-style: none; font-size: .9375rem; }
.sessions > li { display: grid; gap: .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
.applications { margin: 0; }
.applications > li { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .5rem 1rem; }
.applications bdi { font-weight: 550; overflow-wrap: anywhere; }

:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
input:focus-visible { border-color: var(--link); outline-width: 2px; outline-offset: 0; }
input[aria-invalid="true"]:focus-visible { border-color: var(--danger); outline-color: var(--danger); }

.message {
  display: grid;
  gap: .75rem;
  padding: .875rem 1rem;
  border: 1px solid var(--tint-line);
  border-radius: .625rem;
  background: var(--tint);
  font-size: .9375rem;
}
.problem { border-color: var(--danger-line); background: var(--danger-tint); }
.sentence { margin-bottom: .25rem; font-weight: 600; }
.problem .sentence { color: var(--danger); }

.facts { font-size: .9375rem; }
.facts > div {
  display: flex;
  flex-wrap: wrap;
  gap: 0 1rem;
  padding: .75rem 0;
  border-top: 1px solid var(--line);
}
.facts > div:last-child { border-bottom: 1px solid var(--line); }
.facts dt { flex: 1 0 6.5rem; color: var(--soft); }
.facts dd { flex: 999 1 12rem; min-width: 0; font-weight: 550; }
.message .facts > div { padding: 0; border: 0; }
code {
  font: .9375rem/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  -webkit-user-select: all;
  user-select: all;
}
/* Read from two screens at once: large, and its letters apart. */
.user-code { display: grid; gap: .25rem; justify-items: center; color: var(--soft); font-size: .9375rem; }
.user-code code { color: var(--text); font-size: 1.75rem; font-weight: 600; letter-spacing: .08em; }

footer { color: var(--soft); font-size: .875rem; }
a { color: var(--link); text-underline-offset: .15em; }
a:hover { color: var(--link-hover); }

@media (prefers-reduced-motion: no-preference) {
  .button, input { transition: background-color .12s ease-out, border-color .12s ease-out; }
}
/* A logo is drawn for a light ground: in the dark it gets one. */
@media (prefers-color-scheme: dark) {
  .logo {
    height: 2.75rem;
    padding: .375rem .625rem;
    border-radius: .5rem;
    background: #ffffff;
    color: #161b26;
  }
}
@media (max-width: 30rem) {
  body {
    justify-content: flex-start;
    padding: 2rem 1.5rem;
    background: var(--card);
  }
  .card {
    padding: 0;
    border: 0;
    border-radius: 0;
    box-shadow: none;
  }
}
@media (forced-colors: active) {
  .message, .primary, .initial { border: 1px solid; }
  :focus-visible { outline-color: Highlight; }
}
`;
