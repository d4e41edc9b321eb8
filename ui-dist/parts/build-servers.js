// Machines that build for the panel: added, their host key confirmed, tested, changed, removed. And where something is built.
import { html, h, icon } from '../lib/html.js';
import { network } from '../lib/network.js';
import { useResource } from '../lib/resource.js';
import { bytes, plural, sentence } from '../lib/format.js';
import { has } from '../lib/rights.js';
import { Panel } from './page.js';
import { Table } from './table.js';
import { State } from './state.js';
import { Ago } from './time.js';
import { Act } from './act.js';
import { Copy } from './copy.js';
import { Empty } from './empty.js';
import { Facts } from './facts.js';
import { confirm, DialogHead, leaving, showDialog, showForm } from './dialog.js';
import { toast } from './toast.js';
import { FormProblem, SelectField, Submit, Switch, TextField, useForm, whole } from './field.js';

/** @typedef {import('../lib/api.js').S<'BuildServer'>} BuildServer */

const EVENTS = ['build_server_changed', 'build_server_lost', 'build_server_found', 'deployment_moved'];
const SHOW = 'for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf "$key"; done';
const GIB = 1024 ** 3;

/** @param {BuildServer} one */
const stateOf = (one) => (!one.enabled ? 'switched_off' : one.problem ? 'down' : one.unready ? 'unready' : one.building ? 'building' : 'up');

/** The section of the page of servers. */
export function BuildServers() {
  const found = useResource('build-servers', network.buildServerList, EVENTS);
  const can = has('operate');
  const again = (/** @type {unknown} */ done) => { if (done) found.load(); };
  const open = (/** @type {BuildServer} */ one) => showDialog(one.name, (close) => h(Shown, { server: one, close })).then(() => found.load());
  const edit = (/** @type {BuildServer | null} */ one) => showForm(one ? one.name : 'Add a build server', (close, leave) => h(ServerForm, { server: one, close, leave })).then((made) => { again(made); if (made && !one) open(/** @type {BuildServer} */ (made)); });
  const remove = (/** @type {BuildServer} */ one) => confirm({ title: `Remove the build server ${one.name}?`, text: 'Its keys are forgotten. What was built there goes on running here.', objects: [{ icon: 'server', label: one.name, note: `${one.user}@${one.host}` }], action: 'Remove', run: () => network.buildServerDelete(one.id) }).then(again);
  const add = can ? html`<button type="button" class="btn small" onClick=${() => edit(null)}>${icon('plus')}Add build server</button>` : null;
  return h(Panel, { title: 'Build servers', note: 'Machines with Docker and an sshd that build and run nothing; images move here as a stream', flush: true, actions: found.value.value?.length ? add : null },
    h(/** @type {typeof Table<BuildServer>} */ (Table), {
      label: 'Build servers', rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.id, sort: { id: 'name' },
      columns: [
        { id: 'name', label: 'Name', card: 'head', sort: (one) => one.name, cell: (one) => html`<button type="button" class="link strong" onClick=${() => open(one)}>${one.name}</button>` },
        { id: 'at', label: 'At', width: '26%', cell: (one) => html`<code class="cut" title=${`${one.user}@${one.host}:${one.port}`}>${one.user}@${one.host}${one.port === 22 ? '' : `:${one.port}`}</code>` },
        { id: 'state', label: 'State', width: '130px', cell: (one) => h(State, { state: stateOf(one), detail: one.problem ?? one.unready }) },
        { id: 'builds', label: 'Builds', width: '90px', cell: (one) => html`<span class="num">${one.building} of ${one.slots}</span>` },
        { id: 'used', label: 'Used', width: '110px', cell: (one) => html`<span class="dim">${one.used_at ? h(Ago, { at: one.used_at }) : 'never'}</span>` },
        { id: 'actions', label: '', width: '120px', align: 'right', card: 'plain', cell: (one) => (can ? html`<span class="cell-actions"><button type="button" class="btn ghost small square" aria-label=${`Change ${one.name}`} title="Change" onClick=${() => edit(one)}>${icon('pencil')}</button><button type="button" class="btn ghost small square" aria-label=${`Remove ${one.name}`} title="Remove" onClick=${() => remove(one)}>${icon('trash-2')}</button></span>` : null) },
      ],
      empty: h(Empty, { icon: 'server', title: 'Apps are built where they run', text: 'Another machine can build for them, so that builds take no memory and processor from what runs here. Nothing is installed there, and no port of its Docker is open.', action: add }),
    }));
}

