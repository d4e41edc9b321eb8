// An app's releases: what is kept to go back to, how two of them differ, which one goes to another environment.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { apps, appPath, putDeployment } from '../lib/live.js';
import { navigate } from '../lib/router.js';
import { bytes, plural, shortCommit } from '../lib/format.js';
import { Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { Ago } from '../parts/time.js';
import { Diff } from '../parts/diff.js';
import { Menu } from '../parts/menu.js';
import { DialogHead, showDialog } from '../parts/dialog.js';
import { useForm, SelectField, FormProblem, Submit } from '../parts/field.js';
import { coded } from '../parts/said.js';
import { hasServices } from '../parts/source.js';
import { allows } from '../lib/rights.js';
import { rollBack } from './app-deployments.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */
/** @typedef {import('../lib/api.js').S<'Release'>} Release */

const mark = (/** @type {Release} */ one) => html`${one.live ? html`<span class="tag accent">serves now</span>` : null}${one.pinned ? html`<span class="tag">pinned</span>` : null}`;
/** `name@sha256:…` without the name, short. @param {string | null | undefined} digest */
export const shortDigest = (digest) => (digest ? digest.slice(digest.indexOf('@') + 1).slice(0, 19) : null);

/** @param {{ app: App }} props */
export default function AppReleases({ app }) {
  const found = useResource(`app:${app.id}:releases`, () => api.releaseList(app.id), ['deployment_moved', 'release_pinned'], (message) => message.data?.app === app.id);
  const rows = found.value.value;
  const pin = async (/** @type {Release} */ one) => { await api.releasePin(app.id, one.id, !one.pinned); found.load(); };
  const actions = (/** @type {Release} */ one) => html`<span class="row end">
    ${one.live ? null : html`<button type="button" class="btn small" onClick=${() => rollBack(app, one)}>${icon('undo-2')}Roll back</button>`}
    ${h(Menu, { label: `More for release ${one.number}`, items: [
      { label: one.pinned ? 'Unpin' : 'Pin: keep it', icon: 'lock', run: () => pin(one) },
      { label: 'Promote…', icon: 'rocket', run: () => promote(app, one) },
      { label: 'Its deployment', icon: 'file-text', href: `/deployments/${one.deployment}` },
    ] })}</span>`;
  const kept = [`${plural(app.keep_releases, 'release')} beside the live one`, app.keep_release_days ? `of the last ${plural(app.keep_release_days, 'day')}` : '', app.keep_release_bytes ? `at most ${bytes(app.keep_release_bytes)}` : ''].filter(Boolean).join(', ');
  return html`<div class="stack">
    ${h(Panel, { title: 'Releases', note: `Kept: ${kept}, and what is pinned`, flush: true }, h(/** @type {typeof Table<Release>} */ (Table), {
      label: 'Releases', name: 'app-releases', rows, error: found.error.value, retry: found.load, keyOf: (one) => one.id, columns: [
        { id: 'number', label: '#', width: '76px', card: 'head', sort: (one) => one.number, cell: (one) => html`<b class="strong num">#${one.number}</b>` },
        { id: 'state', label: '', width: '120px', card: 'tail', cell: mark },
        { id: 'what', label: 'What', card: 'plain', cell: (one) => html`<span class="cell-two">${one.commit ? html`<span>${one.commit_page ? html`<a class="link" href=${one.commit_page} target="_blank" rel="noreferrer"><code>${shortCommit(one.commit.id)}</code></a>` : html`<code class="accent-text">${shortCommit(one.commit.id)}</code>`} ${one.commit.subject}</span>` : html`<span class="cut">${one.image_name}</span>`}<span class="cut">${one.digest || one.commit ? html`<code>${shortDigest(one.digest) ?? one.image_name}</code>` : html`<code>${one.image.slice(0, 19)}</code>`}</span></span>` },
        { id: 'has', label: 'Has', width: '150px', optional: true, card: 'hide', cell: (one) => html`<span class="cell-two"><span>${plural(one.variables.length, 'variable')}</span><span>${[one.files.length ? plural(one.files.length, 'file') : '', one.mounts.length ? plural(one.mounts.length, 'volume') : ''].filter(Boolean).join(', ')}</span></span>` },
        { id: 'size', label: 'Image', width: '90px', align: 'right', optional: true, card: 'hide', sort: (one) => one.bytes, cell: (one) => (one.bytes ? bytes(one.bytes) : html`<span class="faint">–</span>`) },
        { id: 'made', label: 'Made', width: '108px', align: 'right', sort: (one) => one.created_at, cell: (one) => html`<span class="faint">${h(Ago, { at: one.created_at })}</span>` },
        ...(allows(app, 'deploy') ? [/** @type {import('../parts/table.js').Column<Release>} */ ({ id: 'actions', label: '', width: '172px', align: 'right', card: 'plain', cell: actions })] : []),
      ],
      empty: h(Empty, { icon: 'layers', title: 'No releases yet', text: 'Each deployment makes one: the image with its variables, files, volumes, routes, limits and health check.' }),
    }))}
    ${rows && rows.length > 1 ? h(Compare, { app, releases: rows }) : null}
  </div>`;
}

/** @param {{ app: App, releases: Release[] }} props newest first */
function Compare({ app, releases }) {
  const live = releases.find((one) => one.live) ?? releases[0];
  const [to, setTo] = useState(live.id);
  const [from, setFrom] = useState((releases.find((one) => one.number < live.number) ?? releases[1]).id);
  const options = releases.map((one) => ({ value: one.id, label: `#${one.number}${one.live ? ' (serves now)' : ''}${one.commit ? ` ${one.commit.subject.slice(0, 40)}` : ''}` }));
  const [a, b] = [from, to].map((id) => releases.find((one) => one.id === id));
  return h(Panel, { title: 'Compare', note: 'Values of secrets are not shown', flush: true }, html`
    <div class="form-row inset">${h(SelectField, { label: 'From', value: from, set: setFrom, options })}${h(SelectField, { label: 'To', value: to, set: setTo, options })}</div>
    ${a && b ? h(Differences, { key: `${from}:${to}`, app: app.id, from: a.id, to: b.id, names: [`Release #${a.number}`, `Release #${b.number}`] }) : null}`);
}

