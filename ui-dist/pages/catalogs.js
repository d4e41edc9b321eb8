// Catalogs beside the one that comes with the program: from Git, from the web, or filled by hand and by imports.
import { html, h, icon, useState } from '../lib/html.js';
import { catalogs } from '../lib/catalogs.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Ago } from '../parts/time.js';
import { Act } from '../parts/act.js';
import { Empty } from '../parts/empty.js';
import { confirm, DialogHead, leaving, showForm } from '../parts/dialog.js';
import { toast } from '../parts/toast.js';
import { PickFile } from '../parts/pick-file.js';
import { FormProblem, SelectField, Submit, TextField, useForm } from '../parts/field.js';
import { everywhere, has } from '../lib/rights.js';

/** @template {keyof import('../lib/api.js').Schemas} K @typedef {import('../lib/api.js').S<K>} S */
/** @typedef {S<'Catalog'>} Catalog */

const EVENTS = ['catalog_added', 'catalog_changed', 'catalog_removed'];

export default function CatalogsPage() {
  useTrail([{ label: 'Marketplace', href: '/marketplace' }, { label: 'Catalogs' }]);
  const found = useResource('catalogs', catalogs.list, EVENTS);
  const admin = has('administer');
  const again = (/** @type {unknown} */ done) => { if (done) found.load(); };
  const add = admin ? html`<button type="button" class="btn primary" onClick=${() => showForm('Add a catalog', (close, leave) => h(AddForm, { close, leave })).then(again)}>${icon('plus')}Add catalog</button>` : null;
  const bring = () => showForm('Import a template', (close, leave) => h(ImportForm, { own: (found.value.value ?? []).filter((one) => one.kind === 'own').map((one) => one.name), close, leave })).then(again);
  const remove = (/** @type {Catalog} */ one) => confirm({ title: `Remove the catalog ${one.name}?`, text: 'Apps that were installed from it stay as they are, and hear of no newer versions.', objects: [{ icon: 'layers', label: one.name, note: one.url ?? 'filled by hand' }], action: 'Remove', run: () => catalogs.remove(one.name) }).then(again);
  return html`<div class="page">${h(PageHead, { title: 'Catalogs', note: 'More templates for the marketplace', actions: found.value.value?.length ? html`<button type="button" class="btn" onClick=${bring}>${icon('upload')}Import</button>${add}` : null })}
    ${h(Panel, { flush: true }, h(/** @type {typeof Table<Catalog>} */ (Table), {
      label: 'Catalogs', rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.id, sort: { id: 'name' },
      columns: [
        { id: 'name', label: 'Catalog', width: '24%', card: 'head', sort: (one) => one.name, cell: (one) => html`<span class="cell-two"><b class="strong">${one.name}</b>${one.key ? html`<span>${one.signed_at ? html`signed ${h(Ago, { at: one.signed_at })}` : 'signed'}</span>` : null}</span>` },
        { id: 'from', label: 'From', cell: (one) => html`<span class="dim cut" title=${one.url ?? ''}>${one.url ? html`<code>${one.url}${one.branch ? ` ${one.branch}` : ''}${one.folder && one.folder !== '.' ? ` ${one.folder}` : ''}</code>` : 'filled by hand'}</span>${one.problem ? html`<span class="tag bad" title=${one.problem}>cannot be read</span>` : null}` },
        { id: 'templates', label: 'Templates', width: '130px', sort: (one) => one.templates, cell: (one) => html`<span>${one.templates}${one.left_out.length ? html` <span class="tag warn" title=${one.left_out.map((left) => `${left.name}: ${left.why}`).join('\n')}>${one.left_out.length} left out</span>` : null}</span>` },
        { id: 'read', label: 'Read', width: '120px', sort: (one) => one.read_at ?? '', cell: (one) => html`<span class="dim">${one.read_at ? h(Ago, { at: one.read_at }) : ''}</span>` },
        { id: 'actions', label: '', width: '150px', align: 'right', card: 'plain', cell: (one) => html`<span class="cell-actions">${one.kind !== 'own' && everywhere('configure') ? h(Act, { label: 'Read', icon: 'refresh-cw', small: true, run: async () => { const read = await catalogs.refresh(one.name); toast(`${read.name} has ${read.templates} templates`, { tone: 'ok' }); await found.load(); } }) : null}${admin ? html`<button type="button" class="btn ghost small square" aria-label=${`Remove the catalog ${one.name}`} title="Remove" onClick=${() => remove(one)}>${icon('trash-2')}</button>` : null}</span>` },
      ],
      empty: h(Empty, { icon: 'layers', title: 'No catalogs but the program’s own', text: 'Add the catalog of your team from Git or the web, or make one of your own and import templates of Portainer, CapRover, Coolify or Dokploy into it.', action: add }),
    }))}</div>`;
}

