// Variables that many apps have: of the organization, a project, or an environment.
import { html, h } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { whole } from '../lib/rights.js';
import { loadApps } from '../lib/live.js';
import { PageHead } from '../parts/page.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { EnvironmentEditor } from '../parts/environment.js';
import { Tabs } from '../parts/tabs.js';

/** @param {{ params: Record<string, string> }} props */
export default function VariablesPage({ params }) {
  const found = useResource('projects', api.projectList, ['project_changed', 'project_removed']);
  const list = found.value.value;
  const project = params.project ? list?.find((one) => one.id === params.project || one.name === params.project) : null;
  const environment = params.environment ? project?.environments.find((one) => one.id === params.environment || one.name === params.environment) : null;
  useTrail([{ label: 'Projects', href: '/projects' }, ...(project ? [{ label: project.name, href: `/projects/${project.id}` }] : []), { label: 'Variables' }], [project?.name]);
  if (params.project && !project) return html`<div class="page">${found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : list ? h(Empty, { icon: 'folder', title: 'There is no such project', action: html`<a class="btn" href="/projects">All projects</a>` }) : h(Loading, { rows: 4 })}</div>`;
  const owner = environment ? `environment:${environment.id}` : project ? `project:${project.id}` : 'organization';
  const title = environment ? `Variables of ${environment.name}` : project ? `Variables of ${project.name}` : 'Shared variables';
  const note = environment ? 'Each app of this environment has them.' : project ? 'Each app of this project has them, in every environment.' : 'Each app has them, unless something nearer sets one of that name.';
  return html`<div class="page">${h(PageHead, { title, note }, project ? h(Tabs, { label: 'Whose', at: environment?.id ?? 'project', items: [{ id: 'project', label: 'All environments', href: `/projects/${project.id}/variables` }, ...project.environments.map((one) => ({ id: one.id, label: one.name, href: `/projects/${project.id}/variables/${one.id}` }))] }) : null)}
    ${h(EnvironmentEditor, { key: owner, owner, place: environment ?? project ?? whole(), saved: loadApps })}</div>`;
}
