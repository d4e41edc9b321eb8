// An environment from another one: what is wanted, what that comes to, and how it goes on.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { clones, isOver, stepsOf } from '../lib/clones.js';
import { useResource } from '../lib/resource.js';
import { bytes, plural, sentence } from '../lib/format.js';
import { Panel } from './page.js';
import { DialogHead, leaving, showForm } from './dialog.js';
import { Choice, FormProblem, Submit, Switch, TextField, useForm } from './field.js';
import { Act } from './act.js';
import { State } from './state.js';
import { Took } from './time.js';

/** @template {keyof import('../lib/api.js').Schemas} K @typedef {import('../lib/api.js').S<K>} S */
/** @typedef {{ id: string, name: string }} Named */

/** Asks what to make and shows what that comes to. Answers the clone that was begun. @param {Named} environment @param {Named[]} apps @returns {Promise<S<'EnvironmentClone'> | null>} */
export const cloneEnvironment = (environment, apps) => showForm('Clone environment', (close, leave) => h(CloneForm, { environment, apps, close, leave }), { wide: true });

/** @param {{ environment: Named, apps: Named[], close: (made?: unknown) => void, leave: { current: (() => void) | null } }} props */
function CloneForm({ environment, apps, close, leave }) {
  const form = useForm({ name: '', branch: '', apps: apps.map((app) => app.id), data: false, stop: false, secrets: 'empty', jobs: false, ports: false, ci: false, deploy: true, values: /** @type {Record<string, string>} */ ({}) });
  const [plan, setPlan] = useState(/** @type {S<'ClonePlan'> | null} */ (null));
  const v = form.values.value;
  const left = leaving(form, close, leave);
  const body = () => /** @type {S<'CloneCreate'>} */ ({
    name: v.name.trim(), branch: v.branch.trim() || null, data: v.data, stop: v.data && v.stop, secrets: v.secrets, jobs: v.jobs ? 'same' : 'paused', ports: v.ports ? 'other' : 'closed', ci: v.ci ? 'same' : 'none', deploy: v.deploy,
    apps: v.apps.length === apps.length ? null : v.apps.map((app) => ({ app })),
    values: Object.entries(v.values).filter(([, value]) => value !== '').map(([name, value]) => { const [app, key] = name.split('/'); return { key, value, app: app || null }; }),
  });
  const next = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => { if (plan) close(await clones.create(environment.id, body())); else setPlan(await clones.plan(environment.id, body())); });
  };
  const again = () => { form.problem.value = null; setPlan(null); };
  return html`<form class="stack" onSubmit=${next}>
    ${h(DialogHead, { title: plan ? `${plan.name} from ${environment.name}` : `Clone ${environment.name}`, note: plan ? 'Nothing is made yet.' : 'A new environment with the same apps. It is made as a whole or not at all.', close: left })}
    ${plan ? h(Plan, { plan, values: v.values, set: (/** @type {string} */ name, /** @type {string} */ value) => form.set('values')({ ...v.values, [name]: value }) }) : h(Wishes, { form, apps })}
    ${h(FormProblem, { text: form.general(plan ? [] : ['name', 'branch', 'apps']) })}
    <footer class="dialog-foot">${plan ? html`<button type="button" class="btn" onClick=${again}>Back</button>` : html`<button type="button" class="btn" onClick=${left}>Cancel</button>`}
      ${h(Submit, { form, label: plan ? `Make ${plan.name}` : 'Show the plan', disabled: plan ? plan.problems.length > 0 : v.apps.length === 0 })}</footer></form>`;
}

