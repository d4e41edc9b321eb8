// The marketplace: ready apps by category, with a search that forgives typing.
import { html, h, icon, useEffect, useMemo, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { early, useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { bytes, later } from '../lib/format.js';
import { searcher } from '../lib/fuzzy.js';
import { PageHead } from '../parts/page.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { Monogram } from '../parts/monogram.js';
import { findApp } from '../lib/live.js';
import { allows, everywhere } from '../lib/rights.js';

/** @typedef {import('../lib/api.js').S<'CatalogEntry'>} Entry */

/** What a search looks through, the name first. @param {Entry} entry */
export const entryText = (entry) => `${entry.title} ${entry.name} ${entry.tags.join(' ')} ${entry.categories.join(' ')} ${entry.description}`;

/** As many cards as a window shows beside the rail and the categories and below the head of the page: they are drawn at once, the others a moment later. */
const onScreen = () => {
  const beside = innerWidth <= 760 ? 20 : document.documentElement.dataset.rail === 'small' ? 310 : 482;
  const columns = Math.max(1, Math.floor((innerWidth - beside) / 292));
  return columns * Math.ceil(Math.max(1, (innerHeight - 180) / 116));
};

/** By title. Answers a new list. @param {Entry[]} entries */
const byTitle = (entries) => {
  // A collator takes longer to be made than all the rest of this page, and titles are names.
  const keyed = entries.map((entry) => ({ entry, key: entry.title.toLowerCase() }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ entry }) => entry);
};

/** @param {string} category @returns {(entry: Entry) => boolean} */
const isIn = (category) => (entry) => !category || entry.categories.includes(category);

/** @param {string} word */
const title = (word) => (word === 'ai' || word === 'cms' ? word.toUpperCase() : word[0].toUpperCase() + word.slice(1));

/** Begun before the page is drawn: it is drawn once then, with its cards. */
export const first = () => early('catalog', api.catalogList);

export default function MarketplacePage() {
  useTrail([{ label: 'Marketplace' }]);
  const { value, error, load } = useResource('catalog', api.catalogList, ['app_created', 'app_trashed', 'app_restored', 'app_removed', 'catalog_added', 'catalog_changed', 'catalog_removed', 'template_updated']);
  const [query, setQuery] = useState('');
  const [category, setCategory] = useState('');
  const entries = value.value;
  const categories = useMemo(() => {
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const entry of entries ?? []) for (const one of entry.categories) counts.set(one, (counts.get(one) ?? 0) + 1);
    return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  }, [entries]);
  const sorted = useMemo(() => byTitle(entries ?? []), [entries]);
  const search = useMemo(() => later(() => searcher(entries ?? [], entryText)), [entries]);
  // The first letter need not wait for it either.
  useEffect(() => { const timer = setTimeout(search, 300); return () => clearTimeout(timer); }, [search]);
  const shown = useMemo(() => (query.trim() ? search()(query, isIn(category)) : category ? sorted.filter(isIn(category)) : sorted), [sorted, search, query, category]);
  // The same element for the same entry: what is shown already is not gone through again.
  const cards = useMemo(() => new Map(sorted.map((entry) => [entry.name, h(Card, { key: entry.name, entry })])), [sorted]);
  const drawn = useWindow(shown, entries ? `${category} ${query}` : null);
  const installed = (entries ?? []).flatMap((entry) => entry.installed.map((one) => ({ entry, one })));

  return html`<div class="page">${h(PageHead, { title: 'Marketplace', note: entries ? `${entries.length} apps, installed with a domain, certificates, limits and passwords of their own` : 'Ready apps', actions: everywhere('view') ? html`<a class="btn" href="/catalogs">${icon('layers')}Catalogs</a>` : null })}
    ${error.value && !entries ? h(Failed, { error: error.value, retry: load }) : !entries ? h(Loading, { rows: 4 }) : html`
    ${installed.length ? html`<section class="installed" aria-label="Installed">${installed.map(({ entry, one }) => html`<a key=${one.app} class="installed-app" href=${one.outdated && allows(findApp(one.app), 'configure') ? `/apps/${one.app}/update` : `/apps/${one.app}`}>${h(Monogram, { text: entry.icon_text, color: entry.icon_color })}<span class="cell-two"><b class="strong">${one.app}</b><span>${entry.title} ${one.chosen ?? one.version}</span></span>${one.outdated ? html`<span class="tag warn">${entry.version} is out</span>` : null}</a>`)}</section>` : null}
    <div class="market">
      <nav class="market-side" aria-label="Categories"><button type="button" aria-pressed=${!category} onClick=${() => setCategory('')}>All<span class="count">${entries.length}</span></button>
        ${categories.map(([one, count]) => html`<button type="button" key=${one} aria-pressed=${category === one} onClick=${() => setCategory(category === one ? '' : one)}>${title(one)}<span class="count">${count}</span></button>`)}</nav>
      <div class="stack">
        <label class="search market-search">${icon('search')}<span class="unseen">Search the marketplace</span><input class="input" type="search" placeholder="Search: a name, or what it is for" value=${query} onInput=${(/** @type {any} */ event) => setQuery(event.target.value)} autocomplete="off" spellcheck="false" /></label>
        <p class="unseen" role="status">${shown.length} apps</p>
        ${shown.length ? html`<ul class="market-list">${drawn.map((entry) => cards.get(entry.name))}</ul>` : entries.length ? h(Empty, { icon: 'search', title: 'Nothing fits', text: 'Try another word. An image or a Compose file of your own runs as well.', action: html`<a class="btn" href="/apps/new?from=compose">New app from a Compose file</a>` }) : h(Empty, { icon: 'layers', title: 'The catalog is empty', text: 'This build of serverkit carries no templates.', action: html`<a class="btn" href="/apps/new?from=compose">New app from a Compose file</a>` })}
      </div></div>`}</div>`;
}

/** Those that fit the window, and all of them a moment later. What comes anew under the same key stays whole: nobody loses their place in it.
 * @template T @param {T[]} list @param {string | null} key null: there is nothing yet */
function useWindow(list, key) {
  const [whole, setWhole] = useState(/** @type {string | null} */ (null));
  useEffect(() => {
    const timer = setTimeout(() => setWhole(key), 50);
    return () => clearTimeout(timer);
  }, [key]);
  return whole !== null && whole === key ? list : list.slice(0, onScreen());
}

/** @param {{ entry: Entry }} props */
const Card = ({ entry }) => html`<li class="market-card">${h(Monogram, { text: entry.icon_text, color: entry.icon_color })}
  <div class="market-words"><h2><a class="row-link" href=${`/marketplace/${entry.name}`}>${entry.title}</a></h2><p>${entry.description}</p><p class="tiny faint">${entry.catalog ? `from ${entry.catalog} · ` : ''}${entry.categories.map(title).join(', ')} · ${bytes(entry.memory_mb * 1024 * 1024)}${entry.installed.length ? ` · installed${entry.installed.length > 1 ? ` ${entry.installed.length} times` : ''}` : ''}</p></div></li>`;
