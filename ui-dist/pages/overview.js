// The first page: the machines, what needs attention, the apps by project, and what happened last.
import { sourceText } from '../parts/source.js';
import { html, h, icon, useMemo } from '../lib/html.js';
import { api } from '../lib/api.js';
import { early, useResource } from '../lib/resource.js';
import { apps as liveApps, inSome, machines, usage, appPath } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { bytes, bytesParts, cores, duration, percent, plural, rate, shortCommit } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Tile, Spark } from '../parts/tile.js';
import { State, Dot } from '../parts/state.js';
import { Ago } from '../parts/time.js';
import { Empty, Failed } from '../parts/empty.js';
import { Feed } from '../parts/feed.js';
import { FirstApp } from '../parts/first-app.js';
import { has } from '../lib/rights.js';
import { said } from '../parts/said.js';

/** @template {keyof import('../lib/api.js').Schemas} K @typedef {import('../lib/api.js').S<K>} S */

/** Begun before the page is drawn: it is drawn once then. */
export const first = () => early('overview', api.overview);

export default function OverviewPage() {
  useTrail([{ label: 'Overview' }]);
  const found = useResource('overview', api.overview, ['deployment_moved', 'app_created', 'app_trashed', 'app_removed', 'certificate_issued', 'certificate_failed', 'engine_lost', 'engine_found', 'project_created', 'project_removed', 'domain_added', 'run_failed']);
  const overview = found.value.value;
  const failure = found.error.value;
  if (failure && !overview && !has('view')) return h(Nothing, {});
  if (failure && !overview) return html`<div class="page">${h(PageHead, { title: 'Overview' })}${h(Failed, { error: failure, retry: found.load })}</div>`;
  const apps = liveApps.value ?? overview?.apps ?? [];
  const fresh = overview && !apps.length;
  return html`<div class="page">
    ${h(PageHead, { title: 'Overview', note: overview ? summary(apps) : '\u00a0', actions: inSome('configure') && !fresh ? html`<a class="btn primary" href="/apps/new">${icon('plus')}New app</a>` : null })}
    ${overview ? overview.servers.map((server) => h(Machine, { key: server.id, server })) : html`<div class="stack machine"><div class="machine-line">\u00a0</div><div class="tiles">${[1, 2, 3, 4].map(() => html`<div class="panel tile"></div>`)}</div></div>`}
    ${overview?.attention.length ? h(Attention, { items: overview.attention }) : null}
    ${overview ? html`<div class="grid12">
      <div class="span-8 stack">${fresh ? h(Panel, {}, inSome('configure') ? html`<div class="stack first"><div><h2>Put your first app online</h2><p class="dim small">It is built, checked and served over HTTPS on a domain of its own.</p></div>${h(FirstApp, {})}</div>` : h(Empty, { icon: 'box', title: 'No apps yet', text: 'Somebody with the role developer can add the first one.' })) : h(AppsByProject, { apps })}</div>
      <div class="span-4 stack">${h(Panel, { title: 'Activity', flush: true, actions: html`<a class="btn ghost small" href="/activity">All</a>` }, h(Feed, { events: overview.events.slice(0, 14), small: true }))}</div>
    </div>` : null}
  </div>`;
}

/** For somebody who is in the organization and may do nothing in it yet. */
const Nothing = () => html`<div class="page">${h(PageHead, { title: 'Overview' })}<section class="panel">${h(Empty, { icon: 'key-round', title: 'Nothing was given to you yet', text: 'Ask an administrator of this panel for a role, or for rights in a project or an app. What you may see is here then.', action: html`<button type="button" class="btn" onClick=${() => location.reload()}>${icon('refresh-cw')}Look again</button>` })}</section></div>`;

/** @param {S<'App'>[]} apps */
function summary(apps) {
  const bad = apps.filter((app) => ['failed', 'crashing', 'unhealthy'].includes(app.state)).length;
  const up = apps.filter((app) => app.state === 'running').length;
  const asleep = apps.filter((app) => app.state === 'asleep').length;
  if (!apps.length) return 'Nothing runs here yet.';
  return `${plural(apps.length, 'app')}, ${up} running${asleep ? `, ${asleep} asleep` : ''}${bad ? `, ${bad} in trouble` : ''}`;
}

