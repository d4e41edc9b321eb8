// The command palette: every page, every app, every action, by keyboard. Also the keys that hold everywhere: Ctrl/Cmd-K, /, g.
import { html, h, icon, signal, useEffect, useMemo, useRef, useState, useId } from '../lib/html.js';
import { navigate } from '../lib/router.js';
import { api } from '../lib/api.js';
import { apps, loadApps, appPath, inSome, putDeployment, putApp } from '../lib/live.js';
import { score } from '../lib/fuzzy.js';
import { sourceIcon } from './source.js';
import { setTheme } from '../lib/theme.js';
import { showDialog } from './dialog.js';
import { toast } from './toast.js';
import { allows, everywhere, has } from '../lib/rights.js';
import { PLACES, BELOW, isOpen as isAllowed } from './places.js';

/** @typedef {{ id: string, label: string, more?: string, kind: string, icon: string, href?: string, run?: () => unknown }} Command */

const isOpen = signal(false);

/** @returns {Command[]} */
function commands() {
  /** @type {Command[]} */
  const list = [...PLACES, ...BELOW].filter(isAllowed).map((place) => ({ id: `go:${place.href}`, label: place.label, more: 'go to', kind: 'Page', icon: place.icon, href: place.href }));
  list.push(
    { id: 'go:/account', label: 'Account, sessions and API tokens', kind: 'Page', icon: 'user', href: '/account' },
    ...(inSome('configure') ? [{ id: 'new:app', label: 'New app', more: 'create deploy', kind: 'Action', icon: 'plus', href: '/apps/new' }] : []),
    ...(everywhere('configure') ? [{ id: 'new:project', label: 'New project', more: 'create', kind: 'Action', icon: 'folder-plus', href: '/projects?new=1' }] : []),
    ...(has('configure') ? [{ id: 'new:domain', label: 'Add domain', more: 'new', kind: 'Action', icon: 'globe', href: '/domains?new=1' }] : []),
    ...(has('operate') ? [{ id: 'new:port', label: 'Open a port', more: 'new tcp udp', kind: 'Action', icon: 'ethernet-port', href: '/ports?new=1' }] : []),
    ...(everywhere('configure') ? [{ id: 'new:certificate', label: 'Upload a certificate', more: 'tls', kind: 'Action', icon: 'upload', href: '/certificates?upload=1' }] : []),
    ...(has('administer') ? [{ id: 'new:forge', label: 'Connect a forge', more: 'new github gitlab bitbucket data center gitea forgejo', kind: 'Action', icon: 'git-branch', href: '/forges?new=1' }] : []),
    ...(everywhere('configure') ? [{ id: 'new:registry', label: 'Add a registry login', more: 'new image', kind: 'Action', icon: 'package', href: '/registries?new=1' }] : []),
    ...(has('view') ? [{ id: 'go:/edge/limits', label: 'Rate limits', more: 'go to', kind: 'Page', icon: 'gauge', href: '/edge/limits' }] : []),
    ...(everywhere('view') ? [{ id: 'go:/variables', label: 'Shared variables', more: 'go to', kind: 'Page', icon: 'key-round', href: '/variables' }] : []),
    ...(has('view_team') ? [{ id: 'go:/team/roles', label: 'Roles and teams', more: 'go to', kind: 'Page', icon: 'users', href: '/team/roles' }] : []),
    ...(has('operate') ? [{ id: 'go:/identity-providers', label: 'Single sign-on', more: 'go to oidc saml ldap scim', kind: 'Page', icon: 'key-round', href: '/identity-providers' }] : []),
    { id: 'theme', label: document.documentElement.dataset.theme === 'light' ? 'Switch to the dark theme' : 'Switch to the light theme', kind: 'Action', icon: 'sun-moon', run: () => setTheme(document.documentElement.dataset.theme === 'light' ? 'dark' : 'light') },
    { id: 'docs', label: 'API documentation', kind: 'Page', icon: 'book-open', run: () => open('/api/docs', '_blank', 'noreferrer') },
    { id: 'licences', label: 'Open source licences', kind: 'Page', icon: 'scale', href: '/licences' },
  );
  for (const app of apps.value ?? []) {
    const at = `${app.project.name} / ${app.environment.name}`;
    list.push({ id: `app:${app.id}`, label: app.name, more: at, kind: 'App', icon: sourceIcon(app.source), href: appPath(app) });
    for (const [tab, label, name] of [['deployments', 'deployments', 'rocket'], ['releases', 'releases', 'history'], ['logs', 'logs', 'scroll-text'], ['metrics', 'metrics', 'chart-line'], ['environment', 'environment variables', 'key-round'], ['domains', 'domains', 'globe'], ['storage', 'storage', 'hard-drive'], ['jobs', 'jobs', 'clock'], ['terminal', 'terminal', 'terminal'], ['settings', 'settings', 'settings']]) {
      if ((tab === 'terminal' && !allows(app, 'terminal')) || (tab === 'settings' && !allows(app, 'configure'))) continue;
      list.push({ id: `app:${app.id}:${tab}`, label: `${app.name}: ${label}`, more: tab === 'domains' && allows(app, 'configure') ? `add domain, ${at}` : at, kind: 'App', icon: name, href: appPath(app, tab) });
    }
    if (allows(app, 'deploy')) list.push(
      { id: `deploy:${app.id}`, label: `Deploy ${app.name}`, more: at, kind: 'Action', icon: 'rocket', run: async () => { const made = await api.deploymentCreate(app.id); putDeployment(made); navigate(`/deployments/${made.id}`); } },
      { id: `restart:${app.id}`, label: `Restart ${app.name}`, more: at, kind: 'Action', icon: 'rotate-cw', run: async () => putApp(await api.appRestart(app.id)) },
      app.desired === 'stopped'
        ? { id: `start:${app.id}`, label: `Start ${app.name}`, more: at, kind: 'Action', icon: 'play', run: async () => putApp(await api.appStart(app.id)) }
        : { id: `stop:${app.id}`, label: `Stop ${app.name}`, more: at, kind: 'Action', icon: 'square', run: async () => putApp(await api.appStop(app.id)) },
    );
    for (const host of app.domains) list.push({ id: `domain:${host}`, label: host, more: 'domain traffic rules policy', kind: 'Domain', icon: 'globe', href: `/domains/${encodeURIComponent(host)}/traffic` });
    if (app.url) list.push({ id: `open:${app.id}`, label: `Open ${app.name}`, more: app.url, kind: 'Action', icon: 'external-link', run: () => open(app.url ?? '', '_blank', 'noreferrer') });
  }
  return list;
}

