// The services of an app that is made from a Compose file, and the file itself.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { catalogs } from '../lib/catalogs.js';
import { useResource } from '../lib/resource.js';
import { putApp, putDeployment } from '../lib/live.js';
import { Panel } from '../parts/page.js';
import { Act } from '../parts/act.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { ComposeField, profilesOf, SetupFields, useCompose } from '../parts/compose.js';
import { FormProblem, Submit, useForm } from '../parts/field.js';
import { confirm } from '../parts/dialog.js';
import { allows, may } from '../lib/rights.js';
import { bytes } from '../lib/format.js';
import { Facts } from '../parts/facts.js';
import { sourceInput, sourceValues } from '../parts/app-form.js';
import { hasServices, templateText, versionText } from '../parts/source.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */
/** @typedef {import('../lib/api.js').S<'Service'>} Service */

/** @param {{ app: App }} props */
export default function AppServices({ app }) {
  const { value, error, load } = useResource(`services:${app.id}`, () => api.serviceList(app.id), ['deployment_moved', 'app_state_changed'], ({ data }) => !data.app || data.app === app.id || data.app?.id === app.id);
  const list = value.value;
  if (!hasServices(app.source)) return h(Empty, { icon: 'layers', title: 'One service', text: 'This app is one container. An app from a Compose file has several.' });
  return html`<div class="stack">${h(TemplateNews, { app })}
    ${h(Panel, { title: 'Services', note: 'In the order in which they start. Each finds those by their names with which it shares a network.', flush: true }, error.value && !list ? h(Failed, { error: error.value, retry: load }) : !list ? h(Loading, { rows: 3 }) : list.length ? html`<ul class="services">${list.map((one) => h(One, { key: one.name, one }))}</ul>` : h(Empty, { icon: 'layers', title: 'Not known yet', text: 'The Compose file is read at a deployment; the services of the first one that goes live are shown here.', small: true }))}
    ${!allows(app, 'configure') ? null : app.source.kind === 'compose' ? h(File, { app }) : h(InSource, { app })}</div>`;
}

/** @param {Service} one @returns {[tone: string, word: string]} */
function stateOf(one) {
  if (!one.containers.length) return ['off', one.replicas ? 'not deployed' : 'no replicas'];
  const bad = one.containers.find((container) => !container.running && !(one.once && container.state === 'exited with code 0'));
  if (bad) return ['bad', bad.state];
  if (one.containers.some((container) => container.health === 'unhealthy')) return ['bad', 'unhealthy'];
  if (one.containers.some((container) => container.health === 'starting')) return ['busy', 'starting'];
  if (one.once && one.containers.every((container) => !container.running)) return ['off', 'done'];
  return ['ok', one.containers.length > 1 ? `${one.containers.length} running` : 'running'];
}

/** @param {{ one: Service }} props */
function One({ one }) {
  const [tone, word] = stateOf(one);
  const more = [one.ports.length ? `port ${one.ports.join(', ')}` : null, one.depends_on.length ? `after ${one.depends_on.join(', ')}` : null, one.networks.length ? `on ${one.networks.join(', ')}` : null].filter(Boolean).join(' · ');
  const does = [...one.post_start.map((line) => ['after its start', line]), ...one.pre_stop.map((line) => ['before it stops', line])];
  return html`<li class="service"><div class="service-name"><b class="strong">${one.name}</b>${one.main ? html`<span class="tag accent">main</span>` : null}</div>
    <code class="cut faint" title=${one.image}>${one.image}</code>
    <span class="dim small">${more}</span>
    <span class=${`state ${tone}`}><i class="dot" aria-hidden="true"></i>${word}</span>
    ${one.stops_first || does.length ? html`<div class="service-more small faint any">${one.stops_first ? html`<p>When it changes, the old container stops before the new one starts: ${one.stops_first}.</p>` : null}${does.map(([when, line]) => html`<p>Runs ${when}: <code>${line}</code></p>`)}</div>` : null}</li>`;
}

