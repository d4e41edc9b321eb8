// An app's environment variables, and those of its services.
import { html, h, icon, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { putDeployment, refreshApp } from '../lib/live.js';
import { useResource } from '../lib/resource.js';
import { hasServices } from '../parts/source.js';
import { EnvironmentEditor } from '../parts/environment.js';
import { Act } from '../parts/act.js';
import { allows } from '../lib/rights.js';

/** @param {{ app: import('../lib/api.js').S<'App'> }} props */
export default function AppEnvironment({ app }) {
  const [service, setService] = useState('');
  const owner = service ? `service:${app.id}/${service}` : `app:${app.id}`;
  return html`<div class="stack">
    ${app.pending_changes && app.release ? html`<div class="notice warn middle">${icon('triangle-alert')}<span class="grow">Saved changes are not live yet.</span>${allows(app, 'deploy') ? h(Act, { label: 'Deploy now', icon: 'rocket', small: true, run: async () => putDeployment(await api.deploymentCreate(app.id)) }) : null}</div>` : null}
    ${hasServices(app.source) ? h(Services, { app, value: service, set: setService }) : null}
    ${h(EnvironmentEditor, { key: owner, owner, place: app, saved: () => refreshApp(app.id) })}</div>`;
}

/** Whose variables: the app's, for its Compose file, or one service's alone. @param {{ app: import('../lib/api.js').S<'App'>, value: string, set: (service: string) => void }} props */
function Services({ app, value, set }) {
  const list = useResource(`services:${app.id}`, () => api.serviceList(app.id)).value.value ?? [];
  return html`<label class="service-pick row"><span class="small dim">Variables of</span><span class="select-box"><select class="input" value=${value} onChange=${(/** @type {any} */ event) => set(event.target.value)}><option value="" selected=${!value}>the Compose file</option>${list.map((one) => html`<option value=${one.name} selected=${value === one.name}>service ${one.name}</option>`)}</select>${icon('chevron-down')}</span></label>`;
}
