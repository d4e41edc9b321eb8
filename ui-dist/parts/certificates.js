// Uploading and ordering certificates, and the words for where they come from.
import { html, h, icon, useState } from '../lib/html.js';
import { network } from '../lib/network.js';
import { listOf } from '../lib/traffic.js';
import { readChain, uploadFindings } from '../lib/x509.js';
import { useResource } from '../lib/resource.js';
import { day } from '../lib/format.js';
import { DialogHead, leaving, showDialog, showForm } from './dialog.js';
import { Field, FormProblem, SelectField, Submit, TextField, useForm } from './field.js';
import { Facts } from './facts.js';
import { Act } from './act.js';
import { Notes } from './network.js';

/** @typedef {import('../lib/api.js').S<'Certificate'>} Certificate */

export const ORIGINS = { acme: 'By ACME', own: 'This panel', uploaded: 'Uploaded' };
export const CHALLENGES = { http: 'HTTP', tls_alpn: 'TLS-ALPN', dns: 'DNS' };

/** @param {Certificate | null} [old] the uploaded one to replace @returns {Promise<boolean>} */
export const uploadCertificate = (old = null) => showForm(old ? 'Replace the certificate' : 'Upload a certificate', (close, leave) => h(UploadForm, { old, close, leave }), { wide: true }).then(async (done) => {
  if (!done) return false;
  const { certificate, remarks } = /** @type {import('../lib/api.js').S<'CertificateUploaded'>} */ (done);
  await showDialog('The certificate serves', (close) => html`<div class="stack"><header class="dialog-head"><span class="dialog-mark ok">${icon('shield-check')}</span><h2>The certificate is taken</h2></header>
    ${h(Facts, { items: [['For', certificate.names.join(', ')], ['Serves', certificate.serves.length ? certificate.serves.join(', ') : html`<span class="faint">no domain yet; one that it covers gets it at once</span>`], ['Until', day(certificate.not_after)]] })}
    ${remarks.map((text) => html`<p class="notice warn">${icon('triangle-alert')}<span>${text}</span></p>`)}
    <footer class="dialog-foot"><button type="button" class="btn primary" autofocus onClick=${() => close()}>Good</button></footer></div>`);
  return true;
});

