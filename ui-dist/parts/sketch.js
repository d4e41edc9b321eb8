// A drawn preview of an app: who asks, the edge, the service that answers, and what that one leans on.
import { html, h, icon } from '../lib/html.js';
import { Monogram } from './monogram.js';

/** @typedef {import('../lib/api.js').S<'PlannedService'>} Service */

/** The services in rows: the main one, what it waits for, what those wait for, and at last what works beside them. @param {Service[]} services @returns {{ rows: Service[][], beside: Service[] }} */
export function rowsOf(services) {
  const left = new Map(services.map((one) => [one.name, one]));
  const take = (/** @type {string[]} */ names) => names.flatMap((name) => { const one = left.get(name); left.delete(name); return one ? [one] : []; });
  const rows = [];
  for (let row = take(services.filter((one) => one.main).map((one) => one.name)); row.length; row = take(row.flatMap((one) => one.depends_on))) rows.push(row);
  return { rows, beside: [...left.values()] };
}

/** @param {{ services: Service[], mark: { text: string, color: string }, web?: boolean }} props `web`: visitors reach it through the edge; else only other apps do. */
export function Sketch({ services, mark, web = true }) {
  const { rows, beside } = rowsOf(services);
  const box = (/** @type {Service} */ one) => html`<span key=${one.name} class=${`sketch-box ${one.main ? 'main' : ''}`}><b>${one.main ? h(Monogram, { text: mark.text, color: mark.color }) : null}${one.name}${one.once ? html`<span class="tag">once</span>` : null}</b><code title=${one.image}>${one.image}</code></span>`;
  return html`<ol class="sketch">
  ${web ? html`<li><span class="sketch-box"><b>${icon('globe', 'icon-small')}Visitors</b></span></li>
  <li><span class="sketch-box"><b>${icon('shield-check', 'icon-small')}Edge</b><span>domain, certificate, limits</span></span></li>` : html`<li><span class="sketch-box"><b>${icon('layers', 'icon-small')}Other apps</b><span>of the same environment</span></span></li>`}
  ${rows.map((row) => html`<li>${row.map(box)}</li>`)}
  ${beside.length ? html`<li class="beside"><span class="tiny faint">Beside it</span>${beside.map(box)}</li>` : null}</ol>`;
}
