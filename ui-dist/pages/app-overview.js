// An app at a glance: how it is doing, what is live, what happened last.
import { hasServices, sourceText } from '../parts/source.js';
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { appPath, usage } from '../lib/live.js';
import { bytes, bytesParts, cores, count, duration, plural, rate, shortCommit } from '../lib/format.js';
import { Panel } from '../parts/page.js';
import { Tile } from '../parts/tile.js';
import { Facts } from '../parts/facts.js';
import { Feed } from '../parts/feed.js';
import { State } from '../parts/state.js';
import { Ago, Took } from '../parts/time.js';
import { Copy } from '../parts/copy.js';
import { Act } from '../parts/act.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { thin } from './overview.js';
import { putDeployment } from '../lib/live.js';
import { allows } from '../lib/rights.js';
import { said } from '../parts/said.js';

/** @param {import('../lib/api.js').S<'Limits'>} limits */
const limitsText = (limits) => `${bytes(limits.memory_bytes)}, ${plural(limits.cpu_millis / 1000, 'core')}, ${limits.pids} processes`;

/** What the services that stay up may use together. @param {import('../lib/api.js').S<'Service'>[]} services */
function sumOf(services) {
  const lasting = services.filter((one) => !one.once);
  const sum = (/** @type {(limits: import('../lib/api.js').S<'Limits'>) => number} */ of) => lasting.reduce((all, one) => all + of(one.limits) * one.replicas, 0);
  return { memory_bytes: sum((one) => one.memory_bytes), cpu_millis: sum((one) => one.cpu_millis) };
}

