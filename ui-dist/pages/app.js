// One app: its head, and the tabs.
import { hasServices, sourceText, sourceIcon } from '../parts/source.js';
import { html, h, icon, useEffect, useMemo, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useLogStream } from '../lib/log-stream.js';
import { navigate } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { apps, appPath, appsError, deployments, findApp, isFinal, loadApps, putApp, putDeployment } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { duration, exact, gitName, shortCommit } from '../lib/format.js';
import { moment } from '../lib/clock.js';
import { PageHead } from '../parts/page.js';
import { State } from '../parts/state.js';
import { Ago } from '../parts/time.js';
import { Act } from '../parts/act.js';
import { Copy } from '../parts/copy.js';
import { Menu } from '../parts/menu.js';
import { Tab } from '../parts/tab.js';
import { Tabs } from '../parts/tabs.js';
import { Timeline } from '../parts/timeline.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { allows, has } from '../lib/rights.js';
import { deployAnyway, deployReference, deployTag, deployUpload, deleteApp, isLocked, lockApp } from '../parts/app-actions.js';
import { FirstLogin } from './app-services.js';
import '../elements/sk-log.js';
import { said } from '../parts/said.js';

/** @template {keyof import('../lib/api.js').Schemas} K @typedef {import('../lib/api.js').S<K>} S */

/** @type {[id: string, label: string, load: () => Promise<any>, right?: import('../lib/rights.js').Right][]} `right`: without it there is no such tab */
const TABS = [
  ['overview', 'Overview', () => import('./app-overview.js')],
  ['deployments', 'Deployments', () => import('./app-deployments.js')],
  ['releases', 'Releases', () => import('./app-releases.js')],
  ['logs', 'Logs', () => import('./app-logs.js')],
  ['services', 'Services', () => import('./app-services.js')],
  ['metrics', 'Metrics', () => import('./app-metrics.js')],
  ['environment', 'Environment', () => import('./app-environment.js')],
  ['domains', 'Domains', () => import('./app-domains.js')],
  ['webhook', 'Webhook', () => import('./app-webhook.js')],
  ['previews', 'Previews', () => import('./app-previews.js')],
  ['storage', 'Storage', () => import('./app-storage.js')],
  ['jobs', 'Jobs', () => import('./app-jobs.js')],
  ['terminal', 'Terminal', () => import('./app-terminal.js'), 'terminal'],
  ['settings', 'Settings', () => import('./app-settings.js'), 'configure'],
];

