// An app's deployments, with the way back to any kept release.
import { html, h, icon, signal } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { putDeployment } from '../lib/live.js';
import { navigate } from '../lib/router.js';
import { plural, shortCommit } from '../lib/format.js';
import { Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Empty } from '../parts/empty.js';
import { confirm } from '../parts/dialog.js';
import { Switch } from '../parts/field.js';
import { allows } from '../lib/rights.js';
import { deploymentColumns, deploymentText, withLive } from './deployments.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */
/** @typedef {import('../lib/api.js').S<'Release'>} Release */
/** @typedef {import('../lib/api.js').S<'Deployment'>} Deployment */

/** @param {App} app @param {Release} release */
export function rollBack(app, release) {
  const keep = signal(false);
  const stops = release.mounts.some((mount) => !mount.read_only);
  return confirm({
  title: `Roll ${app.name} back to release ${release.number}?`, danger: false, action: 'Roll back',
  text: `All of it goes live again, without a new build. ${stops ? 'What serves now stops first, because two containers must not write to one volume, so for a moment nothing answers.' : 'The release that serves now keeps serving until the check has passed.'} Domains that came since stay.`,
  objects: [
    { icon: 'layers', label: release.image_name, note: 'image' },
    ...(release.commit ? [{ icon: 'git-commit-horizontal', label: `${shortCommit(release.commit.id)} ${release.commit.subject}`, note: release.commit.author }] : []),
    { icon: 'key-round', label: plural(release.variables.length, 'variable'), note: `version ${release.variables_version}` },
    ...release.files.map((file) => ({ icon: 'file-text', label: file.path, note: 'file' })),
    ...release.domains.map((host) => ({ icon: 'globe', label: host, note: 'its rules and policy of then' })),
  ],
  extra: release.domains.length ? h(KeepRoutes, { keep }) : null,
  run: async () => { const made = await api.appRollback(app.id, release.id, keep.value); putDeployment(made); navigate(`/deployments/${made.id}`); },
  });
}

/** @param {{ keep: import('@preact/signals-core').Signal<boolean> }} props */
const KeepRoutes = ({ keep }) => h(Switch, { label: 'Leave domains as they are now', hint: 'Else they get the rules, policies and sign-ins back that they had then.', on: keep.value, set: (on) => { keep.value = on; } });

/** @param {{ app: App }} props */
export default function AppDeployments({ app }) {
  const mine = (/** @type {any} */ message) => message.data?.app === app.id;
  const found = useResource(`app:${app.id}:deployments`, () => api.deploymentList(app.id), ['deployment_moved'], mine);
  const releases = useResource(`app:${app.id}:releases`, () => api.releaseList(app.id), ['deployment_moved'], mine).value.value ?? [];
  const releaseOf = (/** @type {Deployment} */ one) => releases.find((release) => release.id === one.release);
  return h(Panel, { flush: true }, h(/** @type {typeof Table<Deployment>} */ (Table), {
    label: 'Deployments', name: 'app-deployments', rows: withLive(found.value.value?.items, (one) => one.app.id === app.id), error: found.error.value, retry: found.load, keyOf: (one) => one.id, href: (one) => `/deployments/${one.id}`, text: deploymentText, filter: 'Filter by commit, person',
    columns: [...deploymentColumns(false), {
      id: 'actions', label: '', width: '132px', align: 'right', card: 'plain', cell: (one) => {
        const release = releaseOf(one);
        if (release?.live) return html`<span class="tag accent">serves now</span>`;
        return release && allows(app, 'deploy') ? html`<button type="button" class="btn small" onClick=${() => rollBack(app, release)}>${icon('undo-2')}Roll back</button>` : null;
      },
    }],
    empty: h(Empty, { icon: 'rocket', title: 'Not deployed yet', text: 'A deployment fetches the source, builds it, checks it and puts it live.' }),
  }));
}
