// Ports of the server that lead to apps without HTTP, and domains whose TLS is passed through by name.
import { html, h, icon, useEffect } from '../lib/html.js';
import { api } from '../lib/api.js';
import { network } from '../lib/network.js';
import { route, setQuery } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { apps, appPath, mayDo, placeOf } from '../lib/live.js';
import { useReport } from '../lib/report.js';
import { listOf } from '../lib/traffic.js';
import { useTrail } from '../lib/trail.js';
import { bytes, count, sentence } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { State } from '../parts/state.js';
import { Empty } from '../parts/empty.js';
import { confirm, DialogHead, leaving, showForm } from '../parts/dialog.js';
import { Choice, FormProblem, SelectField, Submit, TextField, useForm } from '../parts/field.js';
import { PROXY, portOf, setPassthrough } from '../parts/passthrough.js';
import { domainPath } from '../parts/domains.js';
import { has } from '../lib/rights.js';
import '../parts/network.js';

/** @typedef {import('../lib/api.js').S<'Port'>} Port */
/** @typedef {import('../lib/api.js').S<'DomainTraffic'>} Traffic */

export default function PortsPage() {
  useTrail([{ label: 'Ports' }]);
  const found = useResource('ports', network.portList, ['port_opened', 'port_closed', 'app_trashed', 'app_removed']);
  const { report } = useReport();
  // A port of the server is everybody's: only administrators open one.
  const can = has('operate');
  const reportOf = (/** @type {Port} */ one) => report?.ports.find((each) => each.listen === one.listen) ?? one.report;
  const add = () => showForm('Open a port', (close, leave) => h(PortForm, { close, leave })).then((done) => { if (done) found.load(); });
  useEffect(() => { if (route.value.query.has('new')) { setQuery('new', null); if (can) add(); } }, []);
  const close = (/** @type {Port} */ one) => confirm({ title: `Close ${one.listen}?`, text: `Connections to ${one.app.name} through it end.`, objects: [{ icon: 'ethernet-port', label: one.listen, note: `${reportOf(one)?.active ?? 0} connections now` }], action: 'Close', run: () => network.portClose(one.listen) }).then((done) => { if (done) found.load(); });
  const button = can && apps.value?.length ? html`<button type="button" class="btn primary" onClick=${add}>${icon('plus')}Open a port</button>` : null;
  return html`<div class="page">${h(PageHead, { title: 'Ports', note: 'TCP and UDP, passed on to apps as they come', actions: found.value.value?.length ? button : null })}
    ${h(Panel, { title: 'Open ports', flush: true }, h(/** @type {typeof Table<Port>} */ (Table), {
      label: 'Open ports', rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.listen, text: (one) => `${one.listen} ${one.app.name}`, filter: 'Filter ports', sort: { id: 'listen' },
      columns: [
        { id: 'listen', label: 'Port', width: '16%', card: 'head', sort: (one) => one.listen, cell: (one) => html`<code class="strong">${one.listen}</code>` },
        { id: 'app', label: 'Leads to', width: '22%', sort: (one) => one.app.name, cell: (one) => html`<span class="cell-two"><a class="ext" href=${appPath(one.app)}>${one.app.name}</a><span>${placeOf(one.app) ? `${placeOf(one.app)}, ` : ''}port ${one.target_port}${one.proxy_protocol ? `, PROXY ${one.proxy_protocol}` : ''}</span></span>` },
        { id: 'state', label: 'State', width: '104px', card: 'tail', cell: (one) => { const r = reportOf(one); return r ? h(State, { state: r.bound ? 'up' : 'failed', detail: r.error ?? `listens on ${r.bound}` }) : h(State, { state: 'starting' }); } },
        { id: 'use', label: 'Connections', cell: (one) => { const r = reportOf(one); return r?.error ? html`<span class="bad-text any" title=${r.error}>${sentence(r.error)}</span>` : r ? html`<span class="cell-two num"><span class="dim">${count(r.active)} now, ${count(r.connections)} in all${r.refused ? `, ${count(r.refused)} refused` : ''}</span><span>↓ ${bytes(r.bytes_in)} ↑ ${bytes(r.bytes_out)}</span></span>` : html`<span class="faint">–</span>`; } },
        { id: 'allow', label: 'For', width: '18%', card: 'hide', cell: (one) => html`<span class="dim cut" title=${one.allow.join(', ')}>${one.allow.length ? one.allow.join(', ') : 'everybody'}${one.max_connections ? `, at most ${one.max_connections}` : ''}</span>` },
        { id: 'actions', label: '', width: '60px', align: 'right', card: 'plain', cell: (one) => (can ? html`<span class="cell-actions"><button type="button" class="btn ghost small square" aria-label=${`Close ${one.listen}`} title="Close" onClick=${() => close(one)}>${icon('trash-2')}</button></span>` : null) },
      ],
      empty: h(Empty, { icon: 'ethernet-port', title: 'No port is open', text: `For what is not HTTP: a database, a game, mail, DNS. The connection goes to the app as it comes.${can && !button ? ' Make an app first.' : ''}`, action: button ?? (can ? html`<a class="btn" href="/apps/new">${icon('plus')}New app</a>` : html`<span class="dim small">Somebody with the role admin can open one.</span>`) }),
    }))}
    ${h(Through, {})}</div>`;
}

