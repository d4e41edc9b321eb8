// A table of records: sort, filter, columns to choose, keyboard, sticky head, drawn by need beyond 200 rows; cards on a phone.
import { html, h, icon, cx, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../lib/html.js';
import { later } from '../lib/format.js';
import { Failed, Loading } from './empty.js';
import { Menu } from './menu.js';

/**
 * @template T
 * @typedef {{ id: string, label: string, cell: (row: T) => any, sort?: (row: T) => string | number, align?: 'right', width?: string, optional?: boolean, off?: boolean, card?: 'head' | 'tail' | 'hide' | 'plain', tight?: boolean }} Column
 * `card`: its place on a phone; `off`: not shown until chosen
 */

const ROW = 45;
const MANY = 200;

const order = later(() => new Intl.Collator('en', { numeric: true, sensitivity: 'base' }));
/** Which rows, in which order. Pure; tested. @template T @param {T[]} rows @param {string} query @param {(row: T) => string} text @param {((row: T) => string | number) | undefined} by @param {boolean} down @returns {T[]} */
export function arrange(rows, query, text, by, down) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = words.length ? rows.filter((row) => { const all = text(row).toLowerCase(); return words.every((word) => all.includes(word)); }) : rows;
  if (!by) return found;
  const keyed = found.map((row, index) => ({ row, index, key: by(row) }));
  keyed.sort((a, b) => {
    const way = typeof a.key === 'number' && typeof b.key === 'number' ? a.key - b.key : order().compare(String(a.key), String(b.key));
    return (down ? -way : way) || a.index - b.index;
  });
  return keyed.map((one) => one.row);
}

/**
 * @template T
 * @param {{ label: string, columns: Column<T>[], rows: T[] | undefined, error?: Error | null, retry?: () => unknown, keyOf: (row: T) => string, href?: (row: T) => string | null, text?: (row: T) => string,
 *   empty?: any, tools?: any, sort?: { id: string, down?: boolean }, filter?: string, small?: boolean, name?: string, rowClass?: (row: T) => string }} props
 *   `text`: what the filter looks at (no filter without it); `name`: where the choice of columns is kept
 */
