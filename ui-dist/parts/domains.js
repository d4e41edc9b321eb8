// Domains: the table's columns, the live check of a name, and adding one.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { certificateState } from '../lib/states.js';
import { moment } from '../lib/clock.js';
import { appPath } from '../lib/live.js';
import { confirm, DialogHead, showDialog } from './dialog.js';
import { useForm, TextField, Switch, FormProblem, Submit, SelectField } from './field.js';
import { State } from './state.js';
import { Ago } from './time.js';
import { Copy } from './copy.js';
import { may } from './frame.js';

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

/** @param {boolean} withApp @param {() => void} reload @returns {import('./table.js').Column<Domain>[]} */
export const domainColumns = (withApp, reload) => [
  { id: 'host', label: 'Domain', width: withApp ? '32%' : '40%', card: 'head', sort: (one) => one.host, cell: (one) => html`<span class="cell-name"><a class="cut strong ext" href=${one.url} target="_blank" rel="noreferrer">${one.host}</a>${one.primary ? html`<span class="tag">primary</span>` : null}${h(Copy, { text: one.host, label: `Copy ${one.host}` })}</span>` },
  ...(withApp ? [/** @type {import('./table.js').Column<Domain>} */ ({ id: 'app', label: 'App', width: '20%', sort: (one) => one.app.name, cell: (one) => html`<a class="ext" href=${appPath(one.app, 'domains')}>${one.app.name}</a>` })] : []),
  { id: 'certificate', label: 'Certificate', sort: (one) => one.certificate?.not_after ?? '', cell: (one) => (one.certificate ? html`<span class="cell-name">${h(State, { state: certificateState(one.certificate, moment.value), detail: one.certificate.last_error })}${one.certificate.not_after ? html`<span class="faint cut hide-phone">ends ${h(Ago, { at: one.certificate.not_after })}</span>` : null}</span>` : html`<span class="faint">none yet</span>`) },
  { id: 'https', label: 'Plain HTTP', width: '118px', optional: true, card: 'hide', cell: (one) => html`<span class="dim">${one.force_https ? 'redirected' : 'served'}</span>` },
  { id: 'actions', label: '', width: '60px', align: 'right', card: 'plain', cell: (one) => (may('developer') ? html`<span class="cell-actions"><button type="button" class="btn ghost small square" aria-label=${`Remove ${one.host}`} title="Remove" onClick=${() => removeDomain(one).then((done) => { if (done) reload(); })}>${icon('trash-2')}</button></span>` : null) },
];

/** @param {Domain} one */
const removeDomain = (one) => confirm({ title: `Remove ${one.host}?`, text: `Visitors of this address no longer reach ${one.app.name}.`, objects: [{ icon: 'globe', label: one.host, note: 'domain' }, ...(one.certificate ? [{ icon: 'shield-check', label: one.certificate.issuer || 'certificate', note: 'certificate' }] : [])], action: 'Remove', run: () => api.domainRemove(one.host) });

/** @param {{ id: string, name: string }[]} apps the app, or those to choose from */
export const addDomain = (apps) => showDialog('Add a domain', (close) => h(AddDomain, { apps, close }));

/** @param {{ apps: { id: string, name: string }[], close: (done?: unknown) => void }} props */
function AddDomain({ apps, close }) {
  const form = useForm({ host: '', app: apps[0]?.id ?? '', force: true });
  const values = form.values.value;
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { await api.domainAdd(values.app, { host: values.host.trim(), force_https: values.force }); close(true); }); }}>
    ${h(DialogHead, { title: 'Add a domain', close: () => close() })}
    <div class="stack tight">${h(TextField, { label: 'Domain', value: values.host, set: form.set('host'), mono: true, placeholder: 'blog.example.com', required: true, autofocus: true, error: form.error('host', 'domain'), inputmode: 'url' })}${h(DomainCheck, { host: values.host })}</div>
    ${apps.length > 1 ? h(SelectField, { label: 'App', value: values.app, set: form.set('app'), options: apps.map((one) => ({ value: one.id, label: one.name })) }) : null}
    ${h(Switch, { label: 'Send plain HTTP to HTTPS', on: values.force, set: form.set('force') })}
    ${h(FormProblem, { text: form.general(['host', 'domain']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Add domain', disabled: !values.host.trim() || !values.app })}</footer></form>`;
}
