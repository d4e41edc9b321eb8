// Previews of pull requests: those there are, those that wait for somebody, and which are made.
import { html, h, icon, useEffect } from '../lib/html.js';
import { previews } from '../lib/previews.js';
import { useResource } from '../lib/resource.js';
import { apps } from '../lib/live.js';
import { parseEnv, printEnv } from '../lib/dotenv.js';
import { bytes, parseBytes, plural, shortCommit } from '../lib/format.js';
import { Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { Act } from '../parts/act.js';
import { Ago } from '../parts/time.js';
import { State } from '../parts/state.js';
import { Menu } from '../parts/menu.js';
import { confirm } from '../parts/dialog.js';
import { amount, FieldWrong, useForm, TextField, SelectField, Switch, FormProblem, Submit, whole } from '../parts/field.js';
import { allows } from '../lib/rights.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */
/** @typedef {import('../lib/api.js').S<'Preview'>} Preview */
/** @typedef {import('../lib/api.js').S<'PreviewRules'>} Rules */

/** What is up is as its deployment is. @param {Preview} one */
const stateOf = (one) => (one.problem ? 'problem' : one.state === 'up' ? (one.phase && ['queued', 'fetching', 'building', 'starting', 'checking', 'trying', 'failed', 'live', 'cancelled'].includes(one.phase) ? one.phase : 'starting') : { waiting: 'unallowed', full: 'full', left_out: 'skipped', wanted: 'starting', going: 'removing', gone: 'gone' }[one.state]);
const keys = (/** @type {string} */ text) => text.split(/[\s,]+/).filter(Boolean);

/** @param {{ app: App }} props */
export default function AppPreviews({ app }) {
  const kinds = ['preview_moved', 'preview_rules_changed', 'deployment_moved', 'app_removed'];
  const list = useResource(`app:${app.id}:previews`, () => previews.list(app.id), kinds);
  const found = useResource(`app:${app.id}:preview-rules`, () => previews.rules(app.id), ['preview_rules_changed']);
  const rules = found.value.value;
  if (!rules) return found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 5 });
  const put = (/** @type {Rules} */ made) => { found.value.value = made; list.load(); };
  const there = (list.value.value ?? []).length > 0;
  return html`<div class="stack">
    ${rules.enabled || there ? h(Panel, { title: 'Previews', flush: true, note: rules.enabled ? `Each open pull request runs at an address of its own, such as ${rules.example ?? rules.host}.` : 'Previews are off: these are being removed.', actions: rules.connected && rules.enabled && allows(app, 'deploy') ? h(Act, { label: 'Compare', icon: 'refresh-cw', small: true, title: 'Previews of requests that are not open any more go; this is done each hour too', run: async () => { await previews.compare(app.id); await list.load(); } }) : null },
      h(Requests, { app, list })) : null}
    ${rules.problem ? html`<p class="notice warn">${icon('triangle-alert')}<span class="any">${rules.problem}</span></p>` : null}
    ${rules.enabled && rules.webhook === false ? html`<p class="notice">${icon('info')}<span>The webhook was made by hand: let the forge send pull requests by it too, not pushes alone.</span></p>` : null}
    ${h(RulesForm, { app, rules, saved: put })}
  </div>`;
}

