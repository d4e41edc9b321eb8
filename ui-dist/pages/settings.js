// The panel's settings.
import { html, h, icon, useEffect } from '../lib/html.js';
import { api, Problem } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { useUnsaved } from '../lib/unsaved.js';
import { PageHead, Panel } from '../parts/page.js';
import { Act } from '../parts/act.js';
import { Copy } from '../parts/copy.js';
import { Ago } from '../parts/time.js';
import { sentence } from '../lib/format.js';
import { Failed, Loading } from '../parts/empty.js';
import { useForm, TextField, FormProblem, Submit, Field, SelectField, Switch } from '../parts/field.js';
import { Saved } from '../parts/saved.js';
import { linesOf, listOf } from '../lib/traffic.js';
import { DomainCheck } from '../parts/domains.js';
import { Mail } from '../parts/mail.js';
import { BuildPlace } from '../parts/build-servers.js';

/** @typedef {import('../lib/api.js').S<'Settings'>} Settings */
const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';

export default function SettingsPage() {
  useTrail([{ label: 'Settings' }]);
  const found = useResource('settings', api.settingShow, ['settings_changed']);
  const version = useResource('setup', api.setupShow).value.value?.version;
  const s = found.value.value;
  const head = h(PageHead, { title: 'Settings', note: version ? `serverkit ${version}` : '\u00a0' });
  if (!s) return html`<div class="page">${head}${found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 4 })}</div>`;
  const save = async (/** @type {Partial<Settings>} */ change) => { found.value.value = await api.settingUpdate(change); };
  return html`<div class="page">${head}<div class="settings-grid">
    ${h(Group, { title: 'Addresses', settings: s, fields: ['panel_domain', 'apps_domain'], save, body: (f) => html`
      <div class="stack tight">${h(TextField, { label: 'Panel domain', value: f.v.panel_domain, set: f.set('panel_domain'), mono: true, optional: true, placeholder: 'panel.example.com', error: f.error('panel_domain'), hint: 'Under which this panel is reached beside its port.' })}${f.v.panel_domain && f.v.panel_domain !== s.panel_domain ? h(DomainCheck, { host: f.v.panel_domain }) : null}</div>
      ${h(TextField, { label: 'Domain for apps', value: f.v.apps_domain, set: f.set('apps_domain'), mono: true, optional: true, placeholder: 'apps.example.com', error: f.error('apps_domain'), hint: html`A new app gets <code>NAME.${f.v.apps_domain || 'apps.example.com'}</code>. Point a wildcard record (<code>*.${f.v.apps_domain || 'apps.example.com'}</code>) to this server.` })}` })}
    ${h(Group, { title: 'Certificates', note: 'By ACME, from any authority that speaks it', settings: s, fields: ['acme_email', 'acme_directory', 'acme_ca_pem'], save, body: (f) => html`
      ${h(TextField, { label: 'Email', type: 'email', value: f.v.acme_email, set: f.set('acme_email'), optional: true, placeholder: 'you@example.com', error: f.error('acme_email'), hint: 'The authority writes here about trouble.' })}
      ${h(TextField, { label: 'Directory', value: f.v.acme_directory, set: f.set('acme_directory'), mono: true, error: f.error('acme_directory'), hint: f.v.acme_directory === LETS_ENCRYPT ? 'Let’s Encrypt' : html`<button type="button" class="link" onClick=${() => f.set('acme_directory')(LETS_ENCRYPT)}>Use Let’s Encrypt</button>` })}
      <details class="more" open=${Boolean(s.acme_ca_pem)}><summary>${icon('chevron-right', 'icon-small')}A private ACME server</summary><div class="stack">${h(Field, { label: 'Its authority (PEM)', optional: true, error: f.error('acme_ca_pem'), children: (attrs) => html`<textarea class="input code" rows="6" spellcheck="false" placeholder="-----BEGIN CERTIFICATE-----" value=${f.v.acme_ca_pem} onInput=${(/** @type {any} */ event) => f.set('acme_ca_pem')(event.target.value)} ...${attrs}></textarea>` })}</div></details>` })}
    ${h(/** @type {typeof Saved<{ challenge: string, staging: boolean, eab: string, hmac: string }>} */ (Saved), { title: 'Orders', note: 'How names are proven, and to whom.', start: { challenge: s.acme_challenge ?? '', staging: s.acme_staging, eab: s.acme_eab_key_id ?? '', hmac: '' }, fields: ['acme_challenge', 'acme_staging', 'acme_eab_key_id', 'acme_eab_hmac_key'],
      save: (v) => save(/** @type {any} */ ({ acme_challenge: v.challenge || null, acme_staging: v.staging, acme_eab_key_id: v.eab.trim() || null, ...(v.hmac.trim() ? { acme_eab_hmac_key: v.hmac.trim() } : {}) })), body: (form) => { const v = form.values.value; return html`
      ${h(SelectField, { label: 'Proven by', value: v.challenge, set: form.set('challenge'), options: [{ value: '', label: 'What fits each name' }, { value: 'http', label: 'HTTP: a file on port 80' }, { value: 'tls_alpn', label: 'TLS-ALPN: a connection on port 443' }, { value: 'dns', label: 'DNS: a record, through a DNS provider' }], error: form.error('acme_challenge') })}
      ${h(Switch, { label: 'Only try orders, with Let’s Encrypt’s staging', hint: 'No browser trusts its certificates.', on: v.staging, set: form.set('staging') })}
      <details class="more" open=${Boolean(s.acme_eab_key_id)}><summary>${icon('chevron-right', 'icon-small')}An account made beforehand</summary><div class="form-row">${h(TextField, { label: 'Key id', value: v.eab, set: form.set('eab'), mono: true, optional: true, error: form.error('acme_eab_key_id') })}${h(TextField, { label: 'HMAC key', type: 'password', value: v.hmac, set: form.set('hmac'), optional: true, autocomplete: 'new-password', placeholder: s.acme_eab_key_id ? 'stays as it is' : '', error: form.error('acme_eab_hmac_key'), hint: 'In base64url, as the authority gives it.' })}</div></details>`; } })}
    ${h(/** @type {typeof Saved<{ addresses: string, servers: string }>} */ (Saved), { title: 'This server in DNS', id: 'public', note: 'What names should lead to, and who is asked.', start: { addresses: linesOf(s.public_addresses), servers: linesOf(s.dns_servers) }, fields: ['public_addresses', 'dns_servers'],
      save: (v) => save({ public_addresses: listOf(v.addresses), dns_servers: listOf(v.servers) }), body: (form) => html`<div class="form-row">
      ${h(TextField, { label: 'Public addresses', value: form.values.value.addresses, set: form.set('addresses'), mono: true, rows: 2, optional: true, placeholder: 'those of its interfaces', error: form.error('public_addresses'), hint: 'Where the world reaches this server, if its interfaces do not say so.' })}
      ${h(TextField, { label: 'Name servers', value: form.values.value.servers, set: form.set('servers'), mono: true, rows: 2, optional: true, placeholder: 'public resolvers', error: form.error('dns_servers'), hint: 'Asked whether an order would work.' })}</div>` })}
    ${h(Group, { title: 'Work and keeping', settings: s, fields: ['deployments_at_once', 'trash_days', 'log_days', 'build_on'], save, body: (f) => html`<div class="form-row">
      ${h(TextField, { label: 'Deployments at once', value: f.v.deployments_at_once, set: f.set('deployments_at_once'), inputmode: 'numeric', error: f.error('deployments_at_once'), hint: 'Others wait in the queue.' })}
      ${h(TextField, { label: 'Trash', value: f.v.trash_days, set: f.set('trash_days'), inputmode: 'numeric', suffix: 'days', error: f.error('trash_days') })}
      ${h(TextField, { label: 'Logs', value: f.v.log_days, set: f.set('log_days'), inputmode: 'numeric', suffix: 'days', error: f.error('log_days') })}</div>${h(BuildPlace, { value: f.v.build_on, set: f.set('build_on'), error: f.error('build_on') })}` })}
    ${h(Mail, {})}
    ${h(Running, {})}
    ${h(Panel, { title: 'Export', note: 'All projects, apps, domains and settings as one file, without secrets' }, h(Act, { label: 'Download', icon: 'download', run: async () => { const link = document.createElement('a'); link.href = URL.createObjectURL(new Blob([await api.stateExport()], { type: 'application/json' })); link.download = 'serverkit-state.json'; link.click(); } }))}
  </div></div>`;
}

