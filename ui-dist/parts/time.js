// Times in words, with the exact value on hover.
import { html } from '../lib/html.js';
import { duration, exact, millis, relative } from '../lib/format.js';
import { moment, second } from '../lib/clock.js';

/** "3 min ago". @param {{ at: string | number | null | undefined, never?: string }} props */
export function Ago({ at, never = 'never' }) {
  const time = millis(at);
  if (time == null) return html`<span class="faint">${never}</span>`;
  return html`<time class="nowrap num" datetime=${new Date(time).toISOString()} title=${exact(time)}>${relative(time, moment.value)}</time>`;
}

/** How long it took, or has taken so far. @param {{ from: string | number | null | undefined, to?: string | number | null }} props */
export function Took({ from, to }) {
  const start = millis(from);
  if (start == null) return html`<span class="faint num">–</span>`;
  const end = millis(to) ?? second.value;
  return html`<span class="nowrap num" title=${`since ${exact(start)}`}>${millis(to) == null ? duration(Math.floor(Math.max(0, end - start) / 1000) * 1000).replace('.0s', 's').replace('0ms', '0s') : duration(end - start)}</span>`;
}
