// An app's jobs: commands that its image runs at times or once, and what became of each run.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useLogStream } from '../lib/log-stream.js';
import { useResource } from '../lib/resource.js';
import { duration, exact } from '../lib/format.js';
import { moment } from '../lib/clock.js';
import { appOf, mayDo } from '../lib/live.js';
import { joinWords, splitWords } from '../lib/words.js';
import { hasServices } from '../parts/source.js';
import { Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Empty } from '../parts/empty.js';
import { State } from '../parts/state.js';
import { Ago, Took } from '../parts/time.js';
import { Act } from '../parts/act.js';
import { Menu } from '../parts/menu.js';
import { Facts } from '../parts/facts.js';
import { confirm, DialogHead, leaving, showDialog, showForm } from '../parts/dialog.js';
import { FieldWrong, useForm, TextField, SelectField, Switch, FormProblem, Submit } from '../parts/field.js';
import { allows } from '../lib/rights.js';
import '../elements/sk-log.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */
/** @typedef {import('../lib/api.js').S<'AppJob'>} Job */
/** @typedef {import('../lib/api.js').S<'JobRun'>} Run */

const MISSED = [{ value: 'skip', label: 'Only note it' }, { value: 'run', label: 'Run once, as soon as it runs again' }];
const OVERLAPS = [{ value: 'skip', label: 'Leave the new one out' }, { value: 'queue', label: 'Wait for its end' }, { value: 'replace', label: 'End the old one' }, { value: 'beside', label: 'Let both go on' }];

/** @param {{ app: App }} props */
export default function AppJobs({ app }) {
  const mine = (/** @type {any} */ message) => appOf(message.data) === app.id;
  const jobs = useResource(`app:${app.id}:jobs`, () => api.jobList(app.id), ['job_changed', 'run_moved'], mine);
  const runs = useResource(`app:${app.id}:runs`, () => api.runList(app.id), ['run_moved'], mine);
  const edit = (/** @type {Job | null} */ job) => showForm(job ? `Edit ${job.name}` : 'New job', (close, leave) => h(JobForm, { app, job, close, leave }), { wide: true }).then((done) => { if (done) jobs.load(); });
  const remove = (/** @type {Job} */ job) => confirm({ title: `Delete the job ${job.name}?`, text: 'It runs no more. What it ran stays in the history.', action: 'Delete', objects: [{ icon: 'clock', label: job.name, note: job.cron }], run: () => api.jobDelete(app.id, job.id) }).then((done) => { if (done) jobs.load(); });
  const begin = async (/** @type {Promise<Run>} */ asked) => { const run = await asked; runs.load(); showRun(run); };
  const runNow = (/** @type {Job} */ job) => begin(api.jobRun(app.id, job.id));
  const switchJob = async (/** @type {Job} */ job) => { await api.jobUpdate(app.id, job.id, { enabled: !job.enabled }); jobs.load(); };
  const add = allows(app, 'configure') ? html`<button type="button" class="btn small" onClick=${() => edit(null)}>${icon('plus')}Add job</button>` : null;
  const once = allows(app, 'terminal') ? html`<button type="button" class="btn small" disabled=${!app.release} onClick=${() => showForm('Run a command', (close, leave) => h(RunForm, { app, close, leave })).then((/** @type {Run | null} */ run) => { if (run) { runs.load(); showRun(run); } })}>${icon('terminal')}Run a command</button>` : null;
  return html`<div class="stack">
    ${h(Panel, { title: 'Jobs', note: 'Commands at times, with the image, variables, files and volumes of what is live', flush: true, actions: add }, h(/** @type {typeof Table<Job>} */ (Table), {
      label: 'Jobs', rows: jobs.value.value, error: jobs.error.value, retry: jobs.load, keyOf: (one) => one.id, columns: [
        { id: 'name', label: 'Name', card: 'head', cell: (one) => html`<span class="cell-two"><b class="strong cut">${one.name}</b><code class="cut">${joinWords(one.command)}</code></span>` },
        { id: 'at', label: 'At', width: '150px', cell: (one) => html`<span class="cell-two"><code>${one.cron}</code><span>${one.zone}</span></span>` },
        { id: 'next', label: 'Next', width: '120px', cell: (one) => (one.waiting_since ? html`<span title="The run before it has to end first">waits</span>` : one.next_at ? h(In, { at: one.next_at, all: one.upcoming }) : html`<span class="faint">${one.enabled ? 'never' : 'paused'}</span>`) },
        { id: 'last', label: 'Last', width: '130px', card: 'tail', cell: (one) => (one.last ? h(State, { state: one.last.phase, detail: one.last.error }) : html`<span class="faint">not yet</span>`) },
        ...(allows(app, 'deploy') || allows(app, 'configure') ? [/** @type {import('../parts/table.js').Column<Job>} */ ({ id: 'actions', label: '', width: '150px', align: 'right', card: 'plain', cell: (one) => html`<span class="row end">${allows(app, 'deploy') ? h(Act, { label: 'Run now', icon: 'play', small: true, disabled: !app.release, run: () => runNow(one) }) : null}${allows(app, 'configure') ? h(Menu, { label: `More for ${one.name}`, items: [
          { label: 'Edit…', icon: 'pencil', run: () => edit(one) },
          { label: one.enabled ? 'Pause' : 'Resume', icon: one.enabled ? 'circle-pause' : 'play', run: () => switchJob(one) },
          'line',
          { label: 'Delete…', icon: 'trash-2', tone: 'danger', run: () => remove(one) },
        ] }) : null}</span>` })] : []),
      ],
      empty: h(Empty, { icon: 'clock', title: 'No jobs', text: 'A job tidies up each night, sends mail each hour, or pulls in what is new: any command of the image.', small: true, action: allows(app, 'configure') ? html`<button type="button" class="btn" onClick=${() => edit(null)}>${icon('plus')}Add job</button>` : null }),
    }))}
    ${h(Panel, { title: 'Runs', note: 'The newest first', flush: true, actions: once }, h(/** @type {typeof Table<Run>} */ (Table), {
      label: 'Runs', name: 'app-runs', rows: runs.value.value?.items, error: runs.error.value, retry: runs.load, keyOf: (one) => one.id, text: (one) => `${one.name ?? ''} ${one.command.join(' ')} ${one.by} ${one.error ?? ''}`, filter: 'Filter by command, person', columns: [
        { id: 'what', label: 'What', card: 'head', cell: (one) => html`<span class="cell-two"><span class="cut">${one.name ? html`<b class="strong">${one.name}</b>` : html`<code>${joinWords(one.command)}</code>`}</span><span class="cut">${one.error ? html`<span class=${one.phase === 'skipped' || one.phase === 'cancelled' ? 'faint' : 'bad-text'}>${one.error}</span>` : one.by}</span></span>` },
        { id: 'state', label: 'State', width: '130px', card: 'tail', sort: (one) => one.phase, cell: (one) => h(State, { state: one.phase, detail: one.error }) },
        { id: 'took', label: 'Took', width: '90px', align: 'right', optional: true, card: 'hide', cell: (one) => h(Took, { from: one.started_at, to: one.finished_at }) },
        { id: 'when', label: 'When', width: '108px', align: 'right', sort: (one) => one.started_at, cell: (one) => html`<span class="faint">${h(Ago, { at: one.started_at })}</span>` },
        { id: 'actions', label: '', width: '90px', align: 'right', card: 'plain', cell: (one) => html`<button type="button" class="btn small" onClick=${() => showRun(one)}>Log</button>` },
      ],
      empty: h(Empty, { icon: 'terminal', title: 'Nothing was run yet', text: 'A command runs in a container of its own, beside what is live; its output is kept here.', small: true }),
    }))}
  </div>`;
}

