// Which service of an app of several; nothing for an app of one container.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { SelectField, TextField } from './field.js';
import { hasServices } from './source.js';

/** @param {{ app: import('../lib/api.js').S<'App'>, value: string, set: (value: string) => void, every?: boolean }} props `every`: none chosen means all, else the main one */
export function ServicePick({ app, ...rest }) {
  return hasServices(app.source) ? h(Pick, { app, ...rest }) : null;
}

/** @param {{ app: import('../lib/api.js').S<'App'>, value: string, set: (value: string) => void, every?: boolean }} props */
function Pick({ app, value, set, every }) {
  const list = useResource(`services:${app.id}`, () => api.serviceList(app.id)).value.value ?? [];
  return html`<label class="service-pick"><span class="unseen">Service</span><span class="select-box"><select class="input" value=${value} onChange=${(/** @type {any} */ event) => set(event.target.value)}>
    ${every ? html`<option value="">All services</option>` : null}${list.map((one) => html`<option value=${one.main && !every ? '' : one.name} selected=${value === one.name || (!value && one.main && !every)}>${one.name}</option>`)}</select>${icon('chevron-down')}</span></label>`;
}

/** @typedef {{ app: string, service: string, port: string, set: (place: { service: string, port: string }) => void, serviceError?: string, portError?: string, label?: string }} PlaceProps */

/** A service of an app of several, and a port of it: two fields of a form. @param {PlaceProps} props */
export function ServicePlace({ app, service, port, set, serviceError, portError, label = 'Leads to' }) {
  const services = useResource(`services:${app}`, () => api.serviceList(app)).value.value ?? [];
  const pick = (/** @type {string} */ name) => set({ service: name, port: String(services.find((one) => one.name === name)?.ports[0] ?? '') });
  // One that is gone is still what is set.
  const names = services.map((one) => one.name).concat(service && !services.some((one) => one.name === service) ? [service] : []);
  return html`<div class="form-row">${h(SelectField, { label, value: service, set: pick, options: [{ value: '', label: 'the main service' }, ...names.map((value) => ({ value, label: value }))], error: serviceError })}
    ${service ? h(TextField, { label: 'Port of the service', value: port, set: (next) => set({ service, port: next }), inputmode: 'numeric', required: true, error: portError }) : null}</div>`;
}