/** @param {{ params: Record<string, string> }} props */
export default function AppPage({ params }) {
  const app = findApp(params.app);
  const tab = params.tab ?? 'overview';
  // Not among the apps: in the trash, just made elsewhere, or not there at all; the API knows.
  const asked = useResource(`app:${params.app}`, () => api.appShow(params.app));
  const shown = app ?? asked.value.value;
  const list = apps.value;
  useTrail(shown ? [
    { label: 'Projects', href: '/projects' }, { label: shown.project.name, href: `/projects/${shown.project.id}` },
    { label: shown.environment.name, href: `/projects/${shown.project.id}` },
    { label: shown.name, menu: (list ?? []).filter((other) => other.project.id === shown.project.id && !other.trashed_at).sort((a, b) => a.name.localeCompare(b.name)).map((other) => ({ label: other.name, note: other.environment.name, href: appPath(other, tab === 'overview' ? '' : tab), checked: other.id === shown.id })) },
  ] : [{ label: 'Apps', href: '/apps' }, { label: params.app }], [shown?.id, shown?.name, list?.length, tab]);

  // No event tells of the single containers of an app: it is asked for until all are as they should be.
  const scaling = Boolean(shown && shown.desired === 'running' && shown.release && shown.replicas > 1 && shown.running !== shown.replicas) || Boolean(shown && shown.replicas === 1 && shown.running > 1 && !hasServices(shown.source));
  useEffect(() => {
    if (!scaling || !shown) return undefined;
    const again = setInterval(async () => { try { putApp(await api.appShow(shown.id)); } catch { /* the line is lost: it says so */ } }, 1500);
    return () => clearInterval(again);
  }, [scaling, shown?.id]);

  const alike = (list ?? []).filter((other) => other.name === params.app && !other.trashed_at);
  if (!shown && alike.length > 1) return h(Alike, { name: params.app, alike, tab: params.tab });
  const failure = asked.error.value ?? appsError.value;
  if (!shown) return html`<div class="page">${failure ? html`${h(PageHead, { title: params.app })}${h(Failed, { error: failure, retry: () => { asked.load(); loadApps(); } })}` : h(Loading, { rows: 4 })}</div>`;
  const entry = TABS.find(([id]) => id === tab);
  const base = (/** @type {string} */ id) => appPath(shown, id === 'overview' ? '' : id);
  return html`<div class=${`page ${['logs', 'terminal'].includes(tab) ? 'fill' : ''}`}>
    ${h(Head, { app: shown, tab }, h(Tabs, { label: 'App', at: tab, items: TABS.filter(([id, , , right]) => (!right || allows(shown, right)) && (id !== 'services' || hasServices(shown.source)) && (id !== 'webhook' || ['git', 'image'].includes(shown.source.kind)) && (id !== 'previews' || shown.source.kind === 'git')).map(([id, label]) => ({ id, label, href: base(id), count: id === 'domains' ? shown.domains.length || null : null, mark: id === 'deployments' && shown.state === 'deploying' ? 'busy' : id === 'settings' && shown.pending_changes ? '' : undefined })) }))}
    ${isLocked(shown) ? html`<div class="notice warn middle">${icon('lock')}<span class="grow">Deployments are locked by ${shown.lock?.by}${shown.lock?.until ? html` for ${h(Until, { at: shown.lock.until })}` : null}${shown.lock?.why ? `: ${shown.lock.why}` : '.'}</span>${allows(shown, 'deploy') ? h(Act, { label: 'Unlock', small: true, run: async () => putApp(await api.appUnlock(shown.id)) }) : null}</div>` : null}
    ${shown.frozen ? html`<div class="notice warn middle">${icon('circle-pause')}<span class="grow">Deployments are frozen for ${h(Until, { at: shown.frozen.until })}: ${shown.frozen.name}. Pushes wait until then.</span>${has('administer') && allows(shown, 'deploy') ? html`<button type="button" class="btn small" onClick=${() => deployAnyway(shown)}>Deploy anyway…</button>` : null}</div>` : null}
    ${shown.trashed_at ? html`<div class="notice warn middle">${icon('trash-2')}<span class="grow">This app is in the trash. Its containers are stopped and its domains are free; its volumes are kept.</span><a class="btn small" href="/trash">Open the trash</a></div>` : null}
    ${shown.asleep && !shown.trashed_at && !shown.asleep.waking_since ? html`<div class=${`notice middle ${shown.asleep.problem ? 'bad' : ''}`}>${icon('moon')}<span class="grow any">Asleep since <time datetime=${shown.asleep.since}>${exact(shown.asleep.since)}</time>: ${shown.asleep.why}. ${shown.asleep.problem ? `It could not be woken: ${shown.asleep.problem}.` : 'The next request wakes it.'}</span>${shown.asleep.problem ? html`<a class="btn small" href=${base('logs')}>Open the logs</a>` : null}</div>` : null}
    ${h(Running, { app: shown, brief: tab !== 'overview' })}
    ${h(FirstLogin, { app: shown })}
    ${entry?.[3] && !allows(shown, entry[3]) ? html`<section class="panel">${h(Empty, { icon: 'lock', title: tab === 'terminal' ? 'A terminal here is not yours to open' : 'These settings are not yours to change', text: `What you may do to ${shown.name} does not include it. An administrator can give you a role that does.`, action: html`<a class="btn" href=${base('overview')}>Open the overview</a>` })}</section>` : entry ? h(Tab, { key: tab, load: entry[2], props: { app: shown, key: shown.id } }) : h(Empty, { icon: 'circle-help', title: 'No such tab', action: html`<a class="btn" href=${base('overview')}>Open the overview</a>` })}
  </div>`;
}

