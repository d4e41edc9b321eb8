// Parts of the pages about domains and the edge, and their style sheet.
import { html, h, icon } from '../lib/html.js';
import { count, percent, sentence } from '../lib/format.js';
import { loadSheet } from '../lib/sheet.js';
import { Empty } from './empty.js';
import { domainPath } from './domains.js';

// Before the first page that needs it is drawn, so that nothing jumps.
if (typeof document !== 'undefined') await loadSheet('/styles/network.css');

/** Paths or addresses by how often they were seen. @param {{ items: { what: string, requests: number }[], empty: string, link?: (what: string) => string, about?: (what: string) => string }} props */
export function Frequent({ items, empty, link, about }) {
  if (!items.length) return html`<p class="nothing">${empty}</p>`;
  const top = Math.max(...items.map((one) => one.requests), 1);
  return html`<ol class="frequent">${items.slice(0, 10).map((one) => html`<li key=${one.what}><i class="frequent-bar" style=${{ width: `${((one.requests / top) * 100).toFixed(1)}%` }}></i>
    ${link ? html`<a class="cut mono" href=${link(one.what)} title=${about?.(one.what)}>${one.what}</a>` : html`<span class="cut mono" title=${one.what}>${one.what}</span>`}<span class="num dim">${count(one.requests)}</span></li>`)}</ol>`;
}

const CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'];
/** Shares of the classes of status. @param {{ statuses: number[] }} props */
export function StatusBar({ statuses }) {
  const all = statuses.reduce((sum, one) => sum + one, 0);
  const shown = CLASSES.map((name, at) => ({ name, at, answers: statuses[at] ?? 0 })).filter((one) => one.answers);
  return html`<div class="status-bar"><div class="status-line" aria-hidden="true">${shown.map((one) => html`<i class=${`status-${one.at + 1}`} style=${{ flexGrow: one.answers }}></i>`)}</div>
    <ul>${shown.map((one) => html`<li><i class=${`status-${one.at + 1}`} aria-hidden="true"></i><span class="dim">${one.name}</span><b class="num strong">${count(one.answers)}</b><span class="faint num">${percent(one.answers / (all || 1))}</span></li>`)}</ul></div>`;
}

/** Who is refused just now. @param {{ items: import('../lib/api.js').S<'LimitedKey'>[], text: string, action?: any, hosts?: boolean }} props */
export function Limited({ items, text, action, hosts }) {
  if (!items.length) return h(Empty, { icon: 'gauge', title: 'Nobody is limited', text, action, small: true });
  return html`<ul class="limited">${items.map((one) => html`<li key=${`${one.host}/${one.limit}/${one.key}`}>
    <span class="cell-two grow"><b class="mono cut" title=${one.key}>${one.key || 'without the header'}</b><span>${hosts ? html`<a class="ext" href=${domainPath(one.host, 'policy')}>${one.host}</a> · ` : null}${one.limit}</span></span>
    ${one.dry_run ? html`<span class="tag warn" title="The limit is on trial: it counts and lets pass">would be</span>` : null}
    <span class="cell-two right num"><b>${count(one.refused)}</b><span>${one.seconds_ago < 2 ? 'now' : `${one.seconds_ago} s ago`}</span></span></li>`)}</ul>`;
}

/** What the planner found. @param {{ notes: import('../lib/api.js').S<'CertificateNote'>[] }} props */
export const Notes = ({ notes }) => html`<ul class="notes">${notes.map((note) => html`<li class=${note.level}>${note.level === 'ok' ? icon('circle-check') : note.level === 'unsure' ? icon('circle-help') : icon('circle-alert')}
  <span class="grow any"><span class="unseen">${note.level === 'ok' ? 'Good: ' : note.level === 'unsure' ? 'Not sure: ' : 'Problem: '}</span>${notes.some((other) => other.name !== note.name) ? html`<b class="strong">${note.name}</b> ` : null}${sentence(note.words)}${note.next_step ? html`<span class="hint block">${sentence(note.next_step)}</span>` : null}</span></li>`)}</ul>`;

/** Rows of a form that come and go. @template T @param {{ rows: T[], set: (rows: T[]) => void, row: (one: T, set: (change: Partial<T>) => void, at: number) => any, fresh: () => T, add: string, what: string, can?: boolean }} props */
export function Rows({ rows, set, row, fresh, add, what, can = true }) {
  return html`<div class="rows">${rows.map((one, at) => html`<div class="rows-row" key=${at}><div class="grow rows-fields">${row(one, (change) => set(rows.map((other, index) => (index === at ? { ...other, ...change } : other))), at)}</div>
    ${can ? html`<button type="button" class="btn ghost small square" aria-label=${`Remove ${what} ${at + 1}`} title="Remove" onClick=${() => set(rows.filter((_, index) => index !== at))}>${icon('trash-2')}</button>` : null}</div>`)}
    ${can ? html`<div><button type="button" class="btn small" onClick=${() => set([...rows, fresh()])}>${icon('plus')}${add}</button></div>` : null}</div>`;
}
