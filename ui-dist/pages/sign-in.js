// Sign in.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api, session, Problem } from '../lib/api.js';
import { navigate, route } from '../lib/router.js';
import { useForm, TextField, FormProblem, Submit } from '../parts/field.js';
import { CodeField, PasskeyButton } from '../parts/second-factor.js';
import { passkeys } from '../lib/passkeys.js';
import { providers } from '../lib/identity-providers.js';
import { Logo } from '../parts/logo.js';
import { useResource } from '../lib/resource.js';

export default function SignInPage() {
  const form = useForm({ email: '', password: '', code: '', remember: false });
  const [second, setSecond] = useState(false);
  const setup = useResource('setup', api.setupShow).value.value;
  useEffect(() => { document.title = 'Sign in · serverkit'; if (session.peek()) leave(); }, []);
  const leave = () => { const next = route.peek().query.get('next'); navigate(next && /^\/(?![/\\])/.test(next) ? next : '/', { replace: true }); };
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      const { email, password, code, remember } = form.values.value;
      try { await api.sessionCreate({ email: email.trim(), password, ...(second ? { code, remember } : {}) }); } catch (error) {
        // The password is right; the code comes next.
        if (error instanceof Problem && error.code === 'second_factor_needed') { setSecond(true); return; }
        if (error instanceof Problem && error.status === 401 && second) throw error;
        // Which of the two was wrong is not told to anybody.
        if (error instanceof Problem && error.status === 401) throw new Error('This email and password do not belong together.');
        throw error;
      }
      if (session.peek()) leave();
    });
  };
  const offered = useResource('provider-offers', providers.offered).value.value?.items ?? [];
  const [directory, setDirectory] = useState(/** @type {import('../lib/api.js').S<'OfferedProvider'> | null} */ (null));
  const byProvider = (/** @type {import('../lib/api.js').S<'OfferedProvider'>} */ one) => (one.kind === 'ldap' ? setDirectory(one) : form.submit(() => providers.leave(one.id, one.kind === 'saml' ? 'saml' : 'oidc', route.peek().query.get('next'))));
  const byPasskey = async () => { await passkeys.signIn(); if (session.peek()) leave(); };
  const passkeyToo = async () => {
    const { email, password, remember } = form.values.value;
    await api.sessionCreate({ email: email.trim(), password, passkey: await passkeys.show(), remember });
    if (session.peek()) leave();
  };
  const back = () => { setSecond(false); form.reset({ email: form.values.value.email, password: '', code: '', remember: false }); };
  return html`<div class="gate"><div class="gate-top"></div><div class="gate-box">
    <div class="stack gate-hello">${h(Logo, {})}<div><h1>Sign in</h1><p class="dim">to ${location.hostname}</p></div></div>
    ${directory ? h(DirectoryForm, { provider: directory, done: leave, back: () => setDirectory(null) }) : second ? html`<form key="second" class="panel gate-card stack" onSubmit=${submit}>
      ${h(CodeField, { value: form.values.value.code, set: form.set('code'), error: form.error('code') })}
      <label class="check"><input type="checkbox" checked=${form.values.value.remember} onChange=${(/** @type {any} */ event) => form.set('remember')(event.target.checked)} /><span>Ask for no code in this browser for 30 days</span></label>
      ${h(FormProblem, { text: form.general(['code']) })}
      ${h(Submit, { form, label: 'Sign in', class: 'wide' })}
      ${h(PasskeyButton, { label: 'Use a passkey', form, run: passkeyToo })}
      <button type="button" class="btn ghost" onClick=${back}>Back</button>
    </form>` : html`<form key="first" class="panel gate-card stack" onSubmit=${submit}>
      ${h(TextField, { label: 'Email', type: 'email', name: 'email', autocomplete: 'username', value: form.values.value.email, set: form.set('email'), required: true, autofocus: true, error: form.error('email') })}
      ${h(TextField, { label: 'Password', type: 'password', name: 'password', autocomplete: 'current-password', value: form.values.value.password, set: form.set('password'), required: true, error: form.error('password') })}
      ${h(FormProblem, { text: form.general(['email', 'password']) })}
      ${h(Submit, { form, label: 'Sign in', class: 'wide' })}
      ${setup?.mail ? html`<a class="small" href="/new-password">Forgotten your password?</a>` : setup?.claimed ? html`<p class="hint">Forgotten your password? An administrator gives you another, or on the server: <code>serverkit user reset-password</code></p>` : null}
      ${h(PasskeyButton, { label: 'Sign in with a passkey', form, run: byPasskey })}
      ${offered.map((one) => html`<button key=${one.id} type="button" class="btn wide" disabled=${form.busy.value} onClick=${() => byProvider(one)}>${icon('arrow-right')}<span>Sign in with ${one.name}</span></button>`)}
    </form>`}
    ${setup && !setup.claimed ? html`<div class="notice"><span>This panel has no administrator yet. Open the one-time link that serverkit printed when it started, or run <code>serverkit setup</code> on the server.</span></div>` : null}
    </div><p class="gate-foot">serverkit${setup ? ` ${setup.version}` : ''}</p></div>`;
}

/** Name and password of a directory. @param {{ provider: import('../lib/api.js').S<'OfferedProvider'>, done: () => void, back: () => void }} props */
function DirectoryForm({ provider, done, back }) {
  const form = useForm({ user: '', password: '' });
  const v = form.values.value;
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { await providers.directory({ provider: provider.id, user: v.user.trim(), password: v.password }); if (session.peek()) done(); }); };
  return html`<form class="panel gate-card stack" onSubmit=${submit}><p class="dim small">With your name and password of ${provider.name}.</p>
    ${h(TextField, { label: 'Name', name: 'username', autocomplete: 'username', value: v.user, set: form.set('user'), required: true, autofocus: true, error: form.error('user') })}
    ${h(TextField, { label: 'Password', type: 'password', name: 'password', autocomplete: 'current-password', value: v.password, set: form.set('password'), required: true, error: form.error('password') })}
    ${h(FormProblem, { text: form.general(['user', 'password']) })}
    ${h(Submit, { form, label: 'Sign in', class: 'wide' })}
    <button type="button" class="btn ghost" onClick=${back}>Back</button></form>`;
}