/** Of an app whose Compose file lies in its source: where, and what it wants of the host. @param {{ app: App }} props */
function InSource({ app }) {
  const source = app.source.kind === 'git' || app.source.kind === 'upload' ? app.source : null;
  const services = source?.services;
  if (!source || !services) return null;
  const folder = source.folder === '.' ? 'the top' : source.folder;
  const allow = async () => {
    putApp(await api.appUpdate(app.id, { source: { ...sourceInput(source.kind, sourceValues(app)), allow_host: [...services.allow_host, ...services.host_wanted] } }));
    putDeployment(await api.deploymentCreate(app.id));
  };
  const ask = () => confirm({ title: `Let ${app.name} have this of the host?`, text: 'It holds for this app from now on, until its file asks for something else. Then it is deployed.', objects: services.host_wanted.map((one) => ({ icon: 'shield-alert', label: one })), action: 'Allow and deploy', danger: true, run: allow });
  return html`${services.host_wanted.length ? html`<div class="notice warn middle">${icon('shield-alert')}<span class="grow any">The Compose file asks for what reaches the host: ${services.host_wanted.join('; ')}. ${may('admin') ? '' : 'An administrator has to allow it.'}</span>${may('admin') ? html`<button type="button" class="btn small" onClick=${ask}>Allow…</button>` : null}</div>` : null}
    ${h(Panel, { title: 'Compose file', note: 'Read at each deployment, at its commit, with the files beside it.' }, html`<div class="stack">${h(Facts, { items: [['File', services.compose_file ? html`<code>${services.compose_file}</code>` : 'whichever has a usual name'], ['Folder', html`<code>${folder}</code>`], services.main_service ? ['Main service', services.main_service] : null, services.profiles.length ? ['Profiles', services.profiles.join(', ')] : null, services.allow_host.length ? ['Allowed of the host', services.allow_host.join('; ')] : null] })}<div class="row"><a class="btn small" href=${`/apps/${app.id}/settings`}>Change it</a></div></div>`)}`;
}

/** @param {{ app: App }} props */
function File({ app }) {
  const source = app.source.kind === 'compose' ? app.source : null;
  const { value, error, load } = useResource(`compose:${app.id}`, () => api.composeShow(app.id));
  const kept = value.value?.compose;
  const setup = { main_service: source?.main_service ?? '', profiles: (source?.profiles ?? []).join(' ') };
  const form = useForm({ text: '', ...setup });
  const [ready, setReady] = useState(false);
  useEffect(() => { if (kept != null && !form.touched.peek()) { form.reset({ text: kept, ...setup }); setReady(true); } }, [kept, setup.main_service, setup.profiles]);
  const { text, main_service, profiles } = form.values.value;
  const state = useCompose(ready ? text : '', { app: app.id, profiles: profilesOf(profiles) });
  const dirty = ready && (text !== kept || main_service.trim() !== setup.main_service || profilesOf(profiles).join(' ') !== setup.profiles);
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      putApp(await api.appUpdate(app.id, { source: { kind: 'compose', compose: text, profiles: profilesOf(profiles), ...(main_service.trim() ? { main_service: main_service.trim() } : {}) } }));
      await load();
    });
  };
  if (error.value) return h(Failed, { error: error.value, retry: load });
  return html`<form onSubmit=${save}>${h(Panel, {
    title: 'Compose file', note: source?.template ? `From ${templateText(source.template)}. {{ name }} stands for a variable of the app.` : '$NAME stands for a variable of the app.',
    foot: !dirty && !app.pending_changes ? null : html`<span class="faint">${dirty ? 'Not saved' : app.pending_changes ? 'Saved; deploy to apply it' : ''}</span><span class="end row">${dirty ? html`<button type="button" class="btn small" onClick=${() => form.reset({ text: kept ?? '', ...setup })}>Discard</button>${h(Submit, { form, label: 'Save', tone: 'primary small', disabled: Boolean(state.report?.problems.length) })}` : app.pending_changes && allows(app, 'deploy') ? h(Act, { label: 'Deploy now', icon: 'rocket', small: true, run: async () => putDeployment(await api.deploymentCreate(app.id)) }) : null}</span>`,
  }, ready ? html`<div class="stack">${h(ComposeField, { value: text, set: form.set('text'), state, error: form.error('compose', 'source'), main: main_service.trim() })}${h(SetupFields, { main: main_service, profiles, set: form.set, error: form.error })}${h(FormProblem, { text: form.general(['compose', 'source', 'main_service', 'profiles', 'source.main_service', 'source.profiles']) })}</div>` : h(Loading, { rows: 4 }))}</form>`;
}

