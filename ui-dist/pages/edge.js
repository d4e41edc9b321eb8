// The edge as a whole: what it does just now, its limits, and its options.
import { html, h, icon } from '../lib/html.js';
import { network } from '../lib/network.js';
import { useResource } from '../lib/resource.js';
import { appPath, findApp } from '../lib/live.js';
import { useReport } from '../lib/report.js';
import { grown, latency, listOf, linesOf, pointNow, totals, within } from '../lib/traffic.js';
import { sizeOf, spanOf } from '../lib/policy.js';
import { useTrail } from '../lib/trail.js';
import { bytes, bytesParts, count, parseBytes, percent, plural, rate } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Tile } from '../parts/tile.js';
import { Table } from '../parts/table.js';
import { Tabs } from '../parts/tabs.js';
import { State } from '../parts/state.js';
import { Saved } from '../parts/saved.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { FieldWrong, Switch, TextField, whole } from '../parts/field.js';
import { Limited } from '../parts/network.js';
import { domainPath } from '../parts/domains.js';
import { purge } from '../parts/purge.js';
import { ApiLimits } from '../parts/api-limits.js';
import { may } from '../lib/rights.js';

/** @template {keyof import('../lib/api.js').Schemas} K @typedef {import('../lib/api.js').S<K>} S */

/** @param {{ params: Record<string, string> }} props */
export default function EdgePage({ params }) {
  useTrail([{ label: 'Edge' }]);
  const tab = params.tab ?? 'now';
  const { report, samples, error } = useReport();
  const items = [{ id: 'now', label: 'Now', href: '/edge' }, { id: 'limits', label: 'Rate limits', href: '/edge/limits', count: report?.limited.length || null }, ...(may('admin') ? [{ id: 'options', label: 'Options', href: '/edge/options' }] : [])];
  return html`<div class="page">${h(PageHead, { title: 'Edge', note: 'The proxy in front of everything, as it is just now' }, h(Tabs, { label: 'Edge', at: tab, items }))}
    ${tab === 'options' && may('admin') ? h(Options, {}) : !report ? (error ? h(Failed, { error }) : h(Loading, { rows: 4 })) : tab === 'limits' ? h(Limits, { report }) : h(Now, { report, samples })}</div>`;
}

