// One project: its environments and their apps.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { navigate } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { apps, appPath } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { bytes, plural } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Menu } from '../parts/menu.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { confirm, DialogHead, showDialog } from '../parts/dialog.js';
import { useForm, TextField, FormProblem, Submit } from '../parts/field.js';
import { allows } from '../lib/rights.js';
import { Clones, cloneEnvironment } from '../parts/clones.js';
import { QuotaBars, editQuota, useQuotas } from '../parts/quota.js';
import { appColumns } from './apps.js';
import { editProject } from './projects.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */

/** @param {{ params: Record<string, string> }} props */
export default function ProjectPage({ params }) {
  const found = useResource('projects', api.projectList, ['project_changed', 'project_removed', 'app_created', 'app_trashed', 'environment_cloned']);
  const volumes = useResource('volumes', api.volumeList).value.value;
  const quotas = useQuotas();
  const list = found.value.value;
  const project = list?.find((one) => one.id === params.project || one.name === params.project);
  useTrail([{ label: 'Projects', href: '/projects' }, { label: project?.name ?? 'Project', ...(list && list.length > 1 ? { menu: list.map((one) => ({ label: one.name, href: `/projects/${one.id}`, checked: one.id === project?.id })) } : {}) }], [project?.name, list?.length]);
  if (!project) return html`<div class="page">${found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : list ? html`${h(PageHead, { title: 'Project' })}<section class="panel">${h(Empty, { icon: 'folder', title: 'There is no such project', action: html`<a class="btn" href="/projects">All projects</a>` })}</section>` : h(Loading, { rows: 4 })}</div>`;
  const mine = apps.value?.filter((app) => app.project.id === project.id);
  const can = allows(project, 'configure');
  const room = project.environments.some((one) => allows(one, 'configure'));
  const quota = quotas.value.value?.find((one) => one.id === project.id);
  const setQuota = () => { if (quota) editQuota(quota).then((done) => { if (done) quotas.load(); }); };
  const isBounded = Object.values(quota?.limits ?? {}).some((limit) => limit != null);
  return html`<div class="page">${h(PageHead, {
    title: project.name, note: project.description || plural(project.environments.length, 'environment'),
    actions: html`${room ? html`<a class="btn primary" href=${`/apps/new?project=${project.id}`}>${icon('plus')}New app</a>` : null}${can || allows(project, 'delete') ? h(Menu, { label: 'More actions', items: [
      { label: 'Edit…', icon: 'pencil', disabled: !can, run: () => editProject(project).then((done) => { if (done) found.load(); }) },
      { label: 'Variables', icon: 'key-round', href: `/projects/${project.id}/variables` },
      { label: 'New environment…', icon: 'plus', disabled: !can, run: () => showDialog('New environment', (close) => h(EnvironmentForm, { project: project.id, close })).then((done) => { if (done) found.load(); }) },
      ...(quota?.changeable ? [{ label: 'Quota…', icon: 'gauge', run: setQuota }] : []),
      'line',
      { label: 'Delete…', icon: 'trash-2', tone: 'danger', disabled: !allows(project, 'delete'), run: async () => { if (await confirm({ title: `Delete ${project.name}?`, text: mine?.length ? `It still has ${plural(mine.length, 'app')}; delete those first.` : 'It has no apps.', typed: project.name, action: 'Delete project', objects: project.environments.map((one) => ({ icon: 'layers', label: one.name, note: 'environment' })), run: () => api.projectDelete(project.id) })) { found.load(); navigate('/projects'); } } },
    ] }) : null}`,
  })}
    ${quota && isBounded ? h(Panel, { title: 'Quota', note: 'What its apps may take together', actions: quota.changeable ? html`<button type="button" class="btn ghost small" onClick=${setQuota}>Change</button>` : null }, h(QuotaBars, { quota })) : null}
    ${h(Clones, { key: project.id, project: project.id, changed: found.load })}
    ${project.environments.map((environment) => {
      const here = mine?.filter((app) => app.environment.id === environment.id);
      const kept = (volumes ?? []).filter((one) => one.environment.id === environment.id);
      const size = kept.reduce((sum, one) => sum + (one.bytes ?? 0), 0);
      return h(Panel, { key: environment.id, title: environment.name, flush: true, actions: html`${allows(environment, 'view') ? html`<a class="btn ghost small" href=${`/projects/${project.id}/variables/${environment.id}`}>Variables</a>` : null}<span class="faint small num hide-phone">${kept.length ? `${plural(kept.length, 'volume')}, ${bytes(size)}` : ''}</span>${can && here?.length ? html`<button type="button" class="btn ghost small" onClick=${() => cloneEnvironment(environment, here).then((made) => { if (made) found.load(); })}>${icon('copy')}Clone…</button>` : null}${allows(environment, 'delete') && project.environments.length > 1 ? h(Menu, { label: `Actions for ${environment.name}`, class: 'btn ghost small square', items: [{ label: 'Delete environment…', icon: 'trash-2', tone: 'danger', run: () => confirm({ title: `Delete ${environment.name}?`, text: here?.length ? `It still has ${plural(here.length, 'app')}; delete those first.` : 'Its network goes.', action: 'Delete environment', run: () => api.environmentDelete(environment.id) }).then((done) => { if (done) found.load(); }) }] }) : null}` },
        h(/** @type {typeof Table<App>} */ (Table), { label: `Apps in ${environment.name}`, columns: appColumns().filter((column) => column.id !== 'project').map((column) => ({ ...column, optional: false })), rows: here, keyOf: (app) => app.id, href: (app) => appPath(app), sort: { id: 'name' },
          empty: h(Empty, { icon: 'box', title: `No apps in ${environment.name}`, small: true, action: allows(environment, 'configure') ? html`<a class="btn" href=${`/apps/new?project=${project.id}`}>${icon('plus')}New app</a>` : null }) }));
    })}
  </div>`;
}

/** @param {{ project: string, close: (done?: unknown) => void }} props */
function EnvironmentForm({ project, close }) {
  const form = useForm({ name: '' });
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { await api.environmentCreate(project, form.values.value.name.trim()); close(true); }); }}>
    ${h(DialogHead, { title: 'New environment', close: () => close(), note: 'A copy of the project that does not touch the others: staging, preview.' })}
    ${h(TextField, { label: 'Name', value: form.values.value.name, set: form.set('name'), mono: true, required: true, autofocus: true, placeholder: 'staging', error: form.error('name') })}${h(FormProblem, { text: form.general(['name']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Create environment' })}</footer></form>`;
}