/** @param {{ form: any, apps: Named[] }} props */
function Wishes({ form, apps }) {
  const v = form.values.value;
  const pick = (/** @type {string} */ id) => (/** @type {boolean} */ on) => form.set('apps')(on ? [...v.apps, id] : v.apps.filter((/** @type {string} */ one) => one !== id));
  return html`<div class="form-row">${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), mono: true, required: true, autofocus: true, placeholder: 'staging', error: form.error('name'), hint: 'Domains get new names: app-staging.' })}
    ${h(TextField, { label: 'Branch', value: v.branch, set: form.set('branch'), mono: true, optional: true, placeholder: 'dev', error: form.error('branch'), hint: 'What its apps from Git follow; left empty: the same.' })}</div>
    ${apps.length > 1 ? html`<fieldset class="stack tight"><legend class="label">Apps</legend>${apps.map((app) => h(Switch, { key: app.id, label: app.name, on: v.apps.includes(app.id), set: pick(app.id) }))}</fieldset>` : null}
    ${h(Switch, { label: 'With a copy of the data', hint: 'What is in the volumes. Without it they are empty.', on: v.data, set: form.set('data') })}
    ${v.data ? h(Switch, { label: 'Stop what writes while it is copied', hint: 'Files of a running database are not of one moment. What was stopped starts again by itself.', on: v.stop, set: form.set('stop') }) : null}
    <div class="field"><span class="label">Secret variables and files</span>${h(Choice, { label: 'Secret variables and files', value: v.secrets, set: form.set('secrets'), options: [{ value: 'empty', label: 'Without their values' }, { value: 'copy', label: 'With their values' }] })}
      <p class="hint">${v.secrets === 'copy' ? 'Whoever may see secrets of the new environment sees them there.' : 'They are named; the next step asks for values, or leaves them empty.'}</p></div>
    ${h(Switch, { label: 'Let jobs run as they do', hint: 'Else they are there and paused.', on: v.jobs, set: form.set('jobs') })}
    ${h(Switch, { label: 'Open ports of the server under other numbers', hint: 'Each port that leads to an app gets the next free number for its copy. Else none leads there.', on: v.ports, set: form.set('ports') })}
    ${h(Switch, { label: 'Let CIs deploy the copies', hint: 'Repositories whose CI may deploy an app may deploy its copy too. Else none may.', on: v.ci, set: form.set('ci') })}
    ${h(Switch, { label: 'Deploy the apps at once', on: v.deploy, set: form.set('deploy') })}`;
}