/** @param {{ server: S<'Server'> }} props */
function Machine({ server }) {
  const past = useResource(`server:${server.id}:60`, () => api.serverMetrics(server.id, 60)).value.value?.series;
  const live = machines.value[server.id] ?? [];
  const now = live.at(-1) ?? server.sample;
  const facts = server.facts;
  const recent = live.slice(1);
  const line = (/** @type {(number | null)[] | undefined} */ series, /** @type {(sample: S<'ServerSample'>) => number} */ of) => [...thin(series ?? []), ...(past && recent.length ? [of(recent[recent.length - 1])] : [])];
  const link = `/servers/${server.id}`;
  const [memory, memoryUnit] = bytesParts(now?.memory_used_bytes);
  const [disk, diskUnit] = bytesParts(now?.disk_used_bytes);
  const [net, netUnit] = bytesParts(now ? now.net_in_per_second + now.net_out_per_second : null);
  const forecast = useMemo(() => diskForecast(past?.disk_used_bytes, now?.disk_total_bytes), [past, now?.disk_total_bytes]);
  return html`<section class="stack machine" aria-label=${`Server ${server.name}`}>
    <div class="machine-line"><a class="strong" href=${link}>${server.name}</a>${h(State, { state: server.engine.up ? 'up' : 'down', plain: true, detail: server.engine.why })}
      <span class="hide-phone">${facts.os}</span><span class="hide-phone">${plural(facts.cores, 'core')} · ${bytes(facts.memory_bytes)}</span><span class="hide-phone">${server.engine.version ? `Docker ${server.engine.version}` : server.engine.why ?? 'no engine'}</span>${now ? html`<span>up ${duration(now.uptime_seconds * 1000)}</span>` : null}</div>
    <div class="tiles">
      ${h(Tile, { label: 'Processor', icon: icon('cpu'), value: now ? percent(now.cpu).replace('%', '') : '–', unit: '%', note: now ? `load ${now.load_1m.toFixed(2)} on ${plural(now.cores, 'core')}` : null, values: line(past?.cpu, (s) => s.cpu), top: 1, href: link })}
      ${h(Tile, { label: 'Memory', icon: icon('memory-stick'), value: memory, unit: memoryUnit, note: now ? `of ${bytes(now.memory_total_bytes)}${now.swap_used_bytes > 1 << 26 ? `, ${bytes(now.swap_used_bytes)} swapped` : ''}` : null, values: line(past?.memory_used_bytes, (s) => s.memory_used_bytes), top: now?.memory_total_bytes ?? null, href: link })}
      ${h(Tile, { label: 'Disk', icon: icon('hard-drive'), value: disk, unit: diskUnit, note: now ? `of ${bytes(now.disk_total_bytes)}${forecast ? ` · ${forecast}` : ''}` : null, meter: now?.disk_total_bytes ? now.disk_used_bytes / now.disk_total_bytes : null, href: link })}
      ${h(Tile, { label: 'Network', icon: icon('arrow-down-up'), value: net, unit: netUnit ? `${netUnit}/s` : '', note: now ? html`<span class="legends"><span class="legend" title="Received"><i></i>↓ ${rate(now.net_in_per_second)}</span><span class="legend" title="Sent"><i class="series-2"></i>↑ ${rate(now.net_out_per_second)}</span></span>` : null, values: line(past?.net_in, (s) => s.net_in_per_second), second: line(past?.net_out, (s) => s.net_out_per_second), href: link })}
    </div>
  </section>`;
}

/** At most 90 points: a sparkline has no room for more. @param {(number | null)[]} values */
export function thin(values) {
  const many = Math.ceil(values.length / 90);
  if (many <= 1) return values;
  const out = [];
  for (let i = 0; i < values.length; i += many) {
    const known = values.slice(i, i + many).filter((value) => value != null);
    out.push(known.length ? known.reduce((sum, value) => sum + Number(value), 0) / known.length : null);
  }
  return out;
}

/** "full in 12 d" where the last hour grows steadily enough to say so. @param {(number | null)[] | undefined} used @param {number | undefined} total */
export function diskForecast(used, total) {
  const known = (used ?? []).filter((value) => value != null).map(Number);
  if (!total || known.length < 30) return null;
  const growth = known[known.length - 1] - known[0];
  if (growth < 64 << 20) return null;
  const hours = (total - known[known.length - 1]) / growth;
  return hours < 24 * 30 ? `full in ${duration(hours * 3_600_000)}` : null;
}