/** @param {{ close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function AddForm({ close, leave }) {
  const form = useForm({ name: '', kind: 'git', url: '', branch: '', folder: '', user: '', password: '', key: '' });
  const cancel = leaving(form, close, leave);
  const v = form.values.value;
  const some = (/** @type {string} */ text) => text.trim() || null;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    const kind = /** @type {S<'CatalogKind'>} */ (v.kind);
    const git = kind === 'git' ? { branch: some(v.branch), folder: some(v.folder), user: some(v.user), password: v.password || null } : {};
    form.submit(async () => close(await catalogs.create({ name: v.name.trim(), kind, ...(kind === 'own' ? {} : { url: v.url.trim(), key: some(v.key) }), ...git })));
  };
  return html`<form class="stack" onSubmit=${submit}>
    ${h(DialogHead, { title: 'Add a catalog', note: v.kind === 'own' ? 'An empty one, to be filled by imports and by hand.' : 'It is read at once, and every few hours from then on.', close: cancel })}
    <div class="form-row">${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), mono: true, required: true, autofocus: true, placeholder: 'acme', error: form.error('name', 'slug'), hint: 'Stands before its templates: acme:wiki.' })}${h(SelectField, { label: 'From', value: v.kind, set: form.set('kind'), options: [{ value: 'git', label: 'A repository' }, { value: 'web', label: 'An index on the web' }, { value: 'own', label: 'Nowhere: my own' }] })}</div>
    ${v.kind === 'own' ? null : h(TextField, { label: 'Address', value: v.url, set: form.set('url'), mono: true, required: true, inputmode: 'url', placeholder: v.kind === 'git' ? 'https://git.example.com/team/catalog.git' : 'https://example.com/catalog/index.json', error: form.error('url', 'git') })}
    ${v.kind === 'git' ? html`<div class="form-row">${h(TextField, { label: 'Branch', value: v.branch, set: form.set('branch'), mono: true, optional: true, error: form.error('branch') })}${h(TextField, { label: 'Folder', value: v.folder, set: form.set('folder'), mono: true, optional: true, error: form.error('folder'), hint: 'With a folder for each template.' })}</div>
      <div class="form-row">${h(TextField, { label: 'User', value: v.user, set: form.set('user'), optional: true, autocomplete: 'off', error: form.error('user') })}${h(TextField, { label: 'Password or token', type: 'password', value: v.password, set: form.set('password'), optional: true, autocomplete: 'new-password', error: form.error('password') })}</div>` : null}
    ${v.kind === 'own' ? null : h(TextField, { label: 'Key of its publisher', value: v.key, set: form.set('key'), mono: true, optional: true, error: form.error('key', 'signature', 'index.json'), hint: 'A public key of minisign. Only what is signed with it is taken.' })}
    ${h(FormProblem, { text: form.general(['name', 'slug', 'url', 'git', 'branch', 'folder', 'user', 'password', 'key', 'signature', 'index.json']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: 'Add catalog' })}</footer></form>`;
}

/** @param {S<'ImportedTemplate'>} one */
const isReady = (one) => !one.fetch.length && !one.problems.length;
/** @param {S<'ImportedTemplate'>} one */
const notesOf = (one) => [...one.problems.map((why) => `Cannot be carried over: ${why}`), ...one.fetch.map((address) => `Needs the file at ${address}.`), ...one.notes];

