// An app's settings, in parts that are saved one by one; and its end.
import { html, h, icon, useEffect } from '../lib/html.js';
import { api } from '../lib/api.js';
import { navigate } from '../lib/router.js';
import { useUnsaved } from '../lib/unsaved.js';
import { bytes, exact, plural } from '../lib/format.js';
import { useResource } from '../lib/resource.js';
import { apps, appPath, placeOf, putApp, putDeployment } from '../lib/live.js';
import { Panel } from '../parts/page.js';
import { Act } from '../parts/act.js';
import { Failed, Loading } from '../parts/empty.js';
import { Copy } from '../parts/copy.js';
import { useForm, TextField, FormProblem, Submit, Switch } from '../parts/field.js';
import { FORM_FIELDS, HealthFields, LimitFields, SourceFields, runInput, runValues, sourceInput, sourceValues } from '../parts/app-form.js';
import { deleteApp } from '../parts/app-actions.js';
import { confirm } from '../parts/dialog.js';
import { ImageWatchPart } from '../parts/image-watch.js';
import { CanaryFields, canaryInput, canaryValues } from '../parts/release-canary.js';
import { hasServices } from '../parts/source.js';
import { BuildPlace } from '../parts/build-servers.js';
import { allows, has } from '../lib/rights.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */

/** @param {{ app: App }} props */
export default function AppSettings({ app }) {
  const git = app.source.kind === 'git' ? app.source : null;
  const kind = app.source.kind;
  const several = hasServices(app.source);
  const built = kind === 'git' || kind === 'upload';
  const save = (/** @type {(v: any) => Record<string, unknown>} */ of) => async (/** @type {any} */ v) => {
    const made = await api.appUpdate(app.id, of(v));
    putApp(made);
    if (made.name !== app.name) { apps.value = apps.value?.map((one) => (one.id === made.id ? made : one)); navigate(appPath(made, 'settings'), { replace: true }); }
  };
  const run = runValues(app);
  return html`<div class="settings-grid">
    ${app.pending_changes && app.release ? html`<div class="notice warn middle">${icon('triangle-alert')}<span class="grow">The configuration differs from what is live. Deploy to apply it.</span>${allows(app, 'deploy') ? h(Act, { label: 'Deploy now', icon: 'rocket', small: true, run: async () => putDeployment(await api.deploymentCreate(app.id)) }) : null}</div>` : null}
    ${h(Part, { title: 'Name', start: { name: app.name }, save: save((v) => ({ name: v.name.trim() })), body: (form) => h(TextField, { label: 'Name', value: form.values.value.name, set: form.set('name'), mono: true, required: true, error: form.error('name'), hint: 'Addresses that were made from the old name stay.' }) })}
    ${kind === 'compose' ? html`<div class="notice middle">${icon('layers')}<span class="grow">Images, commands, volumes and limits of its services are in the Compose file.</span><a class="btn small" href=${appPath(app, 'services')}>Open it</a></div>` : h(Part, { title: 'Source', start: sourceValues(app), save: save((v) => ({ source: sourceInput(kind, v) })), body: (form) => html`${h(SourceFields, { form, kind, has_password: git?.has_password, app: app.id })}${git ? h(DeployKey, { app, shown: git.deploy_key_public }) : null}` })}
    ${kind === 'image' || kind === 'compose' ? h(ImageWatchPart, { app }) : null}
    ${h(Part, { title: 'Run', start: run, save: save((v) => { const { port, command, grace_seconds } = runInput(v); return several ? { port, grace_seconds } : { port, command, grace_seconds }; }), body: (form) => html`
      <div class="form-row">${h(TextField, { label: 'Port', value: form.values.value.port, set: form.set('port'), inputmode: 'numeric', optional: true, placeholder: 'as the image says', hint: 'Where it listens inside its container. It gets PORT if the image names none.', error: form.error('port') })}${h(TextField, { label: 'Time to stop', value: form.values.value.grace, set: form.set('grace'), inputmode: 'numeric', suffix: 's', hint: 'From the signal to the kill.', error: form.error('grace_seconds') })}</div>
      ${several ? null : h(TextField, { label: 'Command', value: form.values.value.command, set: form.set('command'), mono: true, optional: true, placeholder: 'the image’s own', hint: 'Words, no shell: quotes keep spaces together.', error: form.error('command') })}` })}
    ${h(Part, { title: 'Commands around a deployment', note: several ? 'Of a shell in a new container of the main service, with its variables and volumes.' : 'Of a shell in the new image, with the app’s variables and volumes.', start: { before: app.before_deploy ?? '', after: app.after_deploy ?? '', stop: app.before_stop ?? '' }, save: save((v) => { const around = { before_deploy: v.before.trim() || null, after_deploy: v.after.trim() || null }; return several ? around : { ...around, before_stop: v.stop.trim() || null }; }), body: (form) => html`
      ${h(TextField, { label: 'Before the start', value: form.values.value.before, set: form.set('before'), mono: true, optional: true, placeholder: 'python manage.py migrate', hint: 'When it fails, the deployment fails and what is live stays.', error: form.error('before_deploy') })}
      ${h(TextField, { label: 'Once it is live', value: form.values.value.after, set: form.set('after'), mono: true, optional: true, placeholder: 'python manage.py warm_cache', error: form.error('after_deploy') })}
      ${several ? null : h(TextField, { label: 'Before it stops', value: form.values.value.stop, set: form.set('stop'), mono: true, optional: true, placeholder: 'kill -TTIN 1', hint: 'In the container that goes, once nothing is under way to it; for at most its time to stop.', error: form.error('before_stop') })}` })}
    ${h(Part, { title: 'Health check', note: 'Made from outside the container. A new release goes live only after it passed.', start: run, save: save((v) => ({ health: runInput(v).health })), body: (form) => h(HealthFields, { form }) })}
    ${h(Part, { title: 'Limits', note: several ? 'Of each service whose Compose file says nothing else.' : 'So that one app cannot take the server down.', start: run, save: save((v) => ({ limits: runInput(v).limits })), body: (form) => h(LimitFields, { form, project: app.project.id, larger: true }) })}
    ${several ? null : h(Part, { title: 'Containers', note: `At once, without a build; the edge shares requests out between them. ${app.running} of ${app.replicas} run now.`, start: run, save: save((v) => ({ replicas: runInput(v).replicas })), body: (form) => h(TextField, { label: 'Containers', value: form.values.value.replicas, set: form.set('replicas'), inputmode: 'numeric', hint: 'Each has the limits above. More than one only where none writes to a volume.', error: form.error('replicas') }) })}
    ${h(Part, { title: 'Hours', note: app.hours ? `Started ${app.hours.next_start ? `next on ${exact(app.hours.next_start)}` : 'never'}, stopped ${app.hours.next_stop ? `next on ${exact(app.hours.next_stop)}` : 'never'}.` : 'Start and stop it by the clock: staging that is off at night.', start: hoursOf(app), save: save((v) => ({ hours: v.on ? { start: v.start.trim(), stop: v.stop.trim(), zone: v.zone.trim() } : null })), body: (form) => html`${h(Switch, { label: 'Only at some hours', hint: 'Whoever starts, stops or deploys it meanwhile is heeded until the next of its times.', on: form.values.value.on, set: form.set('on') })}
      ${form.values.value.on ? html`<div class="form-row">${h(TextField, { label: 'Starts at', value: form.values.value.start, set: form.set('start'), mono: true, hint: 'Minute, hour, day of month, month, day of week.', error: form.error('start') })}${h(TextField, { label: 'Stops at', value: form.values.value.stop, set: form.set('stop'), mono: true, error: form.error('stop') })}</div>${h(TextField, { label: 'Time zone', value: form.values.value.zone, set: form.set('zone'), mono: true, error: form.error('zone') })}` : null}` })}
    ${h(Part, { title: 'Sleep', note: 'While nobody uses it, its containers are stopped; the first request starts them, waits until they are well, and is answered then.', start: sleepOf(app), save: save((v) => ({ sleep_after_minutes: v.on ? minutesOf(v.after) : null })), body: (form) => html`${h(Switch, { label: 'Sleep when nobody uses it', hint: 'Only requests to its domains count and wake it, not those of other apps over the network. Its memory stays counted in quotas.', on: form.values.value.on, set: form.set('on') })}
      ${form.values.value.on ? h(TextField, { label: 'After', value: form.values.value.after, set: form.set('after'), inputmode: 'numeric', suffix: 'min', hint: 'Without a request or an open WebSocket: 1 minute to 7 days (10080).', error: form.error('sleep_after_minutes') }) : null}
      ${app.kept_awake ? html`<p class="notice middle">${icon('info')}<span class="grow any">It stays awake: ${app.kept_awake}.</span></p>` : null}` })}
    ${h(Part, { title: 'Restarts', note: 'A container that exits is started again, each time after a longer pause.', start: run, save: save((v) => { const { restart_limit, rollback_within_minutes } = runInput(v); return { restart_limit, rollback_within_minutes }; }), body: (form) => html`<div class="form-row">${h(TextField, { label: 'Give up after', value: form.values.value.restarts, set: form.set('restarts'), inputmode: 'numeric', suffix: 'restarts', hint: 'In a row, without 5 minutes in which it stayed up. 0: never. Starting or deploying the app begins anew.', error: form.error('restart_limit') })}${h(TextField, { label: 'Go back within', value: form.values.value.within, set: form.set('within'), inputmode: 'numeric', suffix: 'min', hint: 'A release that is given up on so soon after it went live gives way to the one before, once. 0: never.', error: form.error('rollback_within_minutes') })}</div>` })}
    ${h(Part, { title: 'Deployments', start: run, save: save((v) => { const { deploy_timeout_seconds, keep_releases, keep_release_days, keep_release_bytes } = runInput(v); return { deploy_timeout_seconds, keep_releases, keep_release_days, keep_release_bytes }; }), body: (form) => html`<div class="form-row">${h(TextField, { label: 'Fails after', value: form.values.value.deploy_timeout, set: form.set('deploy_timeout'), inputmode: 'numeric', suffix: 's', error: form.error('deploy_timeout_seconds') })}${h(TextField, { label: 'Releases kept', value: form.values.value.keep, set: form.set('keep'), inputmode: 'numeric', hint: 'Beside the live one, for rollbacks.', error: form.error('keep_releases') })}</div><div class="form-row">${h(TextField, { label: 'Not older than', value: form.values.value.keep_days, set: form.set('keep_days'), inputmode: 'numeric', suffix: 'days', optional: true, placeholder: 'any age', error: form.error('keep_release_days') })}${h(TextField, { label: 'Images together at most', value: form.values.value.keep_bytes, set: form.set('keep_bytes'), optional: true, placeholder: 'any size', hint: 'The newest to go back to always stays.', error: form.error('keep_release_bytes') })}</div>` })}
    ${several ? null : h(Part, { title: 'Canary', note: 'A new release runs beside the live one for a while. When it fails on requests, is too slow or is not healthy, the deployment fails and the live one stays.', start: canaryValues(app), save: save((v) => ({ canary: canaryInput(v) })), body: (form) => h(CanaryFields, { form, writes: app.mounts.find((mount) => !mount.read_only)?.path }) })}
    ${built && has('operate') ? h(Part, { title: 'Build server', note: 'Where it is built; it runs here in any case.', start: { place: app.build_on ?? '' }, save: save((v) => ({ build_on: v.place || null })), body: (form) => h(BuildPlace, { value: form.values.value.place, set: form.set('place'), usual: 'As the settings of the panel say', error: form.error('build_on') }) }) : null}
    ${built ? h(Part, { title: 'Build cache', note: 'What the engine keeps of its builds, so that the next ones are quick.', start: run, save: save((v) => ({ build_cache_bytes: runInput(v).build_cache_bytes })), body: (form) => html`${app.release ? h(Kept, { app }) : html`<p class="dim">Nothing was built yet.</p>`}${h(TextField, { label: 'At most', value: form.values.value.cache, set: form.set('cache'), optional: true, placeholder: 'as much as all builds may', hint: 'Such as 2 GiB. The longest unused goes first.', error: form.error('build_cache_bytes') })}` }) : null}
    ${allows(app, 'deploy') || allows(app, 'delete') ? html`<section class="panel danger-zone flush"><header class="panel-head"><h2>Danger</h2></header>
      ${allows(app, 'deploy') ? html`<div class="danger-row"><div class="grow"><b class="strong">Stop</b><p class="hint">Visitors see that the app is down until it is started again.</p></div>${app.desired === 'stopped' ? h(Act, { label: 'Start', icon: 'play', run: async () => putApp(await api.appStart(app.id)) }) : h(Act, { label: 'Stop', icon: 'square', run: () => confirm({ title: `Stop ${placeOf(app) ? `${app.name} in ${placeOf(app)}` : app.name}?`, text: 'Its container stops; nothing is deleted.', action: 'Stop', run: async () => putApp(await api.appStop(app.id)) }) })}</div>` : null}
      ${allows(app, 'delete') ? html`<div class="danger-row"><div class="grow"><b class="strong">Delete</b><p class="hint">Moves to the trash; its volumes are kept.</p></div><button type="button" class="btn danger" onClick=${async () => { if (await deleteApp(app)) navigate('/apps'); }}>${icon('trash-2')}Delete…</button></div>` : null}</section>` : null}
  </div>`;
}