/** @param {{ app: string, from: string, to: string, names: [string, string] }} props */
function Differences({ app, from, to, names }) {
  const found = useResource(`diff:${app}:${from}:${to}`, () => api.releaseDiff(app, from, to));
  if (found.error.value) return h(Failed, { error: found.error.value, retry: found.load });
  const changes = found.value.value?.changes;
  return changes ? h(Diff, { changes, from: names[0], to: names[1] }) : h(Loading, { rows: 3 });
}

/** What would change at the target, and why it may be the wrong one. @param {{ app: App, release: Release, target: App, seen: (id: string) => void }} props `seen`: it is on the page */
function Plan({ app, release, target, seen }) {
  const found = useResource(`promotion:${app.id}:${release.id}:${target.id}`, () => api.promotionPlan(app.id, release.id, target.id));
  const plan = found.value.value;
  useEffect(() => { if (plan) seen(target.id); }, [Boolean(plan)]);
  if (found.error.value) return h(Failed, { error: found.error.value, retry: found.load });
  if (!plan) return h(Loading, { rows: 3 });
  return html`${plan.warnings.length ? html`<div class="notice warn">${icon('triangle-alert')}<span class="any">${coded(`${plan.warnings.join('; ')}.`)}</span></div>` : null}
    ${plan.live == null
      ? html`<p class="dim small">Nothing is live in <a class="link" href=${appPath(target)}>${target.name}</a> yet: this would be its first release.</p>`
      : html`<div class="panel flush">${h(Diff, { changes: plan.changes, from: `There now: #${plan.live}`, to: `From here: #${plan.release}`, same: hasServices(app.source) ? 'The same images are live there.' : 'The same image is live there.' })}</div>`}`;
}

/** @param {App} app @param {Release} release */
const promote = (app, release) => showDialog(`Promote release ${release.number}`, (close) => h(PromoteForm, { app, release, close }), { wide: true });

/** @param {{ app: App, release: Release, close: () => void }} props */
function PromoteForm({ app, release, close }) {
  const several = hasServices(app.source);
  const others = (apps.value ?? []).filter((one) => one.project.id === app.project.id && one.id !== app.id && hasServices(one.source) === several && !one.trashed_at);
  const form = useForm({ to: (others.find((one) => one.name === app.name) ?? others[0])?.id ?? '' });
  const target = others.find((one) => one.id === form.values.value.to);
  // Nothing is promoted before what it would change was shown.
  const [seen, setSeen] = useState('');
  const send = async () => { const made = await api.releasePromote(app.id, { to: form.values.value.to, release: release.id }); putDeployment(made); close(); navigate(`/deployments/${made.id}`); };
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(send); }}>
    ${h(DialogHead, { title: `Promote release #${release.number} of ${app.name}`, note: several ? 'The very same images go live there, with the Compose file, variables, volumes and limits of that app.' : 'The very same image goes live there, with the variables, files, volumes and limits of that app.', close })}
    ${others.length ? h(SelectField, { label: 'To', value: form.values.value.to, set: form.set('to'), options: others.map((one) => ({ value: one.id, label: `${one.name} in ${one.environment.name}` })) }) : html`<p class="notice">${icon('info')}<span>No other app of the project ${app.project.name} takes ${several ? 'several services' : 'an image'}. <a class="link" href="/apps/new" onClick=${() => close()}>Make one</a> in another environment first.</span></p>`}
    ${target ? h(Plan, { key: target.id, app, release, target, seen: setSeen }) : null}
    ${h(FormProblem, { text: form.general([]) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Promote', icon: 'rocket', disabled: !target || seen !== target.id })}</footer></form>`;
}
