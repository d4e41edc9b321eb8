// The servers over time, what they are, and what the doctor finds.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { route, setQuery } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { machines } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { bytes, duration, percent, plural } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Facts } from '../parts/facts.js';
import { State } from '../parts/state.js';
import { Choice } from '../parts/field.js';
import { Copy } from '../parts/copy.js';
import { Act } from '../parts/act.js';
import { confirm } from '../parts/dialog.js';
import { Failed, Loading } from '../parts/empty.js';
import { Chart, RANGES } from '../parts/chart.js';
import { may } from '../lib/rights.js';
import { said } from '../parts/said.js';
import { BuildServers } from '../parts/build-servers.js';

/** @typedef {import('../lib/api.js').S<'Server'>} Server */

/** @param {{ params: Record<string, string> }} props */
export default function ServersPage({ params }) {
  const found = useResource('servers', api.serverList, ['engine_lost', 'engine_found']);
  const list = found.value.value;
  const server = list?.find((one) => one.id === params.server) ?? list?.[0];
  useTrail([{ label: 'Servers', href: '/servers' }, ...(server ? [{ label: server.name, ...(list && list.length > 1 ? { menu: list.map((one) => ({ label: one.name, href: `/servers/${one.id}`, checked: one.id === server.id })) } : {}) }] : [])], [server?.id, list?.length]);
  if (!server) return html`<div class="page">${h(PageHead, { title: 'Servers' })}${found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 4 })}</div>`;
  return h(ServerView, { key: server.id, server });
}

/** @param {{ server: Server }} props */
function ServerView({ server }) {
  const range = RANGES.some((one) => one.value === route.value.query.get('range')) ? String(route.value.query.get('range')) : '60';
  const found = useResource(`server:${server.id}:${range}`, () => api.serverMetrics(server.id, Number(range)));
  const got = found.value.value;
  const s = got?.series;
  const now = machines.value[server.id]?.at(-1) ?? server.sample;
  const of = (/** @type {import('../elements/sk-chart.js').Series[]} */ series, /** @type {number | undefined} */ top = undefined) => (got ? { times: got.times, series, top } : null);
  const facts = server.facts;
  return html`<div class="page">${h(PageHead, { title: server.name, state: h(State, { state: server.engine.up ? 'up' : 'down', detail: server.engine.why }), note: `${facts.os}, ${facts.architecture}${now ? `, up ${duration(now.uptime_seconds * 1000)}` : ''}`,
    actions: h(Choice, { label: 'Range', small: true, value: range, set: (value) => setQuery('range', value === '60' ? null : value), options: RANGES }) })}
    ${server.engine.up ? null : html`<div class="notice bad">${icon('server-off')}<div class="grow"><b>${server.engine.why ? said(server.engine.why) : 'The Docker engine does not answer'}</b>${server.engine.fix ? html`<div class="key-box fix-box"><code>${server.engine.fix}</code>${h(Copy, { text: server.engine.fix, label: 'Copy' })}</div>` : null}</div></div>`}
    ${found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : null}
    <div class="charts">
      ${h(Chart, { title: 'Processor', group: 'server', reload: found.load, data: of([{ name: 'busy', values: s?.cpu ?? [], format: 'percent' }], 1) })}
      ${h(Chart, { title: 'Memory', group: 'server', data: of([{ name: 'used', values: s?.memory_used_bytes ?? [], format: 'bytes' }, { name: 'panel', values: s?.panel_memory_bytes ?? [], format: 'bytes' }], facts.memory_bytes || undefined) })}
      ${h(Chart, { title: 'Network', group: 'server', data: of([{ name: 'out', values: s?.net_out ?? [], format: 'rate' }, { name: 'in', values: s?.net_in ?? [], format: 'rate' }]) })}
      ${h(Chart, { title: 'Disk', group: 'server', data: of([{ name: 'used', values: s?.disk_used_bytes ?? [], format: 'bytes' }], now?.disk_total_bytes) })}
      ${h(Chart, { title: 'Load', group: 'server', data: of([{ name: '1 min', values: s?.load_1m ?? [], format: 'count', tone: 3 }]) })}
      ${h(Panel, { title: 'Machine' }, h(Facts, { items: [
        ['Host name', html`<code>${facts.hostname}</code>`], ['System', facts.os], ['Kernel', html`<code>${facts.kernel}</code>`], ['Processor', `${facts.cores} cores, ${facts.architecture}`], ['Memory', `${bytes(facts.memory_bytes)}${now ? `, ${bytes(now.swap_total_bytes)} swap` : ''}`], ['Disk', now ? `${bytes(now.disk_used_bytes)} of ${bytes(now.disk_total_bytes)} (${percent(now.disk_used_bytes / (now.disk_total_bytes || 1))})` : '–'], ['Engine', server.engine.version ? `Docker ${server.engine.version}` : 'none'], ['Panel', now ? `${bytes(now.panel_memory_bytes)} of memory` : '–'],
      ] }))}
    </div>
    ${h(BuildServers, {})}
    ${may('admin') ? html`${h(BuildCache, {})}${h(Doctor, {})}` : null}</div>`;
}

