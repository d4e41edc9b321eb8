// The records of a zone.
import { html, h, icon, cx } from '../lib/html.js';
import { Problem } from '../lib/api.js';
import { network } from '../lib/network.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { secondsOf, spanOf } from '../lib/policy.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Copy } from '../parts/copy.js';
import { Empty } from '../parts/empty.js';
import { confirm, DialogHead, leaving, showForm } from '../parts/dialog.js';
import { FormProblem, SelectField, Submit, TextField, useForm } from '../parts/field.js';
import { has } from '../lib/rights.js';
import '../parts/network.js';

/** @typedef {import('../lib/api.js').S<'DnsRecord'>} DnsRecord */

/** @type {Record<DnsRecord['kind'], [placeholder: string, hint: string]>} */
const KINDS = {
  A: ['192.0.2.1', 'An IPv4 address.'], AAAA: ['2001:db8::1', 'An IPv6 address.'], CNAME: ['app.example.com', 'Another name; it stands alone.'], MX: ['10 mail.example.com', 'Priority, then the mail server.'],
  TXT: ['v=spf1 -all', 'Text, without quotes.'], CAA: ['0 issue "letsencrypt.org"', 'Who may issue certificates.'], NS: ['ns1.example.com', 'A name server.'], SRV: ['10 5 5060 sip.example.com', 'Priority, weight, port, name.'],
};

/** @param {{ params: Record<string, string> }} props */
export default function ZonePage({ params }) {
  const { zone } = params;
  useTrail([{ label: 'DNS', href: '/dns' }, { label: zone }], [zone]);
  const found = useResource(`dns:${zone}`, () => network.dnsRecordList(zone), ['dns_record_changed']);
  const can = has('administer');
  const again = (/** @type {unknown} */ done) => { if (done) found.load(); };
  const edit = (/** @type {DnsRecord | null} */ one) => showForm(one ? 'Change a record' : 'Add a record', (close, leave) => h(RecordForm, { zone, record: one, close, leave })).then(again);
  const remove = (/** @type {DnsRecord} */ one) => confirm({ title: 'Delete this record?', text: `It is gone from ${zone} at once; others may remember it for ${spanOf(one.ttl_seconds)}.`, objects: [{ icon: 'file-text', label: `${one.name} ${one.kind} ${one.value}`, note: spanOf(one.ttl_seconds) }], action: 'Delete', run: () => network.dnsRecordDelete(zone, one.id) }).then(again);
  const short = (/** @type {string} */ name) => (name === zone ? '@' : name.endsWith(`.${zone}`) ? name.slice(0, -zone.length - 1) : name);
  const add = can ? html`<button type="button" class="btn primary" onClick=${() => edit(null)}>${icon('plus')}Add record</button>` : null;
  return html`<div class="page">${h(PageHead, { title: zone, note: 'Records, as the provider has them', actions: add })}
    ${h(Panel, { flush: true }, h(/** @type {typeof Table<DnsRecord>} */ (Table), {
      label: `Records of ${zone}`, rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.id, text: (one) => `${one.name} ${one.kind} ${one.value}`, filter: 'Filter records', sort: { id: 'name' },
      columns: [
        { id: 'name', label: 'Name', width: '26%', card: 'head', sort: (one) => (one.name === zone ? '' : short(one.name)), cell: (one) => html`<code class="strong cut" title=${one.name}>${short(one.name)}</code>` },
        { id: 'kind', label: 'Type', width: '88px', card: 'tail', sort: (one) => one.kind, cell: (one) => html`<span class="tag">${one.kind}</span>` },
        { id: 'value', label: 'Value', sort: (one) => one.value, cell: (one) => html`<span class="code-line"><code title=${one.value}>${one.value}</code>${h(Copy, { text: one.value, label: `Copy the value of ${one.name}` })}</span>` },
        { id: 'ttl', label: 'Kept for', width: '92px', align: 'right', sort: (one) => one.ttl_seconds, cell: (one) => html`<span class="dim">${spanOf(one.ttl_seconds)}</span>` },
        { id: 'actions', label: '', width: '92px', align: 'right', card: 'plain', cell: (one) => (can ? html`<span class="cell-actions"><button type="button" class="btn ghost small square" aria-label=${`Change ${one.kind} ${one.name}`} title="Change" onClick=${() => edit(one)}>${icon('pencil')}</button><button type="button" class="btn ghost small square" aria-label=${`Delete ${one.kind} ${one.name}`} title="Delete" onClick=${() => remove(one)}>${icon('trash-2')}</button></span>` : null) },
      ],
      empty: h(Empty, { icon: 'file-text', title: 'No records', text: 'The zone is there, and empty.', action: add }),
    }))}</div>`;
}

/** @param {{ zone: string, record: DnsRecord | null, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function RecordForm({ zone, record, close, leave }) {
  const short = record ? (record.name === zone ? '@' : record.name.endsWith(`.${zone}`) ? record.name.slice(0, -zone.length - 1) : record.name) : '';
  const form = useForm({ name: short, kind: /** @type {DnsRecord['kind']} */ (record?.kind ?? 'A'), value: record?.value ?? '', ttl: spanOf(record?.ttl_seconds ?? 300) });
  const cancel = leaving(form, close, leave);
  const v = form.values.value;
  const now = { name: v.name.trim() || '@', kind: v.kind, value: v.value.trim(), ttl_seconds: secondsOf(v.ttl) ?? 0 };
  const was = record && { name: short, kind: record.kind, value: record.value, ttl_seconds: record.ttl_seconds };
  const differs = was && JSON.stringify(was) !== JSON.stringify(now);
  const line = (/** @type {typeof now} */ one) => `${one.name === '@' ? zone : one.name.endsWith(zone) ? one.name : `${one.name}.${zone}`} ${spanOf(one.ttl_seconds)} ${one.kind} ${one.value}`;
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => {
    if (!now.ttl_seconds) throw new Problem({ status: 422, code: 'invalid', detail: 'Use a time such as 5m or 1h', field: 'ttl_seconds' });
    close(record ? await network.dnsRecordUpdate(zone, record.id, now) : await network.dnsRecordCreate(zone, now));
  }); }}>
    ${h(DialogHead, { title: record ? 'Change a record' : 'Add a record', note: `In ${zone}`, close: cancel })}
    <div class="form-row">${h(SelectField, { label: 'Type', value: v.kind, set: form.set('kind'), options: Object.keys(KINDS).map((value) => ({ value, label: value })), error: form.error('kind', 'type') })}${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), mono: true, required: true, autofocus: true, placeholder: 'www', suffix: v.name.endsWith(zone) ? undefined : `.${zone}`, error: form.error('name'), hint: '@ is the zone itself.' })}</div>
    ${h(TextField, { label: 'Value', value: v.value, set: form.set('value'), mono: true, required: true, placeholder: KINDS[v.kind][0], hint: KINDS[v.kind][1], error: form.error('value') })}
    ${h(TextField, { label: 'Others may remember it for', value: v.ttl, set: form.set('ttl'), error: form.error('ttl_seconds', 'ttl') })}
    ${v.value.trim() ? html`<section class="plan" aria-label="What will change"><h3>What will change</h3>${was ? html`<code class=${cx('minus', !differs && 'same')}>− ${line(was)}</code>` : null}${differs || !was ? html`<code class="plus">+ ${line(now)}</code>` : html`<span class="faint small">Nothing.</span>`}</section>` : null}
    ${h(FormProblem, { text: form.general(['name', 'kind', 'type', 'value', 'ttl_seconds', 'ttl']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: record ? 'Save' : 'Add record', disabled: Boolean(was && !differs) })}</footer></form>`;
}
