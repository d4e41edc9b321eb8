// Configuration files of an app: text that is put into each new container, and is part of the release.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { refreshApp } from '../lib/live.js';
import { bytes } from '../lib/format.js';
import { Panel } from './page.js';
import { Table } from './table.js';
import { Empty } from './empty.js';
import { Ago } from './time.js';
import { confirm, DialogHead, leaving, showForm } from './dialog.js';
import { useForm, TextField, Switch, FormProblem, Submit } from './field.js';
import { allows } from '../lib/rights.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */
/** @typedef {import('../lib/api.js').S<'File'>} File */

/** @param {{ app: App }} props */
export function Files({ app }) {
  const found = useResource(`files:${app.id}`, () => api.fileList(app.id), ['file_changed'], (message) => message.data?.app === app.id);
  const changed = () => { found.load(); refreshApp(app.id); };
  const edit = (/** @type {File | null} */ file) => showForm(file ? `Edit ${file.path}` : 'New file', (close, leave) => h(FileForm, { app, file, close, leave }), { wide: true }).then((done) => { if (done) changed(); });
  // A secret one is brought, and that recorded, when it is edited.
  const open = async (/** @type {File} */ file) => edit(file.content === null ? (await api.fileList(app.id, true)).find((one) => one.path === file.path) ?? file : file);
  const remove = (/** @type {File} */ file) => confirm({ title: `Remove ${file.path}?`, text: 'From the next deployment on it is not in the container. Releases that have it keep it.', action: 'Remove', objects: [{ icon: 'file-text', label: file.path, bytes: file.bytes }], run: () => api.fileRemove(app.id, file.path) }).then((done) => { if (done) changed(); });
  return h(Panel, { title: 'Files', note: 'Configuration as text, put into each new container; part of the release', flush: true, actions: allows(app, 'configure') ? html`<button type="button" class="btn small" onClick=${() => edit(null)}>${icon('plus')}Add file</button>` : null },
    h(/** @type {typeof Table<File>} */ (Table), {
      label: 'Files', rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.path, columns: [
        { id: 'path', label: 'Path in the container', card: 'head', cell: (one) => html`<span class="cell-name">${icon(one.secret ? 'lock' : 'file-text')}<code class="cut">${one.path}</code></span>` },
        { id: 'mode', label: 'Mode', width: '80px', cell: (one) => html`<code>${one.mode}</code>` },
        { id: 'size', label: 'Size', width: '100px', align: 'right', cell: (one) => bytes(one.bytes) },
        { id: 'changed', label: 'Changed', width: '170px', card: 'hide', cell: (one) => html`<span class="dim">${h(Ago, { at: one.updated_at })} by ${one.updated_by}</span>` },
        { id: 'actions', label: '', width: '170px', align: 'right', card: 'plain', cell: (one) => (allows(app, 'configure') ? html`<span class="row"><button type="button" class="btn small" onClick=${() => open(one)}>Edit</button><button type="button" class="btn ghost small" onClick=${() => remove(one)}>Remove</button></span>` : null) },
      ],
      empty: h(Empty, { icon: 'file-text', title: 'No files', text: 'A configuration file that differs from place to place, such as /etc/app.ini, need not be in the image.', small: true, action: allows(app, 'configure') ? html`<button type="button" class="btn" onClick=${() => edit(null)}>${icon('plus')}Add file</button>` : null }),
    }));
}

/** @param {{ app: App, file: File | null, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function FileForm({ app, file, close, leave }) {
  const form = useForm({ path: file?.path ?? '', mode: file?.mode ?? '644', content: file?.content ?? '', secret: file?.secret ?? false });
  const v = form.values.value;
  const away = leaving(form, () => close(), leave);
  const save = async () => { await api.filePut(app.id, { path: v.path.trim(), mode: v.mode.trim(), content: v.content, secret: v.secret }); close(true); };
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(save); }}>
    ${h(DialogHead, { title: file ? file.path : 'New file', note: 'It is in the container after the next deployment.', close: away })}
    <div class="form-row">${h(TextField, { label: 'Path in the container', value: v.path, set: form.set('path'), mono: true, required: true, placeholder: '/etc/app.ini', disabled: Boolean(file), error: form.error('path', 'mount') })}${h(TextField, { label: 'Mode', value: v.mode, set: form.set('mode'), mono: true, hint: 'Its owner is root.', error: form.error('mode') })}</div>
    ${h(TextField, { label: 'Content', value: v.content, set: form.set('content'), mono: true, rows: 16, error: form.error('content') })}
    ${h(Switch, { label: 'Secret', hint: 'Its content is not shown unless somebody with the right asks; that is recorded.', on: v.secret, set: form.set('secret') })}
    ${h(FormProblem, { text: form.general(['path', 'mount', 'mode', 'content']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${away}>Cancel</button>${h(Submit, { form, label: 'Save' })}</footer></form>`;
}