/** @param {{ items: S<'Attention'>[] }} props */
const Attention = ({ items }) => html`<section class="panel attention" aria-label="Needs attention"><h2 class="unseen">Needs attention</h2><ul>${items.map((item) => html`<li class=${`is-${item.level}`}>
  ${item.level === 'problem' ? icon('circle-alert') : icon('triangle-alert')}<span class="attention-text">${said(item.text)}</span><a class="btn small" href=${item.link}>${item.action}</a></li>`)}</ul></section>`;

/** As many apps of an environment are listed; those in trouble come first then. */
const LISTED = 15;
const RANK = /** @type {Record<string, number>} */ ({ failed: 0, crashing: 0, unhealthy: 0, deploying: 1, starting: 1 });

/** @param {{ apps: S<'App'>[] }} props */
function AppsByProject({ apps }) {
  const groups = new Map();
  for (const app of apps) {
    const key = `${app.project.id}/${app.environment.id}`;
    const group = groups.get(key) ?? { project: app.project, environment: app.environment, apps: [] };
    groups.set(key, group);
    group.apps.push(app);
  }
  return [...groups.values()].sort((a, b) => a.project.name.localeCompare(b.project.name) || a.environment.name.localeCompare(b.environment.name)).map((group) => html`
    <section class="panel flush app-group" key=${group.environment.id}><header class="panel-head"><h2 class="row"><a href=${`/projects/${group.project.id}`}>${group.project.name}</a><span class="tag">${group.environment.name}</span></h2><span class="end faint small num">${plural(group.apps.length, 'app')}</span></header>
      <ul>${listed(group.apps).map((/** @type {S<'App'>} */ app) => h(AppLine, { key: app.id, app }))}</ul>
      ${group.apps.length > LISTED ? html`<a class="more-link" href=${`/projects/${group.project.id}`}>All ${group.apps.length} apps${icon('chevron-right', 'icon-small')}</a>` : null}</section>`);
}

/** @param {S<'App'>[]} apps */
function listed(apps) {
  const byName = (/** @type {S<'App'>} */ a, /** @type {S<'App'>} */ b) => (a.name < b.name ? -1 : 1);
  if (apps.length <= LISTED) return apps.sort(byName);
  return apps.sort((a, b) => (RANK[a.state] ?? 2) - (RANK[b.state] ?? 2) || byName(a, b)).slice(0, LISTED);
}

/** @param {{ app: S<'App'> }} props */
function AppLine({ app }) {
  const samples = usage.value[app.id] ?? [];
  const now = samples.at(-1);
  const commit = app.deployment?.commit ?? app.release?.commit;
  return html`<li class="app-line">
    <a class="row-link app-line-name" href=${appPath(app)}>${h(Dot, { state: app.state })}<span class="cell-two"><b class="strong">${app.name}</b><span>${app.url ? app.url.replace(/^https?:\/\//, '').replace(/\/$/, '') : 'no domain'}</span></span></a>
    <span class="app-line-what">${app.state === 'running' ? html`<span class="cell-two"><span class="dim" title=${commit?.subject}>${commit ? commit.subject : app.source.kind === 'image' ? app.source.reference : app.release ? `release ${app.release.number}` : 'not deployed'}</span><span>${commit ? html`<code>${shortCommit(commit.id)}</code> · ${commit.author}` : app.source.kind === 'image' ? 'image' : app.source.kind === 'compose' ? sourceText(app.source) : ''}</span></span>` : h(State, { state: app.state, detail: app.state_detail })}</span>
    <span class="app-line-use num hide-phone"><span class="app-line-spark">${h(Spark, { values: samples.map((one) => one.cpu_cores), top: 0.05 })}</span><span class="cell-two right"><span class="dim">${now ? `${cores(now.cpu_cores)} cpu` : '–'}</span><span>${now ? bytes(now.memory_bytes) : ''}</span></span></span>
    <span class="app-line-when faint">${app.deployment ? h(Ago, { at: app.deployment.finished_at ?? app.deployment.queued_at }) : ''}</span>
  </li>`;
}
