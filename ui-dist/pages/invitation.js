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

/** @typedef {import('../lib/api.js').S<'InvitationShown'>} Shown */

const KEPT = 'serverkit-invitation';
const HELLO = { join: 'Join with the account that you have here.', accept: 'Choose a name and a password to join this panel.', either: 'Sign in with your account here, or have a link sent by mail to make one.' };
// A copied link does not tell whether the address has an account: it may be in the hands of anybody.
const how = (/** @type {Shown} */ found) => (found.has_account == null ? 'either' : found.has_account ? 'join' : 'accept');

export default function InvitationPage() {
  // The word of the link leaves the address bar, so that it is not in the history.
  // It is kept while somebody signs in in between.
  const [token] = useState(() => decodeURIComponent(route.peek().hash.replace(/^#/, '')) || (sessionStorage.getItem(KEPT) ?? ''));
  const [found, setFound] = useState(/** @type {Shown | null} */ (null));
  const [error, setError] = useState(/** @type {Error | null} */ (null));
  useEffect(() => {
    document.title = 'Invitation · serverkit';
    sessionStorage.removeItem(KEPT);
    if (location.hash) history.replaceState(history.state, '', '/invitation');
    api.invitationLook(token).then(setFound, setError);
  }, []);
  return html`<div class="gate"><div class="gate-top"></div><div class="gate-box">
    <div class="stack gate-hello">${h(Logo, {})}<div><h1>${error ? 'This link does not work' : 'You are invited'}</h1>
      <p class="dim">${error ? 'A link works once, and for a few days.' : found ? HELLO[how(found)] : 'A moment.'}</p></div></div>
    ${error ? html`<div class="notice warn">${icon('triangle-alert')}<span>${sentence(error.message)}</span></div><a class="btn wide" href="/sign-in">Sign in</a>` : found ? h({ join: JoinForm, accept: AcceptForm, either: EitherForm }[how(found)], { token, found }) : html`<div class="panel gate-card">${h(Loading, { rows: 3 })}</div>`}
  </div><p class="gate-foot">serverkit</p></div>`;
}

/** Keeps the link's word while somebody signs in. @param {string} token */
const signInFirst = (token) => { sessionStorage.setItem(KEPT, token); navigate('/sign-in?next=%2Finvitation'); };

/** @param {{ found: Shown }} props */
const What = ({ found }) => html`<p class="small"><span class="strong any">${found.email}</span> <span class="tag">${found.role}</span> in <b>${found.organization}</b><br /><span class="dim">The link ends ${h(Ago, { at: found.expires_at })}.</span></p>`;

/** For who may have an account or not: a new one takes a link that has come by mail. @param {{ token: string, found: Shown }} props */
function EitherForm({ token, found }) {
  const form = useForm({});
  const [sent, setSent] = useState(false);
  if (session.value?.user?.email === found.email) return h(JoinForm, { token, found });
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { await api.invitationMail(token); setSent(true); }); };
  return html`<form class="panel gate-card stack" onSubmit=${submit}>${h(What, { found })}
    <button type="button" class="btn primary wide" onClick=${() => signInFirst(token)}>Sign in to join</button>
    ${h(FormProblem, { text: form.general([]) })}
    ${sent ? html`<div class="notice" role="status">${icon('circle-check')}<span>A link is on its way to ${found.email}. Open that one to make an account.</span></div>` : h(Submit, { form, label: 'No account yet? Send a link by mail', class: 'wide', tone: '' })}</form>`;
}

/** For who has an account already. @param {{ token: string, found: Shown }} props */
function JoinForm({ token, found }) {
  const form = useForm({});
  const mine = session.value?.user?.email === found.email;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => { const joined = await api.invitationJoin(token); await api.sessionSwitch(joined.id); location.assign('/'); });
  };
  return html`<form class="panel gate-card stack" onSubmit=${submit}>
    ${h(What, { found })}
    ${h(FormProblem, { text: form.general([]) })}
    ${mine ? h(Submit, { form, label: `Join ${found.organization}`, class: 'wide' }) : html`<button type="button" class="btn primary wide" onClick=${() => signInFirst(token)}>Sign in to join</button>`}</form>`;
}

/** @param {{ token: string, found: Shown }} props */
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
