// Deleted apps, until their window ends.
import { sourceText } from '../parts/source.js';
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { navigate } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { appPath, loadApps } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { gitName } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Ago } from '../parts/time.js';
import { Act } from '../parts/act.js';
import { Empty } from '../parts/empty.js';
import { purgeApp } from '../parts/app-actions.js';
import { allows, may } from '../lib/rights.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */

export default function TrashPage() {
  useTrail([{ label: 'Trash' }]);
  const found = useResource('trash', api.trashList, ['app_trashed', 'app_restored', 'app_removed']);
  const settings = useResource('settings', () => (may('admin') ? api.settingShow() : Promise.resolve(null))).value.value;
  return html`<div class="page">${h(PageHead, { title: 'Trash', note: settings ? `Deleted apps stay ${settings.trash_days} days, then they go for good. Volumes are never deleted by themselves.` : 'Deleted apps stay for some days, then they go for good. Volumes are never deleted by themselves.' })}
    ${h(Panel, { flush: true }, h(/** @type {typeof Table<App>} */ (Table), {
      label: 'Deleted apps', rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (app) => app.id,
      columns: [
        { id: 'name', label: 'App', card: 'head', sort: (app) => app.name, cell: (app) => html`<span class="cell-two"><b class="strong">${app.name}</b><span>${sourceText(app.source)}</span></span>` },
        { id: 'project', label: 'Project', cell: (app) => html`<span class="dim">${app.project.name} / ${app.environment.name}</span>` },
        { id: 'when', label: 'Deleted', width: '120px', sort: (app) => app.trashed_at ?? '', cell: (app) => html`<span class="dim">${h(Ago, { at: app.trashed_at })}</span>` },
        { id: 'goes', label: 'Goes', width: '120px', cell: (app) => (settings && app.trashed_at ? html`<span class="faint">${h(Ago, { at: Date.parse(app.trashed_at) + settings.trash_days * 86_400_000 })}</span>` : html`<span class="faint">–</span>`) },
        { id: 'actions', label: '', width: '236px', align: 'right', card: 'plain', cell: (app) => (allows(app, 'configure') || allows(app, 'delete') ? html`<span class="cell-actions">${allows(app, 'configure') ? h(Act, { label: 'Restore', icon: 'undo-2', small: true, run: async () => { const back = await api.appRestore(app.id); await loadApps(); navigate(appPath(back)); } }) : null}${allows(app, 'delete') ? html`<button type="button" class="btn small danger" onClick=${() => purgeApp(app).then((done) => { if (done) found.load(); })}>${icon('trash-2')}For good…</button>` : null}</span>` : null) },
      ],
      empty: h(Empty, { icon: 'trash-2', title: 'The trash is empty', text: 'A deleted app waits here, with its configuration, variables and volumes, until its time is over.' }),
    }))}</div>`;
}
