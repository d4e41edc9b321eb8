// The form of a DNS provider: each kind asks for what it needs.
import { html, h } from '../lib/html.js';
import { network } from '../lib/network.js';
import { listOf } from '../lib/traffic.js';
import { joinWords, splitWords } from '../lib/words.js';
import { Problem } from '../lib/api.js';
import { DialogHead, leaving, showForm } from './dialog.js';
import { FormProblem, SelectField, Submit, TextField, useForm } from './field.js';
import { Rows } from './network.js';

/** @typedef {import('../lib/api.js').S<'DnsProvider'>} Provider */
/** @typedef {{ name: string, label: string, hint?: string, optional?: boolean, plain?: boolean }} Credential */

/** @type {Record<Provider['kind'], { label: string, credentials: Credential[], options: ('endpoint' | 'server' | 'zones' | 'key' | 'command')[], note?: string }>} */
export const KINDS = {
  cloudflare: { label: 'Cloudflare', credentials: [{ name: 'token', label: 'API token', hint: 'With Zone:Read and DNS:Edit.' }], options: [] },
  route53: { label: 'Amazon Route 53', credentials: [{ name: 'access_key_id', label: 'Access key id', plain: true }, { name: 'secret_access_key', label: 'Secret access key' }, { name: 'session_token', label: 'Session token', optional: true }], options: [] },
  digitalocean: { label: 'DigitalOcean', credentials: [{ name: 'token', label: 'Token', hint: 'With the scopes of domain.' }], options: [] },
  hetzner: { label: 'Hetzner', credentials: [{ name: 'token', label: 'Token', hint: 'Of the Cloud Console, with read and write.' }], options: [] },
  rfc2136: { label: 'Own name server (RFC 2136)', credentials: [{ name: 'key', label: 'Key', hint: 'TSIG, in base64.' }], options: ['server', 'key', 'zones'], note: 'BIND, Knot, PowerDNS, Windows: dynamic updates signed with TSIG.' },
  exec: { label: 'A program on this server', credentials: [], options: ['command', 'zones'], note: 'Run as PROGRAM … create|delete ZONE NAME TYPE TTL VALUE, and … test. Credentials become its environment variables.' },
  webhook: { label: 'An address that is called', credentials: [{ name: 'token', label: 'Token', hint: 'Sent as bearer.', optional: true }], options: ['endpoint', 'zones'], note: 'It gets a JSON object with the action and the record.' },
};

/** @param {Provider | null} provider @returns {Promise<Provider | null>} */
export const editProvider = (provider) => showForm(provider ? `Provider ${provider.name}` : 'Add a DNS provider', (close, leave) => h(ProviderForm, { provider, close, leave }));

const SHOWN = ['name', 'kind', 'options', 'credentials', 'endpoint', 'server', 'zones', 'key_name', 'algorithm', 'command', 'token', 'key'];

