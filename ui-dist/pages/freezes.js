// Freeze windows: times in which nothing is deployed.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { duration, exact } from '../lib/format.js';
import { moment } from '../lib/clock.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { State } from '../parts/state.js';
import { Empty } from '../parts/empty.js';
import { confirm, DialogHead, leaving, showForm } from '../parts/dialog.js';
import { FormProblem, SelectField, Submit, TextField, useForm } from '../parts/field.js';
import { has } from '../lib/rights.js';

/** @typedef {import('../lib/api.js').S<'Freeze'>} Freeze */
/** @typedef {import('../lib/api.js').S<'Project'>} Project */

/** Windows that many want, to begin with. @type {Record<string, { cron: string, hours: string }>} */
const USUAL = { weekend: { cron: '0 16 * * FRI', hours: '64' }, nights: { cron: '0 20 * * *', hours: '12' } };

export default function FreezesPage() {
  useTrail([{ label: 'Freeze windows' }]);
  const found = useResource('freezes', api.freezeList, ['freeze_changed']);
  const projects = useResource('freezes:projects', api.projectList, ['project_created', 'project_changed', 'project_removed']).value.value ?? [];
  const can = has('administer');
  const again = (/** @type {unknown} */ done) => { if (done) found.load(); };
  const create = () => showForm('New freeze window', (close, leave) => h(FreezeForm, { projects, close, leave }), { wide: true }).then(again);
  const edit = (/** @type {Freeze} */ one) => showForm(`Change ${one.name}`, (close, leave) => h(FreezeForm, { projects, known: one, close, leave }), { wide: true }).then(again);
  const remove = (/** @type {Freeze} */ one) => confirm({ title: `Delete the freeze ${one.name}?`, text: one.holds_until ? 'It ends at once, and pushes that wait are deployed.' : 'It will not hold again.', objects: [{ icon: 'circle-pause', label: one.name, note: place(one) }], action: 'Delete', run: () => api.freezeDelete(one.id) }).then(again);
  const add = can ? html`<button type="button" class="btn primary" onClick=${create}>${icon('plus')}Add window</button>` : null;
  return html`<div class="page">${h(PageHead, { title: 'Freeze windows', note: 'Times in which nothing is deployed: pushes wait until the end, rolling back stays possible', actions: found.value.value?.length ? add : null })}
    ${h(Panel, { flush: true }, h(/** @type {typeof Table<Freeze>} */ (Table), {
      label: 'Freeze windows', rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.id, sort: { id: 'name' },
      columns: [
        { id: 'name', label: 'Name', card: 'head', sort: (one) => one.name, cell: (one) => html`<span class="cell-two"><b class="strong cut">${one.name}</b><span class="cut">${place(one)}</span></span>` },
        { id: 'when', label: 'When', width: '34%', cell: (one) => (one.cron ? html`<span class="cell-two"><code>${one.cron}</code><span>${one.zone}, for ${duration((one.minutes ?? 0) * 60_000)}</span></span>` : html`<span class="cell-two"><span>${one.from ? exact(one.from) : ''}</span><span>to ${one.until ? exact(one.until) : ''}</span></span>`) },
        { id: 'now', label: 'Now', width: '150px', card: 'tail', cell: (one) => (one.holds_until ? html`<span title=${exact(one.holds_until)}>${h(State, { state: 'frozen', detail: null })}</span>` : one.next_at ? html`<span class="dim" title=${exact(one.next_at)}>in ${duration(Math.max(0, Date.parse(one.next_at) - moment.value))}</span>` : html`<span class="faint">over</span>`) },
        { id: 'by', label: 'By', width: '18%', optional: true, cell: (one) => html`<span class="dim cut" title=${one.by}>${one.by}</span>` },
        { id: 'actions', label: '', width: '96px', align: 'right', card: 'plain', cell: (one) => (can ? html`<span class="cell-actions"><button type="button" class="btn ghost small square" aria-label=${`Change the freeze ${one.name}`} title="Change" onClick=${() => edit(one)}>${icon('pencil')}</button><button type="button" class="btn ghost small square" aria-label=${`Delete the freeze ${one.name}`} title="Delete" onClick=${() => remove(one)}>${icon('trash-2')}</button></span>` : null) },
      ],
      empty: h(Empty, { icon: 'circle-pause', title: 'No freeze windows', text: 'A window keeps deployments out of an environment, or of all of them: over the weekend, at night, in the week before Christmas.', action: add }),
    }))}</div>`;
}

