// Oneself: name, password, second factor, browsers, sessions, tokens.
import { html, h, icon, useState } from '../lib/html.js';
import { api, session } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { agentName, countryName, day } from '../lib/format.js';
import { theme, setTheme } from '../lib/theme.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Ago } from '../parts/time.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { confirm, DialogHead, showDialog } from '../parts/dialog.js';
import { Choice, useForm, TextField, SelectField, FormProblem, Submit } from '../parts/field.js';
import { PasswordField } from '../parts/password.js';
import { revealOnce } from '../parts/secret.js';
import { Act } from '../parts/act.js';
import { Passkeys } from '../parts/passkeys.js';
import { passkeys } from '../lib/passkeys.js';
import { Menu } from '../parts/menu.js';
import { boundWords, makeToken, revokeToken, rotateToken, scopeWords, TokenUse } from '../parts/tokens.js';
import { askCode, Enrol, showCodes } from '../parts/second-factor.js';

/** @typedef {import('../lib/api.js').S<'Token'>} Token */

export default function AccountPage() {
  useTrail([{ label: 'Account' }]);
  const me = session.value?.user;
  if (!me) return null;
  return html`<div class="page">${h(PageHead, { title: 'Account', note: `${me.email}, ${me.role}` })}
    <div class="grid12"><div class="span-7 stack">${h(Tokens, {})}${h(OwnPasskeys, {})}${h(Sessions, {})}${h(Devices, {})}</div>
    <div class="span-5 stack">${h(Name, { name: me.name })}${h(Password, {})}${h(SecondFactor, {})}
      ${h(Panel, { title: 'Appearance' }, h(Choice, { label: 'Theme', value: theme.value, set: setTheme, options: [{ value: 'dark', label: 'Dark', icon: 'moon' }, { value: 'light', label: 'Light', icon: 'sun' }, { value: 'system', label: 'As the system', icon: 'monitor' }] }))}</div></div></div>`;
}

/** @param {{ name: string }} props */
function Name({ name }) {
  const form = useForm({ name });
  const changed = form.values.value.name.trim() !== name;
  return html`<form onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { const user = await api.accountUpdate({ name: form.values.value.name.trim() }); if (session.value) session.value = { ...session.value, user }; }); }}>${h(Panel, { title: 'Name' }, html`<div class="stack">${h(TextField, { label: 'Name', autocomplete: 'name', value: form.values.value.name, set: form.set('name'), error: form.error('name') })}${h(FormProblem, { text: form.general(['name']) })}<div>${h(Submit, { form, label: 'Save', tone: '', disabled: !changed })}</div></div>`)}</form>`;
}

function Password() {
  const form = useForm({ current: '', next: '' });
  const [done, setDone] = useState(false);
  const v = form.values.value;
  return html`<form onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); setDone(false); form.submit(async () => { await api.accountUpdate({ password: { current: v.current, new: v.next } }); form.reset({ current: '', next: '' }); setDone(true); }); }}>${h(Panel, { title: 'Password' }, html`<div class="stack">
    <input class="unseen" type="text" autocomplete="username" value=${session.value?.user.email} readonly tabindex="-1" aria-hidden="true" />
    ${h(TextField, { label: 'Current password', type: 'password', autocomplete: 'current-password', value: v.current, set: form.set('current'), required: true, error: form.error('password.current', 'current') })}
    ${h(PasswordField, { label: 'New password', value: v.next, set: form.set('next'), known: [session.value?.user.email ?? '', session.value?.user.name ?? ''], error: form.error('password.new', 'new', 'password') })}
    ${h(FormProblem, { text: form.general(['password', 'current', 'new']) })}
    <div class="row">${h(Submit, { form, label: 'Change password', tone: '', disabled: !v.current || !v.next })}${done ? html`<span class="ok-text small row" role="status">${icon('circle-check')}Changed</span>` : null}</div></div>`)}</form>`;
}