/** What it is, its key, and the way to its first test. @param {{ server: BuildServer, close: (done?: unknown) => void }} props */
function Shown({ server, close }) {
  const found = useResource(`build-server:${server.id}`, () => network.buildServerShow(server.id), EVENTS);
  const one = found.value.value ?? server;
  const can = has('operate');
  const test = async () => {
    const told = await network.buildServerTest(one.id);
    if (!told.confirmed) {
      const sure = await confirm({ title: `Is this the host key of ${one.host}?`, text: `Compare it with what the machine itself says. On it, run: ${SHOW}`, objects: [{ icon: 'key-round', label: told.host_key }], action: 'It is the same', danger: false, run: () => network.buildServerUpdate(one.id, { host_key: told.host_key }) });
      if (!sure) return;
      await network.buildServerTest(one.id);
    }
    await found.load();
    toast(`${one.name} is ready`, { tone: 'ok' });
  };
  const trim = async () => { await network.buildServerTrim(one.id, 0); await found.load(); };
  return html`<div class="stack">${h(DialogHead, { title: one.name, note: `${one.user}@${one.host}:${one.port}`, close })}
    ${one.problem ? html`<p class="notice bad">${icon('server-off')}<span class="any">${sentence(one.problem)}</span></p>` : one.unready ? html`<p class="notice warn">${icon('triangle-alert')}<span class="any">${sentence(one.unready)}</span></p>` : null}
    <div class="field"><span class="label">Public key</span><div class="key-box"><code>${one.public_key}</code>${h(Copy, { text: one.public_key, label: 'Copy public key' })}</div><p class="hint">Put this line into ~${one.user}/.ssh/authorized_keys there. ${one.user === 'root' ? '' : `${one.user} must be allowed to use Docker. `}“restrict,port-forwarding” before it keeps the key to sockets and ports.</p></div>
    ${h(Facts, { items: [
      one.engine && ['Engine', `Docker ${one.engine.version}, ${one.engine.platform}`],
      one.engine && ['Machine', `${plural(one.engine.cpus, 'processor')}, ${bytes(one.engine.memory_bytes)} of memory`],
      ['Build cache', `${one.cache_used_bytes == null ? 'not known' : bytes(one.cache_used_bytes)}, at most ${bytes(one.cache_bytes)}`],
      ['Host key', one.host_key ? html`<code class="any">${one.host_key}</code>` : 'not confirmed'],
      ['Socket', html`<code>${one.socket}</code>`],
      Boolean(one.seen_at) && ['Answered', h(Ago, { at: String(one.seen_at) })],
      Boolean(one.apps.length) && ['Apps', one.apps.join(', ')],
    ] })}
    <p class="hint">The limits of builds on memory and processor hold on this server only: Docker takes none for builds over its API, so there a build may take what the machine has.</p>
    <footer class="dialog-foot">${can && one.cache_used_bytes ? h(Act, { label: 'Clear build cache', icon: 'eraser', run: trim }) : null}<button type="button" class="btn" onClick=${() => close()}>Close</button>${can ? h(Act, { label: 'Test', icon: 'plug-zap', tone: 'primary', run: test }) : null}</footer></div>`;
}

