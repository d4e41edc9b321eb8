// All apps.
import { hasServices, sourceText } from '../parts/source.js';
import { html, h, icon } from '../lib/html.js';
import { apps, appsError, appPath, inSome, loadApps, usage } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { bytes, cores, plural } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { State, Dot } from '../parts/state.js';
import { Ago } from '../parts/time.js';
import { Empty } from '../parts/empty.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */

/** The columns of a table of apps. @returns {import('../parts/table.js').Column<App>[]} */
export const appColumns = () => [
  { id: 'name', label: 'App', card: 'head', width: '26%', sort: (app) => app.name, cell: (app) => html`<span class="cell-name">${h(Dot, { state: app.state })}<span class="cell-two"><b>${app.name}</b><span>${app.url ? app.url.replace(/^https?:\/\//, '').replace(/\/$/, '') : 'no domain'}</span></span></span>` },
  { id: 'project', label: 'Project', width: '15%', optional: true, sort: (app) => `${app.project.name} ${app.environment.name}`, cell: (app) => html`<span class="cell-two"><span>${app.project.name}</span><span>${app.environment.name}</span></span>` },
  { id: 'state', label: 'State', width: '118px', card: 'tail', sort: (app) => app.state, cell: (app) => h(State, { state: app.state, detail: app.state_detail }) },
  { id: 'source', label: 'Source', optional: true, card: 'hide', sort: (app) => (app.source.kind === 'git' ? app.source.url : sourceText(app.source)), cell: (app) => html`<span class="cell-two"><span>${sourceText(app.source)}</span><span>${app.source.kind === 'git' ? app.source.branch ?? 'default branch' : hasServices(app.source) ? 'services' : app.source.kind === 'image' ? 'image' : 'one container'}</span></span>` },
  { id: 'cpu', label: 'CPU', width: '76px', align: 'right', optional: true, card: 'hide', sort: (app) => usage.value[app.id]?.at(-1)?.cpu_cores ?? -1, cell: (app) => cores(usage.value[app.id]?.at(-1)?.cpu_cores) },
  { id: 'memory', label: 'Memory', width: '98px', align: 'right', optional: true, card: 'hide', sort: (app) => usage.value[app.id]?.at(-1)?.memory_bytes ?? -1, cell: (app) => bytes(usage.value[app.id]?.at(-1)?.memory_bytes) },
  { id: 'deployed', label: 'Deployed', width: '112px', align: 'right', optional: true, sort: (app) => app.deployment?.queued_at ?? '', cell: (app) => html`<span class="faint">${h(Ago, { at: app.deployment?.finished_at ?? app.deployment?.queued_at })}</span>` },
];
/** @param {App} app */
export const appText = (app) => `${app.name} ${app.project.name} ${app.environment.name} ${app.state} ${app.url ?? ''} ${app.source.kind === 'git' ? `${app.source.url} ${app.source.branch ?? ''}` : sourceText(app.source)}`;

export default function AppsPage() {
  useTrail([{ label: 'Apps' }]);
  const list = apps.value;
  return html`<div class="page">
    ${h(PageHead, { title: 'Apps', note: list ? plural(list.length, 'app') : '\u00a0', actions: inSome('configure') && list?.length ? html`<a class="btn primary" href="/apps/new">${icon('plus')}New app</a>` : null })}
    ${h(Panel, { flush: true }, h(/** @type {typeof Table<App>} */ (Table), {
      label: 'Apps', name: 'apps', columns: appColumns(), rows: list, error: appsError.value, retry: loadApps, keyOf: (app) => app.id, href: (app) => appPath(app), text: appText, sort: { id: 'name' }, filter: 'Filter apps',
      empty: h(Empty, { icon: 'box', title: 'No apps yet', text: 'An app is what runs: built from a Git repository or an upload, or started from an image or a Compose file.', action: inSome('configure') ? html`<a class="btn primary" href="/apps/new">${icon('plus')}New app</a>` : null }),
    }))}
  </div>`;
}
