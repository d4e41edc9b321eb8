// Two releases side by side: what was added, removed, changed. The values of secrets are never shown.
import { html, icon } from '../lib/html.js';
import { Empty } from './empty.js';
import { h } from '../lib/html.js';

/** @param {unknown} value */
const words = (value) => (value == null || value === '' ? null : typeof value === 'string' ? value : JSON.stringify(value));

/** @param {{ changes: { what: string, from?: unknown, to?: unknown, from_page?: string | null, to_page?: string | null }[], from?: string, to?: string, same?: string }} props `same`: what is alike when nothing differs */
export function Diff({ changes, from = 'Before', to = 'After', same = 'Both have the same image, variables, files, routes, mounts, limits and health check.' }) {
  if (!changes.length) return h(Empty, { icon: 'equal', title: 'Nothing differs', text: same, small: true });
  return html`<div class="diff" role="table" aria-label=${`Changes from ${from} to ${to}`}>
    <div role="row" class="diff-head"><span role="columnheader">What</span><span role="columnheader">${from}</span><span role="columnheader">${to}</span></div>
    ${changes.map((change) => {
      const [a, b] = [words(change.from), words(change.to)];
      const kind = a == null ? 'added' : b == null ? 'removed' : 'changed';
      const secret = (/** @type {string | null} */ text) => text === 'changed' || text === 'secret';
      const show = (/** @type {string | null} */ text, /** @type {string | null | undefined} */ page) => (text == null ? html`<span class="faint">none</span>` : secret(text) ? html`<span class="row">${icon('lock', 'icon-small')}changed</span>` : page ? html`<a class="link" href=${page} target="_blank" rel="noreferrer"><code>${text}</code></a>` : html`<code>${text}</code>`);
      return html`<div role="row" class=${kind}><span role="cell" class="what">${kind === 'added' ? icon('plus', 'icon-small') : kind === 'removed' ? icon('minus', 'icon-small') : icon('pencil', 'icon-small')}<span class="any">${change.what}</span></span>
        <span role="cell" class="from any">${show(a, change.from_page)}</span><span role="cell" class="to any">${show(b, change.to_page)}</span></div>`;
    })}</div>`;
}