/** @param {{ report: S<'EdgeReport'>, samples: import('../lib/traffic.js').Sample[] }} props */
function Now({ report, samples }) {
  const all = totals(samples);
  const now = (/** @type {string} */ host) => pointNow(samples, host);
  const last = all.at(-1);
  const [sent, unit] = bytesParts(last?.sent ?? 0);
  const [kept, keptUnit] = bytesParts(report.cache.bytes);
  const hits = report.domains.reduce((sum, one) => sum + one.cache_hits, 0);
  const misses = report.domains.reduce((sum, one) => sum + one.cache_misses, 0);
  const first = samples[0]?.report;
  return html`<div class="stack">
    <div class="tiles">
      ${h(Tile, { label: 'Requests', icon: icon('activity'), value: last ? count(last.requests) : '–', unit: last ? '/s' : '', note: `${count(report.domains.reduce((sum, one) => sum + one.active, 0))} under way`, values: all.map((one) => one.requests) })}
      ${h(Tile, { label: 'Sent', icon: icon('arrow-down-up'), value: last ? sent : '–', unit: last ? `${unit}/s` : '', note: 'over all domains', values: all.map((one) => one.sent) })}
      ${h(Tile, { label: 'Connections', icon: icon('cable'), value: count(report.connections), note: `${plural(report.refused_connections, 'refused', 'refused')}${first ? `, ${count(grown(first.refused_connections, report.refused_connections))} lately` : ''}` })}
      ${h(Tile, { label: 'Cache', icon: icon('database'), value: kept, unit: keptUnit, note: `${plural(report.cache.objects, 'answer')} · ${hits + misses ? percent(hits / (hits + misses)) : '0%'} hits`, meter: report.cache.max_bytes ? report.cache.bytes / report.cache.max_bytes : null })}
    </div>
    ${h(Panel, { title: 'Domains', note: 'Live', flush: true }, h(/** @type {typeof Table<S<'EdgeDomain'>>} */ (Table), {
      label: 'Traffic by domain', rows: report.domains, keyOf: (one) => one.host, text: (one) => one.host, filter: 'Filter domains', sort: { id: 'requests', down: true }, href: (one) => domainPath(one.host),
      columns: [
        { id: 'host', label: 'Domain', width: '30%', card: 'head', sort: (one) => one.host, cell: (one) => html`<b class="strong cut">${one.host}</b>` },
        { id: 'now', label: 'Now', width: '92px', align: 'right', sort: (one) => now(one.host)?.requests ?? 0, cell: (one) => html`<span>${last ? `${count(now(one.host)?.requests ?? 0)}/s` : '–'}</span>` },
        { id: 'requests', label: 'Requests', align: 'right', sort: (one) => one.requests, cell: (one) => html`<span class="dim">${count(one.requests)}</span>` },
        { id: 'failed', label: '5xx', align: 'right', sort: (one) => one.statuses[4], cell: (one) => html`<span class=${one.statuses[4] ? 'bad-text' : 'faint'}>${count(one.statuses[4])}</span>` },
        { id: 'p95', label: '95 of 100', align: 'right', sort: (one) => one.p95_millis ?? 0, cell: (one) => html`<span class="dim">${within(latency(samples, one.host, 95))}</span>` },
        { id: 'sent', label: 'Sent', align: 'right', sort: (one) => one.bytes_out, cell: (one) => html`<span class="dim" title=${rate(now(one.host)?.bytesOut)}>${bytes(one.bytes_out)}</span>` },
        { id: 'refused', label: 'Refused', align: 'right', card: 'hide', sort: (one) => one.denied + one.limited, cell: (one) => html`<span class="dim" title=${`${one.denied} by address, ${one.limited} by a limit`}>${count(one.denied + one.limited)}</span>` },
      ],
      empty: h(Empty, { icon: 'activity', title: 'No request yet', text: 'Domains show here with their first request.', small: true }),
    }))}
    <div class="grid12"><div class="span-7 stack">${h(Panel, { title: 'Where requests go', note: 'Containers and servers behind the edge', flush: true }, h(/** @type {typeof Table<S<'EdgeUpstream'>>} */ (Table), {
      label: 'Upstreams', rows: report.upstreams, keyOf: (one) => one.place, sort: { id: 'state' }, small: true,
      columns: [
        { id: 'place', label: 'Place', width: '40%', card: 'head', sort: (one) => one.place, cell: (one) => html`<code class="cut" title=${one.place}>${one.place}</code>` },
        { id: 'state', label: 'State', width: '110px', card: 'tail', sort: (one) => one.state, cell: (one) => h(State, { state: one.state, detail: one.why }) },
        { id: 'why', label: 'Why', card: 'hide', cell: (one) => html`<span class="faint cut" title=${one.why ?? ''}>${one.why ?? ''}</span>` },
        { id: 'active', label: 'Under way', width: '100px', align: 'right', sort: (one) => one.active, cell: (one) => html`<span class="dim">${count(one.active)}</span>` },
      ],
      empty: h(Empty, { icon: 'server', title: 'No upstream yet', text: 'An app shows here with its first request.', small: true }),
    }))}</div>
    <div class="span-5 stack">
      ${h(Panel, { title: 'Cache', actions: may('admin') && report.cache.objects ? html`<button type="button" class="btn small" onClick=${() => purge(null)}>${icon('eraser')}Purge…</button>` : null }, html`<dl class="facts"><div><dt>Answers</dt><dd class="num">${count(report.cache.objects)}</dd></div><div><dt>Memory</dt><dd class="num">${bytes(report.cache.bytes)} of ${bytes(report.cache.max_bytes)}</dd></div><div><dt>Hits</dt><dd class="num">${count(hits)} <span class="faint">and ${plural(misses, 'miss', 'misses')}</span></dd></div><div><dt>Made room</dt><dd class="num">${plural(report.cache.evicted, 'time')}</dd></div></dl>`)}
      ${report.canaries.length ? h(Panel, { title: 'Canaries', flush: true }, html`<ul class="limited">${report.canaries.map((one) => html`<li key=${`${one.host} ${one.release ?? ''}`}><span class="cell-two grow"><a class="strong ext" href=${canaryPath(one)}>${one.host}</a><span>${findApp(one.app)?.name ?? one.app}${one.release ? ', a new release of it' : ''}${one.failed ? `: ${one.failed}` : ''}</span></span>${h(State, { state: one.failed ? 'failed' : 'active' })}<span class="cell-two right num"><b>${count(one.requests)}</b><span>${count(one.errors)} failed</span></span></li>`)}</ul>`) : null}
    </div></div></div>`;
}