export function Table({ label, columns, rows, error, retry, keyOf, href, text, empty, tools, sort, filter: placeholder = 'Filter', small, name, rowClass }) {
  const [query, setQuery] = useState('');
  const [by, setBy] = useState(sort ?? null);
  const [off, setOff] = useState(() => {
    try { const kept = name && localStorage.getItem(`columns:${name}`); if (kept) return new Set(/** @type {string[]} */ (JSON.parse(kept))); } catch { /* as if none was kept */ }
    return new Set(columns.filter((column) => column.off).map((column) => column.id));
  });
  const body = useRef(/** @type {HTMLTableSectionElement | null} */ (null));
  const shown = columns.filter((column) => !off.has(column.id));
  const by_ = by && columns.find((column) => column.id === by.id);
  const list = useMemo(() => arrange(rows ?? [], query, text ?? (() => ''), by_?.sort, by?.down ?? false), [rows, query, by]);
  const [from, to] = useWindow(body, list.length);

  const toggle = (/** @type {string} */ id) => {
    const next = new Set(off);
    if (!next.delete(id)) next.add(id);
    setOff(next);
    try { if (name) localStorage.setItem(`columns:${name}`, JSON.stringify([...next])); } catch { /* kept for this page only */ }
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = /** @type {HTMLElement} */ (event.target).closest?.('tr');
    if (!step || !row || /** @type {HTMLElement} */ (event.target).matches('input, select, textarea')) return;
    let next = /** @type {HTMLElement | null} */ (row);
    do { next = /** @type {HTMLElement | null} */ (step > 0 ? next?.nextElementSibling : next?.previousElementSibling) ?? null; } while (next && !next.querySelector('a, button'));
    if (next) { event.preventDefault(); /** @type {HTMLElement} */ (next.querySelector('a.row-link, a, button'))?.focus(); }
  };
  const optional = columns.filter((column) => column.optional);
  if (error && !rows) return h(Failed, { error, retry });
  const bar = text || tools || optional.length;
  return html`<div class=${cx('table-part', small && 'small')}>
    ${bar && rows !== undefined && (rows.length > 0 || tools) ? html`<div class=${cx('table-bar', !text && !tools && 'hide-phone')}>
      ${text ? html`<label class="search">${icon('search')}<span class="unseen">${placeholder}</span><input type="search" class="input" data-search placeholder=${placeholder} value=${query} onInput=${(/** @type {any} */ event) => setQuery(event.target.value)} onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === 'Escape') { setQuery(''); /** @type {HTMLElement} */ (event.target).blur(); } }} /></label>
        ${query ? html`<span class="faint small num nowrap" role="status">${list.length} of ${rows.length}</span>` : null}` : null}
      <span class="grow"></span>${tools}
      ${optional.length ? h(Menu, { label: 'Columns', icon: 'columns-3', class: 'btn square hide-phone', heading: 'Columns', items: optional.map((column) => ({ label: column.label, checked: !off.has(column.id), run: () => toggle(column.id) })) }) : null}
    </div>` : null}
    ${rows === undefined ? h(Loading, { rows: 4 }) : rows.length === 0 ? empty : list.length === 0 ? html`<p class="nothing">Nothing matches “${query}”. <button type="button" class="link" onClick=${() => setQuery('')}>Clear the filter</button></p>` : html`
    <table role="table" aria-label=${label} aria-rowcount=${list.length + 1} onKeyDown=${keys}>
      <colgroup>${shown.map((column) => html`<col style=${column.width ? { width: column.width } : undefined} />`)}</colgroup>
      <thead role="rowgroup"><tr role="row">${shown.map((column) => html`<th key=${column.id} role="columnheader" scope="col" class=${column.align === 'right' ? 'right' : ''} aria-sort=${by?.id === column.id ? (by.down ? 'descending' : 'ascending') : undefined}>
        ${column.sort ? html`<button type="button" class="sort" onClick=${() => setBy({ id: column.id, down: by?.id === column.id ? !by.down : false })}>${column.label}${by?.id === column.id ? (by.down ? icon('arrow-down', 'icon-small') : icon('arrow-up', 'icon-small')) : null}</button>` : html`<span class=${column.label ? '' : 'unseen'}>${column.label || 'Actions'}</span>`}</th>`)}</tr></thead>
      <tbody role="rowgroup" ref=${body}>
        ${from > 0 ? html`<tr role="presentation" class="gap"><td role="presentation" colspan=${shown.length} style=${{ height: `${from * ROW}px` }}></td></tr>` : null}
        ${list.slice(from, to).map((row) => h(/** @type {any} */ (Row), { key: keyOf(row), row, shown, href: href?.(row) ?? null, more: rowClass?.(row) ?? '' }))}
        ${to < list.length ? html`<tr role="presentation" class="gap"><td role="presentation" colspan=${shown.length} style=${{ height: `${(list.length - to) * ROW}px` }}></td></tr>` : null}
      </tbody>
    </table>`}
  </div>`;
}

/** @template T @param {{ row: T, shown: Column<T>[], href: string | null, more: string }} props */
const Row = ({ row, shown, href, more }) => html`<tr role="row" class=${cx(href && 'linked', more)}>${shown.map((column, index) => html`<td key=${column.id} role="cell" data-label=${column.label} class=${cx(column.align === 'right' && 'right num', column.card && `card-${column.card}`)}>
  ${index === 0 && href ? html`<a class="row-link" href=${href}>${column.cell(row)}</a>` : column.cell(row)}</td>`)}</tr>`;

/** The slice of rows that is near the window. @param {{ current: HTMLElement | null }} body @param {number} total @returns {[number, number]} */
function useWindow(body, total) {
  const [range, setRange] = useState(/** @type {[number, number]} */ ([0, Math.min(total, 60)]));
  const many = total > MANY;
  const look = () => {
    if (!many || !body.current) return;
    const top = body.current.getBoundingClientRect().top;
    const from = Math.max(0, Math.floor((-top) / ROW) - 20);
    const to = Math.min(total, from + Math.ceil(innerHeight / ROW) + 40);
    setRange((before) => (before[0] === from && before[1] === to ? before : [from, to]));
  };
  useLayoutEffect(look, [total]);
  useEffect(() => {
    if (!many) return undefined;
    let asked = 0;
    const soon = () => { asked ||= requestAnimationFrame(() => { asked = 0; look(); }); };
    addEventListener('scroll', soon, { passive: true });
    addEventListener('resize', soon);
    return () => { cancelAnimationFrame(asked); removeEventListener('scroll', soon); removeEventListener('resize', soon); };
  }, [many, total]);
  return many ? [Math.min(range[0], Math.max(0, total - 1)), Math.min(range[1], total)] : [0, total];
}
