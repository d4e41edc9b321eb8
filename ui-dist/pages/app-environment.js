// An app's environment variables.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { putDeployment, refreshApp } from '../lib/live.js';
import { EnvironmentEditor } from '../parts/environment.js';
import { Act } from '../parts/act.js';
import { may } from '../parts/frame.js';

/** @param {{ app: import('../lib/api.js').S<'App'> }} props */
export default function AppEnvironment({ app }) {
  return html`<div class="stack">
    ${app.pending_changes && app.release ? html`<div class="notice warn middle">${icon('triangle-alert')}<span class="grow">Saved changes are not live yet.</span>${may('developer') ? h(Act, { label: 'Deploy now', icon: 'rocket', small: true, run: async () => putDeployment(await api.deploymentCreate(app.id)) }) : null}</div>` : null}
    ${h(EnvironmentEditor, { app, saved: () => refreshApp(app.id) })}</div>`;
}
