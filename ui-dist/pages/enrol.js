// For somebody who must have a second factor and has none: nothing else is allowed until it is set up.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api, session } from '../lib/api.js';
import { Logo } from '../parts/logo.js';
import { agentName } from '../lib/format.js';
import { passkeys, possible } from '../lib/passkeys.js';
import { FormProblem, Submit, TextField, useForm } from '../parts/field.js';
import { Codes, Enrol } from '../parts/second-factor.js';

export default function EnrolPage() {
  const [passkey, setPasskey] = useState(false);
  const done = () => location.assign('/');
  useEffect(() => { document.title = 'Set up a second factor · serverkit'; if (session.peek() === null) location.assign('/sign-in'); }, []);
  const leave = async () => { try { await api.sessionEnd(); } finally { location.assign('/sign-in'); } };
  return html`<div class="gate"><div class="gate-top"></div><div class="gate-box">
    <div class="stack gate-hello">${h(Logo, {})}<div><h1 tabindex="-1">Set up a second factor</h1><p class="dim">This panel asks for one before you go on.</p></div></div>
    <div class="panel gate-card stack">${passkey ? h(ByPasskey, { done }) : h(Enrol, { done })}</div>
    ${possible() ? html`<button type="button" class="btn wide" onClick=${() => setPasskey(!passkey)}>${icon(passkey ? 'smartphone' : 'key-round')}<span>${passkey ? 'Use an authenticator app instead' : 'Use a passkey instead'}</span></button>` : null}
    <button type="button" class="btn ghost" onClick=${leave}>Sign out</button></div><p class="gate-foot">${session.value?.user.email}</p></div>`;
}

/** A passkey in place of the app. @param {{ done: () => void }} props */
function ByPasskey({ done }) {
  const [codes, setCodes] = useState(/** @type {string[] | null} */ (null));
  const form = useForm({ name: agentName(navigator.userAgent), password: '' });
  const v = form.values.value;
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => setCodes((await passkeys.add(v.name.trim(), v.password)).recovery_codes)); };
  if (codes) return html`<div class="stack"><p class="small ok-text row" role="status">${icon('circle-check')}<span>Your passkey is your second factor now.</span></p>
    <p class="dim small">These recovery codes let you in when it is gone, each once. Keep them in a safe place: they are not shown again.</p>
    ${h(Codes, { codes })}<footer class="dialog-foot"><button type="button" class="btn primary" onClick=${done}>I have stored them</button></footer></div>`;
  return html`<form class="stack" onSubmit=${submit}>
    <p class="dim small">By finger, face or PIN of this device, or of a key that you plug in. Your browser asks where to keep it.</p>
    <input class="unseen" type="text" autocomplete="username" value=${session.value?.user?.email} readonly tabindex="-1" aria-hidden="true" />
    ${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), required: true, error: form.error('name'), hint: 'So that you know it again.' })}
    ${h(TextField, { label: 'Your password', type: 'password', autocomplete: 'current-password', value: v.password, set: form.set('password'), required: true, autofocus: true, error: form.error('password') })}
    ${h(FormProblem, { text: form.general(['name', 'password']) })}
    <footer class="dialog-foot">${h(Submit, { form, label: 'Make the passkey' })}</footer></form>`;
}