const recent = () => { try { return /** @type {string[]} */ (JSON.parse(localStorage.getItem('recent') ?? '[]')); } catch { return []; } };
/** @param {string} id */
function remember(id) { try { localStorage.setItem('recent', JSON.stringify([id, ...recent().filter((other) => other !== id)].slice(0, 6))); } catch { /* not kept */ } }

/** A page is shorter to reach than what is done to one of many apps. @param {Command} one @param {number | null} fits */
const bonus = (one, fits) => (fits == null ? null : fits + (one.kind === 'Page' ? 4 : one.kind === 'Action' ? 1 : 0));

/** What to show for a query. Pure but for what is recent. @param {Command[]} list @param {string} query @param {string[]} latest */
export function choose(list, query, latest) {
  if (!query.trim()) {
    const known = latest.map((id) => list.find((one) => one.id === id)).filter((one) => one !== undefined).map((one) => ({ ...one, kind: 'Recent' }));
    const rest = list.filter((one) => (one.kind === 'Page' || /^(new|app:[^:]+$)/.test(one.id)) && !latest.includes(one.id));
    const order = ['Action', 'App', 'Page'];
    return [...known, ...rest.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))].slice(0, 40);
  }
  return list.map((one) => ({ one, fits: bonus(one, score(query, `${one.label} ${one.more ?? ''}`)) }))
    .filter((each) => each.fits != null)
    .sort((a, b) => Number(b.fits) - Number(a.fits) || (latest.includes(b.one.id) ? 1 : 0) - (latest.includes(a.one.id) ? 1 : 0))
    .slice(0, 40).map((each) => each.one);
}

