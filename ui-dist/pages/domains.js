// All domains.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { apps } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Empty } from '../parts/empty.js';
import { addDomain, domainColumns } from '../parts/domains.js';
import { may } from '../parts/frame.js';

/** @typedef {import('../lib/api.js').S<'Domain'>} Domain */

export default function DomainsPage() {
  useTrail([{ label: 'Domains' }]);
  const found = useResource('domains', api.domainList, ['domain_added', 'domain_removed', 'certificate_issued', 'certificate_failed', 'app_trashed', 'app_removed']);
  const list = (apps.value ?? []).map((app) => ({ id: app.id, name: `${app.name} (${app.project.name}, ${app.environment.name})` })).sort((a, b) => a.name.localeCompare(b.name));
  const add = () => addDomain(list).then((done) => { if (done) found.load(); });
  return html`<div class="page">${h(PageHead, { title: 'Domains', note: 'The names under which apps are reached', actions: may('developer') && list.length ? html`<button type="button" class="btn primary" onClick=${add}>${icon('plus')}Add domain</button>` : null })}
    ${h(Panel, { flush: true }, h(/** @type {typeof Table<Domain>} */ (Table), { label: 'Domains', name: 'domains', columns: domainColumns(true, found.load), rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.host, text: (one) => `${one.host} ${one.app.name}`, filter: 'Filter domains', sort: { id: 'host' },
      empty: h(Empty, { icon: 'globe', title: 'No domains yet', text: 'Point a name to this server, give it to an app, and it is served over HTTPS with a certificate that renews itself.', action: html`<a class="btn" href="/apps">Open the apps</a>` }) }))}</div>`;
}