/** @param {{ own: string[], close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function ImportForm({ own, close, leave }) {
  const form = useForm({ into: own[0] ?? '', format: '', url: '', text: '', compose: '' });
  const cancel = leaving(form, close, leave);
  const [found, setFound] = useState(/** @type {S<'ImportedTemplate'>[] | null} */ (null));
  const [picked, setPicked] = useState(/** @type {Set<string>} */ (new Set()));
  const v = form.values.value;
  const [pasted, setPasted] = useState(/** @type {Record<string, string>} */ ({}));
  const convert = (/** @type {Event | null} */ event, get = false) => {
    event?.preventDefault();
    return form.submit(async () => {
      const format = /** @type {S<'CatalogFormat'> | null} */ (v.format || null);
      const given = Object.fromEntries(Object.entries(pasted).filter(([, text]) => text.trim()));
      const { templates } = await catalogs.convert({ format, ...(v.url.trim() ? { url: v.url.trim() } : { text: v.text }), fetch: get, files: { ...given, ...(v.compose.trim() ? { 'docker-compose.yml': v.compose } : {}) } });
      setFound(templates);
      setPicked(new Set(templates.filter(isReady).map((one) => one.name)));
    });
  };
  const keep = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      for (const one of found ?? []) if (picked.has(one.name)) await catalogs.putTemplate(v.into, one.name, { template: one.template, compose: one.compose });
      close(true);
    });
  };
  const toggle = (/** @type {string} */ name) => setPicked((before) => { const next = new Set(before); if (!next.delete(name)) next.add(name); return next; });
  if (!own.length) return html`<div class="stack">${h(DialogHead, { title: 'Import a template', close: cancel })}<p>An import goes into a catalog of your own. Add one first: Add catalog, From: Nowhere: my own.</p><footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Close</button></footer></div>`;
  if (found) {
    const missing = [...new Set(found.flatMap((one) => one.fetch))];
    return html`<form class="stack" onSubmit=${keep}>${h(DialogHead, { title: 'Import a template', note: 'What comes out, and what differs from how it was there.', close: cancel })}
      <ul class="import-list">${found.map((one) => html`<li key=${one.name}><label class="row import-pick"><input class="check" type="checkbox" disabled=${!isReady(one)} checked=${picked.has(one.name)} onChange=${() => toggle(one.name)} /><span class="cell-two"><b class="strong">${one.title}</b><span class="mono">${v.into}:${one.name}</span></span></label>${notesOf(one).length ? html`<ul class="dim small">${notesOf(one).map((note) => html`<li>${note}</li>`)}</ul>` : null}</li>`)}</ul>
      ${missing.length ? html`<div class="notice middle">${icon('globe')}<span class="grow">${missing.length === 1 ? 'One file lies' : `${missing.length} files lie`} elsewhere. The panel can get ${missing.length === 1 ? 'it' : 'them'}, or paste ${missing.length === 1 ? 'it' : 'them'} here.</span>${h(Act, { label: 'Get them', icon: 'download', small: true, run: () => convert(null, true) })}</div>
        ${missing.slice(0, 5).map((address) => h(TextField, { key: address, label: address, value: pasted[address] ?? '', set: (text) => setPasted((before) => ({ ...before, [address]: text })), mono: true, rows: 4, optional: true }))}
        ${missing.some((address) => pasted[address]?.trim()) ? html`<div class="row">${h(Act, { label: 'Convert with these', icon: 'refresh-cw', small: true, run: () => convert(null) })}</div>` : null}` : null}
      ${h(FormProblem, { text: form.general([]) })}
      <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => setFound(null)}>Back</button>${h(Submit, { form, label: `Keep ${picked.size}`, disabled: !picked.size })}</footer></form>`;
  }
  return html`<form class="stack" onSubmit=${convert}>${h(DialogHead, { title: 'Import a template', note: 'Of Portainer, CapRover, Coolify or Dokploy. You see what comes out before it is kept.', close: cancel })}
    <div class="form-row">${h(SelectField, { label: 'Into', value: v.into, set: form.set('into'), options: own.map((name) => ({ value: name, label: name })) })}${h(SelectField, { label: 'Format', value: v.format, set: form.set('format'), options: [{ value: '', label: 'Recognise it' }, { value: 'portainer', label: 'Portainer' }, { value: 'caprover', label: 'CapRover' }, { value: 'coolify', label: 'Coolify' }, { value: 'dokploy', label: 'Dokploy' }] })}</div>
    ${h(TextField, { label: 'Address', value: v.url, set: form.set('url'), mono: true, optional: true, inputmode: 'url', placeholder: 'https://example.com/templates.json', error: form.error('url'), hint: 'Of the file, where it lies on the web. Else paste it below.' })}
    ${v.url.trim() ? null : h(TextField, { label: 'Template', value: v.text, set: form.set('text'), mono: true, required: true, rows: 12, error: form.error('text', 'format'), aside: h(PickFile, { accept: '.json,.yaml,.yml,.toml', set: form.set('text') }), hint: 'templates.json, the YAML of a one-click app, a Compose file, or template.toml.' })}
    ${!v.url.trim() && (v.format === 'dokploy' || /^\s*\[(variables|config)/m.test(v.text)) ? h(TextField, { label: 'docker-compose.yml', value: v.compose, set: form.set('compose'), mono: true, rows: 8, required: true, error: form.error('files'), aside: h(PickFile, { accept: '.yaml,.yml', set: form.set('compose') }) }) : null}
    ${h(FormProblem, { text: form.general(['url', 'text', 'format', 'files']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: 'Convert', disabled: !v.text.trim() && !v.url.trim() })}</footer></form>`;
}
