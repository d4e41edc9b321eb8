// The volumes and the files of an app.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { putApp, putDeployment } from '../lib/live.js';
import { bytes } from '../lib/format.js';
import { Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Empty } from '../parts/empty.js';
import { Act } from '../parts/act.js';
import { confirm, DialogHead, showDialog } from '../parts/dialog.js';
import { useForm, TextField, Switch, FormProblem, Submit } from '../parts/field.js';
import { allows } from '../lib/rights.js';
import { Files } from '../parts/files.js';
import { hasServices } from '../parts/source.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */
/** @typedef {App['mounts'][number]} Mount */
/** @typedef {import('../lib/api.js').S<'Volume'>} Volume */

/** @param {App} app @param {Mount[]} mounts */
const asInput = (app, mounts) => mounts.map((one) => ({ volume: one.volume.id, path: one.path, read_only: one.read_only }));

/** @param {{ app: App }} props */
export default function AppStorage({ app }) {
  const volumes = useResource('volumes', api.volumeList, ['app_changed', 'app_removed'], () => true);
  const sizeOf = (/** @type {Mount} */ mount) => volumes.value.value?.find((one) => one.id === mount.volume.id)?.bytes;
  const add = () => showDialog('Add a volume', (close) => h(AddVolume, { app, volumes: (volumes.value.value ?? []).filter((one) => one.environment.id === app.environment.id), close })).then((done) => { if (done) volumes.load(); });
  const detach = (/** @type {Mount} */ mount) => confirm({
    title: `Detach ${mount.volume.name}?`, text: 'From the next deployment on the app no longer sees it. The volume and the data in it are kept.', action: 'Detach', danger: false,
    objects: [{ icon: 'hard-drive', label: mount.volume.name, note: 'kept', kept: true, bytes: sizeOf(mount) ?? undefined }],
    run: async () => { putApp(await api.appUpdate(app.id, { mounts: asInput(app, app.mounts.filter((one) => one !== mount)) })); },
  });
  const loose = (volumes.value.value ?? []).filter((one) => one.environment.id === app.environment.id && one.apps.length === 0);
  return html`<div class="stack">
    ${app.pending_changes && app.release ? html`<div class="notice warn middle">${icon('triangle-alert')}<span class="grow">Changes are live after the next deployment.</span>${allows(app, 'deploy') ? h(Act, { label: 'Deploy now', icon: 'rocket', small: true, run: async () => putDeployment(await api.deploymentCreate(app.id)) }) : null}</div>` : null}
    ${app.stops_first ? html`<p class="notice">${icon('info')}<span class="any">A deployment stops the old container before the new one starts, so for a moment nothing answers: ${app.stops_first}.</span></p>` : null}
    ${h(Panel, { title: 'Volumes', note: 'Data that outlives containers and releases', flush: true, actions: allows(app, 'configure') ? html`<button type="button" class="btn small" onClick=${add}>${icon('plus')}Add volume</button>` : null },
      h(/** @type {typeof Table<Mount>} */ (Table), {
        label: 'Volumes', rows: app.mounts, keyOf: (one) => one.path, columns: [
          { id: 'name', label: 'Volume', card: 'head', cell: (one) => html`<span class="cell-name">${icon('hard-drive')}<b class="cut">${one.volume.name}</b></span>` },
          { id: 'path', label: 'Path in the container', cell: (one) => html`<code>${one.path}</code>` },
          { id: 'access', label: 'Access', width: '120px', cell: (one) => html`<span class="dim">${one.read_only ? 'read only' : 'read and write'}</span>` },
          { id: 'size', label: 'Size', width: '110px', align: 'right', cell: (one) => bytes(sizeOf(one)) },
          { id: 'actions', label: '', width: '104px', align: 'right', card: 'plain', cell: (one) => (allows(app, 'configure') ? html`<button type="button" class="btn small" onClick=${() => detach(one)}>Detach</button>` : null) },
        ],
        empty: h(Empty, { icon: 'hard-drive', title: 'No volumes', text: 'What the app writes into its container is gone with the next deployment. Keep uploads and databases in a volume.', small: true, action: allows(app, 'configure') ? html`<button type="button" class="btn" onClick=${add}>${icon('plus')}Add volume</button>` : null }),
      }))}
    ${app.source.kind === 'compose' ? null : h(Files, { app })}
    ${loose.length ? h(Panel, { title: 'Not attached', note: `Volumes of ${app.environment.name} that no app uses`, flush: true }, html`<ul class="lines">${loose.map((one) => html`<li>${icon('hard-drive')}<span class="grow cut">${one.name}</span><span class="faint num">${bytes(one.bytes)}</span>
      ${allows(app, 'delete') ? html`<button type="button" class="btn ghost small danger" onClick=${() => confirm({ title: `Delete ${one.name}?`, text: 'The data in it is lost for good.', typed: one.name, action: 'Delete volume', objects: [{ icon: 'hard-drive', label: one.name, note: 'volume', bytes: one.bytes ?? undefined }], run: () => api.volumeDelete(one.id) }).then((done) => { if (done) volumes.load(); })}>Delete</button>` : null}</li>`)}</ul>`) : null}
  </div>`;
}

/** @param {{ app: App, volumes: Volume[], close: (done?: unknown) => void }} props */
function AddVolume({ app, volumes, close }) {
  const form = useForm({ volume: `${app.name.slice(0, 50)}-data`, path: '/data', read_only: false });
  const values = form.values.value;
  const known = volumes.find((one) => one.name === values.volume.trim());
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => {
    putApp(await api.appUpdate(app.id, { mounts: [...asInput(app, app.mounts), { volume: known?.id ?? values.volume.trim(), path: values.path.trim(), read_only: values.read_only }] })); close(true); }); }}>
    ${h(DialogHead, { title: 'Add a volume', close: () => close() })}
    ${h(TextField, { label: 'Volume', value: values.volume, set: form.set('volume'), mono: true, required: true, list: 'volumes-known', error: form.error('volume', 'name', 'mounts'), hint: known ? `Exists, ${bytes(known.bytes)}${known.apps.length ? `, also used by ${known.apps.map((one) => one.name).join(', ')}` : ''}` : 'A new volume of this name is made.' })}
    <datalist id="volumes-known">${volumes.map((one) => html`<option value=${one.name} />`)}</datalist>
    ${h(TextField, { label: 'Path in the container', value: values.path, set: form.set('path'), mono: true, required: true, placeholder: '/data', error: form.error('path') })}
    ${values.read_only || app.stops_first || hasServices(app.source) ? null : html`<p class="hint">From then on a deployment stops the old container before the new one starts, since two must not write to a volume at once.</p>`}
    ${h(Switch, { label: 'Read only', on: values.read_only, set: form.set('read_only') })}
    ${h(FormProblem, { text: form.general(['volume', 'path', 'name', 'mounts']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Add volume' })}</footer></form>`;
}
