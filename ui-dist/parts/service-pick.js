// Which service of an app of several; nothing for an app of one container.
import { html, h } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { hasServices } from './source.js';

/** @param {{ app: import('../lib/api.js').S<'App'>, value: string, set: (value: string) => void, every?: boolean }} props `every`: none chosen means all, else the main one */
export function ServicePick({ app, ...rest }) {
  return hasServices(app.source) ? h(Pick, { app, ...rest }) : null;
}

/** @param {{ app: import('../lib/api.js').S<'App'>, value: string, set: (value: string) => void, every?: boolean }} props */
function Pick({ app, value, set, every }) {
  const list = useResource(`services:${app.id}`, () => api.serviceList(app.id)).value.value ?? [];
  return html`<label class="service-pick"><span class="unseen">Service</span><select class="input" value=${value} onChange=${(/** @type {any} */ event) => set(event.target.value)}>
    ${every ? html`<option value="">All services</option>` : null}${list.map((one) => html`<option value=${one.main && !every ? '' : one.name} selected=${value === one.name || (!value && one.main && !every)}>${one.name}</option>`)}</select></label>`;
}
