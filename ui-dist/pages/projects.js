// Projects: what belongs together, in environments that do not touch.
import { html, h, icon, useEffect } from '../lib/html.js';
import { api } from '../lib/api.js';
import { navigate, route } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { apps } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { plural } from '../lib/format.js';
import { PageHead } from '../parts/page.js';
import { Dot } from '../parts/state.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { DialogHead, showDialog } from '../parts/dialog.js';
import { useForm, TextField, FormProblem, Submit } from '../parts/field.js';
import { everywhere } from '../lib/rights.js';

/** @typedef {import('../lib/api.js').S<'Project'>} Project */

export default function ProjectsPage() {
  useTrail([{ label: 'Projects' }]);
  const found = useResource('projects', api.projectList, ['project_created', 'project_changed', 'project_removed', 'app_created', 'app_trashed']);
  const list = found.value.value;
  const add = () => editProject(null).then((made) => { if (made) { found.load(); navigate(`/projects/${made.id}`); } });
  useEffect(() => { if (route.peek().query.has('new') && everywhere('configure')) add(); }, []);
  return html`<div class="page">${h(PageHead, { title: 'Projects', note: 'What belongs together. Each environment has a network of its own.', actions: html`${everywhere('view') ? html`<a class="btn" href="/variables">${icon('key-round')}Shared variables</a>` : null}${everywhere('configure') ? html`<button type="button" class="btn primary" onClick=${add}>${icon('plus')}New project</button>` : null}` })}
    ${found.error.value && !list ? h(Failed, { error: found.error.value, retry: found.load }) : !list ? h(Loading, { rows: 4 }) : list.length === 0 ? html`<section class="panel">${h(Empty, { icon: 'folder', title: 'No projects', text: 'A project keeps apps together that talk to each other.', action: everywhere('configure') ? html`<button type="button" class="btn" onClick=${add}>New project</button>` : null })}</section>`
      : html`<div class="cards">${list.map((project) => { const mine = (apps.value ?? []).filter((app) => app.project.id === project.id); return html`<article class="panel card" key=${project.id}>
        <h2><a class="row-link" href=${`/projects/${project.id}`}>${project.name}</a></h2><p class="any">${project.description || html`<span class="faint">${plural(project.apps, 'app')}</span>`}</p>
        <div class="card-foot">${project.environments.map((one) => html`<span class="tag">${one.name}</span>`)}<span class="dots" role="img" aria-label=${plural(mine.length, 'app')}>${mine.slice(0, 16).map((app) => h(Dot, { key: app.id, state: app.state }))}</span></div></article>`; })}</div>`}
  </div>`;
}

/** @param {Project | null} project @returns {Promise<Project | null>} */
export const editProject = (project) => showDialog(project ? 'Edit project' : 'New project', (close) => h(ProjectForm, { project, close }));

/** @param {{ project: Project | null, close: (made?: unknown) => void }} props */
function ProjectForm({ project, close }) {
  const form = useForm({ name: project?.name ?? '', description: project?.description ?? '' });
  const v = form.values.value;
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { const body = { name: v.name.trim(), description: v.description.trim() }; close(project ? await api.projectUpdate(project.id, body) : await api.projectCreate(body)); }); }}>
    ${h(DialogHead, { title: project ? `Edit ${project.name}` : 'New project', close: () => close() })}
    ${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), mono: true, required: true, autofocus: true, placeholder: 'storefront', error: form.error('name'), hint: 'Small letters, digits and -.' })}
    ${h(TextField, { label: 'Description', value: v.description, set: form.set('description'), optional: true, error: form.error('description') })}
    ${h(FormProblem, { text: form.general(['name', 'description']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: project ? 'Save' : 'Create project' })}</footer></form>`;
}