/** @param {Freeze} one */
const place = (one) => (one.environment ? `${one.project} / ${one.environment.name}` : 'All environments');

/** What `datetime-local` shows of a moment. @param {string} at */
const local = (at) => { const there = new Date(at); return new Date(there.getTime() - there.getTimezoneOffset() * 60_000).toISOString().slice(0, 16); };

/** @param {Freeze | undefined} known */
const valuesOf = (known) => ({
  name: known?.name ?? '', place: known?.environment?.id ?? '', kind: known?.from ? 'once' : 'repeated', cron: known?.cron ?? USUAL.weekend.cron, zone: known?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone ?? 'UTC',
  hours: known?.minutes ? String(known.minutes / 60) : USUAL.weekend.hours, from: known?.from ? local(known.from) : '', until: known?.until ? local(known.until) : '',
});

/** @param {{ projects: Project[], known?: Freeze, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function FreezeForm({ projects, known, close, leave }) {
  const form = useForm(valuesOf(known));
  const v = form.values.value;
  const cancel = leaving(form, close, leave);
  const places = [{ value: '', label: 'All environments' }, ...projects.flatMap((project) => project.environments.map((one) => ({ value: one.id, label: `${project.name} / ${one.name}` })))];
  const at = (/** @type {string} */ text) => (text ? new Date(text).toISOString() : null);
  const save = async () => {
    const where = v.place ? { environment: v.place } : { everywhere: true };
    const when = v.kind === 'repeated' ? { cron: v.cron.trim(), zone: v.zone.trim(), minutes: Math.round(Number(v.hours.replace(',', '.')) * 60) || 0 } : { from: at(v.from), until: at(v.until) };
    const body = { name: v.name.trim(), ...where, ...when };
    close(await (known ? api.freezeReplace(known.id, body) : api.freezeCreate(body)));
  };
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(save); }}>
    ${h(DialogHead, { title: known ? `Change ${known.name}` : 'New freeze window', note: 'While it holds, pushes wait in the inbox. An administrator may deploy anyway with a reason.', close: cancel })}
    <div class="form-row">${h(TextField, { label: 'Why', value: v.name, set: form.set('name'), required: true, autofocus: true, placeholder: 'weekend', error: form.error('name') })}${h(SelectField, { label: 'Where', value: v.place, set: form.set('place'), options: places, error: form.error('environment') })}</div>
    ${h(SelectField, { label: 'When', value: v.kind, set: form.set('kind'), options: [{ value: 'repeated', label: 'Again and again' }, { value: 'once', label: 'Once' }] })}
    ${v.kind === 'repeated' ? html`<div class="form-row">${h(TextField, { label: 'Begins at', value: v.cron, set: form.set('cron'), mono: true, required: true, hint: 'Minute, hour, day of month, month, day of week: 0 16 * * FRI is Friday at 16:00.', error: form.error('cron') })}${h(TextField, { label: 'Time zone', value: v.zone, set: form.set('zone'), mono: true, required: true, error: form.error('zone') })}</div>
      ${h(TextField, { label: 'Lasts', value: v.hours, set: form.set('hours'), inputmode: 'decimal', suffix: 'h', required: true, hint: 'From Friday 16:00 to Monday 8:00 are 64 hours.', error: form.error('minutes') })}
      <div class="row"><button type="button" class="btn small" onClick=${() => { form.set('cron')(USUAL.weekend.cron); form.set('hours')(USUAL.weekend.hours); }}>Weekends</button><button type="button" class="btn small" onClick=${() => { form.set('cron')(USUAL.nights.cron); form.set('hours')(USUAL.nights.hours); }}>Nights</button></div>`
      : html`<div class="form-row">${h(TextField, { label: 'From', type: 'datetime-local', value: v.from, set: form.set('from'), required: true, error: form.error('from') })}${h(TextField, { label: 'Until', type: 'datetime-local', value: v.until, set: form.set('until'), required: true, error: form.error('until', 'when') })}</div>`}
    ${h(FormProblem, { text: form.general(['name', 'environment', 'cron', 'zone', 'minutes', 'from', 'until', 'when']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: known ? 'Save' : 'Add window' })}</footer></form>`;
}