const FACTOR_EVENTS = ['passkey_added', 'passkey_removed', 'second_factor_added', 'second_factor_removed', 'recovery_codes_renewed', 'recovery_code_used', 'security_changed'];

function OwnPasskeys() {
  const found = useResource('second-factor', api.secondFactorShow, FACTOR_EVENTS);
  return h(Passkeys, { guarded: found.value.value?.enabled ?? null, again: async () => { await found.load(); await api.sessionShow(); } });
}

function SecondFactor() {
  const found = useResource('second-factor', api.secondFactorShow, FACTOR_EVENTS);
  const now = found.value.value;
  const again = async () => { await found.load(); await api.sessionShow(); };
  const add = () => showDialog('Set up a second factor', (close) => html`<div class="stack">${h(DialogHead, { title: 'Set up a second factor', close: () => close() })}${h(Enrol, { done: () => close(true), cancel: () => close() })}</div>`).then(again);
  const renew = () => askCode({ title: 'New recovery codes', text: 'The codes you have stop working.', action: 'Make new codes', run: async (code) => (await api.recoveryCodesRenew(code)).codes, passkey: now?.passkeys ? async () => { await passkeys.confirm(); return (await api.recoveryCodesRenew('')).codes; } : undefined }).then(async (codes) => { if (codes) { await showCodes(codes); await again(); } });
  const off = () => askCode({ title: 'Turn the authenticator app off', text: now?.passkeys ? 'Your passkeys stay. Your other sessions end.' : 'From then on your password is enough. Your other sessions end.', action: 'Turn off', run: async (code) => { await api.secondFactorRemove(code); return true; } }).then((done) => { if (done) again(); });
  return h(Panel, { title: 'Second factor', note: 'A code from your phone, or a passkey, beside the password' }, !now ? (found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 2 })) : html`<div class="stack small">
    ${now.enabled ? html`<p class="row ok-text">${icon('shield-check')}<span>${now.since ? html`On since ${h(Ago, { at: now.since })}` : html`On by ${now.passkeys === 1 ? 'a passkey' : `${now.passkeys} passkeys`}`}</span></p>
    <p class=${now.recovery_codes_left < 4 ? 'warn-text' : 'dim'}>${now.recovery_codes_left} of 10 recovery codes are left.</p>` : html`<p class="dim">${now.required ? 'This panel asks you for one.' : 'A stolen password is then not enough to get in.'}</p>`}
    <div class="row">${now.enabled ? html`<button type="button" class="btn small" onClick=${renew}>New recovery codes</button>` : null}
      ${!now.since ? html`<button type="button" class=${now.enabled ? 'btn small' : 'btn'} onClick=${add}>${icon('smartphone')}<span>${now.enabled ? 'Add an authenticator app' : 'Set up'}</span></button>` : now.required && !now.passkeys ? html`<span class="faint tiny">This panel asks for it.</span>` : html`<button type="button" class="btn small ghost danger" onClick=${off}>Turn off</button>`}</div></div>`);
}

function Devices() {
  const found = useResource('devices', api.deviceList, ['new_device', 'device_remembered', 'device_forgotten']);
  const list = found.value.value;
  return h(Panel, { title: 'Known browsers', note: 'A sign-in from any other is told as new', flush: true }, found.error.value && !list ? h(Failed, { error: found.error.value, retry: found.load }) : !list ? h(Loading, { rows: 2 }) : !list.length ? h(Empty, { icon: 'monitor', title: 'None yet', text: 'The next sign-in makes this browser known.', small: true }) : html`<ul class="lines tall">${list.map((one) => html`<li key=${one.id}>${/Mobile|iPhone|Android/.test(one.agent) ? icon('smartphone') : icon('monitor')}<span class="cell-two grow"><span title=${one.agent}>${agentName(one.agent)}${one.current ? html` <span class="tag accent">this one</span>` : null}${one.trusted_until && Date.parse(one.trusted_until) > Date.now() ? html` <span class="tag">no code until ${day(one.trusted_until)}</span>` : null}</span><span><code>${one.address}</code> · ${h(Ago, { at: one.last_used_at })}</span></span>
    ${h(Act, { label: 'Forget', small: true, tone: 'ghost', run: async () => { await api.deviceForget(one.id); await found.load(); } })}</li>`)}</ul>`);
}