/** What the engine keeps of the app's builds. @param {{ app: App }} props */
function Kept({ app }) {
  const found = useResource(`build-cache:${app.id}`, () => api.appBuildCache(app.id), ['deployment_live']);
  const cache = found.value.value;
  if (found.error.value && !cache) return h(Failed, { error: found.error.value, retry: found.load });
  if (!cache) return h(Loading, { rows: 1 });
  const clear = async () => { if (await confirm({ title: `Clear the build cache of ${app.name}?`, text: 'Nothing that runs is touched. Its next build begins anew, and takes longer.', action: 'Clear', danger: false, run: () => api.appBuildCacheTrim(app.id, 0) })) await found.load(); };
  return html`<div class="row"><p class="grow">${bytes(cache.bytes)} <span class="dim">in ${plural(cache.records.length, 'part')}: steps and caches of the Dockerfile that serverkit writes. What own Dockerfiles leave, base images and copied files are not told apart by app.</span></p>${cache.records.length ? h(Act, { label: 'Clear', icon: 'eraser', small: true, run: clear }) : null}</div>`;
}

/** @param {App} app */
const hoursOf = (app) => ({ on: Boolean(app.hours), start: app.hours?.start ?? '0 8 * * MON-FRI', stop: app.hours?.stop ?? '0 19 * * *', zone: app.hours?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone ?? 'UTC' });

