// What is around every page: the rail, the top line with the trail, search, running work and the account.
import { html, h, icon, cx, signal, useEffect, useState } from '../lib/html.js';
import { route, navigate } from '../lib/router.js';
import { api, session } from '../lib/api.js';
import { apps, running, appPath, isUnique } from '../lib/live.js';
import { connected } from '../lib/events.js';
import { theme, setTheme } from '../lib/theme.js';
import { install } from '../lib/install.js';
import { Logo } from './logo.js';
import { Menu } from './menu.js';
import { Dot, State } from './state.js';
import { Took } from './time.js';
import { openPalette } from './palette.js';
import { BELOW, PLACES, isOpen } from './places.js';
import { exact } from '../lib/format.js';
import { trail } from '../lib/trail.js';

/** @typedef {import('./places.js').Place} Place */
const PHONE = ['/', '/apps', '/deployments', '/servers'];

/** @param {string} href */
const isHere = (href) => (href === '/' ? route.value.path === '/' : route.value.path === href || route.value.path.startsWith(`${href}/`));

/** @param {{ place: Place }} props */
const RailLink = ({ place }) => html`<a class="rail-link" href=${place.href} aria-current=${isHere(place.href) ? 'page' : undefined} title=${place.label}>${icon(place.icon)}<span>${place.label}</span></a>`;

/** @param {{ children?: any }} props */
export function Frame({ children }) {
  const [small, setSmall] = useState(document.documentElement.dataset.rail === 'small');
  const collapse = () => {
    setSmall(!small);
    if (small) delete document.documentElement.dataset.rail; else document.documentElement.dataset.rail = 'small';
    try { localStorage.setItem('rail', small ? 'full' : 'small'); } catch { /* for this visit only */ }
  };
  return html`<a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>Skip to the content</a>
    <aside class="rail" aria-label="Navigation">
      <div class="rail-top"><a class="brand" href="/" aria-label="serverkit, overview">${h(Logo, {})}<span>serverkit</span></a></div>
      <nav class="rail-nav" aria-label="Main">${PLACES.filter(isOpen).map((place) => html`${place.group ? html`<h2 class="rail-heading">${place.group}</h2>` : null}${h(RailLink, { key: place.href, place })}`)}
        ${h(Marked, {})}
      </nav>
      <nav class="rail-nav below" aria-label="Administration">${BELOW.filter(isOpen).map((place) => h(RailLink, { key: place.href, place }))}
        <button type="button" class="rail-link collapse" onClick=${collapse} aria-expanded=${!small} title=${small ? 'Widen' : 'Collapse'}>${small ? icon('panel-left-open') : icon('panel-left-close')}<span>Collapse</span></button></nav>
    </aside>
    <div class="frame">
      <header class="top">${h(Trail, {})}<span class="grow"></span>
        <button type="button" class="search-button" onClick=${() => openPalette()} title="Search or run a command" aria-keyshortcuts="Control+K Meta+K">${icon('search')}<span>Search or jump to…</span><kbd aria-hidden="true">${/Mac|iPhone|iPad/.test(navigator.platform) ? '⌘' : 'Ctrl'} K</kbd></button>
        ${h(Work, {})}${h(Account, {})}</header>
      ${connected.value ? null : html`<div class="lost" role="status">${icon('wifi-off')}<span>The panel does not answer. What you see may be old; trying again.</span></div>`}
      ${session.value?.second_factor_due_at ? html`<div class="lost" role="status">${icon('lock')}<span>This panel asks for a second factor. <a href="/account">Set it up</a> ${h(Due, { at: session.value.second_factor_due_at })}.</span></div>` : null}
      <main id="main" tabindex="-1">${children}</main>
    </div>
    <nav class="bar" aria-label="Main">${PLACES.filter((place) => PHONE.includes(place.href) && isOpen(place)).map((place) => h(RailLink, { key: place.href, place }))}
      ${h(More, {})}</nav>`;
}

/** On a phone, all that has no place in the bar. */
function More() {
  const [rest, below] = [PLACES.filter((place) => !PHONE.includes(place.href) && isOpen(place)), BELOW.filter(isOpen)];
  if (!rest.length && !below.length) return null;
  return h(Menu, { label: 'More', class: 'rail-link', text: html`${icon('menu')}<span>More</span>`, items: [...rest, ...(below.length ? [/** @type {const} */ ('line'), ...below] : [])] });
}

/** @param {{ at: string }} props */
const Due = ({ at }) => { const days = Math.ceil((Date.parse(at) - Date.now()) / 86_400_000); return html`<time datetime=${at} title=${exact(at)}>${days > 1 ? `within ${days} days` : 'within a day'}</time>`; };

