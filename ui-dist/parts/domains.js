// Domains: the table's columns, the live check of a name, and adding one.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { certificateState } from '../lib/states.js';
import { moment } from '../lib/clock.js';
import { appPath, mayDo, placeOf } from '../lib/live.js';
import { sentence } from '../lib/format.js';
import { isPublic } from '../lib/traffic.js';
import { confirm, DialogHead, showDialog } from './dialog.js';
import { useForm, TextField, Switch, FormProblem, Submit, SelectField } from './field.js';
import { State } from './state.js';
import { Ago } from './time.js';
import { Copy } from './copy.js';
import { hasServices } from './source.js';
import { ServicePlace } from './service-pick.js';
import { portOf } from './passthrough.js';

/** @typedef {import('../lib/api.js').S<'Domain'>} Domain */

/** Asks where a name leads, once typing pauses. @param {string} host @returns {import('../lib/api.js').S<'DomainCheck'> | 'asking' | null} */
export function useDomainCheck(host) {
  const [answer, setAnswer] = useState(/** @type {import('../lib/api.js').S<'DomainCheck'> | 'asking' | null} */ (null));
  useEffect(() => {
    const name = host.trim().toLowerCase();
    if (!/^[^\s/:]+\.[^\s/:.]{2,}$/.test(name)) { setAnswer(null); return undefined; }
    setAnswer('asking');
    const stop = new AbortController();
    const timer = setTimeout(() => { api.domainCheck(name, stop.signal).then(setAnswer, () => { if (!stop.signal.aborted) setAnswer(null); }); }, 450);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [host]);
  return answer;
}

/** Room is kept for it, so that nothing jumps. @param {{ host: string }} props */
export function DomainCheck({ host }) {
  const check = useDomainCheck(host);
  return html`<div class="dns-check" role="status">${check === null ? null : check === 'asking' ? html`<span class="faint row"><i class="spin" aria-hidden="true"></i>Asking the DNS…</span>`
    : html`<span class=${`row ${check.ok ? 'ok-text' : 'warn-text'}`}>${check.ok ? icon('circle-check') : icon('triangle-alert')}<span class="any">${check.detail}</span></span>`}</div>`;
}

/** @param {boolean} withApp @param {() => void} reload @param {((host: string) => any) | null} [live] a cell with the requests of a host @returns {import('./table.js').Column<Domain>[]} */
export const domainColumns = (withApp, reload, live = null) => [
  { id: 'host', label: 'Domain', width: withApp ? '32%' : '40%', card: 'head', sort: (one) => one.host, cell: (one) => html`<span class="cell-name"><a class="cut strong ext" href=${domainPath(one.host)}>${one.host}</a>${one.primary ? html`<span class="tag">primary</span>` : null}${one.service ? html`<span class="tag">${one.service}:${one.service_port}</span>` : null}${h(Copy, { text: one.host, label: `Copy ${one.host}` })}</span>` },
  ...(withApp ? [/** @type {import('./table.js').Column<Domain>} */ ({ id: 'app', label: 'App', width: '16%', sort: (one) => one.app.name, cell: (one) => html`<a class="ext" href=${appPath(one.app, 'domains')}>${one.app.name}</a>${placeOf(one.app) ? html` <span class="faint">${placeOf(one.app)}</span>` : null}` })] : []),
  ...(live ? [/** @type {import('./table.js').Column<Domain>} */ ({ id: 'live', label: 'Requests', width: '150px', cell: (one) => live(one.host) })] : []),
  { id: 'certificate', label: 'Certificate', sort: (one) => one.certificate?.not_after ?? '', cell: (one) => (one.certificate ? html`<span class="cell-name"><a href=${domainPath(one.host, 'certificate')}>${h(State, { state: certificateState(one.certificate, moment.value), detail: one.certificate.last_error })}</a>${one.certificate.last_error ? html`<span class="faint cut hide-phone" title=${one.certificate.last_error}>${sentence(one.certificate.last_error)}</span>` : one.certificate.not_after ? html`<span class="faint cut hide-phone">ends ${h(Ago, { at: one.certificate.not_after })}</span>` : null}</span>` : html`<span class="faint">none yet</span>`) },
  { id: 'https', label: 'Plain HTTP', width: '118px', optional: true, off: Boolean(live), card: 'hide', cell: (one) => html`<span class="dim">${one.force_https ? 'redirected' : 'served'}</span>` },
  { id: 'actions', label: '', width: '92px', align: 'right', card: 'plain', cell: (one) => html`<span class="cell-actions">${one.host.startsWith('*') ? null : html`<a class="btn ghost small square" href=${one.url} target="_blank" rel="noreferrer" aria-label=${`Open ${one.host}`} title="Open">${icon('external-link')}</a>`}${mayDo(one.app.id, 'configure') ? html`<button type="button" class="btn ghost small square" aria-label=${`Remove ${one.host}`} title="Remove" onClick=${() => removeDomain(one).then((done) => { if (done) reload(); })}>${icon('trash-2')}</button>` : null}</span>` },
];

/** Always with its tab: a path that ends in a name with dots is one of a file. @param {string} host @param {string} [tab] */
export const domainPath = (host, tab = 'traffic') => `/domains/${encodeURIComponent(host)}/${tab}`;

/** @param {Domain} one */
export const removeDomain = (one) => confirm({ title: `Remove ${one.host}?`, text: `Visitors of this address no longer reach ${one.app.name}.`, objects: [{ icon: 'globe', label: one.host, note: 'domain' }, ...(one.certificate ? [{ icon: 'shield-check', label: one.certificate.issuer || 'certificate', note: 'certificate' }] : [])], action: 'Remove', run: () => api.domainRemove(one.host) });

/** @typedef {{ id: string, name: string, source?: import('../lib/api.js').S<'App'>['source'] }} Target */

/** @param {Target[]} apps the app, or those to choose from */
export const addDomain = (apps) => showDialog('Add a domain', (close) => h(AddDomain, { apps, close }));

/** @param {{ apps: Target[], close: (done?: unknown) => void }} props */
function AddDomain({ apps, close }) {
  const form = useForm({ host: '', app: apps[0]?.id ?? '', force: true, service: '', port: '' });
  const [added, setAdded] = useState(/** @type {Domain | null} */ (null));
  const values = form.values.value;
  if (added) return h(Added, { domain: added, close: () => close(true) });
  const source = apps.find((one) => one.id === values.app)?.source;
  const place = () => (values.service ? { service: values.service, service_port: portOf(values.port, 'service_port') } : {});
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { const made = await api.domainAdd(values.app, { host: values.host.trim(), force_https: values.force, ...place() }); if (isPublic(made.host)) setAdded(made); else close(true); }); }}>
    ${h(DialogHead, { title: 'Add a domain', close: () => close() })}
    <div class="stack tight">${h(TextField, { label: 'Domain', value: values.host, set: form.set('host'), mono: true, placeholder: 'blog.example.com', required: true, autofocus: true, error: form.error('host', 'domain'), inputmode: 'url', hint: 'With *. before it: all names below it.' })}${h(DomainCheck, { host: values.host.replace(/^\s*\*\./, '') })}</div>
    ${apps.length > 1 ? h(SelectField, { label: 'App', value: values.app, set: (app) => { form.values.value = { ...values, app, service: '', port: '' }; }, options: apps.map((one) => ({ value: one.id, label: one.name })) }) : null}
    ${source && hasServices(source) ? h(ServicePlace, { key: values.app, app: values.app, service: values.service, port: values.port, set: (place) => { form.values.value = { ...values, ...place }; }, serviceError: form.error('service'), portError: form.error('service_port') }) : null}
    ${h(Switch, { label: 'Send plain HTTP to HTTPS', on: values.force, set: form.set('force') })}
    ${h(FormProblem, { text: form.general(['host', 'domain', 'service', 'service_port']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Add domain', disabled: !values.host.trim() || !values.app })}</footer></form>`;
}

/** What the name needs in DNS, watched until it is there. @param {{ domain: Domain, close: () => void }} props */
function Added({ domain, close }) {
  const [there, setThere] = useState(false);
  const [Setup, put] = useState(/** @type {{ Part: any } | null} */ (null));
  useEffect(() => { import('./dns-setup.js').then(({ DnsSetup }) => put({ Part: DnsSetup })); }, []);
  return html`<div class="stack">${h(DialogHead, { title: there ? `${domain.host} leads here` : `Point ${domain.host} here`, note: there ? 'Its certificate is ordered now, and comes by itself.' : 'It serves as soon as the record is there; you can close this and come back.', close })}
    ${Setup ? h(Setup.Part, { host: domain.host, done: () => setThere(true) }) : null}
    <footer class="dialog-foot"><a class="btn" href=${domainPath(domain.host, 'certificate')} onClick=${close}>Open the domain</a><button type="button" class="btn primary" onClick=${close}>Done</button></footer></div>`;
}