/** An address by name from before another environment had an app of that name. @param {{ name: string, alike: S<'App'>[], tab?: string }} props */
const Alike = ({ name, alike, tab }) => html`<div class="page">${h(PageHead, { title: name, note: `${alike.length} environments have an app of this name.` })}
  <section class="panel flush"><ul class="lines tall" aria-label="Apps of this name">${alike.map((one) => html`<li key=${one.id}><a class="strong" href=${appPath(one, tab)}>${one.name}</a><span class="dim grow cut">${one.project.name} / ${one.environment.name}</span>${h(State, { state: one.state })}</li>`)}</ul></section></div>`;

/** @param {{ at: string }} props */
const Until = ({ at }) => html`<time datetime=${at} title=${exact(at)}>${duration(Math.max(60_000, Date.parse(at) - moment.value))} more</time>`;

/** @param {{ app: S<'App'>, tab: string, children?: any }} props */
function Head({ app, children }) {
  const latest = app.deployment;
  const commit = app.release?.commit ?? latest?.commit;
  const source = app.source;
  const state = latest && !isFinal(deployments.value[latest.id] ?? latest) ? 'deploying' : app.state;
  const stopped = app.desired === 'stopped';
  const start = async () => putApp(await api.appStart(app.id));
  const deploys = allows(app, 'deploy');
  return h(PageHead, {
    title: app.name, state: h(State, { state, detail: app.state_detail }),
    note: html`<div class="app-meta">
      ${app.url ? html`<span class="app-link">${icon('globe')}<a href=${app.url} target="_blank" rel="noreferrer">${app.url.replace(/^https?:\/\//, '').replace(/\/$/, '')}</a>${h(Copy, { text: app.url, label: 'Copy address' })}</span>` : html`<span class="faint">${icon('globe')}no domain</span>`}
      <span>${source.kind === 'git' ? html`${icon('git-branch')}<span class="cut" title=${source.url}>${gitName(source.url)}</span>${source.branch ? html`<span class="tag">${source.branch}</span>` : null}` : html`${icon(sourceIcon(source))}<code class="cut">${sourceText(source)}</code>`}</span>
      ${commit ? html`<span class="hide-phone">${icon('git-commit-horizontal')}<code title=${commit.subject}>${shortCommit(commit.id)}</code></span>` : null}
      ${latest ? html`<span class="hide-phone">${icon('clock')}<span>${h(Ago, { at: latest.finished_at ?? latest.queued_at })} by ${latest.by}</span></span>` : null}</div>`,
    actions: app.trashed_at || !(deploys || allows(app, 'delete')) ? null : html`${deploys ? html`
      ${h(Act, { label: 'Deploy', icon: 'rocket', tone: 'primary', disabled: isLocked(app) || Boolean(app.frozen), title: isLocked(app) ? 'Deployments are locked' : app.frozen ? 'Deployments are frozen' : undefined, run: async () => (source.kind === 'upload' ? void deployUpload(app) : putDeployment(await api.deploymentCreate(app.id))) })}
      ${stopped ? h(Act, { label: 'Start', icon: 'play', run: start }) : app.asleep ? h(Act, { label: 'Wake', icon: 'play', disabled: app.state === 'waking', run: start }) : h(Act, { label: 'Restart', icon: 'rotate-cw', run: async () => putApp(await api.appRestart(app.id)), disabled: !app.release })}` : null}
      ${h(Menu, { label: 'More actions', items: [...(deploys ? /** @type {import('../parts/menu.js').Item[]} */ ([
        source.kind === 'image' ? { label: 'Deploy another tag…', icon: 'box', run: () => deployTag(app) } : source.kind === 'git' ? { label: 'Deploy a branch, tag or commit…', icon: 'git-branch', run: () => deployReference(app) } : null,
        source.kind === 'git' ? { label: 'Deploy from an upload…', icon: 'upload', run: () => deployUpload(app) } : null,
        source.kind === 'upload' && source.newest ? { label: 'Deploy the last upload again', icon: 'rotate-cw', run: async () => putDeployment(await api.deploymentCreate(app.id)) } : null,
        isLocked(app) ? null : { label: 'Lock deployments…', icon: 'lock', run: () => lockApp(app) },
        app.release ? { label: 'Roll back…', icon: 'undo-2', href: appPath(app, 'releases') } : null,
        'line',
        app.sleep_after_minutes && app.state === 'running' && !app.kept_awake ? { label: 'Put to sleep', icon: 'moon', run: async () => putApp(await api.appSleep(app.id)) } : null,
        stopped ? null : { label: 'Stop', icon: 'square', run: async () => putApp(await api.appStop(app.id)) },
        ]) : []),
        app.url ? { label: 'Open', icon: 'external-link', href: app.url, external: true } : null,
        ...(allows(app, 'delete') ? [/** @type {const} */ ('line'), { label: 'Delete…', icon: 'trash-2', tone: /** @type {const} */ ('danger'), run: async () => { if (await deleteApp(app)) navigate('/apps'); } }] : []),
      ] })}`,
  }, children);
}

/** The deployment that runs takes the top of the page, and stays a moment when it failed. @param {{ app: S<'App'>, brief: boolean }} props `brief`: without the log */
function Running({ app, brief }) {
  const now = Object.values(deployments.value).filter((one) => one.app.id === app.id).sort((a, b) => b.number - a.number)[0];
  const [dismissed, dismiss] = useState('');
  const failedNow = now && now.phase === 'failed' && now.finished_at && Date.now() - Date.parse(now.finished_at) < 10 * 60_000;
  if (!now || (isFinal(now) && !failedNow) || dismissed === now.id) return null;
  const failed = now.phase === 'failed';
  return html`<section class=${`panel deploying ${failed ? 'danger-zone' : ''}`} aria-label=${`Deployment ${now.number}`}>
    <header class="panel-head">${failed ? h(State, { state: 'failed' }) : html`<i class="spin accent-text" aria-hidden="true"></i>`}<div class="grow row"><a class="strong nowrap" href=${`/deployments/${now.id}`}>Deployment #${now.number}</a>${now.commit ? html`<span class="dim small cut">${now.commit.subject}</span>` : null}</div>
      ${now.cancellable && allows(app, 'deploy') ? h(Act, { label: 'Cancel', icon: 'x', small: true, run: async () => putDeployment(await api.deploymentCancel(now.id)) }) : null}
      <a class="btn small" href=${`/deployments/${now.id}`}>Log</a>${failed ? html`<button type="button" class="btn ghost small square" aria-label="Dismiss" onClick=${() => dismiss(now.id)}>${icon('x')}</button>` : null}</header>
    ${h(Timeline, { deployment: now, builds: ['git', 'upload'].includes(app.source.kind) })}
    ${failed ? html`<p class="notice bad">${icon('circle-alert')}<span>${now.error ? said(/[.!?…]$/.test(now.error) ? now.error : `${now.error}.`) : 'It failed.'} ${app.release ? 'The release before it still serves.' : ''}</span></p>` : brief ? null : h(LogTail, { key: now.id, id: now.id })}
  </section>`;
}

/** The end of a running deployment's log. @param {{ id: string }} props */
function LogTail({ id }) {
  // If it does not open, the deployment's own page says why.
  const element = useLogStream(`/deployments/${id}/log/stream`);
  return html`<sk-log ref=${element} compact label="End of the deployment's log"></sk-log>`;
}
