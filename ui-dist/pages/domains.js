// All domains, with their requests as they come, and what their names still need.
import { html, h, icon, useEffect } from '../lib/html.js';
import { api } from '../lib/api.js';
import { route, setQuery } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { apps } from '../lib/live.js';
import { useReport } from '../lib/report.js';
import { points } from '../lib/traffic.js';
import { count } from '../lib/format.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Spark } from '../parts/tile.js';
import { Empty } from '../parts/empty.js';
import { addDomain, domainColumns } from '../parts/domains.js';
import { DnsSetup } from '../parts/dns-setup.js';
import { allows, may } from '../lib/rights.js';

/** @typedef {import('../lib/api.js').S<'Domain'>} Domain */

export default function DomainsPage() {
  useTrail([{ label: 'Domains' }]);
  const found = useResource('domains', api.domainList, ['domain_added', 'domain_removed', 'certificate_issued', 'certificate_failed', 'app_trashed', 'app_removed']);
  const { samples } = useReport();
  const list = (apps.value ?? []).filter((app) => allows(app, 'configure')).map((app) => ({ id: app.id, name: `${app.name} (${app.project.name}, ${app.environment.name})` })).sort((a, b) => a.name.localeCompare(b.name));
  const add = () => addDomain(list).then((done) => { if (done) found.load(); });
  const can = list.length > 0;
  useEffect(() => { if (can && route.value.query.has('new')) { setQuery('new', null); add(); } }, [can]);
  const live = (/** @type {string} */ host) => {
    const line = points(samples, host);
    const now = line.at(-1)?.requests ?? 0;
    return html`<span class="cell-live"><span class=${now ? 'num' : 'num faint'}>${count(now)}/s</span><span class="cell-spark">${line.some((one) => one.requests) ? h(Spark, { values: line.map((one) => one.requests) }) : null}</span></span>`;
  };
  const waiting = (found.value.value ?? []).filter((one) => one.certificate?.state === 'waiting');
  return html`<div class="page">${h(PageHead, { title: 'Domains', note: 'The names under which apps are reached', actions: can ? html`<button type="button" class="btn primary" onClick=${add}>${icon('plus')}Add domain</button>` : null })}
    ${waiting.slice(0, 3).map((one) => h(Panel, { key: one.host, class: 'waiting', title: `${one.host} does not lead here yet`, note: 'It is served as soon as its record is there; the certificate follows.' }, h(DnsSetup, { host: one.host, done: found.load })))}
    ${h(Panel, { flush: true }, h(/** @type {typeof Table<Domain>} */ (Table), { label: 'Domains', name: 'domains', columns: domainColumns(true, found.load, live), rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.host, text: (one) => `${one.host} ${one.app.name} ${one.certificate?.state ?? ''}`, filter: 'Filter domains', sort: { id: 'host' },
      empty: h(Empty, { icon: 'globe', title: 'No domains yet', text: 'Point a name to this server, give it to an app, and it is served over HTTPS with a certificate that renews itself.', action: can ? html`<button type="button" class="btn" onClick=${add}>${icon('plus')}Add domain</button>` : html`<a class="btn" href="/apps">Open the apps</a>` }) }))}
    ${may('admin') ? h(Base, {}) : null}</div>`;
}

/** The domain under which new apps get their names by themselves. */
function Base() {
  const settings = useResource('settings', api.settingShow, ['settings_changed']).value.value;
  if (!settings) return null;
  const base = settings.apps_domain;
  if (!base) return h(Panel, { title: 'One record for all apps' }, html`<div class="row row-wrap"><p class="dim small grow base-words">Set a domain for apps, and point a wildcard record to this server once: each new app then has an address and a certificate at once, such as <code>blog.apps.example.com</code>.</p><a class="btn small" href="/settings">Set it</a></div>`);
  return h(Panel, { title: html`Domain for apps: <code>${base}</code>`, note: html`A new app gets <code>NAME.${base}</code> by itself.`, actions: html`<a class="btn small" href="/settings">Change</a>` }, h(DnsSetup, { host: `*.${base}` }));
}
