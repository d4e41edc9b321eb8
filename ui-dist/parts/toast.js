// Word of things that happened elsewhere. What one does oneself shows where one does it.
import { html, icon, signal } from '../lib/html.js';

/** @typedef {{ key: number, text: any, tone: 'ok' | 'bad' | 'info', href?: string, action?: string }} Toast */
const shown = signal(/** @type {Toast[]} */ ([]));
let keys = 0;

/** @param {any} text @param {{ tone?: Toast['tone'], href?: string, action?: string, seconds?: number }} [how] */
export function toast(text, how = {}) {
  const one = { key: (keys += 1), text, tone: how.tone ?? 'info', href: how.href, action: how.action };
  shown.value = [...shown.value.slice(-3), one];
  setTimeout(() => drop(one.key), (how.seconds ?? 6) * 1000);
}
const drop = (/** @type {number} */ key) => { shown.value = shown.value.filter((other) => other.key !== key); };

export const Toasts = () => html`<div class="toasts" role="status" aria-live="polite">${shown.value.map((one) => html`<div class=${`toast ${one.tone}`} key=${one.key}>
  ${one.tone === 'ok' ? icon('circle-check') : one.tone === 'bad' ? icon('circle-alert') : icon('info')}<span class="grow">${one.text}</span>
  ${one.href ? html`<a class="btn ghost small" href=${one.href} onClick=${() => drop(one.key)}>${one.action ?? 'Open'}</a>` : null}
  <button type="button" class="btn ghost small square" aria-label="Dismiss" onClick=${() => drop(one.key)}>${icon('x')}</button></div>`)}</div>`;
