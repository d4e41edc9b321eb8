// What is done to apps from more than one page.
import { html, h, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { navigate } from '../lib/router.js';
import { apps, placeOf, putApp, putDeployment } from '../lib/live.js';
import { plural } from '../lib/format.js';
import { confirm, showDialog, DialogHead } from './dialog.js';
import { allows } from '../lib/rights.js';
import { Drop, useDraft } from './drop.js';
import { FORM_FIELDS, SourceFields, sourceInput, sourceValues } from './app-form.js';
import { LookInside } from './look-inside.js';
import { amount, useForm, TextField, FormProblem, Submit } from './field.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */

/** @param {App} app */
export const deployReference = (app) => showDialog(`Deploy ${app.name}`, (close) => h(ReferenceForm, { app, close }));

/** @param {{ app: App, close: () => void }} props */
function ReferenceForm({ app, close }) {
  const form = useForm({ reference: '' });
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { const made = await api.deploymentCreate(app.id, form.values.value.reference.trim() ? { reference: form.values.value.reference.trim() } : {}); putDeployment(made); close(); navigate(`/deployments/${made.id}`); }); }}>
    ${h(DialogHead, { title: `Deploy ${app.name}`, close })}
    ${h(TextField, { label: 'Branch, tag or commit', value: form.values.value.reference, set: form.set('reference'), mono: true, placeholder: app.source.kind === 'git' ? app.source.branch ?? 'the default branch' : '', error: form.error('reference'), hint: 'This deployment only; the app keeps its branch.' })}
    ${h(FormProblem, { text: form.general(['reference']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Deploy', icon: 'rocket' })}</footer></form>`;
}

/** @param {App} app */
export const deployTag = (app) => showDialog(`Deploy ${app.name}`, (close) => h(TagForm, { app, close }));

/** @param {{ app: App, close: () => void }} props */
function TagForm({ app, close }) {
  const form = useForm({ image: '' });
  const deploy = async () => { const made = await api.deploymentCreate(app.id, { image: form.values.value.image.trim() }); putDeployment(made); close(); navigate(`/deployments/${made.id}`); };
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(deploy); }}>
    ${h(DialogHead, { title: `Deploy ${app.name}`, close })}
    ${h(TextField, { label: 'Tag or digest', value: form.values.value.image, set: form.set('image'), mono: true, required: true, autofocus: true, placeholder: 'v2', error: form.error('image'), hint: `Of ${app.source.kind === 'image' ? app.source.reference : 'its image'}. This deployment only; the app keeps its own.` })}
    ${h(FormProblem, { text: form.general(['image']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Deploy', icon: 'rocket' })}</footer></form>`;
}

/** @param {App} app */
export const deployUpload = (app) => showDialog(`Deploy ${app.name}`, (close) => h(UploadForm, { app, close }), { wide: true });

/** How it would be built is shown first; of an app that is made of uploads it can be changed too. @param {{ app: App, close: () => void }} props */
function UploadForm({ app, close }) {
  const form = useForm(sourceValues(app));
  const dropped = useDraft();
  const own = app.source.kind === 'upload' && allows(app, 'configure');
  const deploy = async () => {
    const source = sourceInput('upload', form.values.value);
    if (own && JSON.stringify(source) !== JSON.stringify(sourceInput('upload', sourceValues(app)))) putApp(await api.appUpdate(app.id, { source }));
    const upload = await dropped.give(app.id);
    const made = await api.deploymentCreate(app.id, { upload: upload.id });
    putDeployment(made); close(); navigate(`/deployments/${made.id}`);
  };
  const upload = dropped.draft?.id;
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(deploy); }}>
    ${h(DialogHead, { title: `Deploy ${app.name} from an upload`, note: app.source.kind === 'git' ? 'This deployment only; the next one builds the repository again.' : 'It is kept with its release.', close })}
    ${h(Drop, { value: dropped.parcel, set: dropped.set, error: dropped.error || form.error('archive'), sending: dropped.sending })}
    ${!upload ? null : own ? h(SourceFields, { form, kind: 'upload', app: app.id, upload }) : h(LookInside, { app: app.id, upload })}
    ${h(FormProblem, { text: form.error('archive') ? null : form.general(FORM_FIELDS) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Deploy', icon: 'rocket', disabled: !dropped.draft })}</footer></form>`;
}

/** Whether the app's deployments are locked now. @param {App} app */
export const isLocked = (app) => Boolean(app.lock && (!app.lock.until || Date.parse(app.lock.until) > Date.now()));

/** For an administrator, while a freeze holds. @param {App} app */
export const deployAnyway = (app) => showDialog(`Deploy ${app.name} anyway`, (close) => h(AnywayForm, { app, close }));

/** @param {{ app: App, close: () => void }} props */
function AnywayForm({ app, close }) {
  const form = useForm({ why: '' });
  const v = form.values.value;
  const deploy = async () => { const made = await api.deploymentCreate(app.id, { anyway: v.why.trim() }); putDeployment(made); close(); navigate(`/deployments/${made.id}`); };
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(deploy); }}>
    ${h(DialogHead, { title: `Deploy ${app.name} anyway`, note: 'A freeze window holds. Your reason goes into the audit log.', close })}
    ${h(TextField, { label: 'Why', value: v.why, set: form.set('why'), required: true, placeholder: 'mend the checkout', error: form.error('anyway') })}
    ${h(FormProblem, { text: form.general(['anyway']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Deploy anyway', icon: 'rocket' })}</footer></form>`;
}

/** @param {App} app */
export const lockApp = (app) => showDialog(`Lock deployments of ${app.name}`, (close) => h(LockForm, { app, close }));

/** @param {{ app: App, close: () => void }} props */
function LockForm({ app, close }) {
  const form = useForm({ why: '', hours: '' });
  const values = form.values.value;
  const lock = async () => {
    const minutes = values.hours.trim() ? { minutes: Math.round(amount(values.hours, 'minutes', 'Use a number of hours such as 8 or 0.5') * 60) } : {};
    putApp(await api.appLock(app.id, { why: values.why.trim(), ...minutes }));
    close();
  };
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(lock); }}>
    ${h(DialogHead, { title: `Lock deployments of ${app.name}`, note: 'Pushes are kept in the inbox and deploy nothing; rolling back stays possible.', close })}
    ${h(TextField, { label: 'Why', value: values.why, set: form.set('why'), optional: true, placeholder: 'release week', error: form.error('why') })}
    ${h(TextField, { label: 'For', value: values.hours, set: form.set('hours'), optional: true, inputmode: 'decimal', suffix: 'h', placeholder: 'until it is unlocked', error: form.error('minutes') })}
    ${h(FormProblem, { text: form.general(['why', 'minutes']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Lock', icon: 'lock' })}</footer></form>`;
}

/** @param {import('../lib/api.js').S<'DeletePlan'>} plan @param {boolean} [purge] @returns {import('./dialog.js').Target[]} */
export const targetsOf = (plan, purge = false) => [
  ...plan.containers.map((one) => ({ icon: 'box', label: one.name, note: 'container' })),
  ...plan.domains.map((host) => ({ icon: 'globe', label: host, note: 'domain, freed' })),
  ...plan.images.map((one) => ({ icon: 'layers', label: one.name, bytes: one.bytes, note: 'image' })),
  ...plan.volumes.map((one) => ({ icon: 'hard-drive', label: one.name, bytes: one.bytes ?? undefined, note: one.kept && !purge ? 'kept' : 'volume', kept: one.kept && !purge })),
  ...(plan.releases ? [{ icon: 'history', label: plural(plan.releases, 'release'), note: 'records' }] : []),
];

/** Two of a name must not be mixed up. In the trash it is told apart always, since others are not among the apps. @param {App} app */
const called = (app) => { const place = app.trashed_at ? app.environment.name : placeOf(app); return place ? `${app.name} in ${place}` : app.name; };

/** @param {App} app */
export const deleteApp = (app) => confirm({
  title: `Delete ${called(app)}?`, text: 'It is stopped at once and moves to the trash, from where it can be restored. Its volumes are kept; whoever empties the trash chooses whether they go too.',
  objects: async () => targetsOf(await api.appDeletePlan(app.id)), typed: app.name, action: 'Move to the trash',
  run: async () => { await api.appDelete(app.id); apps.value = apps.value?.filter((other) => other.id !== app.id); },
});

/** Deletes for good. @param {App} app */
export async function purgeApp(app) {
  let volumes = false;
  return confirm({
    title: `Delete ${called(app)} for good?`, text: 'This cannot be undone.', typed: app.name, action: 'Delete for good',
    objects: async () => targetsOf(await api.appDeletePlan(app.id)),
    extra: h(Volumes, { set: (/** @type {boolean} */ on) => { volumes = on; } }),
    run: () => api.appPurge(app.id, volumes),
  });
}
/** @param {{ set: (on: boolean) => void }} props */
function Volumes({ set }) {
  const [on, setOn] = useState(false);
  return html`<label class="row small"><input class="check" type="checkbox" checked=${on} onChange=${(/** @type {any} */ event) => { setOn(event.target.checked); set(event.target.checked); }} />Also delete its volumes and the data in them</label>`;
}