/** @param {{ server: BuildServer | null, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function ServerForm({ server, close, leave }) {
  const form = useForm({ name: server?.name ?? '', host: server?.host ?? '', port: String(server?.port ?? 22), user: server?.user ?? 'root', socket: server?.socket ?? '/var/run/docker.sock', slots: String(server?.slots ?? 1), cache: String(server ? Math.round(server.cache_bytes / GIB) : 10), enabled: server?.enabled ?? true });
  const cancel = leaving(form, close, leave);
  const v = form.values.value;
  const save = async () => {
    const body = { host: v.host.trim(), port: whole(v.port, 'port'), user: v.user.trim(), socket: v.socket.trim(), slots: whole(v.slots, 'slots'), cache_bytes: whole(v.cache, 'cache_bytes') * GIB };
    close(await (server ? network.buildServerUpdate(server.id, { ...body, enabled: v.enabled }) : network.buildServerCreate({ name: v.name.trim(), ...body })));
  };
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(save); }}>
    ${h(DialogHead, { title: server ? server.name : 'Add a build server', note: 'A machine with Docker and an sshd, of the same architecture as this one.', close: cancel })}
    ${server ? null : h(TextField, { label: 'Name', value: v.name, set: form.set('name'), mono: true, required: true, autofocus: true, placeholder: 'builder-1', error: form.error('name'), hint: 'It cannot be changed later.' })}
    <div class="form-row">${h(TextField, { label: 'Host', value: v.host, set: form.set('host'), mono: true, required: true, placeholder: 'builder.example.com', error: form.error('host'), hint: server ? 'Another host has another key, to be confirmed anew.' : 'A name or an address.' })}${h(TextField, { label: 'SSH port', value: v.port, set: form.set('port'), inputmode: 'numeric', required: true, error: form.error('port') })}</div>
    <div class="form-row">${h(TextField, { label: 'User', value: v.user, set: form.set('user'), mono: true, required: true, error: form.error('user'), hint: 'Who may use Docker there.' })}${h(TextField, { label: 'Socket of Docker', value: v.socket, set: form.set('socket'), mono: true, required: true, error: form.error('socket') })}</div>
    <div class="form-row">${h(TextField, { label: 'Builds at once', value: v.slots, set: form.set('slots'), inputmode: 'numeric', required: true, error: form.error('slots'), hint: 'Others wait in the queue. What one may take is not limited there.' })}${h(TextField, { label: 'Build cache at most', value: v.cache, set: form.set('cache'), inputmode: 'numeric', suffix: 'GiB', required: true, error: form.error('cache_bytes'), hint: 'Of all that its Docker keeps of builds.' })}</div>
    ${server ? h(Switch, { label: 'Build there', hint: 'Off: nothing new is built there; what is under way goes on.', on: v.enabled, set: form.set('enabled') }) : null}
    ${h(FormProblem, { text: form.general(['name', 'host', 'port', 'user', 'socket', 'slots', 'cache_bytes']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: server ? 'Save' : 'Add build server' })}</footer></form>`;
}

/** Where something is built: `usual` names what no choice means. @param {{ value: string, set: (value: string) => void, usual?: string | null, error?: string }} props */
export function BuildPlace({ value, set, usual = null, error }) {
  const found = useResource('build-servers', network.buildServerList, EVENTS).value.value ?? [];
  const options = [
    ...(usual === null ? [] : [{ value: '', label: usual }]),
    { value: 'here', label: 'This server' }, { value: 'any', label: 'Any build server that has a slot' },
    ...found.map((one) => ({ value: one.name, label: `${one.name}${one.unready ? ' (not ready)' : ''}` })),
    ...(value && !['here', 'any'].includes(value) && !found.some((one) => one.name === value) ? [{ value, label: value }] : []),
  ];
  return h(SelectField, { label: 'Build on', value, set, options, error, hint: 'When a build server does not answer, the deployment fails and says so; with any, another one is taken. Nothing is built here then. Limits of builds hold on this server only.' });
}
