// Logins at registries of images.
import { html, h, icon, useEffect } from '../lib/html.js';
import { network } from '../lib/network.js';
import { route, setQuery } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Ago } from '../parts/time.js';
import { Act } from '../parts/act.js';
import { Empty } from '../parts/empty.js';
import { confirm, DialogHead, leaving, showForm } from '../parts/dialog.js';
import { toast } from '../parts/toast.js';
import { FormProblem, Submit, Switch, TextField, useForm } from '../parts/field.js';
import { everywhere } from '../lib/rights.js';

/** @typedef {import('../lib/api.js').S<'Registry'>} Registry */

export default function RegistriesPage() {
  useTrail([{ label: 'Registries' }]);
  const found = useResource('registries', network.registryList, ['registry_added', 'registry_removed']);
  const can = everywhere('configure');
  const again = (/** @type {unknown} */ done) => { if (done) found.load(); };
  const edit = (/** @type {Registry | null} */ one) => showForm(one ? `Login at ${one.server}` : 'Add a login', (close, leave) => h(RegistryForm, { registry: one, close, leave })).then(again);
  useEffect(() => { if (route.value.query.has('new')) { setQuery('new', null); if (can) edit(null); } }, []);
  const remove = (/** @type {Registry} */ one) => confirm({ title: `Forget the login at ${one.server}?`, text: 'Private images of it can no longer be pulled. What runs goes on.', objects: [{ icon: 'package', label: one.server, note: one.user }], action: 'Forget', run: () => network.registryDelete(one.id) }).then(again);
  const add = can ? html`<button type="button" class="btn primary" onClick=${() => edit(null)}>${icon('plus')}Add login</button>` : null;
  return html`<div class="page">${h(PageHead, { title: 'Registries', note: 'Logins for images that are not public', actions: found.value.value?.length ? add : null })}
    ${h(Panel, { flush: true }, h(/** @type {typeof Table<Registry>} */ (Table), {
      label: 'Registries', rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.id, sort: { id: 'server' },
      columns: [
        { id: 'server', label: 'Registry', width: '38%', card: 'head', sort: (one) => one.server, cell: (one) => html`<code class="strong">${one.server}</code>` },
        { id: 'user', label: 'User', sort: (one) => one.user, cell: (one) => html`<span class="dim cut" title=${one.user}>${one.user}</span>` },
        { id: 'added', label: 'Added', width: '120px', sort: (one) => one.created_at, cell: (one) => html`<span class="dim">${h(Ago, { at: one.created_at })}</span>` },
        { id: 'actions', label: '', width: '180px', align: 'right', card: 'plain', cell: (one) => (can ? html`<span class="cell-actions">${h(Act, { label: 'Test', icon: 'plug-zap', small: true, run: async () => { await network.registryTest(one.id); toast(`${one.server} takes the login`, { tone: 'ok' }); } })}<button type="button" class="btn ghost small square" aria-label=${`Change the login at ${one.server}`} title="Change" onClick=${() => edit(one)}>${icon('pencil')}</button><button type="button" class="btn ghost small square" aria-label=${`Forget the login at ${one.server}`} title="Forget" onClick=${() => remove(one)}>${icon('trash-2')}</button></span>` : null) },
      ],
      empty: h(Empty, { icon: 'package', title: 'No login yet', text: 'Public images need none. For private ones, keep a login here: apps are pulled with it, and builds use it for their base images.', action: add }),
    }))}</div>`;
}

/** @param {{ registry: Registry | null, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function RegistryForm({ registry, close, leave }) {
  const form = useForm({ server: registry?.server ?? '', user: registry?.user ?? '', password: '', unchecked: false });
  const cancel = leaving(form, close, leave);
  const v = form.values.value;
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => close(await network.registryCreate({ server: v.server.trim(), user: v.user.trim(), password: v.password, unchecked: v.unchecked }))); }}>
    ${h(DialogHead, { title: registry ? `Login at ${registry.server}` : 'Add a login', note: 'The registry is asked first whether it takes it.', close: cancel })}
    ${h(TextField, { label: 'Registry', value: v.server, set: form.set('server'), mono: true, required: true, disabled: Boolean(registry), autofocus: !registry, placeholder: 'ghcr.io', error: form.error('server', 'registry'), hint: 'As it stands before the first / of an image; docker.io for Docker Hub.' })}
    <div class="form-row">${h(TextField, { label: 'User', value: v.user, set: form.set('user'), required: true, autocomplete: 'off', error: form.error('user') })}${h(TextField, { label: 'Password or token', type: 'password', value: v.password, set: form.set('password'), required: true, autocomplete: 'new-password', error: form.error('password'), hint: 'Better a token that may only pull.' })}</div>
    ${h(Switch, { label: 'Keep it without asking', hint: 'For a registry that cannot be reached just now.', on: v.unchecked, set: form.set('unchecked') })}
    ${h(FormProblem, { text: form.general(['server', 'registry', 'user', 'password']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: registry ? 'Save' : 'Add login' })}</footer></form>`;
}
