// The domains that lead to an app.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { refreshApp } from '../lib/live.js';
import { Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Empty } from '../parts/empty.js';
import { addDomain, domainColumns } from '../parts/domains.js';
import { allows } from '../lib/rights.js';

/** @typedef {import('../lib/api.js').S<'Domain'>} Domain */

/** @param {{ app: import('../lib/api.js').S<'App'> }} props */
export default function AppDomains({ app }) {
  const found = useResource(`app:${app.id}:domains`, () => api.domainListApp(app.id), ['domain_added', 'domain_removed', 'certificate_issued', 'certificate_failed']);
  const again = () => { found.load(); refreshApp(app.id); };
  const add = () => addDomain([app]).then((done) => { if (done) again(); });
  const failed = (found.value.value ?? []).filter((one) => one.certificate?.last_error);
  return html`<div class="stack">
    ${failed.map((one) => html`<p class="notice warn">${icon('shield-alert')}<span class="any"><b>${one.host}</b> ${one.certificate?.last_error}</span></p>`)}
    ${h(Panel, { title: 'Domains', flush: true, note: 'Each gets a certificate by itself: a public one where the name leads here, else one of this panel’s own authority.', actions: allows(app, 'configure') ? html`<button type="button" class="btn small" onClick=${add}>${icon('plus')}Add domain</button>` : null },
      h(/** @type {typeof Table<Domain>} */ (Table), { label: 'Domains', columns: domainColumns(false, again), rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.host,
        empty: h(Empty, { icon: 'globe', title: 'No domain leads here', text: 'Add a name and point its DNS record to this server; HTTPS follows by itself.', action: allows(app, 'configure') ? html`<button type="button" class="btn" onClick=${add}>${icon('plus')}Add domain</button>` : null, small: true }) }))}</div>`;
}
