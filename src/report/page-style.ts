import { paletteStyle, STEPS } from "./palette.ts";

/** From the first colour of a scale to the last, as the ground of its key. */
function ramp(name: string): string {
  const stops = Array.from({ length: STEPS / 2 + 1 }, (_, i) => `var(--${name}-${2 * i})`);
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

/**
 * Colours of series are as far from each other as they can be for readers of every kind of sight (after the simulations of
 * Machado, Oliveira and Fernandes, 2009), and stand out from the ground at 3 to 1 at least.
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --raised: #f6f7f9; --text: #1c1e21; --faint: #5c636b; --line: #d5d9de;
  --good: #0b6b3a; --bad: #b3261e; --link: #0b5cad;
  --series-0: #0f63c1; --series-1: #e46d0f; --series-2: #3ba486; --series-3: #bf79bb;
  --series-4: #809151; --series-5: #2e227f; --series-6: #6a524f; --series-7: #6e0117;
  ${paletteStyle("light")}
}
@media (prefers-color-scheme: dark) {
  @media screen {
    :root {
      --ground: #16181b; --raised: #1e2126; --text: #e6e8ea; --faint: #a2a9b1; --line: #3a4048;
      --good: #5fd39a; --bad: #ff8a80; --link: #7db8f5;
      --series-0: #65a9f1; --series-1: #f07d3d; --series-2: #0ee88f; --series-3: #bf7ca3;
      --series-4: #ffee5c; --series-5: #7a72f3; --series-6: #cad9d9; --series-7: #dd3f50;
      ${paletteStyle("dark")}
    }
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/24px system-ui, sans-serif; }
header, nav, main { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2rem; }
main { padding-bottom: 4rem; }
h1, h2, h3, p, ul, dl, figure { margin: 0; }
h1 { font-size: 1.75rem; line-height: 36px; margin-bottom: 0.75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; line-height: 28px; margin-bottom: 0.5rem; }
h3 { font-size: 0.9375rem; line-height: 24px; overflow-wrap: anywhere; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
p + p { margin-top: 0.5rem; }
section { margin-top: 3rem; }
section > p { color: var(--faint); margin-bottom: 1rem; }
section > ul { padding-left: 1.25rem; }
a { color: var(--link); }
.facts { display: flex; flex-wrap: wrap; gap: 1px; margin-top: 1.5rem; background: var(--line); border: 1px solid var(--line);
  border-radius: 8px; overflow: hidden; }
.facts div { flex: 1 1 10rem; background: var(--raised); padding: 0.6rem 0.9rem; }
dt { color: var(--faint); font-size: 0.8125rem; line-height: 20px; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
dd.passed { color: var(--good); }
dd.passed::before { content: "✓ "; }
dd.failed { color: var(--bad); }
dd.failed::before { content: "✗ "; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; padding: 0; margin-top: 1.5rem; font-size: 0.875rem; }
.charts { display: flex; flex-wrap: wrap; gap: 1.75rem 2rem; align-items: flex-start; }
figure { min-width: 0; max-width: 100%; }
.head { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: flex-end; gap: 0.25rem 2rem;
  margin-bottom: 0.375rem; padding-right: 8px; }
.key { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; align-items: flex-start; justify-content: flex-end; margin-left: auto; font-size: 0.75rem; line-height: 16px; color: var(--faint);
  font-variant-numeric: tabular-nums; }
.key i { display: block; width: 15rem; height: 8px; border-radius: 2px; background: ${ramp("amount")}; }
.key.signed i { background: ${ramp("direction")}; }
.key p { display: flex; justify-content: space-between; margin: 0; }
.key .none { white-space: nowrap; }
.key .none::before { content: ""; width: 14px; height: 12px; margin: 2px 6px 0 0; border: 1px solid var(--line);
  background: repeating-linear-gradient(135deg, var(--faint) 0 1px, transparent 1px 4px); }
.defs { position: absolute; width: 0; height: 0; }
.defs stop { stop-color: var(--faint); }
.defs .gap { stop-color: var(--ground); }
.wide { overflow-x: auto; }
.wide:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.wide svg { display: block; }
svg text { font: 11px ui-monospace, "DejaVu Sans Mono", monospace; fill: var(--text); }
svg [stroke="currentColor"] { stroke: var(--line); stroke-opacity: 1; }
svg rect.on { stroke: var(--text); stroke-width: 2; paint-order: stroke; }
#tip { position: fixed; z-index: 1; pointer-events: none; max-width: 90vw; padding: 0.2rem 0.6rem; border-radius: 5px;
  background: var(--text); color: var(--ground); font-size: 0.8125rem; line-height: 20px; font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.25rem; list-style: none; margin: 0 0 0.5rem; padding: 0; font-size: 0.8125rem; }
.swatch { display: inline-block; vertical-align: middle; margin-right: 0.4em; }
span.swatch { width: 0.8em; height: 0.8em; border-radius: 2px; }
.wide svg.swatch { display: inline-block; }
svg.swatch path { fill: none; stroke-width: 2.5; }
.charts + .wide, .charts + ul, .wide + ul { margin-top: 1.25rem; }
details { margin-top: 0.25rem; }
summary { cursor: pointer; color: var(--faint); font-size: 0.8125rem; width: fit-content; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
pre { margin: 0; padding: 0.75rem 1rem; background: var(--raised); border-radius: 8px; font: 0.8125rem/20px ui-monospace, "DejaVu Sans Mono", monospace; width: fit-content; min-width: 100%; }
table { border-collapse: collapse; font-size: 0.8125rem; line-height: 20px; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.75rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; min-width: 4.5rem; max-width: 12rem; overflow-wrap: break-word; }
th.words, td.words { text-align: left; white-space: normal; min-width: 7rem; max-width: 32rem; overflow-wrap: anywhere; }
th[scope="row"], th:first-child { text-align: left; font-weight: 600; padding-left: 0; }
@media (max-width: 40rem) { header, nav, main { padding-left: 1rem; padding-right: 1rem; } section { margin-top: 2.25rem; } }
.wide:has(> pre) { max-height: 34rem; overflow: auto; border-radius: 8px; }
@media print {
  :root { color-scheme: light; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  header, nav, main { max-width: none; padding-left: 0; padding-right: 0; }
  nav, details:not([open]) { display: none; }
  .wide, .wide:has(> pre) { max-height: none; overflow: visible; }
  .wide > svg { max-width: 100%; height: auto; }
  pre { white-space: pre-wrap; }
  section > p, h2, h3, .head { break-after: avoid; }
  p, figure, tr { break-inside: avoid; }
}
`;
