// Accepting an invitation: the link's word makes an account with a name and a password of one's own.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api, session } from '../lib/api.js';
import { navigate, route } from '../lib/router.js';
import { sentence } from '../lib/format.js';
import { useForm, TextField, FormProblem, Submit } from '../parts/field.js';
import { PasswordField } from '../parts/password.js';
import { Loading } from '../parts/empty.js';
import { Ago } from '../parts/time.js';
import { Logo } from '../parts/logo.js';

const KEPT = 'serverkit-invitation';

export default function InvitationPage() {
  // The word of the link leaves the address bar, so that it is not in the history.
  // It is kept while somebody signs in in between.
  const [token] = useState(() => decodeURIComponent(route.peek().hash.replace(/^#/, '')) || (sessionStorage.getItem(KEPT) ?? ''));
  const [found, setFound] = useState(/** @type {import('../lib/api.js').S<'InvitationShown'> | null} */ (null));
  const [error, setError] = useState(/** @type {Error | null} */ (null));
  useEffect(() => {
    document.title = 'Invitation · serverkit';
    sessionStorage.removeItem(KEPT);
    if (location.hash) history.replaceState(history.state, '', '/invitation');
    api.invitationLook(token).then(setFound, setError);
  }, []);
  return html`<div class="gate"><div class="gate-top"></div><div class="gate-box">
    <div class="stack gate-hello">${h(Logo, {})}<div><h1>${error ? 'This link does not work' : 'You are invited'}</h1>
      <p class="dim">${error ? 'A link works once, and for a few days.' : found?.has_account ? 'Join with the account that you have here.' : 'Choose a name and a password to join this panel.'}</p></div></div>
    ${error ? html`<div class="notice warn">${icon('triangle-alert')}<span>${sentence(error.message)}</span></div><a class="btn wide" href="/sign-in">Sign in</a>` : found ? h(found.has_account ? JoinForm : AcceptForm, { token, found }) : html`<div class="panel gate-card">${h(Loading, { rows: 3 })}</div>`}
  </div><p class="gate-foot">serverkit</p></div>`;
}

/** For who has an account already. @param {{ token: string, found: import('../lib/api.js').S<'InvitationShown'> }} props */
function JoinForm({ token, found }) {
  const form = useForm({});
  const mine = session.value?.user?.email === found.email;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => { const joined = await api.invitationJoin(token); await api.sessionSwitch(joined.id); location.assign('/'); });
  };
  const leave = () => { sessionStorage.setItem(KEPT, token); navigate('/sign-in?next=%2Finvitation'); };
  return html`<form class="panel gate-card stack" onSubmit=${submit}>
    <p class="small"><span class="strong any">${found.email}</span> <span class="tag">${found.role}</span> in <b>${found.organization}</b><br /><span class="dim">The link ends ${h(Ago, { at: found.expires_at })}.</span></p>
    ${h(FormProblem, { text: form.general([]) })}
    ${mine ? h(Submit, { form, label: `Join ${found.organization}`, class: 'wide' }) : html`<button type="button" class="btn primary wide" onClick=${leave}>Sign in to join</button>`}</form>`;
}

/** @param {{ token: string, found: import('../lib/api.js').S<'InvitationShown'> }} props */
function AcceptForm({ token, found }) {
  const form = useForm({ name: '', password: '' });
  const v = form.values.value;
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { await api.invitationAccept({ token, name: v.name.trim(), password: v.password }); navigate('/', { replace: true }); }); };
  return html`<form class="panel gate-card stack" onSubmit=${submit}>
    <p class="small"><span class="strong any">${found.email}</span> <span class="tag">${found.role}</span><br /><span class="dim">The link ends ${h(Ago, { at: found.expires_at })}.</span></p>
    <input class="unseen" type="text" autocomplete="username" value=${found.email} readonly tabindex="-1" aria-hidden="true" />
    ${h(TextField, { label: 'Name', name: 'name', autocomplete: 'name', value: v.name, set: form.set('name'), required: true, autofocus: true, error: form.error('name') })}
    ${h(PasswordField, { label: 'Password', value: v.password, set: form.set('password'), known: [found.email, v.name], error: form.error('password') })}
    ${h(FormProblem, { text: form.general(['name', 'password']) })}
    ${h(Submit, { form, label: 'Join', class: 'wide' })}</form>`;
}