export function openPalette() {
  if (isOpen.value) return;
  isOpen.value = true;
  showDialog('Search or run a command', (close) => h(Palette, { close })).then(() => { isOpen.value = false; });
}

/** @param {{ close: () => void }} props */
function Palette({ close }) {
  const [query, setQuery] = useState('');
  const [at, setAt] = useState(0);
  const id = useId();
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const all = useMemo(commands, [apps.value]);
  const list = useMemo(() => choose(all, query, recent()), [all, query]);
  useEffect(() => { box.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' }); }, [at, query]);
  const take = async (/** @type {Command | undefined} */ command) => {
    if (!command) return;
    remember(command.id);
    close();
    try { if (command.href) navigate(command.href); else await command.run?.(); } catch (error) { toast(/** @type {Error} */ (error).message, { tone: 'bad' }); }
  };
  // The first page shows apps before all that is known of them is here: who types at once would be led elsewhere.
  const enter = async () => {
    if (apps.peek()) return take(list[at]);
    await loadApps();
    return take(choose(commands(), query, recent())[at]);
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 8, PageUp: at - 8 }[event.key];
    if (to !== undefined) { event.preventDefault(); setAt(Math.abs(to - at) === 1 ? (to + list.length) % Math.max(1, list.length) : Math.max(0, Math.min(list.length - 1, to))); }
    if (event.key === 'Enter') { event.preventDefault(); void enter(); }
  };
  return html`<div class="palette">
    <label class="palette-input">${icon('search')}<input role="combobox" aria-expanded="true" aria-controls=${id} aria-activedescendant=${list[at] ? `${id}-${at}` : undefined} aria-label="Search or run a command" autofocus autocomplete="off" spellcheck="false" placeholder="Search apps, pages and actions" value=${query} onInput=${(/** @type {any} */ event) => { setQuery(event.target.value); setAt(0); }} onKeyDown=${keys} /><kbd>Esc</kbd></label>
    <div id=${id} class="palette-list" role="listbox" aria-label="Results" ref=${box}>
      ${list.map((one, index) => html`${index === 0 || list[index - 1].kind !== one.kind ? (query ? null : html`<div class="palette-kind" role="presentation">${{ Recent: 'Recent', Action: 'Actions', App: 'Apps', Page: 'Pages' }[one.kind] ?? one.kind}</div>`) : null}
        <div role="option" id=${`${id}-${index}`} aria-selected=${index === at} class="palette-item" onPointerMove=${() => { if (at !== index) setAt(index); }} onClick=${() => take(one)}>${icon(one.icon)}<span class="cut grow">${one.label}${one.more && one.kind !== 'Page' ? html`<span class="faint"> ${one.more}</span>` : null}</span><span class="faint tiny">${one.kind}</span></div>`)}
      ${list.length ? null : html`<p class="nothing" role="presentation">Nothing matches “${query}”.</p>`}
    </div>
    <footer class="palette-foot"><span><kbd>↑</kbd><kbd>↓</kbd> choose</span><span><kbd>↵</kbd> open</span><span class="end"><kbd>/</kbd> search in a page</span></footer>
  </div>`;
}

export function startKeys() {
  addEventListener('keydown', (event) => {
    if ((event.metaKey || event.ctrlKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === 'k') {
      if (/** @type {HTMLElement} */ (event.target).closest?.('sk-terminal')) return;
      event.preventDefault();
      if (document.querySelector('.rail')) openPalette();
      return;
    }
    const typing = /** @type {HTMLElement} */ (event.target).closest?.('input, textarea, select, [contenteditable], sk-terminal, dialog');
    if (event.key === '/' && !typing && !event.metaKey && !event.ctrlKey && !event.altKey) {
      const field = /** @type {HTMLInputElement | null} */ (document.querySelector('#main [data-search]'));
      event.preventDefault();
      if (field) { field.focus(); field.select(); } else if (document.querySelector('.rail')) openPalette();
    }
  });
}