/** Apps that want a look: failing first, then at work, then by the last deployment. */
function Marked() {
  const rank = (/** @type {string} */ state) => ({ failed: 0, crashing: 0, unhealthy: 1, deploying: 2, starting: 2 }[state] ?? 3);
  const list = [...(apps.value ?? [])].filter((app) => !app.trashed_at)
    .sort((a, b) => rank(a.state) - rank(b.state) || ((b.deployment?.queued_at ?? b.created_at) > (a.deployment?.queued_at ?? a.created_at) ? 1 : -1)).slice(0, 5);
  if (!list.length) return null;
  return html`<div class="rail-apps"><h2 class="rail-heading">Recent apps</h2>${list.map((app) => html`<a key=${app.id} class="rail-link" href=${appPath(app)} title=${`${app.name}, ${app.project.name} / ${app.environment.name}`} aria-current=${route.value.path.startsWith(appPath(app)) ? 'true' : undefined}>${h(Dot, { state: app.state })}<span class="cut">${app.name}${isUnique(app) ? null : html` <small class="faint">${app.environment.name}</small>`}</span></a>`)}</div>`;
}

function Trail() {
  const parts = trail.value;
  return html`<nav class="trail" aria-label="Trail"><a class="brand only-phone" href="/" aria-label="Overview">${h(Logo, {})}</a><ol>${parts.map((part, index) => html`<li key=${index} class=${index === parts.length - 1 ? 'last' : ''}>${part.menu
    ? h(Menu, { label: part.label, class: 'trail-switch', text: html`<span class="cut">${part.label}</span>${icon('chevrons-up-down', 'icon-small')}`, items: part.menu })
    : part.href && index < parts.length - 1 ? html`<a href=${part.href}>${part.label}</a>` : html`<span class="cut" aria-current=${index === parts.length - 1 ? 'page' : undefined}>${part.label}</span>`}</li>`)}</ol></nav>`;
}

/** Running deployments as a small live pill. */
function Work() {
  const list = running.value;
  if (!list.length) return null;
  return h(Menu, {
    label: `${list.length} running`, class: 'work', heading: 'Running now',
    text: html`<i class="spin" aria-hidden="true"></i><span class="num">${list.length}</span><span class="hide-phone cut">${list.length === 1 ? `${list[0].app.name} · ${list[0].phase}` : 'deployments'}</span>`,
    items: list.map((one) => ({ label: `${one.app.name} #${one.number}`, note: one.phase, href: `/deployments/${one.id}`, icon: 'rocket' })),
  });
}

/** Those that the one signed in is in; asked for once. @type {import('../vendor/signals-2.11.4.js').Signal<import('../lib/api.js').S<'Organization'>[]>} */
const organizations = signal([]);
/** Everything on the page is the other's: so it is loaded anew. @param {import('../lib/api.js').S<'Organization'>} one */
async function actIn(one) {
  if (one.current) return;
  await api.sessionSwitch(one.id);
  location.assign('/');
}

function Account() {
  useEffect(() => { api.organizationList().then((found) => { organizations.value = found; }, () => {}); }, [session.value?.user.id]);
  const user = session.value?.user;
  if (!user) return null;
  const letters = (user.name || user.email).split(/[\s@.]+/).slice(0, 2).map((/** @type {string} */ word) => word[0]?.toUpperCase() ?? '').join('');
  return h(Menu, {
    label: 'Account', class: 'avatar', text: html`<span aria-hidden="true">${letters}</span><span class="unseen">Account of ${user.name || user.email}</span>`,
    heading: html`<b>${user.name || user.email}</b><span class="tiny faint">${user.email} · ${user.role}${organizations.value.length > 1 ? ` in ${session.value?.organization.name}` : ''}</span>`,
    items: [
      { label: 'Account and tokens', icon: 'user', href: '/account' },
      ...(organizations.value.length > 1 ? [/** @type {'line'} */ ('line'), ...organizations.value.map((one) => ({ label: one.name, icon: 'users', checked: one.current, run: () => actIn(one) })), /** @type {'line'} */ ('line')] : []),
      { label: 'API documentation', icon: 'book-open', href: '/api/docs', external: true },
      { label: 'Open source licences', icon: 'scale', href: '/licences' },
      ...(install.value ? [{ label: 'Install as an app', icon: 'download', run: install.value }] : []),
      'line',
      { label: 'Dark', icon: 'moon', checked: theme.value === 'dark', run: () => setTheme('dark') },
      { label: 'Light', icon: 'sun', checked: theme.value === 'light', run: () => setTheme('light') },
      { label: 'As the system', icon: 'monitor', checked: theme.value === 'system', run: () => setTheme('system') },
      'line',
      { label: 'Sign out', icon: 'log-out', run: async () => { try { await api.sessionEnd(); } finally { session.value = null; navigate('/sign-in'); } } },
    ],
  });
}