/** @param {{ old: Certificate | null, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function UploadForm({ old, close, leave }) {
  const form = useForm({ chain_pem: '', key_pem: '' });
  const [over, setOver] = useState('');
  const cancel = leaving(form, close, leave);
  const v = form.values.value;
  const chain = readChain(v.chain_pem);
  const found = v.chain_pem.trim() ? uploadFindings(v.chain_pem, v.key_pem, Date.now()) : null;
  /** @param {FileList | null | undefined} files @param {'chain_pem' | 'key_pem'} into */
  const take = async (files, into) => {
    let text = '';
    for (const file of files ?? []) text += `${(await file.text()).trim()}\n`;
    if (!text.trim()) return;
    // One file often holds both.
    const key = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/.exec(text)?.[0];
    if (key) form.set('key_pem')(`${key}\n`);
    const rest = key ? text.replace(key, '').trim() : text.trim();
    if (rest) form.set(into === 'key_pem' && key ? 'chain_pem' : into)(`${rest}\n`);
  };
  const area = (/** @type {'chain_pem' | 'key_pem'} */ name, /** @type {string} */ label, /** @type {string} */ hint, /** @type {string} */ placeholder) => h(Field, { label, hint, error: form.error(name), aside: html`<label class="link small pick-file">Choose a file<input type="file" class="unseen" multiple accept=".pem,.crt,.cer,.key,.txt" onChange=${(/** @type {any} */ event) => take(event.target.files, name)} /></label>`,
    children: (attrs) => html`<textarea class=${`input code ${over === name ? 'drop' : ''}`} rows="6" spellcheck="false" autocomplete="off" placeholder=${placeholder} value=${v[name]} onInput=${(/** @type {any} */ event) => form.set(name)(event.target.value)}
      onDragOver=${(/** @type {DragEvent} */ event) => { event.preventDefault(); setOver(name); }} onDragLeave=${() => setOver('')} onDrop=${(/** @type {DragEvent} */ event) => { event.preventDefault(); setOver(''); take(event.dataTransfer?.files, name); }} ...${attrs}></textarea>` });
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { const body = { chain_pem: v.chain_pem, key_pem: v.key_pem }; close(old ? await network.certificateReplace(old.id, body) : await network.certificateUpload(body)); }); }}>
    ${h(DialogHead, { title: old ? `Replace the certificate for ${old.names[0] ?? old.host}` : 'Upload a certificate', note: 'It serves every domain that it covers. The key is sealed and never shown again.', close: cancel })}
    ${area('chain_pem', 'Certificate and those that issued it', 'PEM, in any order; a file can be dropped here.', '-----BEGIN CERTIFICATE-----')}
    ${area('key_pem', 'Private key', 'PEM, without a passphrase.', '-----BEGIN PRIVATE KEY-----')}
    ${found ? html`<section class="check-result" aria-label="Check" role="status"><h3>Check</h3>
      ${chain[0] ? h(Facts, { items: [['For', chain[0].names.join(', ') || chain[0].subject], ['From', chain[0].issuer], ['Valid', `${day(chain[0].from)} to ${day(chain[0].to)}`]] }) : null}
      ${h(Notes, { notes: found.map((one) => ({ name: '', next_step: '', ...one })) })}</section>` : null}
    ${h(FormProblem, { text: form.general(['chain_pem', 'key_pem']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: old ? 'Replace' : 'Upload', icon: 'upload', disabled: !v.chain_pem.trim() || !v.key_pem.trim() || found?.some((one) => one.level === 'problem') })}</footer></form>`;
}

/** @returns {Promise<boolean>} */
export const orderCertificate = () => showForm('Order a certificate', (close, leave) => h(OrderForm, { close, leave })).then(Boolean);

/** @param {{ close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function OrderForm({ close, leave }) {
  const form = useForm({ names: '', challenge: '', provider: '' });
  const [forecast, setForecast] = useState(/** @type {import('../lib/api.js').S<'CertificateForecast'> | null} */ (null));
  const providers = useResource('dns:providers', network.dnsProviderList).value.value ?? [];
  const cancel = leaving(form, close, leave);
  const v = form.values.value;
  const names = listOf(v.names.replaceAll(' ', ','));
  const challenge = /** @type {any} */ (v.challenge || null);
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { await network.certificateOrder({ names, challenge, ...(v.provider ? { provider: v.provider } : {}) }); close(true); }); }}>
    ${h(DialogHead, { title: 'Order a certificate', note: 'For several names in one, or a wildcard. A domain needs no order: it gets its own.', close: cancel })}
    ${h(TextField, { label: 'Names', value: v.names, set: (text) => { form.set('names')(text); setForecast(null); }, mono: true, rows: 3, required: true, autofocus: true, placeholder: 'example.com\n*.example.com', error: form.error('names'), hint: 'One on each line.' })}
    <div class="form-row">${h(SelectField, { label: 'Proven by', value: v.challenge, set: form.set('challenge'), options: [{ value: '', label: 'What fits' }, ...Object.entries(CHALLENGES).map(([value, label]) => ({ value, label }))], error: form.error('challenge') })}
    ${providers.length ? h(SelectField, { label: 'DNS provider', value: v.provider, set: form.set('provider'), options: [{ value: '', label: 'Whichever has the zone' }, ...providers.map((one) => ({ value: one.id, label: one.name }))], error: form.error('provider') }) : null}</div>
    ${forecast ? h(Notes, { notes: forecast.notes }) : null}
    ${h(FormProblem, { text: form.general(['names', 'challenge', 'provider']) })}
    <footer class="dialog-foot">${h(Act, { label: 'Would it work?', icon: 'telescope', disabled: !names.length, run: async () => setForecast(await network.certificateForecast(names, challenge)) })}<span class="grow"></span><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: 'Order', disabled: !names.length })}</footer></form>`;
}