/** @param {{ app: App, list: import('../lib/resource.js').Resource<Preview[]> }} props */
function Requests({ app, list }) {
  const again = async (/** @type {Promise<unknown>} */ asked) => { await asked; await list.load(); };
  const allow = (/** @type {Preview} */ one) => confirm({
    title: `Run a commit of ${one.from ?? 'a fork'}?`, action: 'Allow this commit', danger: false,
    text: 'Somebody from outside wrote it, and it is built and run on this server, without any secret. Look at it first. The next commit waits again.',
    objects: [{ icon: 'git-commit-horizontal', label: one.commit.slice(0, 12), note: `#${one.number} ${one.title}` }],
    run: () => again(previews.approve(app.id, one.number, one.commit)),
  });
  const remove = (/** @type {Preview} */ one) => confirm({
    title: `Remove the preview of #${one.number}?`, action: 'Remove', text: 'With its containers, volumes, domain and images. The next push to the request makes it anew.',
    objects: [{ icon: 'git-branch', label: one.url?.replace(/^https?:\/\//, '') ?? one.branch, note: one.title }],
    run: () => again(previews.remove(app.id, one.number)),
  });
  return h(/** @type {typeof Table<Preview>} */ (Table), {
    label: 'Previews', name: 'app-previews', rows: list.value.value, error: list.error.value, retry: list.load, keyOf: (one) => String(one.number), text: (one) => `#${one.number} ${one.title} ${one.branch} ${one.author ?? ''}`, filter: 'Filter by request, branch, person',
    columns: [
      { id: 'request', label: 'Request', card: 'head', cell: (one) => html`<span class="cell-two"><span class="cut">${one.request_url ? html`<a href=${one.request_url} target="_blank" rel="noreferrer">#${one.number}</a>` : `#${one.number}`} <b class="strong">${one.title}</b></span><span class="cut">${one.branch}${one.fork ? html` <span class="tag">fork${one.from ? ` of ${one.from.split('/')[0]}` : ''}</span>` : null} <code>${shortCommit(one.commit)}</code></span></span>` },
      { id: 'state', label: 'State', width: '130px', card: 'tail', sort: (one) => one.state, cell: (one) => h(State, { state: stateOf(one), detail: one.problem ?? one.why }) },
      { id: 'where', label: 'Where', width: '36%', cell: (one) => html`<div class="grow wrapped">${one.url ? html`<a href=${one.url} target="_blank" rel="noreferrer">${one.url.replace(/^https?:\/\//, '')}</a>` : null}<p class=${one.problem ? 'small bad-text' : 'small dim'}>${one.problem ?? one.why}${one.comment_problem ? ` The comment could not be written: ${one.comment_problem}` : ''}</p></div>` },
      { id: 'pushed', label: 'Pushed', width: '120px', cell: (one) => html`<span class="cell-two"><span>${h(Ago, { at: one.pushed_at })}</span>${one.days_left != null ? html`<span class="faint" title="It goes when nothing is pushed until then">${plural(one.days_left, 'day')} left</span>` : null}</span>` },
      { id: 'actions', label: '', width: '170px', align: 'right', card: 'plain', cell: (one) => html`<span class="row end">${one.state === 'waiting' && allows(app, 'deploy') ? html`<button type="button" class="btn small" onClick=${() => allow(one)}>${icon('check')}Allow…</button>` : one.deployment ? html`<a class="btn small" href=${`/deployments/${one.deployment}`}>Deployment</a>` : null}${allows(app, 'deploy') || allows(app, 'delete') ? h(Menu, { label: `More for #${one.number}`, items: [
        one.app ? { label: 'Open its app', icon: 'box', href: `/apps/${one.app.id}` } : null,
        { label: 'Deploy again', icon: 'rocket', disabled: one.state === 'waiting' || !allows(app, 'deploy'), run: () => again(previews.deploy(app.id, one.number)) },
        'line',
        { label: 'Remove…', icon: 'trash-2', tone: 'danger', disabled: !allows(app, 'delete'), run: () => remove(one) },
      ] }) : null}</span>` },
    ],
    empty: h(Empty, { icon: 'git-branch', title: 'No previews', text: 'Open a pull request, or push to one that is open: its preview appears here within a moment.', small: true }),
  });
}

/** @param {{ app: App, rules: Rules, saved: (rules: Rules) => void }} props */
function RulesForm({ app, rules, saved }) {
  const plain = rules.variables.filter((one) => !one.secret);
  const secret = rules.variables.filter((one) => one.secret);
  const start = {
    enabled: rules.enabled, host: rules.host, only_label: rules.only_label ?? '', never_label: rules.never_label ?? '', most: String(rules.most), days: String(rules.days),
    memory: rules.memory_bytes ? bytes(rules.memory_bytes) : '', cpus: rules.cpu_millis ? String(rules.cpu_millis / 1000) : '', secrets: rules.secrets.join('\n'),
    plain: printEnv(plain.map((one) => ({ key: one.key, value: one.value ?? '' }))), secret: printEnv(secret.map((one) => ({ key: one.key, value: '' }))),
    database: rules.database?.app.id ?? '', data: rules.database?.data ?? 'fresh', comment: rules.comment,
  };
  const form = useForm(start);
  const key = JSON.stringify(start);
  useEffect(() => { if (!form.touched.peek()) form.reset(start); }, [key]);
  const v = form.values.value;
  const dirty = JSON.stringify(v) !== key;
  const others = (apps.value ?? []).filter((one) => one.id !== app.id && one.source.kind !== 'upload' && (one.environment.id === app.environment.id || (one.project.id === app.project.id && one.name !== app.name && !one.release)));
  const save = async () => {
    const env = [...read(v.plain, 'plain').map((pair) => ({ ...pair, secret: false })), ...read(v.secret, 'secret').map(({ key: name, value }) => (value === '' && secret.some((one) => one.key === name) ? { key: name, secret: true } : { key: name, value, secret: true }))];
    saved(await previews.setRules(app.id, {
      enabled: v.enabled, host: v.host, only_label: v.only_label.trim() || null, never_label: v.never_label.trim() || null, most: whole(v.most, 'most'), days: whole(v.days, 'days'), comment: v.comment,
      memory_bytes: v.memory.trim() ? sizeOf(v.memory) : null, cpu_millis: v.cpus.trim() ? Math.round(amount(v.cpus, 'cpu_millis', 'Use a number of cores such as 0.5 or 2') * 1000) : null,
      ...(v.secrets === start.secrets ? {} : { secrets: keys(v.secrets) }), ...(v.plain === start.plain && v.secret === start.secret ? {} : { variables: env }),
      ...(v.database === start.database && v.data === start.data ? {} : { database: v.database ? { app: v.database, data: v.data } : null }),
    }));
  };
  const named = ['host', 'only_label', 'never_label', 'most', 'days', 'memory_bytes', 'cpu_millis', 'secrets', 'variables', 'database'];
  return html`<form onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(save); }}>${h(Panel, {
    title: 'Which are made', note: 'What is changed here holds for previews that are made from then on.',
    foot: allows(app, 'configure') && (dirty || form.problem.value) ? html`<span class="faint">Not saved</span><span class="end row"><button type="button" class="btn small" onClick=${() => form.reset(start)}>Discard</button>${h(Submit, { form, label: 'Save', tone: 'primary small' })}</span>` : null,
  }, html`<fieldset class="stack" disabled=${!allows(app, 'configure')}>
    ${h(Switch, { label: 'Preview pull requests', hint: 'Each open request gets a copy of this app in an environment of its own, until it is merged or closed. Requests from forks wait until somebody allows each commit, and get no secrets.', on: v.enabled, set: form.set('enabled') })}
    ${h(TextField, { label: 'Address', value: v.host, set: form.set('host'), mono: true, hint: rules.example && v.host === rules.host ? `The preview of #42: ${rules.example}` : rules.host_problem && v.host === rules.host ? rules.host_problem : '{number}, {app} and {domain}, the domain of apps', error: form.error('host') })}
    <div class="form-row">${h(TextField, { label: 'Only with the label', value: v.only_label, set: form.set('only_label'), optional: true, placeholder: 'preview', hint: 'None: all requests.', error: form.error('only_label') })}
      ${h(TextField, { label: 'Never with the label', value: v.never_label, set: form.set('never_label'), optional: true, placeholder: 'no-preview', error: form.error('never_label') })}</div>
    <div class="form-row">${h(TextField, { label: 'At most', value: v.most, set: form.set('most'), inputmode: 'numeric', suffix: 'at a time', hint: 'One more follows when one goes.', error: form.error('most') })}
      ${h(TextField, { label: 'Removed after', value: v.days, set: form.set('days'), inputmode: 'numeric', suffix: 'days', hint: 'Without a push.', error: form.error('days') })}</div>
    <div class="form-row">${h(TextField, { label: 'Memory of each', value: v.memory, set: form.set('memory'), optional: true, placeholder: bytes(app.limits.memory_bytes), hint: app.source.kind === 'compose' || ('services' in app.source && app.source.services) ? 'For each service. None: as its file says.' : 'None: as much as the app.', error: form.error('memory_bytes') })}
      ${h(TextField, { label: 'Cores of each', value: v.cpus, set: form.set('cpus'), optional: true, inputmode: 'decimal', placeholder: String(app.limits.cpu_millis / 1000), error: form.error('cpu_millis') })}</div>
    <div class="form-row">${h(SelectField, { label: 'Database', value: v.database, set: form.set('database'), options: [{ value: '', label: 'None' }, ...others.map((one) => ({ value: one.id, label: one.environment.id === app.environment.id ? one.name : `${one.name} of ${one.environment.name}` }))], hint: 'Each preview gets a copy of this app, under the same name.', error: form.error('database') })}
      ${v.database ? h(SelectField, { label: 'With', value: v.data, set: form.set('data'), options: [{ value: 'fresh', label: 'no data, and new passwords' }, { value: 'copy', label: 'a copy of its data' }], hint: v.data === 'copy' ? 'The app must be stopped: a clone of it without deployments is a seed.' : 'A variable finds them by name: ${POSTGRES_PASSWORD}' }) : null}</div>
    ${h(TextField, { label: 'Variables of previews', value: v.plain, set: form.set('plain'), mono: true, rows: 3, optional: true, placeholder: 'DEBUG=1', hint: 'In place of the app’s own, one a line. Without them a preview has all of the app’s that are not secret.', error: form.error('plain', 'variables') })}
    ${h(TextField, { label: 'Secret variables of previews', value: v.secret, set: form.set('secret'), mono: true, rows: 2, optional: true, placeholder: 'API_KEY=a key for tests', hint: 'Not for forks. One that is there already keeps its value when none is given.', error: form.error('secret') })}
    ${h(TextField, { label: 'Secrets of the app that previews get', value: v.secrets, set: form.set('secrets'), mono: true, rows: 2, optional: true, placeholder: 'API_KEY', hint: 'Names only, one a line. Whoever may push a branch can then read them; forks never get them.', error: form.error('secrets') })}
    ${h(Switch, { label: 'Comment beside the request', hint: rules.connected ? 'One comment with address, state and commit, kept true.' : 'Only for an app from a connected forge.', on: v.comment && rules.connected, set: form.set('comment'), disabled: !rules.connected })}
    ${h(FormProblem, { text: form.general(named) })}</fieldset>`)}</form>`;
}

/** @param {string} text */
function sizeOf(text) {
  const size = parseBytes(text);
  if (size == null) throw new FieldWrong('memory_bytes', 'Use a size such as 512 MiB or 2 GiB');
  return size;
}

/** @param {string} text @param {string} what */
function read(text, what) {
  const { pairs, errors } = parseEnv(text);
  if (errors.length) throw new Error(`${what === 'secret' ? 'Secret variables' : 'Variables'}, line ${errors[0].line}: ${errors[0].message}`);
  return pairs;
}
