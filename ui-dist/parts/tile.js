// A metric with its last hour as a line.
import { html, h, useId } from '../lib/html.js';

/** The points of a sparkline in a box of 100 x 32: a gap where there is no value. @param {(number | null | undefined)[]} values @param {number | null} [top] what the full height stands for */
export function sparkPaths(values, top = null) {
  const known = values.filter((value) => value != null);
  if (known.length < 2) return { line: '', area: '' };
  const high = Math.max(top ?? 0, ...known.map(Number)) || 1;
  const step = 100 / (values.length - 1);
  let line = '';
  let area = '';
  let open = -1;
  let last = 0;
  const close = () => { if (open >= 0) area += `L${last.toFixed(2)} 32L${open.toFixed(2)} 32Z`; open = -1; };
  values.forEach((value, index) => {
    if (value == null) { close(); return; }
    const x = index * step;
    const y = 31 - (Math.max(0, value) / high) * 28;
    const point = `${x.toFixed(2)} ${y.toFixed(2)}`;
    if (open < 0) { open = x; line += `M${point}`; area += `M${point}`; } else { line += `L${point}`; area += `L${point}`; }
    last = x;
  });
  close();
  return { line, area };
}

/** @param {{ values: (number | null | undefined)[], top?: number | null, second?: (number | null | undefined)[] | null, tone?: string }} props */
export function Spark({ values, top = null, second = null, tone = '' }) {
  const id = useId();
  const high = second ? Math.max(top ?? 0, 1e-9, ...values.map((v) => v ?? 0), ...second.map((v) => v ?? 0)) : top;
  const { line, area } = sparkPaths(values, high);
  const other = second ? sparkPaths(second, high) : null;
  return html`<svg class=${`spark ${tone}`} viewBox="0 0 100 32" preserveAspectRatio="none" aria-hidden="true">
    <defs><linearGradient id=${id} x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="currentColor" stop-opacity=".26" /><stop offset="1" stop-color="currentColor" stop-opacity="0" /></linearGradient></defs>
    ${line ? html`<path d=${area} fill=${`url(#${id})`} /><path d=${line} fill="none" stroke="currentColor" stroke-width="1.5" vector-effect="non-scaling-stroke" stroke-linejoin="round" />` : null}
    ${other?.line ? html`<path class="second" d=${other.line} fill="none" stroke-width="1.5" vector-effect="non-scaling-stroke" stroke-linejoin="round" />` : null}
  </svg>`;
}

/** @param {{ label: string, icon?: any, value: string, unit?: string, note?: any, values?: (number | null | undefined)[], top?: number | null, second?: (number | null | undefined)[] | null, meter?: number | null, tone?: string, href?: string }} props `meter`: 0.0 to 1.0 */
export function Tile({ label, icon, value, unit, note, values, top, second, meter, tone = '', href }) {
  const inside = html`<div class="tile-head">${icon}<span>${label}</span></div>
    <div class="tile-value num"><b>${value}</b>${unit && value !== '–' ? html`<span class="unit">${unit}</span>` : null}</div>
    <div class="tile-note num">${note ?? '\u00a0'}</div>
    ${values ? html`<div class="tile-spark">${h(Spark, { values, top, second, tone })}</div>` : null}
    ${meter != null ? html`<div class=${`meter ${meter > 0.92 ? 'bad' : meter > 0.82 ? 'warn' : ''}`} aria-hidden="true"><i style=${{ width: `${Math.min(100, meter * 100).toFixed(1)}%` }}></i></div>` : null}`;
  return href ? html`<a class="panel tile" href=${href}>${inside}</a>` : html`<div class="panel tile">${inside}</div>`;
}
