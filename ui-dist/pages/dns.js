// DNS providers, and the zones that they have.
import { html, h, icon } from '../lib/html.js';
import { network } from '../lib/network.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { plural, sentence } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { State } from '../parts/state.js';
import { Ago } from '../parts/time.js';
import { Act } from '../parts/act.js';
import { Menu } from '../parts/menu.js';
import { Empty } from '../parts/empty.js';
import { confirm } from '../parts/dialog.js';
import { toast } from '../parts/toast.js';
import { editProvider, KINDS } from '../parts/dns-provider.js';
import { has } from '../lib/rights.js';
import '../parts/network.js';

/** @typedef {import('../lib/api.js').S<'DnsProvider'>} Provider */
/** @typedef {import('../lib/api.js').S<'DnsZone'>} Zone */

export default function DnsPage() {
  useTrail([{ label: 'DNS' }]);
  const kinds = ['dns_provider_added', 'dns_provider_changed', 'dns_provider_removed'];
  const found = useResource('dns:providers', network.dnsProviderList, kinds);
  const zones = useResource('dns:zones', network.dnsZoneList, kinds);
  const can = has('administer');
  const again = () => { found.load(); zones.load(); };
  const edit = async (/** @type {Provider | null} */ one) => {
    const made = await editProvider(one);
    if (!made) return;
    again();
    if (made.tested && !made.tested.ok) toast(`${made.name} was kept, but does not work yet: ${made.tested.error}`, { tone: 'bad' });
  };
  const test = async (/** @type {Provider} */ one) => { const { tested } = await network.dnsProviderTest(one.id); again(); if (tested?.ok) toast(`${one.name} works: ${plural(tested.zones.length, 'zone')}`, { tone: 'ok' }); };
  const remove = (/** @type {Provider} */ one) => confirm({ title: `Remove ${one.name}?`, text: 'Its zones and their records stay as they are. Certificates that are proven through it need another.', objects: [{ icon: 'waypoints', label: one.name, note: KINDS[one.kind].label }, ...(one.tested?.zones ?? []).map((zone) => ({ icon: 'globe', label: zone, note: 'stays', kept: true }))], action: 'Remove', run: () => network.dnsProviderDelete(one.id) }).then((done) => { if (done) again(); });
  const add = can ? html`<button type="button" class="btn primary" onClick=${() => edit(null)}>${icon('plus')}Add provider</button>` : null;
  const list = found.value.value;
  return html`<div class="page">${h(PageHead, { title: 'DNS', note: 'Where your zones are kept, so that records and wildcard certificates need no hands', actions: list?.length ? add : null })}
    ${h(Panel, { title: 'Providers', flush: true }, h(/** @type {typeof Table<Provider>} */ (Table), {
      label: 'DNS providers', rows: list, error: found.error.value, retry: found.load, keyOf: (one) => one.id,
      columns: [
        { id: 'name', label: 'Name', width: '26%', card: 'head', sort: (one) => one.name, cell: (one) => html`<span class="cell-two"><b class="strong">${one.name}</b><span>${KINDS[one.kind].label}</span></span>` },
        { id: 'state', label: 'Last test', cell: (one) => (one.tested ? html`<span class="cell-name">${h(State, { state: one.tested.ok ? 'ok' : 'failed', detail: one.tested.error })}<span class="faint cut" title=${one.tested.error ?? ''}>${one.tested.ok ? h(Ago, { at: one.tested.at }) : sentence(one.tested.error)}</span></span>` : html`<span class="faint">not tested</span>`) },
        { id: 'zones', label: 'Zones', width: '18%', cell: (one) => html`<span class="dim cut" title=${(one.tested?.zones ?? []).join(', ')}>${one.tested?.zones.length ? one.tested.zones.length === 1 ? one.tested.zones[0] : plural(one.tested.zones.length, 'zone') : '–'}</span>` },
        { id: 'actions', label: '', width: '140px', align: 'right', card: 'plain', cell: (one) => (can ? html`<span class="cell-actions long">${h(Act, { label: 'Test', icon: 'plug-zap', small: true, run: () => test(one) })}${h(Menu, { label: `Actions for ${one.name}`, class: 'btn ghost small square', items: [{ label: 'Change…', icon: 'pencil', run: () => edit(one) }, 'line', { label: 'Remove…', icon: 'trash-2', tone: 'danger', run: () => remove(one) }] })}</span>` : null) },
      ],
      empty: h(Empty, { icon: 'waypoints', title: 'No DNS provider yet', text: 'With one, the panel sets records for your domains, proves wildcard certificates, and shows your zones. Without one, set records where your zone is kept.', action: add ?? html`<span class="dim small">Somebody with the role admin can add one.</span>` }),
    }))}
    ${list?.length ? h(Panel, { title: 'Zones', note: 'As the last tests found them', flush: true }, h(/** @type {typeof Table<Zone>} */ (Table), {
      label: 'Zones', rows: zones.value.value, error: zones.error.value, retry: zones.load, keyOf: (one) => `${one.name}/${one.provider.id}`, text: (one) => `${one.name} ${one.provider.name}`, filter: 'Filter zones', sort: { id: 'name' },
      href: (one) => (one.lists_records ? `/dns/${encodeURIComponent(one.name)}/records` : null),
      columns: [
        { id: 'name', label: 'Zone', width: '50%', card: 'head', sort: (one) => one.name, cell: (one) => html`<b class="strong">${one.name}</b>` },
        { id: 'provider', label: 'Provider', sort: (one) => one.provider.name, cell: (one) => html`<span class="dim">${one.provider.name}</span>` },
        { id: 'records', label: 'Records', cell: (one) => (one.lists_records ? html`<span class="dim">shown and changed here</span>` : html`<span class="faint">cannot be listed; good for proving names</span>`) },
      ],
      empty: h(Empty, { icon: 'globe', title: 'No zone', text: 'The providers have none, or their last test failed.', small: true }),
    })) : null}</div>`;
}