const UPGRADE = 'sudo serverkit upgrade';
const WORDS = { switching: 'takes over now', watching: 'serves, and is watched', done: 'done', failed: 'failed; the version before runs again' };

/** The version that runs, how the last upgrade went, and how to do the next. */
function Running() {
  const found = useResource('version', api.versionShow).value.value;
  if (!found) return null;
  const last = found.upgrade;
  return h(Panel, { title: 'Version', note: `serverkit ${found.version} runs` }, html`<div class="stack small">
    ${last ? html`<div class=${`notice ${last.state === 'failed' ? 'bad' : ''}`}>${last.state === 'failed' ? icon('circle-alert') : icon('circle-check')}<span>Upgrade from ${last.from} to ${last.to}: ${WORDS[last.state]}, ${h(Ago, { at: last.ended_at ?? last.started_at })} by ${last.by}.${last.error ? html`<br /><span class="any">${sentence(last.error)}</span>` : null}</span></div>` : null}
    <p class="dim">The newest release is taken by this command on the server. Nothing is refused meanwhile, and the version before goes on if the new one fails.</p>
    <div class="key-box"><code class="pre">${UPGRADE}</code>${h(Copy, { text: UPGRADE, label: 'Copy command' })}</div></div>`);
}

const NUMBERS = ['deployments_at_once', 'trash_days', 'log_days'];
/** @typedef {{ v: Record<string, string>, set: (name: string) => (value: string) => void, error: (...names: string[]) => string | undefined }} Fields */
/** @param {{ title: string, note?: string, settings: Settings, fields: (keyof Settings)[], save: (change: Partial<Settings>) => Promise<void>, body: (fields: Fields) => any }} props */
function Group({ title, note, settings, fields, save, body }) {
  const start = Object.fromEntries(fields.map((name) => [name, String(settings[name] ?? '')]));
  const key = JSON.stringify(start);
  const form = useForm(start);
  useEffect(() => { if (!form.touched.peek()) form.reset(start); }, [key]);
  const v = form.values.value;
  const dirty = JSON.stringify(v) !== key;
  useUnsaved(dirty, title.toLowerCase());
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      /** @type {Record<string, unknown>} */
      const change = {};
      for (const name of fields) {
        if (v[name] === start[name]) continue;
        if (NUMBERS.includes(name)) { if (!/^\d+$/.test(v[name].trim())) throw new Problem({ status: 422, code: 'invalid', detail: 'Use a whole number', field: name }); change[name] = Number(v[name]); } else change[name] = v[name].trim() || null;
      }
      await save(change);
    });
  };
  return html`<form onSubmit=${submit}>${h(Panel, { title, note, foot: dirty || form.problem.value ? html`<span class="faint">Not saved</span><span class="end row"><button type="button" class="btn small" onClick=${() => form.reset(start)}>Discard</button>${h(Submit, { form, label: 'Save', tone: 'primary small' })}</span>` : null }, html`<div class="stack">${body({ v, set: form.set, error: form.error })}${h(FormProblem, { text: form.general(fields) })}</div>`)}</form>`;
}