/** Where it is said: a release is tried by a deployment, another app by the domain. @param {S<'CanaryReport'>} one */
const canaryPath = (one) => { const app = one.release ? findApp(one.app) : null; return app ? appPath(app, 'deployments') : domainPath(one.host, 'canary'); };

/** @typedef {{ host: string, app: { id: string, name: string }, rule: string | null, ruleId: string, limit: S<'RateLimit'> }} LimitRow */
/** @param {S<'DomainTraffic'>[]} all @returns {LimitRow[]} */
export const limitRows = (all) => all.flatMap((one) => [
  ...(one.policy.rate_limits ?? []).map((limit) => ({ host: one.host, app: one.app, rule: null, ruleId: '', limit })),
  ...one.rules.flatMap((rule) => (rule.policy?.rate_limits ?? []).map((limit) => ({ host: one.host, app: one.app, rule: rule.name, ruleId: rule.id, limit }))),
]);
const KEYS = { address: 'address', header: 'value of', path: 'path' };

/** @param {{ report: S<'EdgeReport'> }} props */
function Limits({ report }) {
  const found = useResource('domains:traffic', network.domainTrafficList, ['domain_changed', 'domain_added', 'domain_removed']);
  const rows = found.value.value && limitRows(found.value.value);
  const of = (/** @type {LimitRow} */ row) => report.limited.filter((one) => one.host === row.host && one.limit === row.limit.name);
  return html`<div class="stack"><div class="grid12"><div class="span-8 stack wide-at-1100">${h(Panel, { title: 'Of the apps', note: 'Of all domains. Who asks too often gets 429; on trial, a limit only counts.', flush: true }, h(/** @type {typeof Table<LimitRow>} */ (Table), {
    label: 'Rate limits', rows, error: found.error.value, retry: found.load, keyOf: (row) => `${row.host}/${row.ruleId}/${row.limit.name}`, text: (row) => `${row.host} ${row.limit.name} ${row.app.name}`, filter: 'Filter rules', sort: { id: 'host' },
    href: (row) => `${domainPath(row.host, 'policy')}${row.ruleId ? `?rule=${encodeURIComponent(row.ruleId)}` : ''}#rates`,
    columns: [
      { id: 'host', label: 'Domain', width: '32%', card: 'head', sort: (row) => row.host, cell: (row) => html`<span class="cell-two"><b class="strong">${row.host}</b><span>${row.rule ? `rule ${row.rule}` : row.app.name}</span></span>` },
      { id: 'name', label: 'Limit', width: '20%', sort: (row) => row.limit.name, cell: (row) => html`<span class="cell-name"><span class="cut">${row.limit.name}</span>${row.limit.dry_run ? html`<span class="tag warn">on trial</span>` : null}</span>` },
      { id: 'what', label: 'Allows', cell: (row) => html`<span class="cell-two"><span class="dim">${count(row.limit.requests)} in ${spanOf(row.limit.period_seconds)} for each ${KEYS[row.limit.key.kind]}${row.limit.key.name ? ` ${row.limit.key.name}` : ''}</span><span title=${(row.limit.exempt ?? []).join(', ')}>${row.limit.exempt?.length ? `never: ${row.limit.exempt.join(', ')}` : 'nobody is exempt'}</span></span>` },
      { id: 'now', label: 'Limited now', width: '104px', align: 'right', sort: (row) => of(row).length, cell: (row) => html`<span class=${of(row).length ? 'warn-text' : 'faint'}>${of(row).length}</span>` },
    ],
    empty: h(Empty, { icon: 'gauge', title: 'No rate limit yet', text: 'A limit belongs to a domain, or to one of its rules. Begin on trial, look who would be refused, then turn it on.', action: html`<a class="btn" href="/domains">Open the domains</a>` }),
  }))}
    ${h(Panel, { title: 'What always holds' }, html`<p class="dim small">Guessing passwords and codes is slowed down by account and by address. Connections from one address are limited for the whole edge: ${may('admin') ? html`<a class="link" href="/edge/options">see the options</a>` : 'an administrator can change that'}; ${plural(report.refused_connections, 'connection')} ${report.refused_connections === 1 ? 'was' : 'were'} refused since the edge started.</p>`)}</div>
    <div class="span-4 stack wide-at-1100">${h(Panel, { title: 'Being limited now', note: 'The most often refused first', flush: true }, h(Limited, { items: report.limited, text: 'Nobody asks too often.', hosts: true }))}</div></div>
    ${may('admin') ? h(ApiLimits, {}) : null}</div>`;
}

function Options() {
  const found = useResource('edge:options', network.edgeOptionsShow, ['edge_options_changed']);
  const now = found.value.value;
  if (!now) return found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 4 });
  const start = { trusted: linesOf(now.trusted_proxies), proxy: now.proxy_protocol, cache: sizeOf(now.cache_bytes), per: String(now.connections_per_address), http3: now.http3 };
  const patch = async (/** @type {S<'EdgeOptionsPatch'>} */ change) => { found.value.value = await network.edgeOptionsUpdate(change); };
  return html`<div class="settings-grid">
    ${h(/** @type {typeof Saved<{ http3: boolean }>} */ (Saved), { title: 'HTTP/3', note: 'On the HTTPS port over UDP, told to browsers by Alt-Svc.', start: { http3: start.http3 }, toggle: 'http3', save: (v) => patch({ http3: v.http3 }), body: () => html`<p class="hint">Let UDP through on the same port as HTTPS.</p>` })}
    ${h(/** @type {typeof Saved<{ trusted: string, proxy: boolean }>} */ (Saved), { title: 'Proxies in front', note: 'From these, and only these, X-Forwarded-For and X-Forwarded-Proto are believed.', start: { trusted: start.trusted, proxy: start.proxy }, fields: ['trusted_proxies', 'proxy_protocol'], save: (v) => patch({ trusted_proxies: listOf(v.trusted), proxy_protocol: v.proxy }),
      body: (form) => html`${h(TextField, { label: 'Trusted', value: form.values.value.trusted, set: form.set('trusted'), mono: true, rows: 3, optional: true, placeholder: 'nobody', error: form.error('trusted_proxies'), hint: 'An address or a network on each line, such as 203.0.113.0/24.' })}
        ${h(Switch, { label: 'They speak the PROXY protocol', hint: 'Each of their connections must begin with it; one that does not is refused.', on: form.values.value.proxy, set: form.set('proxy') })}${form.error('proxy_protocol') ? html`<p class="field-error" aria-invalid="true">${icon('circle-alert', 'icon-small')}<span>${form.error('proxy_protocol')}</span></p>` : null}` })}
    ${h(/** @type {typeof Saved<{ per: string, cache: string }>} */ (Saved), { title: 'Limits', note: 'Of the whole edge.', start: { per: start.per, cache: start.cache }, fields: ['connections_per_address', 'cache_bytes'], save: (v) => {
      const size = parseBytes(v.cache);
      if (size == null) throw new FieldWrong('cache_bytes', 'Use a size such as 256 MiB');
      return patch({ connections_per_address: whole(v.per, 'connections_per_address'), cache_bytes: size });
    }, body: (form) => html`<div class="form-row">${h(TextField, { label: 'Connections from one address', value: form.values.value.per, set: form.set('per'), inputmode: 'numeric', error: form.error('connections_per_address'), hint: 'Of IPv6: from one /64. 0: any number.' })}${h(TextField, { label: 'Memory for kept answers', value: form.values.value.cache, set: form.set('cache'), error: form.error('cache_bytes'), hint: 'Over all domains that cache.' })}</div>` })}
  </div>`;
}