function Through() {
  const found = useResource('domains:traffic', network.domainTrafficList, ['domain_changed', 'domain_added', 'domain_removed']);
  const domains = useResource('domains', api.domainList, ['domain_added', 'domain_removed']).value.value ?? [];
  const list = found.value.value?.filter((one) => one.passthrough);
  const free = domains.filter((one) => mayDo(one.app.id, 'configure') && !list?.some((each) => each.host === one.host));
  const add = free.length ? html`<button type="button" class="btn small" onClick=${() => setPassthrough(null, free).then((done) => { if (done) found.load(); })}>${icon('plus')}Pass a domain through</button>` : null;
  return h(Panel, { title: 'TLS passthrough', note: 'By the name in the first message; the app has the certificate.', flush: true, actions: list?.length ? add : null }, h(/** @type {typeof Table<Traffic>} */ (Table), {
    label: 'TLS passthrough', rows: list, error: found.error.value, retry: found.load, keyOf: (one) => one.host,
    columns: [
      { id: 'host', label: 'Domain', width: '40%', card: 'head', cell: (one) => html`<a class="strong ext" href=${domainPath(one.host)}>${one.host}</a>` },
      { id: 'app', label: 'Leads to', cell: (one) => html`<span><a class="ext" href=${appPath(one.app)}>${one.app.name}</a> <span class="faint">port ${one.passthrough?.port}${one.passthrough?.proxy_protocol ? `, PROXY ${one.passthrough.proxy_protocol}` : ''}</span></span>` },
      { id: 'actions', label: '', width: '100px', align: 'right', card: 'plain', cell: (one) => (mayDo(one.app.id, 'configure') ? html`<span class="cell-actions"><button type="button" class="btn ghost small square" aria-label=${`Change ${one.host}`} title="Change" onClick=${() => setPassthrough(one).then((done) => { if (done) found.load(); })}>${icon('pencil')}</button><button type="button" class="btn ghost small square" aria-label=${`End the passthrough of ${one.host}`} title="End" onClick=${() => confirm({ title: `End the passthrough of ${one.host}?`, text: 'TLS ends at the edge again, with a certificate of its own.', action: 'End it', run: () => network.domainPassthrough(one.host, {}) }).then((done) => { if (done) found.load(); })}>${icon('trash-2')}</button></span>` : null) },
    ],
    empty: h(Empty, { icon: 'lock', title: 'No domain is passed through', text: 'The edge ends TLS for all domains, so rules and policies hold.', action: add, small: true }),
  }));
}

/** @param {{ close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function PortForm({ close, leave }) {
  const list = (apps.value ?? []).filter((one) => !one.trashed_at).sort((a, b) => a.name.localeCompare(b.name));
  const form = useForm({ protocol: 'tcp', port: '', app: list[0]?.id ?? '', target: '', proxy: '', allow: '', max: '' });
  const cancel = leaving(form, close, leave);
  const v = form.values.value;
  const save = () => form.submit(async () => close(await network.portOpen({
    listen: `${v.protocol}/${portOf(v.port, 'listen')}`, app: v.app, ...(v.target.trim() ? { target_port: portOf(v.target, 'target_port') } : {}), ...(v.proxy && v.protocol === 'tcp' ? { proxy_protocol: /** @type {any} */ (v.proxy) } : {}),
    allow: listOf(v.allow), ...(v.max.trim() ? { max_connections: portOf(v.max, 'max_connections') } : {}),
  })));
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); save(); }}>
    ${h(DialogHead, { title: 'Open a port', note: 'Of this server, to the world. Restrict it if not everybody needs it.', close: cancel })}
    ${h(Choice, { label: 'Protocol', value: v.protocol, set: form.set('protocol'), options: [{ value: 'tcp', label: 'TCP' }, { value: 'udp', label: 'UDP' }] })}
    <div class="form-row">${h(TextField, { label: 'Port', value: v.port, set: form.set('port'), inputmode: 'numeric', required: true, autofocus: true, placeholder: '5432', error: form.error('listen', 'port') })}${h(TextField, { label: 'In the container', value: v.target, set: form.set('target'), inputmode: 'numeric', optional: true, placeholder: v.port || 'the same', error: form.error('target_port') })}</div>
    ${h(SelectField, { label: 'App', value: v.app, set: form.set('app'), options: list.map((one) => ({ value: one.id, label: `${one.name} (${one.project.name}, ${one.environment.name})` })), error: form.error('app') })}
    ${h(TextField, { label: 'Only from', value: v.allow, set: form.set('allow'), mono: true, rows: 2, optional: true, placeholder: 'everybody', error: form.error('allow'), hint: 'An address or a network on each line.' })}
    <div class="form-row">${h(TextField, { label: 'At once', value: v.max, set: form.set('max'), inputmode: 'numeric', optional: true, placeholder: 'any number', error: form.error('max_connections'), hint: 'Connections over all clients.' })}${v.protocol === 'tcp' ? h(SelectField, { label: 'Tell it who the client is', value: v.proxy, set: form.set('proxy'), options: PROXY, error: form.error('proxy_protocol') }) : null}</div>
    ${h(FormProblem, { text: form.general(['listen', 'port', 'target_port', 'app', 'allow', 'max_connections', 'proxy_protocol']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: 'Open port', disabled: !v.app })}</footer></form>`;
}
