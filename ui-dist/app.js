// Where the panel starts: the table of pages, who is signed in, and what is drawn for the address.
import { html, h, render, signal, computed, effect, useErrorBoundary } from './lib/html.js';
import { route, match, navigate, startRouter } from './lib/router.js';
import { api, confirmer, session, wasSigned, Problem } from './lib/api.js';
import { startEvents, stopEvents, on } from './lib/events.js';
import { startLive, loadLive, forgetLive, appPath, placeOf } from './lib/live.js';
import './lib/theme.js';
import { Frame } from './parts/frame.js';
import { has } from './lib/rights.js';
import { mayVisit } from './parts/places.js';
import { Dialogs } from './parts/dialog.js';
import { Toasts, toast } from './parts/toast.js';
import { Empty, Failed } from './parts/empty.js';
import { PageHead } from './parts/page.js';
import { startKeys } from './parts/palette.js';
import { stepUp } from './parts/second-factor.js';
import { startWorker } from './lib/install.js';

/** @typedef {{ default: (props: { params: Record<string, string> }) => any, first?: () => Promise<unknown> }} PageModule `first`: begins to load what the page shows */
/** @type {[pattern: string, load: () => Promise<any>, how?: 'bare' | 'open'][]} `open`: without sign-in; `bare`: without the frame */
const PAGES = [
  ['/', () => import('./pages/overview.js')],
  ['/apps', () => import('./pages/apps.js')],
  ['/apps/new', () => import('./pages/app-new.js')],
  ['/apps/:app/update', () => import('./pages/app-update.js')],
  ['/apps/:app/:tab?', () => import('./pages/app.js')],
  ['/marketplace', () => import('./pages/marketplace.js')],
  ['/catalogs', () => import('./pages/catalogs.js')],
  ['/marketplace/:template', () => import('./pages/template.js')],
  ['/deployments', () => import('./pages/deployments.js')],
  ['/deployments/:deployment', () => import('./pages/deployment.js')],
  ['/projects', () => import('./pages/projects.js')],
  ['/projects/:project', () => import('./pages/project.js')],
  ['/projects/:project/variables/:environment?', () => import('./pages/variables.js')],
  ['/variables', () => import('./pages/variables.js')],
  ['/domains', () => import('./pages/domains.js')],
  ['/domains/:host/:tab?', () => import('./pages/domain.js')],
  ['/certificates', () => import('./pages/certificates.js')],
  ['/dns', () => import('./pages/dns.js')],
  ['/dns/:zone/records', () => import('./pages/zone.js')],
  ['/ports', () => import('./pages/ports.js')],
  ['/edge/:tab?', () => import('./pages/edge.js')],
  ['/forges', () => import('./pages/forges.js')],
  ['/forges/app', () => import('./pages/forges-app.js')],
  ['/forges/back', () => import('./pages/forges-back.js')],
  ['/freezes', () => import('./pages/freezes.js')],
  ['/quotas', () => import('./pages/quotas.js')],
  ['/registries', () => import('./pages/registries.js')],
  ['/servers', () => import('./pages/servers.js')],
  ['/servers/:server', () => import('./pages/servers.js')],
  ['/activity', () => import('./pages/activity.js')],
  ['/team', () => import('./pages/team.js')],
  ['/team/roles', () => import('./pages/roles.js')],
  ['/audit', () => import('./pages/audit.js')],
  ['/security', () => import('./pages/security.js')],
  ['/identity-providers', () => import('./pages/identity-providers.js')],
  ['/account', () => import('./pages/account.js')],
  ['/trash', () => import('./pages/trash.js')],
  ['/settings', () => import('./pages/settings.js')],
  ['/licences', () => import('./pages/licences.js')],
  ['/setup', () => import('./pages/setup.js'), 'open'],
  ['/enrol', () => import('./pages/enrol.js'), 'bare'],
  ['/invitation', () => import('./pages/invitation.js'), 'open'],
  ['/new-password', () => import('./pages/new-password.js'), 'open'],
  ['/sso', () => import('./pages/sso.js'), 'open'],
  ['/sign-in', () => import('./pages/sign-in.js'), 'open'],
];
const missing = () => import('./pages/missing.js');

/** @typedef {{ Page: PageModule['default'], params: Record<string, string>, how?: string, key: string }} Shown */
const shown = signal(/** @type {Shown | null} */ (null));
const broken = signal(/** @type {Error | null} */ (null));
/** Whether what all pages share may be loaded: behind the first drawing of a page that has begun to load its own. */
const begun = signal(false);

/** Whether the policy asks the one signed in for a second factor before anything else. */
const mustEnrol = () => { const due = session.peek()?.second_factor_due_at; return due != null && Date.parse(due) <= Date.now(); };

/** What is on its way is waited for, but not for long. @param {Promise<unknown>} coming */
const soon = (coming) => Promise.race([coming, new Promise((done) => { setTimeout(done, 200); })]);