/** A text whose addresses are links. @param {string} text */
const linked = (text) => text.split(/(https?:\/\/[^\s`"'<>]*[^\s`"'<>.,;:)])/).map((part, index) => (index % 2 ? html`<a class="link" href=${part} target="_blank" rel="noreferrer">${part}</a>` : part));

/** What to know for the first sign-in: told once. @param {{ app: App }} props */
export function FirstLogin({ app }) {
  const [text, setText] = useState('');
  const waits = app.source.kind === 'compose' && app.source.template?.first_login;
  if (!text && (!waits || app.state !== 'running' || !allows(app, 'secrets'))) return null;
  return html`<div class="notice ok middle">${icon('key-round')}${text ? html`<pre class="grow first-login" tabindex="0">${linked(text)}</pre><button type="button" class="btn small" onClick=${() => setText('')}>Done</button>` : html`<span class="grow">It is ready. What to know for the first sign-in is shown once.</span>${h(Act, { label: 'Show', icon: 'eye', small: true, run: async () => { const answer = await api.appFirstLogin(app.id); setText(answer.text); putApp(await api.appShow(app.id)); } })}`}</div>`;
}

/** Whether its template has another version, and the way back from the last update. @param {{ app: App }} props */
function TemplateNews({ app }) {
  const template = app.source.kind === 'compose' ? app.source.template : null;
  const detail = useResource(`catalog:${template?.name ?? ''}`, () => (template ? api.catalogShow(template.name) : Promise.resolve(null))).value.value;
  if (!template || !allows(app, 'configure') || !allows(app, 'deploy')) return null;
  const entry = detail?.entry;
  const newer = entry && entry.version !== template.version;
  // Versions that can go on with what it has.
  const others = newer ? [] : (detail?.versions ?? []).filter((one) => template.chosen && one.takes_over.includes(template.chosen)).map((one) => one.name);
  if (!newer && !template.before && !others.length) return null;
  const [own, before] = [versionText(template.version, template.chosen), versionText(template.before ?? '', template.before_chosen)];
  const size = template.copies.reduce((sum, one) => sum + one.bytes, 0);
  const undo = () => {
    let data = false;
    return confirm({
      title: `Back to ${before}?`, text: `The app gets the Compose file that it had before its update to ${own}, and is deployed.${template.copies.length ? '' : ' Its data stays as it is now.'}`,
      objects: [{ icon: 'layers', label: app.name, note: `${template.name} ${before}` }, ...template.copies.map((one) => ({ icon: 'hard-drive', label: one.name, note: `copy of ${bytes(one.bytes)}`, kept: true }))],
      extra: template.copies.length ? h(BringBack, { set: (on) => { data = on; } }) : null,
      action: 'Go back', run: async () => putApp(await catalogs.undo(app.id, data)),
    });
  };
  return html`<div class="notice middle">${icon(newer ? 'rocket' : 'info')}<span class="grow">${newer ? `${entry.title} ${entry.version} is out; this is ${own}.` : !template.before ? `This is ${entry?.title} ${template.chosen}; its data can go on in ${others.join(' or ')}.` : `Updated from ${before} to ${own}.${size ? ` A copy of its data from before is kept (${bytes(size)}).` : ''}`}</span>
    ${template.before ? html`<button type="button" class="btn small" onClick=${undo}>Take the update back</button>` : null}${newer ? html`<a class="btn primary small" href=${`/apps/${app.id}/update`}>See the update</a>` : others.length ? html`<a class="btn small" href=${`/apps/${app.id}/update?version=${encodeURIComponent(others[0])}`}>Another version</a>` : null}</div>`;
}

/** @param {{ set: (on: boolean) => void }} props */
function BringBack({ set }) {
  const [on, setOn] = useState(false);
  return html`<label class="row small"><input class="check" type="checkbox" checked=${on} onChange=${(/** @type {any} */ event) => { setOn(event.target.checked); set(event.target.checked); }} />Bring its data from before back too; what was written since stays in volumes of its own</label>`;
}
