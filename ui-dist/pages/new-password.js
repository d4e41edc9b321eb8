// A forgotten password: asking for a link by mail, and choosing a new password with its word.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { mail } from '../lib/mail.js';
import { route } from '../lib/router.js';
import { useForm, TextField, FormProblem, Submit } from '../parts/field.js';
import { PasswordField } from '../parts/password.js';
import { Logo } from '../parts/logo.js';

export default function NewPasswordPage() {
  // The word of the link leaves the address bar, so that it is not in the history.
  const [token] = useState(() => decodeURIComponent(route.peek().hash.replace(/^#/, '')));
  useEffect(() => {
    document.title = 'New password · serverkit';
    if (location.hash) history.replaceState(history.state, '', '/new-password');
  }, []);
  return html`<div class="gate"><div class="gate-top"></div><div class="gate-box">
    <div class="stack gate-hello">${h(Logo, {})}<div><h1>New password</h1><p class="dim">${token ? 'It ends your sessions everywhere.' : 'A link to choose one comes by mail.'}</p></div></div>
    ${token ? h(Choose, { token }) : h(Ask, {})}
  </div><p class="gate-foot">serverkit</p></div>`;
}

function Ask() {
  const form = useForm({ email: '' });
  const [asked, setAsked] = useState('');
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { const email = form.values.value.email.trim(); await mail.forgotten(email); setAsked(email); }); };
  if (asked) return html`<div class="panel gate-card stack"><div class="notice ok" role="status">${icon('circle-check')}<span>If <b class="any">${asked}</b> has an account with a password here, a link is on its way. It is good for 30 minutes.</span></div><a class="btn wide" href="/sign-in">Back to signing in</a></div>`;
  return html`<form class="panel gate-card stack" onSubmit=${submit}>
    ${h(TextField, { label: 'Email', type: 'email', name: 'email', autocomplete: 'username', value: form.values.value.email, set: form.set('email'), required: true, autofocus: true, error: form.error('email') })}
    ${h(FormProblem, { text: form.general(['email']) })}
    ${h(Submit, { form, label: 'Send the link', class: 'wide' })}<a class="btn ghost" href="/sign-in">Back</a></form>`;
}

/** @param {{ token: string }} props */
function Choose({ token }) {
  const form = useForm({ password: '' });
  const [done, setDone] = useState(false);
  const v = form.values.value;
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { await mail.renew(token, v.password); setDone(true); }); };
  if (done) return html`<div class="panel gate-card stack"><div class="notice ok" role="status">${icon('circle-check')}<span>The new password holds from now on.</span></div><a class="btn primary wide" href="/sign-in">Sign in</a></div>`;
  return html`<form class="panel gate-card stack" onSubmit=${submit}>
    ${h(PasswordField, { label: 'Password', value: v.password, set: form.set('password'), error: form.error('password') })}
    ${h(FormProblem, { text: form.general(['password']) })}
    ${h(Submit, { form, label: 'Use it', class: 'wide' })}</form>`;
}
