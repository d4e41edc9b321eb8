// A newer version of the template that an app was made from: what changes, what to settle, and the button.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { catalogs } from '../lib/catalogs.js';
import { navigate, route, setQuery } from '../lib/router.js';
import { appPath, putApp } from '../lib/live.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { Facts } from '../parts/facts.js';
import { FormProblem, SelectField, Submit, Switch, TextField, useForm } from '../parts/field.js';
import { bytes } from '../lib/format.js';
import { Asked } from '../parts/asked.js';
import { versionText } from '../parts/source.js';
import { UnifiedDiff } from '../parts/unified-diff.js';
import { coded, said } from '../parts/said.js';

/** @template {keyof import('../lib/api.js').Schemas} K @typedef {import('../lib/api.js').S<K>} S */

/** @param {{ params: Record<string, string> }} props */
export default function AppUpdatePage({ params }) {
  const app = useResource(`app:${params.app}`, () => api.appShow(params.app)).value.value;
  const template = app?.source.kind === 'compose' ? app.source.template : null;
  const wished = route.value.query.get('version') || null;
  const { value, error, load } = useResource(`template-update:${params.app}:${wished ?? ''}`, () => catalogs.planUpdate(params.app, { version: wished }));
  const plan = value.value;
  const problem = /** @type {any} */ (error.value);
  useTrail([{ label: 'Apps', href: '/apps' }, { label: app?.name ?? params.app, href: `/apps/${params.app}` }, { label: 'Update' }], [app?.name]);
  const back = html`<a class="btn" href=${`/apps/${params.app}`}>Back to the app</a>`;
  return html`<div class="page">${h(PageHead, { title: 'Update', note: plan ? `${app?.name ?? ''}: ${plan.template} ${versionText(plan.from, plan.from_chosen)} to ${versionText(plan.to, plan.to_chosen)}` : undefined })}
    ${problem?.code === 'busy' ? h(Empty, { icon: 'check', title: 'Nothing to update', text: said(problem.message), action: back })
    : problem?.fields?.version && template ? h(OtherVersions, { template, why: problem.message, back })
    : problem && !plan ? h(Failed, { error: problem, retry: load })
    : !plan ? h(Loading, { rows: 4 }) : h(Form, { app: params.app, plan, key: `${plan.to} ${plan.to_chosen}` })}</div>`;
}

/** The template has the app's version no more, or cannot tell which it is: what there is to choose. @param {{ template: S<'InstalledTemplate'>, why: string, back: any }} props */
function OtherVersions({ template, why, back }) {
  const versions = useResource(`catalog:${template.name}`, () => api.catalogShow(template.name)).value.value?.versions ?? [];
  const { chosen } = template;
  const fitting = versions.filter((one) => !chosen || one.name === chosen || one.takes_over.includes(chosen));
  return h(Empty, { icon: 'git-branch', title: 'Which version?', text: said(why.replace(/^version: /, '')), action: html`<span class="row">${fitting.map((one) => html`<button type="button" class="btn" onClick=${() => setQuery('version', one.name)}>Go on as ${one.name}</button>`)}${back}</span>` });
}

