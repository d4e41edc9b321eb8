// TLS that the app ends itself: the connection as it came, by the name in its first message.
import { html, h } from '../lib/html.js';
import { Problem } from '../lib/api.js';
import { network } from '../lib/network.js';
import { DialogHead, showDialog } from './dialog.js';
import { FormProblem, SelectField, Submit, TextField, useForm } from './field.js';

/** @typedef {import('../lib/api.js').S<'DomainTraffic'>} Traffic */

export const PROXY = [{ value: '', label: 'No' }, { value: 'v1', label: 'PROXY protocol, version 1' }, { value: 'v2', label: 'PROXY protocol, version 2' }];

/** @param {string} text @param {string} field */
export function portOf(text, field) {
  const port = Number(text.trim());
  if (!/^\d+$/.test(text.trim()) || port < 1 || port > 65_535) throw new Problem({ status: 422, code: 'invalid', detail: 'Use a number from 1 to 65535', field });
  return port;
}

/** Asks for a domain, or takes the one given; answers what then holds. @param {Traffic | null} traffic @param {{ host: string, app: { name: string } }[]} [domains] to choose from @returns {Promise<Traffic | null>} */
export const setPassthrough = (traffic, domains = []) => showDialog('TLS passthrough', (close) => h(PassthroughForm, { traffic, domains, close }));

/** @param {{ traffic: Traffic | null, domains: { host: string, app: { name: string } }[], close: (done?: unknown) => void }} props */
function PassthroughForm({ traffic, domains, close }) {
  const now = traffic?.passthrough;
  const form = useForm({ host: traffic?.host ?? domains[0]?.host ?? '', port: now ? String(now.port) : '443', proxy: now?.proxy_protocol ?? '' });
  const v = form.values.value;
  const save = (/** @type {boolean} */ on) => form.submit(async () => close(await network.domainPassthrough(v.host, on ? { port: portOf(v.port, 'port'), proxy_protocol: /** @type {any} */ (v.proxy || null) } : {})));
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); save(true); }}>
    ${h(DialogHead, { title: 'TLS passthrough', note: 'The app ends TLS with a certificate of its own; the edge only reads the name and passes the connection on.', close: () => close() })}
    ${traffic ? null : h(SelectField, { label: 'Domain', value: v.host, set: form.set('host'), options: domains.map((one) => ({ value: one.host, label: `${one.host} (${one.app.name})` })) })}
    <div class="form-row">${h(TextField, { label: 'Port of the app', value: v.port, set: form.set('port'), inputmode: 'numeric', required: true, error: form.error('port'), hint: 'Where it takes TLS inside its container.' })}
    ${h(SelectField, { label: 'Tell it who the client is', value: v.proxy, set: form.set('proxy'), options: PROXY, error: form.error('proxy_protocol') })}</div>
    ${h(FormProblem, { text: form.general(['port', 'proxy_protocol']) })}
    <footer class="dialog-foot">${now ? html`<button type="button" class="btn danger" onClick=${() => save(false)}>End it</button><span class="grow"></span>` : null}<button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Pass TLS through' })}</footer></form>`;
}