/** @param {{ plan: S<'ClonePlan'>, values: Record<string, string>, set: (name: string, value: string) => void }} props */
function Plan({ plan, values, set }) {
  const empty = plan.secrets.filter((one) => one.becomes === 'empty' && !one.file && !one.service);
  const others = plan.secrets.filter((one) => !empty.includes(one));
  const becomes = { copied: 'with its value', given: 'with the value that you give', empty: 'without a value' };
  return html`
    ${plan.problems.map((one) => html`<p class="problem" role="alert">${icon('circle-alert')}<span>${sentence(one)}</span></p>`)}
    <ul class="targets" tabindex="0" aria-label="What is made">
      ${plan.apps.map((app) => html`<li>${icon('box')}<span class="cell-two grow"><span title=${app.source}>${app.from.name}</span><span>${facts(app).join(' · ')}</span></span></li>`)}
      ${plan.volumes.map((one) => html`<li>${icon('hard-drive')}<span class="cut">${one.name}</span><span class="tiny faint nowrap">${one.data ? 'a copy of its data' : 'empty'}</span><span class="end num faint tiny nowrap">${one.data && one.bytes != null ? bytes(one.bytes) : ''}</span></li>`)}
      ${plan.bytes > 0 ? html`<li class="total"><span>Copied</span><span class="end num">${bytes(plan.bytes)}${plan.free_bytes != null ? ` of ${bytes(plan.free_bytes)} free` : ''}</span></li>` : null}
    </ul>
    ${plan.stops.length ? html`<p class="notice warn">${icon('triangle-alert')}<span>${plan.stops.join(', ')} ${plan.stops.length === 1 ? 'stops' : 'stop'} while the data is copied.</span></p>` : null}
    ${empty.map((one) => { const name = `${one.app ?? ''}/${one.name}`; return h(TextField, { key: name, label: `${one.name} of ${one.app ?? 'the environment'}`, type: 'password', mono: true, optional: true, autocomplete: 'new-password', value: values[name] ?? '', set: (value) => set(name, value), hint: 'Left empty: it is there without a value.' }); })}
    ${others.length ? html`<p class="small dim">${others.map((one) => `${one.name}${one.app ? ` of ${one.app}` : ''} ${becomes[one.becomes]}`).join(', ')}.</p>` : null}
    ${plan.notes.map((one) => html`<p class="notice warn">${icon('triangle-alert')}<span>${sentence(one.replaceAll('`', ''))}</span></p>`)}
    ${plan.left_out.length ? html`<details class="more"><summary>${icon('chevron-right', 'icon-small')}Not copied</summary><ul class="small dim">${plan.left_out.map((one) => html`<li>${sentence(one.replaceAll('`', ''))}</li>`)}</ul></details>` : null}`;
}

const WATCHES = { off: null, notify: 'newer images are told', deploy: 'newer images are deployed' };

/** What a new app has and what leads to it, each in a few words. @param {S<'ClonePlanApp'>} app @returns {string[]} */
const facts = (app) => [
  app.branch, ...app.domains, plural(app.variables, 'variable'), app.jobs ? plural(app.jobs, 'job') : null,
  app.rules.length ? `${plural(app.rules.length, 'rule')}: ${app.rules.map((rule) => rule.name).join(', ')}` : null,
  ...app.ports.map((port) => (port.to ? `${port.to} for ${port.from}` : `${port.from} not open`)),
  ...app.ci.map((ci) => `CI of ${ci.repository} ${ci.trusted ? 'may' : 'may not'} deploy it`),
  app.image_watch ? WATCHES[app.image_watch] : null,
].filter((one) => one != null);

/** Those of a project that are under way, and how the last one ended. @param {{ project: string, changed: () => void }} props */
export function Clones({ project, changed }) {
  const found = useResource(`clones:${project}`, () => clones.list(project), ['environment_cloned', 'app_state_changed', 'deployment_moved']);
  const list = found.value.value ?? [];
  const running = list.some((one) => !isOver(one));
  // Bytes that are copied are no events.
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(found.load, 2000);
    return () => { clearInterval(timer); changed(); };
  }, [running]);
  // What is made shows beside the apps; a failure stays until the next one.
  const shown = list.filter((one, place) => !isOver(one) || (place === 0 && (one.phase === 'failed' || one.notes.length > 0)));
  return shown.map((one) => h(CloneState, { key: one.id, clone: one, load: found.load }));
}

/** @param {{ clone: S<'EnvironmentClone'>, load: () => unknown }} props */
function CloneState({ clone, load }) {
  const steps = stepsOf(clone);
  return h(Panel, { title: `${clone.to.name} from ${clone.from.name}`, note: sentence(clone.why), actions: html`${h(State, { state: clone.phase })}${clone.cancellable ? h(Act, { label: 'Cancel', small: true, run: async () => { await clones.cancel(clone.id); await load(); } }) : null}` },
    html`<ol class="timeline" aria-label="Steps">${steps.map((step) => html`<li class=${step.status} key=${step.phase} aria-current=${step.status === 'now' ? 'step' : undefined}>
      <span class="mark" aria-hidden="true">${step.status === 'done' ? icon('check') : step.status === 'bad' ? icon('x') : step.status === 'now' ? html`<i class="spin"></i>` : null}</span>
      <span class="step-word">${step.word}<span class="unseen">${{ done: ', done', now: ', running', next: ', to come', bad: ', failed', off: '' }[step.status]}</span></span>
      <span class="step-time">${step.started_at && step.phase !== 'done' ? h(Took, { from: step.started_at, to: step.finished_at }) : null}</span></li>`)}</ol>
    ${clone.copied_bytes > 0 ? html`<p class="small dim">${bytes(clone.copied_bytes)} copied</p>` : null}
    ${clone.notes.map((note) => html`<p class="notice warn">${icon('triangle-alert')}<span>${sentence(note)}</span></p>`)}`);
}