/** @param {{ provider: Provider | null, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function ProviderForm({ provider, close, leave }) {
  const o = provider?.options;
  const form = useForm({
    name: provider?.name ?? '', kind: /** @type {Provider['kind']} */ (provider?.kind ?? 'cloudflare'), endpoint: o?.endpoint ?? '', server: o?.server ?? '', zones: (o?.zones ?? []).join('\n'), key_name: o?.key_name ?? '', algorithm: o?.algorithm ?? 'hmac-sha256', command: o?.command ? joinWords(o.command) : '',
    credentials: /** @type {Record<string, string>} */ ({}), variables: /** @type {{ name: string, value: string }[]} */ ([]),
  });
  const cancel = leaving(form, close, leave);
  const v = form.values.value;
  const kind = KINDS[v.kind];
  const has = (/** @type {typeof kind.options[number]} */ option) => kind.options.includes(option);
  const stored = provider?.credentials ?? [];
  const save = () => form.submit(async () => {
    const command = has('command') ? splitWords(v.command) : null;
    if (has('command') && !command?.length) throw new Problem({ status: 422, code: 'invalid', detail: command ? 'Name the program with its whole path' : 'A quote is never closed', field: 'command' });
    const options = {
      ...(has('endpoint') && v.endpoint.trim() ? { endpoint: v.endpoint.trim() } : {}), ...(has('server') ? { server: v.server.trim() } : {}), ...(has('zones') ? { zones: listOf(v.zones) } : {}),
      ...(has('key') ? { key_name: v.key_name.trim(), algorithm: v.algorithm } : {}), ...(command ? { command } : {}),
    };
    const given = Object.fromEntries([...Object.entries(v.credentials), ...v.variables.map((one) => [one.name.trim(), one.value])].filter(([name, value]) => name && value));
    const keep = provider && !Object.keys(given).length;
    const body = { name: v.name.trim(), options, ...(keep ? {} : { credentials: given }) };
    close(provider ? await network.dnsProviderUpdate(provider.id, body) : await network.dnsProviderCreate({ ...body, kind: v.kind }));
  });
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); save(); }}>
    ${h(DialogHead, { title: provider ? `Provider ${provider.name}` : 'Add a DNS provider', note: 'It is tried at once. What is secret is sealed and never shown again.', close: cancel })}
    ${provider ? null : h(SelectField, { label: 'Where the zones are kept', value: v.kind, set: form.set('kind'), options: Object.entries(KINDS).map(([value, { label }]) => ({ value, label })), hint: kind.note, error: form.error('kind') })}
    ${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), required: true, placeholder: 'main', error: form.error('name') })}
    ${has('server') ? h(TextField, { label: 'Primary server', value: v.server, set: form.set('server'), mono: true, required: true, placeholder: '192.0.2.1:53', error: form.error('server', 'options.server') }) : null}
    ${has('key') ? html`<div class="form-row">${h(TextField, { label: 'Name of the key', value: v.key_name, set: form.set('key_name'), mono: true, required: true, placeholder: 'serverkit', error: form.error('key_name') })}${h(SelectField, { label: 'Algorithm', value: v.algorithm, set: form.set('algorithm'), options: ['hmac-sha256', 'hmac-sha384', 'hmac-sha512'].map((value) => ({ value, label: value })), error: form.error('algorithm') })}</div>` : null}
    ${has('endpoint') ? h(TextField, { label: 'Address', value: v.endpoint, set: form.set('endpoint'), mono: true, required: true, placeholder: 'https://dns.example.com/hook', error: form.error('endpoint') }) : null}
    ${has('command') ? h(TextField, { label: 'Program and arguments', value: v.command, set: form.set('command'), mono: true, required: true, placeholder: '/usr/local/bin/dns-hook', error: form.error('command'), hint: 'Words, no shell.' }) : null}
    ${has('zones') ? h(TextField, { label: 'Zones', value: v.zones, set: form.set('zones'), mono: true, rows: 2, required: true, placeholder: 'example.com', error: form.error('zones'), hint: 'One on each line.' }) : null}
    ${kind.credentials.map((one) => h(TextField, { key: one.name, label: one.label, type: one.plain ? 'text' : 'password', value: v.credentials[one.name] ?? '', set: (value) => form.set('credentials')({ ...v.credentials, [one.name]: value }), mono: true, autocomplete: 'new-password', optional: one.optional, required: !one.optional && !stored.includes(one.name), placeholder: stored.includes(one.name) ? 'stays as it is' : '', hint: one.hint, error: form.error(one.name, `credentials.${one.name}`) }))}
    ${v.kind === 'exec' ? html`<div class="field" role="group" aria-label="Environment variables"><span class="label">Environment variables <span class="faint">secret</span></span>${h(/** @type {typeof Rows<{ name: string, value: string }>} */ (Rows), { rows: v.variables, set: form.set('variables'), add: 'Add a variable', what: 'variable', fresh: () => ({ name: '', value: '' }), row: (one, change) => html`<div class="form-row">${h(TextField, { label: 'Name', value: one.name, set: (name) => change({ name }), mono: true })}${h(TextField, { label: 'Value', type: 'password', value: one.value, set: (value) => change({ value }), autocomplete: 'new-password' })}</div>` })}</div>` : null}
    ${stored.length && kind.credentials.length > 1 ? html`<p class="hint">To change one credential, give all of them anew.</p>` : null}
    ${h(FormProblem, { text: form.general(SHOWN) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: provider ? 'Save and try' : 'Add and try' })}</footer></form>`;
}