/** @param {{ at: string, all: string[] }} props */
const In = ({ at, all }) => html`<time datetime=${at} title=${all.map(exact).join('\n')}>in ${duration(Math.max(0, Date.parse(at) - moment.value))}</time>`;

/** @param {Run} run */
const showRun = (run) => showDialog(`Run ${run.name ?? joinWords(run.command)}`, (close) => h(RunView, { id: run.id, app: run.app.id, close }), { wide: true });

/** @param {{ id: string, app: string, close: () => void }} props */
function RunView({ id, app, close }) {
  const found = useResource(`run:${id}`, () => api.runShow(id), ['run_moved'], (message) => message.data?.data?.run === id);
  const element = useLogStream(`/runs/${id}/log/stream`, (log, why) => log?.setStatus(why));
  const run = found.value.value;
  return html`<div class="stack">${h(DialogHead, { title: run?.name ?? (run ? joinWords(run.command) : 'Run'), note: run ? html`${h(State, { state: run.phase, detail: run.error })}` : '', close })}
    ${run ? h(Facts, { items: [['Command', html`<code class="any">${joinWords(run.command)}</code>`], ['By', run.by], ['Began', html`<span title=${exact(run.started_at)}>${h(Ago, { at: run.started_at })}, took ${h(Took, { from: run.started_at, to: run.finished_at })}</span>`], Boolean(run.error) && ['Why', html`<span class="any">${run.error}</span>`]] }) : null}
    <div class="run-log"><sk-log ref=${element} label="What it prints" name=${`${id}.log`}></sk-log></div>
    <footer class="dialog-foot">${run?.phase === 'running' && mayDo(app, 'deploy') ? h(Act, { label: 'End it', icon: 'x', run: () => api.runCancel(id).then(found.load) }) : null}<button type="button" class="btn" onClick=${() => close()}>Close</button></footer></div>`;
}