/** @param {{ app: import('../lib/api.js').S<'App'> }} props */
export default function AppOverview({ app }) {
  const mine = (/** @type {any} */ message) => message.data?.app === app.id || message.data?.app?.id === app.id;
  const metrics = useResource(`app:${app.id}:metrics:60`, () => api.appMetrics(app.id, 60));
  const history = useResource(`app:${app.id}:deployments`, () => api.deploymentList(app.id), ['deployment_moved'], mine);
  const events = useResource(`app:${app.id}:events`, () => api.eventList({ app: app.id, limit: 12 }), ['*'], mine);
  const series = metrics.value.value?.series;
  const step = metrics.value.value?.step_seconds ?? 1;
  const now = usage.value[app.id]?.at(-1);
  const last = (/** @type {(number | null)[] | undefined} */ values) => values?.findLast((value) => value != null) ?? null;
  const memory = now?.memory_bytes ?? last(series?.memory_bytes);
  const [memoryValue, memoryUnit] = bytesParts(memory);
  const requests = last(series?.requests);
  const errors = last(series?.errors);
  const health = app.health;
  const source = app.source;
  // Each service has limits of its own; the app's are for those whose file says nothing else.
  const several = hasServices(source);
  const services = useResource(`services:${several ? app.id : ''}`, () => (several ? api.serviceList(app.id) : Promise.resolve(null)), ['deployment_moved'], mine).value.value;
  const limits = several ? services?.length ? sumOf(services) : null : app.limits;
  return html`<div class="stack">
    ${app.pending_changes && app.release ? html`<div class="notice warn middle">${icon('triangle-alert')}<span class="grow">The configuration differs from what is live. Deploy to apply it.</span>${allows(app, 'deploy') ? h(Act, { label: 'Deploy now', icon: 'rocket', small: true, run: async () => putDeployment(await api.deploymentCreate(app.id)) }) : null}</div>` : null}
    ${app.newer_image ? html`<div class="notice middle">${icon('package')}<span class="grow">The registry has a newer image than runs.</span>${allows(app, 'configure') ? html`<a class="btn small" href=${appPath(app, 'settings')}>Newer images</a>` : null}${allows(app, 'deploy') ? h(Act, { label: 'Deploy it', icon: 'rocket', small: true, run: async () => putDeployment(await api.deploymentCreate(app.id)) }) : null}</div>` : null}
    ${app.state_detail && ['failed', 'crashing', 'unhealthy', 'unknown'].includes(app.state) ? html`<div class=${`notice middle ${app.state === 'unhealthy' ? 'warn' : 'bad'}`}>${icon('circle-alert')}<span class="grow any">${said(app.state_detail)}</span><a class="btn small" href=${appPath(app, 'logs')}>Open the logs</a></div>` : null}
    <div class="tiles">
      ${h(Tile, { label: 'Processor', icon: icon('cpu'), value: cores(now?.cpu_cores ?? last(series?.cpu_cores)), unit: 'cores', note: limits ? `limit ${plural(limits.cpu_millis / 1000, 'core')}` : undefined, values: thin(series?.cpu_cores ?? []), top: 0.02, href: appPath(app, 'metrics') })}
      ${h(Tile, { label: 'Memory', icon: icon('memory-stick'), value: memoryValue, unit: memoryUnit, note: limits ? `limit ${bytes(limits.memory_bytes)}` : undefined, values: thin(series?.memory_bytes ?? []), top: limits?.memory_bytes, href: appPath(app, 'metrics') })}
      ${h(Tile, { label: 'Requests', icon: icon('arrow-down-up'), value: count(requests), unit: '/s', note: errors ? html`<span class="bad-text">${count(errors)}/s failed</span>` : last(series?.latency_ms) != null ? `median ${duration(last(series?.latency_ms))}` : 'none yet', values: thin(series?.requests ?? []), href: appPath(app, 'metrics') })}
      ${h(Tile, { label: 'Network', icon: icon('activity'), value: bytesParts(last(series?.net_out))[0], unit: `${bytesParts(last(series?.net_out))[1]}/s`, note: html`<span class="legends"><span class="legend"><i></i>↑ sent</span><span class="legend"><i class="series-2"></i>↓ ${rate(last(series?.net_in))}</span></span>`, values: thin(series?.net_out ?? []), second: thin(series?.net_in ?? []), href: appPath(app, 'metrics') })}
    </div>
    <div class="grid12">
      <div class="span-8 stack">
        ${h(Panel, { title: 'Deployments', flush: true, actions: html`<a class="btn ghost small" href=${appPath(app, 'deployments')}>All</a>` },
          history.value.value ? history.value.value.items.length ? html`<ul class="run-list">${history.value.value.items.slice(0, 6).map((one) => html`<li class="run" key=${one.id}>
            <a class="row-link run-number num" href=${`/deployments/${one.id}`}>#${one.number}</a><span class="run-state">${h(State, { state: one.phase })}</span>
            <span class="run-what cut">${one.commit ? html`<code class="accent-text">${shortCommit(one.commit.id)}</code> ${one.commit.subject}` : one.cause === 'rollback' ? 'Rollback' : source.kind === 'image' ? source.reference : 'Deployment'}</span>
            <span class="run-took faint hide-phone">${h(Took, { from: one.queued_at, to: one.finished_at })}</span><span class="run-when faint">${h(Ago, { at: one.queued_at })}</span></li>`)}</ul>`
          : h(Empty, { icon: 'rocket', title: 'Not deployed yet', text: 'A deployment fetches the source, builds it, checks it and puts it live.', small: true, action: allows(app, 'deploy') ? h(Act, { label: 'Deploy now', icon: 'rocket', run: async () => putDeployment(await api.deploymentCreate(app.id)) }) : null })
          : history.error.value ? h(Failed, { error: history.error.value, retry: history.load }) : h(Loading, { rows: 4 }))}
        ${h(Panel, { title: 'Configuration', actions: allows(app, 'configure') ? html`<a class="btn ghost small" href=${appPath(app, 'settings')}>Edit</a>` : null }, h(Facts, {
          class: 'wide', items: [
            ['Source', source.kind === 'image' ? html`<code class="any">${source.reference}</code>` : html`<span class="any">${sourceText(source)}</span>`],
            source.kind === 'git' && ['Branch', source.branch ?? 'default'],
            source.kind === 'git' && ['Dockerfile', html`<code>${[source.folder, source.dockerfile].filter((part) => part && part !== '.').join('/') || 'Dockerfile'}</code>`],
            ['Port', app.port ?? 'as the image says'],
            ['Command', app.command ? html`<code class="any">${app.command.join(' ')}</code>` : 'the image’s own'],
            ['Health', health.kind === 'http' ? html`GET <code>${health.path}</code>` : health.kind === 'web' ? html`GET <code>${health.path}</code> answers` : health.kind === 'tcp' || (health.kind === 'auto' && app.source.kind === 'image') ? 'port takes connections' : health.kind === 'auto' ? 'as it is built' : 'stays up'],
            ['Limits', several ? services?.length ? html`<span>${services.map((one) => html`<div>${one.name}: ${one.replicas === 1 ? '' : `${one.replicas} × `}${limitsText(one.limits)}</div>`)}</span>` : 'as the Compose file says' : limitsText(app.limits)],
            app.replicas > 1 && ['Containers', `${app.running} of ${app.replicas} run`],
            app.sleep_after_minutes != null && ['Sleeps', html`after ${app.sleep_after_minutes} min without a request${app.kept_awake ? html`<div class="dim">but ${app.kept_awake}</div>` : null}`],
            ['Volumes', app.mounts.length ? plural(app.mounts.length, 'volume') : 'none'],
            ['Deploying', app.stops_first ? html`<span class="any">stops the old container first: ${app.stops_first}</span>` : 'the new container takes over while the old one serves'],
            ['Id', html`<span class="code-line"><code>${app.id}</code>${h(Copy, { text: app.id, label: 'Copy id' })}</span>`],
          ],
        }))}
      </div>
      <div class="span-4 stack">
        ${h(Panel, { title: 'Live release' }, app.release ? h(Facts, { items: [
          ['Release', html`<a class="link" href=${`/deployments/${app.release.deployment}`}>#${app.release.number}</a>`],
          app.release.commit && ['Commit', html`<span class="commit"><code>${shortCommit(app.release.commit.id)}</code><span class="any">${app.release.commit.subject}</span></span>`],
          app.release.commit && ['Author', app.release.commit.author],
          ['Image', html`<code class="any">${app.release.image_name}</code>`],
          Boolean(app.release.digest) && ['Digest', html`<code class="any">${app.release.digest?.split('@').at(-1)}</code>`],
          ['Since', h(Ago, { at: app.release.created_at })],
        ] }) : html`<p class="dim small">Nothing is live yet.</p>`)}
        ${h(Panel, { title: 'Domains', flush: true, actions: html`<a class="btn ghost small" href=${appPath(app, 'domains')}>${allows(app, 'configure') ? 'Manage' : 'All'}</a>` }, app.domains.length ? html`<ul class="lines">${app.domains.map((host) => html`<li>${icon('globe')}<a class="cut grow" href=${`https://${host}`} target="_blank" rel="noreferrer">${host}</a>${h(Copy, { text: host, label: `Copy ${host}` })}</li>`)}</ul>` : html`<p class="dim small inset">No domain leads here.${hasServices(app.source) && app.port ? html` Other apps of its environment reach it at <code>${app.name}:${app.port}</code>.` : null} ${allows(app, 'configure') ? html`<a class="link" href=${appPath(app, 'domains')}>Add one</a>` : null}</p>`)}
        ${h(Panel, { title: 'Activity', flush: true }, events.value.value ? h(Feed, { events: events.value.value.items.slice(0, 8), small: true, appKnown: true }) : h(Loading, { rows: 4 }))}
      </div>
    </div></div>`;
}
