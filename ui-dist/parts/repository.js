// Picks a repository and a branch at a connected forge.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { forges } from '../lib/forges.js';
import { useResource } from '../lib/resource.js';
import { sentence } from '../lib/format.js';
import { SelectField, TextField } from './field.js';

/** @typedef {import('../lib/api.js').S<'ForgeRepository'>} Repository */
/** @typedef {import('./app-form.js').Form} Form */

/** The connections there are; none for somebody who may not see them. */
export const useForges = () => useResource('forges', () => forges.list().catch(() => []), ['forge_connected', 'forge_changed', 'forge_removed']).value.value ?? [];

/** Answers what `load` gives for the newest `key`, some moments after it stopped changing. @template T @param {string} key @param {() => Promise<T>} load */
function useLate(key, load) {
  const [state, setState] = useState(/** @type {{ key: string, value?: T, error?: Error } | null} */ (null));
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(() => load().then((value) => { if (!gone) setState({ key, value }); }, (error) => { if (!gone) setState({ key, error }); }), 250);
    return () => { gone = true; clearTimeout(timer); };
  }, [key]);
  return state;
}

/** @param {{ form: Form, forge: string }} props */
export function RepositoryPick({ form, forge }) {
  const v = form.values.value;
  const [search, setSearch] = useState('');
  const [open, setOpen] = useState(!v.repository);
  const found = useLate(open ? `${forge} ${search}` : 'closed', async () => (open ? forges.repositories(forge, search) : null));
  const branches = useLate(v.repository ? `${forge} ${v.repository}` : 'none', async () => (v.repository ? forges.branches(forge, v.repository) : null));
  const pick = (/** @type {Repository} */ one) => { form.set('url')(one.clone_url); form.set('repository')(one.path); form.set('branch')(''); setOpen(false); };
  const names = branches?.value?.items.map((one) => one.name) ?? [];
  if (!open) {
    return html`<div class="form-row"><div class="field"><div class="label-row"><span class="label">Repository</span></div><div class="row"><code class="any strong">${v.repository}</code><span class="end"><button type="button" class="btn small" onClick=${() => setOpen(true)}>${icon('search')}Another one</button></span></div></div>
      ${branches?.error || branches?.value?.more ? h(TextField, { label: 'Branch', value: v.branch, set: form.set('branch'), mono: true, optional: true, placeholder: 'default branch', error: form.error('branch', 'source.branch') ?? (branches.error ? sentence(branches.error.message) : undefined) })
    : h(SelectField, { label: 'Branch', value: v.branch, set: form.set('branch'), options: [{ value: '', label: 'the default branch' }, ...(v.branch && !names.includes(v.branch) ? [v.branch, ...names] : names).map((name) => ({ value: name, label: name }))], error: form.error('branch', 'source.branch') })}</div>`;
  }
  const items = found?.value?.items;
  return html`<div class="stack tight">${h(TextField, { label: 'Repository', value: search, set: setSearch, placeholder: 'Search', error: form.error('repository', 'source.repository') })}
    ${found?.error ? html`<p class="problem" role="alert"><span>${sentence(found.error.message)}</span></p>` : !items ? html`<p class="dim" role="status">Asking the forge…</p>` : items.length ? html`<ul class="repositories" aria-label="Repositories">${items.map((one) => html`<li key=${one.path}><button type="button" class="repository" onClick=${() => pick(one)}>${icon(one.private ? 'lock' : 'git-branch')}<span class="grow cut"><b class="strong">${one.path}</b> <span class="dim">${one.description}</span></span>${one.default_branch ? html`<code class="dim">${one.default_branch}</code>` : null}</button></li>`)}</ul>${found?.value?.more ? html`<p class="hint">There are more: search for them.</p>` : null}` : html`<p class="dim">No repository fits${search ? '' : '; is it shared with this connection?'}</p>`}</div>`;
}