async function show() {
  const { path } = route.value;
  if (session.peek() === undefined) return;
  const found = PAGES.map(([pattern, load, how]) => ({ pattern, load, how, params: match(pattern, path) })).find((one) => one.params);
  const how = found?.how;
  if (!session.value && how !== 'open') { navigate(`/sign-in${path === '/' ? '' : `?next=${encodeURIComponent(path + location.search)}`}`, { replace: true }); return; }
  if (mustEnrol() && how !== 'open' && path !== '/enrol') { navigate('/enrol', { replace: true }); return; }
  try {
    const load = found?.load ?? missing;
    const page = /** @type {PageModule} */ (await load().catch(() => new Promise((resolve) => { setTimeout(resolve, 500); }).then(load)));
    try { sessionStorage.removeItem('reloads'); } catch { /* not kept then */ }
    // Drawing an empty page and then what came is two drawings, where one is enough.
    if (!shown.peek() && page.first) await soon(page.first()); else begun.value = true;
    if (route.value.path !== path) return;
    const before = shown.value;
    broken.value = null;
    shown.value = { Page: page.default, params: found?.params ?? {}, how, key: found ? found.pattern.replace('/:tab?', '') + JSON.stringify({ ...found.params, tab: '' }) : path };
    if (before && before.key !== shown.value.key) requestAnimationFrame(() => /** @type {HTMLElement | null} */ (document.querySelector('#main h1'))?.focus({ preventScroll: true }));
  } catch (error) { broken.value = /** @type {Error} */ (error); }
}

/** @param {{ shown: Shown }} props */
function Guarded({ shown: { Page, params, how } }) {
  const [error, again] = useErrorBoundary((failure) => console.error(failure));
  if (error) return html`<div class="page">${h(Failed, { error, retry: again })}</div>`;
  if (!how && !mayVisit(route.value.path)) return h(NotTheirs, {});
  return h(Page, { params });
}

/** In place of a page of which the API would tell nothing. */
const NotTheirs = () => html`<div class="page">${h(PageHead, { title: html`<span class="unseen">Not yours to see</span>`, name: 'Not yours to see' })}<section class="panel">${h(Empty, { icon: 'lock', title: 'This is not yours to see', text: 'What was given to you does not reach here. Ask an administrator of this panel if you need it.', action: html`<a class="btn" href="/">Overview</a>` })}</section></div>`;

function Root() {
  const now = shown.value;
  const failure = broken.value;
  if (failure) return html`<main id="main" class="bare">${h(Failed, { error: failure, retry: () => location.reload() })}</main>`;
  if (!now) return html`<div class="starting" role="status" aria-label="Loading"></div>`;
  const page = h(Guarded, { key: now.key, shown: now });
  return html`${now.how ? html`<main id="main">${page}</main>` : h(Frame, {}, page)}${h(Dialogs, {})}${h(Toasts, {})}`;
}

/** What happened elsewhere is worth a word, unless one is looking at it. */
function announce() {
  on('new_device', ({ data }) => {
    if (data.data?.user !== session.peek()?.user.id || route.value.path === '/account') return;
    toast('A browser that was never here before signed in as you', { tone: 'bad', href: '/account', action: 'Look' });
  });
  for (const [kind, tone] of /** @type {const} */ ([['role_raised', 'info'], ['second_factor_removed', 'bad'], ['audit_broken', 'bad']])) {
    on(kind, ({ data }) => {
      // Who did it has seen it; others who guard the panel are told.
      if (!has('operate') || data.by === session.peek()?.user.email || route.value.path === '/security') return;
      toast(`${data.by} ${data.text}`, { tone, href: '/security', action: 'Look' });
    });
  }
  on('deployment_moved', ({ data }) => {
    const phase = data.data?.phase ?? data.phase;
    const name = data.data?.name ?? data.app?.name;
    if ((phase !== 'live' && phase !== 'failed') || !name) return;
    const id = data.app?.id ?? data.app ?? data.data?.app;
    const deployment = data.deployment?.id ?? data.deployment ?? data.data?.deployment;
    const here = route.value.path;
    if (here.startsWith(`${appPath({ id, name })}`) || here.includes(String(deployment))) return;
    const place = placeOf({ id, name });
    const called = place ? `${name} in ${place}` : name;
    toast(phase === 'live' ? `${called} is live` : `${called}: deployment failed`, { tone: phase === 'live' ? 'ok' : 'bad', href: `/deployments/${deployment}`, action: 'View' });
  });
}

async function start() {
  // The script runs as soon as it is there, which may be before the page has been read to its end.
  if (document.readyState === 'loading') await new Promise((done) => document.addEventListener('DOMContentLoaded', done, { once: true }));
  confirmer.ask = stepUp;
  startRouter();
  startKeys();
  startLive();
  announce();
  const here = PAGES.find(([pattern]) => match(pattern, location.pathname));
  // Who most likely is signed in need not wait for the answer that says so.
  here?.[1]().then((page) => { if (here[2] !== 'open' && wasSigned()) page.first?.(); }).catch(() => { /* shown when it is needed */ });
  try { await api.sessionShow(); } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) { broken.value = /** @type {Error} */ (error); }
    session.value = null;
  }
  const who = computed(() => session.value?.user.id ?? null);
  effect(() => { if (who.value && !mustEnrol()) startEvents(); else { stopEvents(); forgetLive(); } });
  effect(() => { if (begun.value && who.value && !mustEnrol()) loadLive(); });
  /** @type {Promise<void>} */
  let first = Promise.resolve();
  effect(() => { route.value; session.value; first = show(); });
  await soon(first);
  render(h(Root, {}), /** @type {HTMLElement} */ (document.getElementById('app')));
  // Behind the frame that shows it; a tab in the background has none.
  if (document.hidden) begun.value = true; else requestAnimationFrame(() => setTimeout(() => { begun.value = true; }));
  // The other pages come while nothing else happens, so that going there is instant.
  const rest = () => { for (const [, load] of PAGES) load().catch(() => { /* loaded when it is opened */ }); startWorker(); };
  setTimeout(() => ('requestIdleCallback' in window ? requestIdleCallback(rest, { timeout: 5000 }) : rest()), 1500);
}
start();
