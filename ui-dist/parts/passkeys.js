// The own passkeys, with adding, naming and removing.
import { html, h, icon } from '../lib/html.js';
import { agentName } from '../lib/format.js';
import { isName, passkeys, possible } from '../lib/passkeys.js';
import { useResource } from '../lib/resource.js';
import { Panel } from './page.js';
import { Ago } from './time.js';
import { Empty, Failed, Loading } from './empty.js';
import { confirm, DialogHead, showDialog } from './dialog.js';
import { FormProblem, Submit, TextField, useForm } from './field.js';
import { showCodes } from './second-factor.js';

/** @typedef {import('../lib/api.js').S<'Passkey'>} Passkey */

/** The own passkeys. `guarded`: there is a second factor already, which stands for the password. @param {{ guarded: boolean | null, again: () => void }} props */
export function Passkeys({ guarded, again }) {
  const found = useResource('passkeys', passkeys.list, ['passkey_added', 'passkey_removed', 'second_factor_removed']);
  const list = found.value.value;
  const look = async () => { await found.load(); again(); };
  const add = () => showDialog('Add a passkey', (close) => h(AddForm, { guarded: guarded === true, close })).then(async (made) => {
    if (!made) return;
    if (made.recovery_codes.length) await showCodes(made.recovery_codes);
    await look();
  });
  const rename = (/** @type {Passkey} */ one) => showDialog(`Name ${one.name}`, (close) => h(NameForm, { one, close })).then((done) => { if (done) found.load(); });
  const remove = (/** @type {Passkey} */ one) => confirm({ title: `Remove ${one.name}?`, text: 'Nobody gets in with it any more. Your device may go on to offer it: delete it there too.', objects: [{ icon: 'key-round', label: one.name, note: `for ${one.host}` }], action: 'Remove', run: () => passkeys.remove(one.id) }).then((done) => { if (done) look(); });
  const why = possible() ? null : isName(location.hostname) ? 'This browser cannot make passkeys.' : html`Passkeys belong to a name, and you opened this panel by its address. Give the panel a domain under <a href="/settings">Settings</a>, then open it by that.`;
  const button = possible() && guarded !== null ? html`<button type="button" class="btn small" onClick=${add}>${icon('plus')}Add passkey</button>` : null;
  return h(Panel, { title: 'Passkeys', note: 'Sign in by finger, face or PIN, without a password', flush: true, actions: button, foot: why && list?.length ? html`<span class="hint">${why}</span>` : null },
    found.error.value && !list ? h(Failed, { error: found.error.value, retry: found.load }) : !list ? h(Loading, { rows: 2 }) : html`${list.length ? html`<ul class="lines tall">${list.map((one) => html`<li key=${one.id}>${icon('key-round')}<span class="cell-two grow"><span>${one.name}${one.host === location.hostname ? null : html` <span class="tag warn">only at ${one.host}</span>`}</span><span>added ${h(Ago, { at: one.created_at })} · ${one.last_used_at ? html`used ${h(Ago, { at: one.last_used_at })}` : 'not used yet'}</span></span>
      <button type="button" class="btn ghost small square" aria-label=${`Name ${one.name}`} title="Name" onClick=${() => rename(one)}>${icon('pencil')}</button><button type="button" class="btn ghost small square" aria-label=${`Remove ${one.name}`} title="Remove" onClick=${() => remove(one)}>${icon('trash-2')}</button></li>`)}</ul>`
      : h(Empty, { icon: 'key-round', title: 'No passkeys', text: why ?? 'One on your phone or computer signs you in, and cannot be given to a false page.', small: true })}`);
}

/** @param {{ guarded: boolean, close: (made?: unknown) => void }} props */
function AddForm({ guarded, close }) {
  const form = useForm({ name: agentName(navigator.userAgent), password: '' });
  const v = form.values.value;
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => close(await passkeys.add(v.name.trim(), guarded ? null : v.password))); };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: 'Add a passkey', note: guarded ? 'Your browser asks where to keep it.' : 'Your browser asks where to keep it. From then on the password alone is not enough, and your other sessions end.', close: () => close() })}
    ${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), required: true, autofocus: true, error: form.error('name'), hint: 'So that you know it again.' })}
    ${guarded ? null : html`<input class="unseen" type="text" autocomplete="username" readonly tabindex="-1" aria-hidden="true" />${h(TextField, { label: 'Your password', type: 'password', autocomplete: 'current-password', value: v.password, set: form.set('password'), required: true, error: form.error('password') })}`}
    ${h(FormProblem, { text: form.general(['name', 'password']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Add passkey' })}</footer></form>`;
}

/** @param {{ one: Passkey, close: (done?: unknown) => void }} props */
function NameForm({ one, close }) {
  const form = useForm({ name: one.name });
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => close(await passkeys.rename(one.id, form.values.value.name.trim()))); };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: 'Name the passkey', close: () => close() })}
    ${h(TextField, { label: 'Name', value: form.values.value.name, set: form.set('name'), required: true, autofocus: true, error: form.error('name') })}
    ${h(FormProblem, { text: form.general(['name']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Save' })}</footer></form>`;
}