/** What the engine keeps of builds, and throwing it away. */
function BuildCache() {
  const found = useResource('build-cache', api.buildCache, ['engine_found']);
  const cache = found.value.value;
  const clear = async () => {
    if (!await confirm({ title: 'Clear the build cache?', text: 'Nothing that runs is touched. The next build of each app begins anew, and takes longer.', action: 'Clear', danger: false, run: () => api.buildCacheTrim(0) })) return;
    await found.load();
  };
  return h(Panel, { title: 'Build cache', note: 'Layers and downloads of earlier builds, which make the next ones quick', actions: cache?.bytes ? h(Act, { label: 'Clear', icon: 'eraser', small: true, run: clear }) : null },
    found.error.value && !cache ? h(Failed, { error: found.error.value, retry: found.load }) : !cache ? h(Loading, { rows: 1 }) : html`<div class="stack tight"><p>${bytes(cache.bytes)} of ${bytes(cache.limit_bytes)} <span class="dim">in ${plural(cache.records, 'part')}; what is over goes once an hour, the longest unused first</span></p>
      <div class=${`meter ${cache.bytes > cache.limit_bytes ? 'warn' : ''}`} role="img" aria-label=${`${percent(cache.bytes / cache.limit_bytes)} of what it may take`}><i style=${{ width: `${Math.min(100, (cache.bytes / cache.limit_bytes) * 100).toFixed(1)}%` }}></i></div>${cache.apps.length ? h(Facts, { items: cache.apps.slice(0, 12).map((one) => /** @type {[string, any]} */ ([one.name, html`<a class="link" href=${`/apps/${one.app}/settings`}>${bytes(one.bytes)}</a>`])) }) : null}</div>`);
}

function Doctor() {
  const found = useResource('doctor', api.doctor, ['engine_lost', 'engine_found']);
  const order = { problem: 0, warning: 1, ok: 2 };
  const list = [...(found.value.value?.findings ?? [])].sort((a, b) => order[a.level] - order[b.level]);
  return h(Panel, { title: 'Doctor', note: 'Engine, ports, disk, clock, DNS, memory', flush: true, actions: h(Act, { label: 'Check again', icon: 'refresh-cw', small: true, run: found.load }) },
    found.error.value && !list.length ? h(Failed, { error: found.error.value, retry: found.load }) : !list.length ? h(Loading, { rows: 5 }) : html`<ul>${list.map((one) => html`<li class="finding" key=${one.check + one.summary}>${h(State, { state: one.level, plain: true })}<span class="any">${one.summary}</span>
      ${one.fix ? html`<span class="fix">${icon('wrench', 'icon-small')}<code class="grow">${one.fix}</code>${h(Copy, { text: one.fix, label: 'Copy the fix' })}</span>` : null}</li>`)}</ul>`);
}
