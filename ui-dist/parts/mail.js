// The server through which the panel sends mail.
import { html, h, icon, useState } from '../lib/html.js';
import { mail } from '../lib/mail.js';
import { useResource } from '../lib/resource.js';
import { Panel } from './page.js';
import { Saved } from './saved.js';
import { Failed, Loading } from './empty.js';
import { SelectField, Switch, TextField, whole } from './field.js';
import { Act } from './act.js';

const KINDS = [{ value: 'start_tls', label: 'STARTTLS' }, { value: 'tls', label: 'TLS' }, { value: 'plain', label: 'None' }];
/** @type {Record<string, string>} */
const PORTS = { start_tls: '587', tls: '465', plain: '25' };

/** @typedef {{ host: string, port: string, security: string, user: string, password: string, from: string, ca: string, notices: boolean }} Values */

export function Mail() {
  const found = useResource('mail', mail.show, ['settings_changed']);
  const [sent, setSent] = useState('');
  const now = found.value.value;
  if (!now) return h(Panel, { title: 'Mail' }, found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 3 }));
  const server = now.server;
  const start = { host: server?.host ?? '', port: server ? String(server.port) : '', security: /** @type {string} */ (server?.security ?? 'start_tls'), user: server?.user ?? '', password: '', from: server?.from ?? '', ca: server?.ca_pem ?? '', notices: server?.notices ?? true };
  const save = async (/** @type {Values} */ v) => {
    found.value.value = await mail.replace({ host: v.host.trim(), port: v.port.trim() ? whole(v.port, 'port') : null, security: /** @type {any} */ (v.security), user: v.user.trim() || null, password: v.password || null, from: v.from.trim(), ca_pem: v.ca.trim() || null, notices: v.notices });
    setSent('');
  };
  return html`<div>${h(/** @type {typeof Saved<Values>} */ (Saved), {
    title: 'Mail', note: server ? `${now.waiting ? `${now.waiting} waiting` : 'For forgotten passwords, invitations and security notices'}` : 'The panel sends none yet', id: 'mail', start, save,
    fields: ['host', 'port', 'security', 'user', 'password', 'from', 'ca_pem'],
    actions: server ? html`<span class="row">${sent ? html`<span class="ok-text small" role="status">Sent to ${sent}</span>` : null}${h(Act, { label: 'Send a test', small: true, run: async () => { setSent(''); setSent((await mail.test()).to); } })}
      ${h(Act, { label: 'Remove', small: true, tone: 'ghost', run: async () => { await mail.remove(); await found.load(); } })}</span>` : null,
    body: (form) => {
      const v = form.values.value;
      return html`<div class="form-row">${h(TextField, { label: 'Server', value: v.host, set: form.set('host'), placeholder: 'mail.example.com', mono: true, error: form.error('host') })}
        ${h(SelectField, { label: 'Protection', value: v.security, set: form.set('security'), options: KINDS, error: form.error('security') })}
        ${h(TextField, { label: 'Port', value: v.port, set: form.set('port'), inputmode: 'numeric', optional: true, placeholder: PORTS[v.security], error: form.error('port') })}</div>
        <div class="form-row">${h(TextField, { label: 'User', value: v.user, set: form.set('user'), optional: true, autocomplete: 'off', error: form.error('user') })}
        ${h(TextField, { label: 'Password', type: 'password', value: v.password, set: form.set('password'), optional: true, autocomplete: 'new-password', placeholder: server?.has_password ? 'as it is' : '', error: form.error('password') })}</div>
        ${h(TextField, { label: 'From', value: v.from, set: form.set('from'), placeholder: 'serverkit <panel@example.com>', error: form.error('from') })}
        <details class="more"><summary>${icon('chevron-right', 'icon-small')}Its own authority</summary>${h(TextField, { label: 'Certificate of the authority', value: v.ca, set: form.set('ca'), mono: true, rows: 4, optional: true, placeholder: '-----BEGIN CERTIFICATE-----', error: form.error('ca_pem'), hint: 'When the server’s certificate is not from a public one.' })}</details>
        ${h(Switch, { label: 'Send notices', hint: 'People of new browsers, passwords and tokens of theirs; administrators of what the Security page shows, of quotas, of canaries that fail and releases that were rolled back, of jobs that begin to fail, and of newer images where an app\'s watch tells of them.', on: v.notices, set: form.set('notices') })}
        <p class="hint">An owner sets this: links with which passwords are replaced go through it.</p>`;
    } })}</div>`;
}