/** @param {{ app: App, job: Job | null, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function JobForm({ app, job, close, leave }) {
  const form = useForm({ name: job?.name ?? '', command: job ? joinWords(job.command) : '', cron: job?.cron ?? '0 3 * * *', zone: job?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone ?? 'UTC', limit: String(Math.round((job?.limit_seconds ?? 3600) / 60)), overlap: job?.overlap ?? 'skip', service: job?.service ?? '', missed: job?.catch_up ? 'run' : 'skip', enabled: job?.enabled ?? true, alert: job?.alert ?? true });
  const v = form.values.value;
  const away = leaving(form, () => close(), leave);
  const save = async () => {
    const body = { name: v.name.trim(), command: commandOf(v.command), cron: v.cron.trim(), zone: v.zone.trim(), limit_seconds: Math.round(Number(v.limit.replace(',', '.')) * 60) || 0, overlap: /** @type {Job['overlap']} */ (v.overlap), service: v.service.trim() || null, catch_up: v.missed === 'run', enabled: v.enabled, alert: v.alert };
    if (job) await api.jobUpdate(app.id, job.id, body); else await api.jobCreate(app.id, body);
    close(true);
  };
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(save); }}>
    ${h(DialogHead, { title: job ? job.name : 'New job', note: 'Each run is a container of its own, with the image, variables, files and volumes of what is live then.', close: away })}
    <div class="form-row">${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), mono: true, required: true, placeholder: 'tidy-up', error: form.error('name') })}${hasServices(app.source) ? h(TextField, { label: 'Service', value: v.service, set: form.set('service'), mono: true, optional: true, placeholder: 'the main one', error: form.error('service') }) : null}</div>
    ${h(TextField, { label: 'Command', value: v.command, set: form.set('command'), mono: true, required: true, placeholder: 'python manage.py clearsessions', hint: 'Words, no shell: quotes keep spaces together. For a shell: sh -c "…".', error: form.error('command') })}
    <div class="form-row">${h(TextField, { label: 'At', value: v.cron, set: form.set('cron'), mono: true, required: true, hint: 'Minute, hour, day of month, month, day of week; or @hourly, @daily.', error: form.error('cron') })}${h(TextField, { label: 'Time zone', value: v.zone, set: form.set('zone'), mono: true, required: true, error: form.error('zone') })}</div>
    <div class="form-row">${h(TextField, { label: 'Ends after', value: v.limit, set: form.set('limit'), inputmode: 'decimal', suffix: 'min', error: form.error('limit_seconds') })}${h(SelectField, { label: 'When the run before still goes', value: v.overlap, set: form.set('overlap'), options: OVERLAPS, error: form.error('overlap') })}</div>
    ${h(SelectField, { label: 'When serverkit did not run at its time', value: v.missed, set: form.set('missed'), options: MISSED, error: form.error('catch_up') })}
    ${h(Switch, { label: 'On', hint: 'Paused, it runs only when somebody asks.', on: v.enabled, set: form.set('enabled') })}
    ${h(Switch, { label: 'Mail when it fails', hint: 'To administrators, when it begins to fail and when it is well again; Settings, Mail says by which server.', on: v.alert, set: form.set('alert') })}
    ${h(FormProblem, { text: form.general(['name', 'command', 'cron', 'zone', 'limit_seconds', 'overlap', 'catch_up', 'service']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${away}>Cancel</button>${h(Submit, { form, label: 'Save' })}</footer></form>`;
}

/** @param {string} text */
function commandOf(text) {
  const words = splitWords(text.trim());
  if (!words) throw new FieldWrong('command', 'A quote is never closed');
  return words;
}

/** @param {{ app: App, close: (run?: unknown) => void, leave: { current: (() => void) | null } }} props */
function RunForm({ app, close, leave }) {
  const form = useForm({ command: '', limit: '60', service: '' });
  const v = form.values.value;
  const away = leaving(form, () => close(), leave);
  const send = async () => { const run = await api.runCreate(app.id, { command: commandOf(v.command), service: v.service.trim() || null, limit_seconds: Math.round(Number(v.limit.replace(',', '.')) * 60) || 0 }); close(run); };
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(send); }}>
    ${h(DialogHead, { title: 'Run a command', note: 'Once, in a container of its own beside what is live.', close: away })}
    ${h(TextField, { label: 'Command', value: v.command, set: form.set('command'), mono: true, required: true, placeholder: 'python manage.py migrate --plan', hint: 'Words, no shell. For a shell: sh -c "…".', error: form.error('command') })}
    <div class="form-row">${h(TextField, { label: 'Ends after', value: v.limit, set: form.set('limit'), inputmode: 'decimal', suffix: 'min', error: form.error('limit_seconds') })}${hasServices(app.source) ? h(TextField, { label: 'Service', value: v.service, set: form.set('service'), mono: true, optional: true, placeholder: 'the main one', error: form.error('service') }) : null}</div>
    ${h(FormProblem, { text: form.general(['command', 'limit_seconds', 'service']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${away}>Cancel</button>${h(Submit, { form, label: 'Run', icon: 'play' })}</footer></form>`;
}
