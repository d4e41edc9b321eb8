// The environment editor: a grid, or the raw text of a .env file; secrets masked; only what changed is saved.
import { html, h, icon, cx, useMemo, useEffect, useRef, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { guard } from '../lib/router.js';
import { environmentModel } from '../lib/environment.js';
import { exact, plural } from '../lib/format.js';
import { useResource } from '../lib/resource.js';
import { Act } from './act.js';
import { DialogHead, showDialog } from './dialog.js';
import { Diff } from './diff.js';
import { Panel } from './page.js';
import { Ago } from './time.js';
import { Copy } from './copy.js';
import { Choice } from './field.js';
import { Empty, Failed, Loading } from './empty.js';
import { allows } from '../lib/rights.js';
import { toast } from './toast.js';

/** Where what may be done to it is said. @typedef {{ rights: import('../lib/rights.js').Right[] }} Place */

/** How the model reaches the variables of any owner. */
const calls = { variableList: (/** @type {string} */ owner, reveal = false) => api.sharedVariableList(owner, { reveal }), variableUpdate: api.sharedVariableUpdate };

/** @param {{ owner: string, place: Place, saved?: () => void }} props `owner`: as the API names it, such as `project:shop` */
export function EnvironmentEditor({ owner, place, saved }) {
  const model = useMemo(() => environmentModel(calls, owner), [owner]);
  const [turn, setTurn] = useState(0);
  const [mode, setMode] = useState(/** @type {'grid' | 'raw'} */ ('grid'));
  const [raw, setRaw] = useState('');
  const [rawErrors, setRawErrors] = useState(/** @type {{ line: number, message: string }[]} */ ([]));
  const [query, setQuery] = useState('');
  const [failure, setFailure] = useState(/** @type {Error | null} */ (null));
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const can = allows(place, 'configure');
  useEffect(() => { model.load(); }, [model]);
  const dirty = model.changes.value.all > 0;
  useEffect(() => {
    guard.current = dirty ? () => !window.confirm('Leave without saving the changes to the environment?') : null;
    const ask = (/** @type {Event} */ event) => { if (dirty) event.preventDefault(); };
    addEventListener('beforeunload', ask);
    return () => { guard.current = null; removeEventListener('beforeunload', ask); };
  }, [dirty]);

  const rows = model.rows.value;
  if (model.error.value && !rows) return h(Failed, { error: model.error.value, retry: model.load });
  if (!rows) return html`<section class="panel">${h(Loading, { rows: 8 })}</section>`;
  const hidden = rows.some((row) => row.value === null);
  const words = query.toLowerCase();
  const shown = words ? rows.filter((row) => row.key.toLowerCase().includes(words) || (!row.secret && row.value?.toLowerCase().includes(words))) : rows;
  const change = model.changes.value;

  const toRaw = async (/** @type {string} */ next) => {
    if (next === 'raw') { setRaw(model.raw()); setRawErrors([]); setMode('raw'); return; }
    const errors = model.fromRaw(raw);
    setRawErrors(errors);
    if (!errors.length) setMode('grid');
  };
  const add = () => {
    setQuery('');
    model.add();
    requestAnimationFrame(() => { const fields = box.current?.querySelectorAll('input[data-key]'); /** @type {HTMLElement | undefined} */ (fields?.[fields.length - 1])?.focus(); });
  };
  const done = () => { setTurn(turn + 1); saved?.(); };
  const review = async () => {
    setFailure(null);
    try {
      const preview = await api.sharedVariablePreview(owner, model.update());
      await showDialog('Review the change', (close) => h(Review, { preview, close, save: async (deploy) => { await model.save(deploy); done(); close(); } }), { wide: true });
    } catch (error) { setFailure(/** @type {Error} */ (error)); }
  };
  const history = () => showDialog('History', (close) => h(History, { owner, place, close, restored: async () => { await model.load(); done(); } }), { wide: true });
  const pasted = (/** @type {ClipboardEvent} */ event) => {
    const text = event.clipboardData?.getData('text') ?? '';
    if (!/^\s*(export\s+)?[A-Za-z_]\w*\s*=/m.test(text)) return;
    event.preventDefault();
    const many = model.paste(text);
    toast(`Took ${plural(many, 'variable')} from the clipboard`, { tone: 'ok', seconds: 4 });
  };
  const typeRaw = (/** @type {any} */ event) => { setRaw(event.target.value); setRawErrors(model.fromRaw(event.target.value)); };

  return html`<div class="stack"><section class="panel flush env" aria-label="Environment variables" ref=${box}>
    <div class="env-bar">
      ${mode === 'grid' ? rows.length === 0 ? null : html`<label class="search">${icon('search')}<span class="unseen">Filter variables</span><input type="search" class="input" data-search placeholder=${`Filter ${rows.length} variables`} value=${query} onInput=${(/** @type {any} */ event) => setQuery(event.target.value)} /></label>` : html`<span class="small dim">One <code>KEY=value</code> a line. Quotes and several lines work as in Docker.</span>`}
      <span class="grow"></span>
      ${h(Choice, { label: 'Editor', small: true, value: mode, set: toRaw, options: [{ value: 'grid', label: 'Grid' }, { value: 'raw', label: 'Raw' }] })}
      ${can ? hidden ? h(Act, { label: 'Reveal', icon: 'eye', small: true, title: 'Show the values of secrets; this is recorded', run: async () => { await model.reveal(); if (mode === 'raw') setRaw(model.raw()); } }) : model.revealed.value ? html`<button type="button" class="btn small" onClick=${() => { model.hide(); if (mode === 'raw') setRaw(model.raw()); }}>${icon('eye-off')}Hide</button>` : null : null}
      ${can ? h(Copy, { text: () => api.sharedVariableExport(owner), label: 'Copy as .env', show: true }) : null}
      <button type="button" class="btn small" onClick=${history}>${icon('history')}History</button>
      ${can && mode === 'grid' ? html`<button type="button" class="btn small" onClick=${add}>${icon('plus')}Add</button>` : null}
    </div>
    ${mode === 'raw' ? html`<textarea class="input code env-raw" aria-label="Environment as .env text" aria-invalid=${rawErrors.length ? 'true' : undefined} spellcheck="false" readonly=${!can} value=${raw} onInput=${typeRaw}></textarea>
      ${rawErrors.length ? html`<ul class="inset small bad-text">${rawErrors.slice(0, 5).map((one) => html`<li>Line ${one.line}: ${one.message}</li>`)}</ul>` : null}`
      : rows.length === 0 ? h(Empty, { icon: 'key-round', title: 'No variables yet', text: `What the app reads from its environment: addresses, keys, switches. Values are sealed at rest.${can ? ' Paste a .env file here, or add them one by one.' : ''}`, action: can ? html`<button type="button" class="btn primary" onClick=${add}>${icon('plus')}Add a variable</button><button type="button" class="btn" onClick=${() => toRaw('raw')}>Paste a .env file</button>` : null })
      : html`<div class="env-grid" role="table" aria-label="Variables" onPaste=${pasted}>
        <div class="env-row env-head" role="row"><span role="columnheader">Name</span><span role="columnheader">Value</span><span role="columnheader">Available at</span><span role="columnheader">Secret</span><span role="columnheader"><span class="unseen">Actions</span></span></div>
        ${shown.map((row) => h(EnvRow, { key: row.id, row, model, can, problem: model.problems.value.get(row.id) ?? '' }))}
        ${shown.length ? null : html`<p class="nothing">Nothing matches “${query}”.</p>`}</div>`}
    ${rows.length || mode === 'raw' ? html`<p class="inset tiny faint">In a value <code>\${NAME}</code> stands for another variable, <code>\${APP.NAME}</code> for one of another app in the same environment.</p>` : null}
    ${can && (change.all || failure) ? html`<div class="env-save" role="region" aria-label="Unsaved changes">
      ${failure ? html`<span class="bad-text row">${icon('circle-alert')}${failure.message}</span>` : html`<span>${[change.added && `${change.added} added`, change.changed && `${change.changed} changed`, change.removed && `${change.removed} removed`].filter(Boolean).join(', ')}<span class="faint hide-phone"> · live after the next deployment</span></span>`}
      <span class="grow"></span><button type="button" class="btn" onClick=${() => { model.discard(); setFailure(null); if (mode === 'raw') setRaw(model.raw()); }}>Discard</button>
      ${h(Act, { label: 'Review and save', tone: 'primary', run: review, disabled: model.problems.value.size > 0 || rawErrors.length > 0 || !change.all })}</div>` : null}
  </section>${owner === 'organization' ? null : h(Inherited, { key: `${owner} ${turn}`, owner, own: rows.filter((row) => !row.gone).map((row) => row.key), override: can ? (one) => { setMode('grid'); model.edit(model.add(), { key: one.key, value: one.value ?? '', scope: one.scope, secret: one.secret }); } : null })}</div>`;
}

/** @typedef {import('../lib/api.js').S<'Variable'>} Variable */

/** What comes from farther away, and from where. @param {{ owner: string, own: string[], override: ((one: Variable) => void) | null }} props */
function Inherited({ owner, own, override }) {
  const found = useResource(`inherited:${owner}`, () => api.sharedVariableList(owner, { inherited: true }), ['shared_variables_changed']);
  const list = found.value.value?.filter((one) => one.inherited && !own.includes(one.key));
  if (found.error.value) return h(Failed, { error: found.error.value, retry: found.load });
  if (!list?.length) return null;
  return h(Panel, { title: 'Inherited', note: 'What is set here takes the place of what comes from farther away: organization, project, environment, app, service.', flush: true },
    html`<ul class="lines inherited">${list.map((one) => html`<li key=${one.key}><code class="strong cut">${one.key}</code><span class="grow cut dim">${one.value === null ? html`<span class="masked" aria-label="hidden">••••••••</span>` : html`<code>${one.value}</code>`}</span><span class="tag">${one.from}</span>${override ? html`<button type="button" class="btn small" onClick=${() => override(one)}>Set here</button>` : null}</li>`)}</ul>`);
}

/** What a change does, before it is done. @param {{ preview: import('../lib/api.js').S<'VariablePreview'>, save: (deploy: boolean) => Promise<void>, close: () => void }} props */
function Review({ preview, save, close }) {
  const names = preview.apps.map((app) => app.name);
  return html`<div class="stack">${h(DialogHead, { title: 'Review the change', note: names.length ? `It reaches ${names.length > 6 ? plural(names.length, 'app') : names.join(', ')} with the next deployment.` : 'No app has these variables yet.', close })}
    <div class="panel flush">${h(Diff, { changes: preview.changes, from: 'Now', to: 'Then' })}</div>
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${names.length ? h(Act, { label: 'Save and deploy', icon: 'rocket', run: () => save(true) }) : null}${h(Act, { label: 'Save', tone: 'primary', run: () => save(false) })}</footer></div>`;
}

/** What variables were, who changed them and when. @param {{ owner: string, place: Place, close: () => void, restored: () => Promise<void> }} props */
function History({ owner, place, close, restored }) {
  const [reveal, setReveal] = useState(false);
  const found = useResource(`history:${owner}:${reveal}`, () => api.variableHistory(owner, reveal));
  const list = found.value.value;
  const hidden = list?.some((one) => one.secret && one.value === null && !one.removed);
  return html`<div class="stack">${h(DialogHead, { title: 'History', note: 'The last 50 versions of each variable. Restoring one takes effect with the next deployment.', close })}
    ${found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : !list ? h(Loading, { rows: 5 }) : list.length === 0 ? h(Empty, { icon: 'history', title: 'Nothing was changed yet', small: true })
      : html`<ul class="lines inherited history" tabindex="0" aria-label="Versions">${list.map((one, index) => html`<li key=${one.id}><code class="strong cut">${one.key}</code><span class="grow cut dim">${one.removed ? html`<span class="bad-text">removed</span>` : one.value === null ? html`<span class="masked" aria-label="hidden">••••••••</span>` : html`<code>${one.value}</code>`}</span><span class="small dim nowrap">${h(Ago, { at: one.at })} by ${one.by}</span>${allows(place, 'configure') && list.findIndex((other) => other.key === one.key) !== index ? h(Act, { label: 'Restore', icon: 'undo-2', small: true, run: async () => { await api.variableRestore(owner, one.id); await found.load(); await restored(); } }) : html`<span class="tag">now</span>`}</li>`)}</ul>`}
    <footer class="dialog-foot">${hidden && allows(place, 'secrets') ? h(Act, { label: 'Reveal', icon: 'eye', title: 'Show the values of secrets; this is recorded', run: () => setReveal(true) }) : null}<button type="button" class="btn" onClick=${() => close()}>Close</button></footer></div>`;
}

/** @param {{ row: import('../lib/environment.js').Row, model: ReturnType<typeof environmentModel>, can: boolean, problem: string }} props */
function EnvRow({ row, model, can, problem }) {
  const [open, setOpen] = useState(false);
  const edit = (/** @type {Partial<typeof row>} */ change) => model.edit(row.id, change);
  const name = row.key || 'new variable';
  const masked = row.secret && !open && !model.revealed.value && row.was && row.value !== null && row.value === row.was.value;
  const binary = row.was?.encoding === 'base64' && row.value === row.was.value;
  return html`<div role="row" class=${cx('env-row', row.gone && 'gone', !row.was && 'added', row.was && !row.gone && model.changed(row) && 'changed')} title=${row.was ? `Changed ${exact(row.was.updated_at)} by ${row.was.updated_by}` : undefined}>
    <span role="cell"><input class=${cx('input mono', problem && 'wrong-input')} data-key aria-label="Name" aria-invalid=${problem ? 'true' : undefined} title=${problem || row.key} placeholder="NAME" value=${row.key} disabled=${!can || row.gone} autocomplete="off" spellcheck="false" autocapitalize="characters" onInput=${(/** @type {any} */ event) => edit({ key: event.target.value.trim() })} />${problem ? html`<span class="hint bad-text">${problem}</span>` : null}</span>
    <span role="cell" class="env-value">${row.value === null || masked
      ? html`<button type="button" class="input masked-field" aria-label=${`Value of ${name}, hidden; set a new one`} disabled=${!can || row.gone} onClick=${() => { if (masked) setOpen(true); else edit({ value: '' }); }}><span class="masked" aria-hidden="true">••••••••••••</span></button>`
      : row.value.includes('\n')
        ? html`<textarea class="input mono" rows="1" aria-label=${`Value of ${name}`} value=${row.value} disabled=${!can || row.gone} spellcheck="false" onInput=${(/** @type {any} */ event) => edit({ value: event.target.value })}></textarea>`
        : html`<input class="input mono" aria-label=${`Value of ${name}`} placeholder=${row.was?.secret && row.was.value === null ? 'new value' : 'value'} value=${row.value} disabled=${!can || row.gone} title=${binary ? 'Binary, shown as base64' : undefined} autocomplete="off" spellcheck="false" onInput=${(/** @type {any} */ event) => edit({ value: event.target.value })} />`}</span>
    <span role="cell"><span class="select-box"><select class="input" aria-label=${`When ${name} is available`} value=${row.scope} disabled=${!can || row.gone} onChange=${(/** @type {any} */ event) => edit({ scope: event.target.value })}>
      <option value="run" selected=${row.scope === 'run'}>Run</option><option value="build" selected=${row.scope === 'build'}>Build</option><option value="both" selected=${row.scope === 'both'}>Both</option></select>${icon('chevron-down')}</span></span>
    <span role="cell"><label class="secret-switch switch"><input type="checkbox" role="switch" aria-label=${`${name} is secret`} checked=${row.secret} disabled=${!can || row.gone} onChange=${(/** @type {any} */ event) => edit({ secret: event.target.checked })} /></label></span>
    <span role="cell" class="env-tools cell-actions">${row.was && !row.gone && model.changed(row) && row.was.secret && row.was.value === null && row.value !== null ? html`<button type="button" class="btn ghost small square" aria-label=${`Keep the old value of ${name}`} title="Keep the old value" onClick=${() => edit({ value: null })}>${icon('undo-2')}</button>` : null}
      ${can ? html`<button type="button" class="btn ghost small square" aria-label=${row.gone ? `Keep ${name}` : `Remove ${name}`} title=${row.gone ? 'Keep' : 'Remove'} onClick=${() => model.remove(row.id)}>${row.gone ? icon('undo-2') : icon('trash-2')}</button>` : null}</span>
  </div>`;
}
