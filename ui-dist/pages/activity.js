// What happened, who did it.
import { html, h, useState, useEffect, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { on } from '../lib/events.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { Feed, wordsOf } from '../parts/feed.js';
import { Choice } from '../parts/field.js';
import { Act } from '../parts/act.js';
import { Failed, Loading } from '../parts/empty.js';
import { exact } from '../lib/format.js';

/** @typedef {import('../lib/api.js').S<'Event'>} Event_ */
const GROUPS = /** @type {Record<string, RegExp>} */ ({ all: /./, deployments: /^deployment_/, access: /^(signed|login|user|token|role|team|rights|organization|secrets|terminal|panel)_/, changes: /^(app|variables|domain|project|settings)_/, machine: /^(engine|certificate)_/ });

export default function ActivityPage() {
  useTrail([{ label: 'Activity' }]);
  const [events, setEvents] = useState(/** @type {Event_[] | null} */ (null));
  const [next, setNext] = useState(/** @type {string | null} */ (null));
  const [error, setError] = useState(/** @type {Error | null} */ (null));
  const [group, setGroup] = useState('all');
  const [query, setQuery] = useState('');
  const load = async (/** @type {string | null} */ cursor = null) => {
    try { const page = await api.eventList({ limit: 200, cursor }); setEvents((before) => (cursor ? [...(before ?? []), ...page.items] : page.items)); setNext(page.next); setError(null); } catch (failure) { if (cursor) throw failure; setError(/** @type {Error} */ (failure)); }
  };
  useEffect(() => {
    load();
    return on('*', ({ data }) => { if (data?.id && data.text) setEvents((before) => (before && !before.some((one) => one.id === data.id) ? [data, ...before] : before)); });
  }, []);
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = (events ?? []).filter((one) => GROUPS[group].test(one.kind) && words.every((word) => `${one.text} ${one.by}`.toLowerCase().includes(word)));
  /** @type {Map<string, Event_[]>} */
  const days = new Map();
  for (const one of shown) { const key = new Date(one.at).toDateString(); days.set(key, [...(days.get(key) ?? []), one]); }
  const today = new Date().toDateString();
  const yesterday = new Date(Date.now() - 86_400_000).toDateString();
  const csv = () => {
    const cell = (/** @type {string} */ text) => `"${text.replace(/"/g, '""').replace(/^[=+\-@]/, "'$&")}"`;
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([`time,by,kind,text\n${shown.map((one) => [one.at, one.by, one.kind, wordsOf(one)].map(cell).join(',')).join('\n')}\n`], { type: 'text/csv' }));
    link.download = 'activity.csv';
    link.click();
  };
  return html`<div class="page">${h(PageHead, { title: 'Activity', note: 'Everything that changed, and who asked for it', actions: html`<button type="button" class="btn" onClick=${csv} disabled=${!shown.length}>${icon('download')}Export</button>` })}
    <div class="row row-wrap">${h(Choice, { label: 'Kind', small: true, value: group, set: setGroup, options: [{ value: 'all', label: 'All' }, { value: 'deployments', label: 'Deployments' }, { value: 'changes', label: 'Changes' }, { value: 'access', label: 'Access' }, { value: 'machine', label: 'Machine' }] })}
      <label class="search end">${icon('search')}<span class="unseen">Filter activity</span><input type="search" class="input" data-search placeholder="Filter" value=${query} onInput=${(/** @type {any} */ event) => setQuery(event.target.value)} /></label></div>
    ${error ? h(Failed, { error, retry: () => load() }) : !events ? html`<section class="panel">${h(Loading, { rows: 10 })}</section>` : shown.length === 0 && events.length ? html`<section class="panel"><p class="nothing">Nothing of this kind.</p></section>` : shown.length === 0 ? html`<section class="panel">${h(Feed, { events: [] })}</section>`
      : [...days].map(([key, list]) => h(Panel, { key, title: key === today ? 'Today' : key === yesterday ? 'Yesterday' : exact(list[0].at).split(',')[0].replace(/ at.*/, ''), flush: true }, h(Feed, { events: list })))}
    ${next ? html`<div class="row">${h(Act, { label: 'Show older', run: () => load(next) })}</div>` : null}</div>`;
}