/** @param {{ app: string, plan: S<'TemplateUpdatePlan'> }} props */
function Form({ app, plan: first }) {
  const start = Object.fromEntries(first.variables.map((one) => [one.name, one.default ?? (one.kind === 'boolean' ? 'false' : '')]));
  const form = useForm({ ...start, compose: first.compose });
  const [copy, setCopy] = useState(!first.data.problem);
  const v = /** @type {Record<string, string>} */ (form.values.value);
  const [plan, setPlan] = useState(first);
  const edited = v.compose !== first.compose;
  const unsettled = /^(<{7}|>{7}) /m.test(v.compose);
  const body = () => ({ values: Object.fromEntries(first.variables.map((one) => [one.name, v[one.name] ?? '']).filter(([, value]) => value !== '')), version: first.to_chosen ?? null, ...(edited ? { compose: v.compose } : {}), ...(copy ? {} : { without_copy: true }) });
  const key = JSON.stringify(v);
  useEffect(() => {
    if (!edited || unsettled) return undefined;
    let gone = false;
    const timer = setTimeout(async () => { try { const next = await catalogs.planUpdate(app, body()); if (!gone) setPlan(next); } catch { /* said when it is sent */ } }, 400);
    return () => { gone = true; clearTimeout(timer); };
  }, [key]);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => { const changed = await catalogs.update(app, body()); putApp(changed); navigate(appPath(changed)); });
  };
  return html`<form class="stack" onSubmit=${submit}>
    ${first.notes ? html`<div class="notice warn">${icon('triangle-alert')}<span>${coded(first.notes)}</span></div>` : null}
    ${first.conflicts.length ? html`<div class="notice warn">${icon('git-branch')}<span>${first.conflicts.length === 1 ? 'One place was' : `${first.conflicts.length} places were`} changed both here and in the template. Settle ${first.conflicts.length === 1 ? 'it' : 'them'} in the file below: keep the lines that should stay, and remove the marks.</span></div>` : first.edited ? html`<div class="notice">${icon('info')}<span>The changes that you made in the file are kept.</span></div>` : null}
    ${first.choices.length > 1 ? h(Panel, { title: 'Version' }, h(SelectField, { label: 'Go on as', hint: 'Those that can go on with the data of the app.', value: first.to_chosen ?? '', set: (/** @type {string} */ name) => setQuery('version', name), options: first.choices.map((name) => ({ value: name, label: name === first.from_chosen ? `${name}, as it is` : name })) })) : null}
    ${first.variables.length ? h(Panel, { title: 'New in this version' }, html`<div class="stack">${first.variables.map((one) => h(Asked, { key: one.name, one, form, value: v[one.name] ?? '' }))}</div>`) : null}
    ${h(Panel, { title: 'What changes', flush: true }, h(UnifiedDiff, { text: plan.diff }))}
    ${plan.services.length ? h(Panel, { title: 'What will run' }, h(Facts, { items: plan.services.map((one) => /** @type {[string, any]} */ ([one.name, html`<code>${one.image}</code>`])) })) : null}
    ${plan.rights.length ? html`<div class="notice warn">${icon('shield-alert')}<span>It reaches the host, so an administrator has to take it over: ${plan.rights.map((one) => `${one.service} ${one.what}`).join('; ')}.</span></div>` : null}
    <details class="more panel compose-shown" open=${first.conflicts.length > 0}><summary>${icon('chevron-right', 'icon-small')}Compose file as it will be</summary><div class="stack">${h(TextField, { label: 'Compose file', value: v.compose, set: form.set('compose'), mono: true, rows: 24, error: form.error('text', 'compose') })}</div></details>
    ${h(FormProblem, { text: form.general(['text', 'compose', ...first.variables.map((one) => one.name)]) })}
    ${first.data.volumes.length ? h(Panel, { title: 'Copy of the data', note: 'Made after what writes to it was stopped, and before the new version starts. The way back can bring it back.' }, html`<div class="stack">
      ${h(Switch, { label: 'Copy the data first', hint: first.data.free_bytes == null ? undefined : `${bytes(first.data.bytes)} of ${bytes(first.data.free_bytes)} that are free`, on: copy, set: setCopy, disabled: Boolean(first.data.problem) })}
      ${first.data.problem ? html`<p class="notice warn">${icon('triangle-alert')}<span>${said(first.data.problem)}</span></p>` : null}
      ${h(Facts, { items: first.data.volumes.map((one) => /** @type {[string, any]} */ ([one.name, one.bytes == null ? 'not measured' : bytes(one.bytes)])) })}</div>`) : null}
    <p class="dim small">The app is deployed with the new version, and can go back to this one.${copy && first.data.volumes.length ? ' It is down for as long as the copy takes.' : ''}</p>
    <div class="form-foot">${h(Submit, { form, label: first.from_chosen === first.to_chosen ? `Update to ${first.to}` : `Update to ${first.to_chosen ?? first.to}`, icon: 'rocket', disabled: unsettled })}<a class="btn" href=${`/apps/${app}`}>Cancel</a></div></form>`;
}