/** @param {App} app */
const sleepOf = (app) => ({ on: app.sleep_after_minutes != null, after: String(app.sleep_after_minutes ?? 30) });
/** What cannot be read is left to the API to refuse. @param {string} text */
const minutesOf = (text) => { const minutes = Number(text.trim()); return Number.isInteger(minutes) && minutes > 0 ? minutes : 0; };

/** @template {Record<string, any>} V @param {{ title: string, note?: string, start: V, save: (values: V) => Promise<void>, body: (form: ReturnType<typeof useForm<V>>) => any }} props */
function Part({ title, note, start, save, body }) {
  const form = useForm(start);
  const key = JSON.stringify(start);
  useEffect(() => { if (!form.touched.peek()) form.reset(start); }, [key]);
  const dirty = JSON.stringify(form.values.value) !== key;
  useUnsaved(dirty, title.toLowerCase());
  return html`<form onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(() => save(form.values.value)); }}>${h(Panel, {
    title, note, foot: dirty || form.problem.value ? html`<span class="faint">Not saved</span><span class="end row"><button type="button" class="btn small" onClick=${() => form.reset(start)}>Discard</button>${h(Submit, { form, label: 'Save', tone: 'primary small' })}</span>` : null,
  }, html`<div class="stack">${body(form)}${h(FormProblem, { text: form.general(FORM_FIELDS) })}</div>`)}</form>`;
}

/** @param {{ app: App, shown: string | null | undefined }} props */
function DeployKey({ app, shown }) {
  const make = async () => { await api.appDeployKey(app.id); putApp(await api.appShow(app.id)); };
  if (!shown) return html`<div class="row">${h(Act, { label: 'Make a deploy key', icon: 'key-round', small: true, run: make })}<span class="hint">for repositories reached by ssh</span></div>`;
  return html`<div class="field"><div class="label-row"><span class="label">Deploy key</span><span class="row">${h(Act, { label: 'Renew', icon: 'refresh-cw', small: true, tone: 'ghost', run: () => confirm({ title: 'Renew the deploy key?', text: 'The old key stops working at once: give the new one to the repository before the next deployment.', action: 'Renew', run: make }) })}</span></div>
    <div class="key-box"><code>${shown}</code>${h(Copy, { text: shown, label: 'Copy deploy key' })}</div><p class="hint">Add it to the repository as a deploy key; reading is enough.</p></div>`;
}