function Tokens() {
  const found = useResource('tokens', api.tokenList, ['token_created', 'token_revoked', 'token_rotated']);
  const again = (/** @type {Promise<boolean>} */ done) => done.then((changed) => { if (changed) found.load(); });
  const mine = found.value.value?.filter((token) => token.user.id === session.value?.user.id);
  return h(Panel, { title: 'API tokens', note: 'For scripts, CI and the command line', flush: true, actions: html`<button type="button" class="btn small" onClick=${() => again(makeToken())}>${icon('plus')}New token</button>` }, h(/** @type {typeof Table<Token>} */ (Table), {
    label: 'API tokens', small: true, rows: mine, error: found.error.value, retry: found.load, keyOf: (token) => token.id,
    columns: [
      { id: 'name', label: 'Token', width: '30%', card: 'head', cell: (token) => html`<span class="cell-two"><b class="strong">${token.name}</b><span title=${scopeWords(token)}><code>${token.hint}…</code> ${scopeWords(token)}</span></span>` },
      { id: 'where', label: 'Where', cell: (token) => html`<span class=${boundWords(token) ? '' : 'faint'}>${boundWords(token) || 'everywhere'}</span>` },
      { id: 'used', label: 'Last used', cell: (token) => h(TokenUse, { token }) },
      { id: 'ends', label: 'Ends', width: '96px', cell: (token) => html`<span class=${token.expires_at && Date.parse(token.expires_at) - Date.now() < 7 * 86_400_000 ? 'warn-text' : 'dim'}>${h(Ago, { at: token.expires_at, never: 'never' })}</span>` },
      { id: 'actions', label: '', width: '64px', align: 'right', card: 'plain', cell: (token) => html`<span class="cell-actions">${h(Menu, { label: `Actions for ${token.name}`, class: 'btn ghost small square', items: [
        { label: 'New secret…', icon: 'refresh-cw', run: () => again(rotateToken(token)) },
        { label: 'Revoke…', icon: 'trash-2', tone: 'danger', run: () => again(revokeToken(token)) },
      ] })}</span>` },
    ],
    empty: h(Empty, { icon: 'key-round', title: 'No tokens', text: 'A token lets a script deploy, or read, in your name.', small: true, action: html`<button type="button" class="btn" onClick=${() => again(makeToken())}>New token</button>` }),
  }));
}

function Sessions() {
  const found = useResource('sessions', api.sessionList);
  const list = found.value.value;
  const others = () => confirm({ title: 'End all other sessions?', text: 'Every browser but this one is signed out at once. Your API tokens go on.', action: 'End them', run: api.sessionEndOthers }).then((done) => { if (done) found.load(); });
  return h(Panel, { title: 'Sessions', note: 'Browsers that are signed in as you', flush: true, actions: list && list.length > 1 ? html`<button type="button" class="btn small" onClick=${others}>End all others</button>` : null }, found.error.value && !list ? h(Failed, { error: found.error.value, retry: found.load }) : !list ? h(Loading, { rows: 2 }) : html`<ul class="lines tall">${list.map((one) => html`<li key=${one.id}>${/Mobile|iPhone|Android/.test(one.agent) ? icon('smartphone') : icon('monitor')}<span class="cell-two grow"><span title=${one.agent}>${agentName(one.agent)}${one.current ? html` <span class="tag accent">this one</span>` : null}</span><span><code>${one.address}</code>${one.country ? ` ${countryName(one.country)}` : ''} · ${one.current ? 'now' : h(Ago, { at: one.last_used_at })}</span></span>
    ${one.current ? null : h(Act, { label: 'End', small: true, tone: 'ghost', run: async () => { await api.sessionRevoke(one.id); await found.load(); } })}</li>`)}</ul>`);
}
