// First start: account, panel domain, first app. Each step after the account can be skipped.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api, session } from '../lib/api.js';
import { route } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { useForm, TextField, FormProblem, Submit } from '../parts/field.js';
import { PasswordField } from '../parts/password.js';
import { DomainCheck } from '../parts/domains.js';
import { FirstApp } from '../parts/first-app.js';
import { Logo } from '../parts/logo.js';

const STEPS = ['Account', 'Domain', 'First app'];

export default function SetupPage() {
  const setup = useResource('setup', api.setupShow);
  const [step, setStep] = useState(session.peek() ? 1 : 0);
  // The word of the link leaves the address bar, so that it is not in the history.
  const [token] = useState(() => decodeURIComponent(route.peek().hash.replace(/^#/, '')));
  useEffect(() => { document.title = 'Set up · serverkit'; if (location.hash) history.replaceState(history.state, '', '/setup'); }, []);
  const state = setup.value.value;
  const closed = step === 0 && state?.claimed;
  return html`<div class="gate"><div class="gate-top"></div><div class=${`gate-box ${step === 2 ? 'wide' : ''}`}>
    <div class="stack gate-hello">${h(Logo, {})}<div><h1>${closed ? 'This panel is taken' : ['Make this server yours', 'Where to reach the panel', 'Put something online'][step]}</h1>
      <p class="dim">${closed ? 'It has an administrator already.' : ['You become its owner. Others can be added later.', 'A name of your own, with a real certificate. You can also do this later.', 'Start with a sample, or with your own code.'][step]}</p></div></div>
    ${closed ? html`<a class="btn primary wide" href="/sign-in">Sign in</a>` : html`
    <ol class="wizard-steps" aria-label="Steps">${STEPS.map((name, index) => html`<li class=${index < step ? 'done' : ''} aria-current=${index === step ? 'step' : undefined}>${name}</li>`)}</ol>
    ${step === 0 ? token ? h(AccountStep, { token, next: () => setStep(1) }) : html`<div class="notice warn">${icon('triangle-alert')}<span>Open the one-time link that <code>serverkit serve</code> printed; it ends with <code>/setup#…</code>. Or run <code>serverkit setup</code> on the server.</span></div>` : step === 1 ? h(DomainStep, { next: () => setStep(2) }) : h(AppStep, {})}`}
  </div><p class="gate-foot">serverkit${state ? ` ${state.version}` : ''}</p></div>`;
}

/** @param {{ token: string, next: () => void }} props */
function AccountStep({ token, next }) {
  const form = useForm({ name: '', email: '', password: '' });
  const v = form.values.value;
  return html`<form class="panel gate-card stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { await api.setupClaim({ token, name: v.name.trim(), email: v.email.trim(), password: v.password }); next(); }); }}>
    ${h(TextField, { label: 'Name', name: 'name', autocomplete: 'name', value: v.name, set: form.set('name'), required: true, autofocus: true, error: form.error('name') })}
    ${h(TextField, { label: 'Email', type: 'email', name: 'email', autocomplete: 'username', value: v.email, set: form.set('email'), required: true, error: form.error('email') })}
    ${h(PasswordField, { label: 'Password', value: v.password, set: form.set('password'), known: [v.email, v.name], error: form.error('password') })}
    ${h(FormProblem, { text: form.general(['name', 'email', 'password']) })}
    ${h(Submit, { form, label: 'Continue', class: 'wide' })}</form>`;
}

/** @param {{ next: () => void }} props */
function DomainStep({ next }) {
  const form = useForm({ panel_domain: '', acme_email: session.value?.user.email ?? '' });
  const v = form.values.value;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      const domain = v.panel_domain.trim();
      const parent = domain.split('.').slice(1).join('.');
      await api.settingUpdate({ panel_domain: domain || null, ...(parent.includes('.') ? { apps_domain: parent } : {}), ...(v.acme_email.trim() ? { acme_email: v.acme_email.trim() } : {}) });
      next();
    });
  };
  return html`<form class="panel gate-card stack" onSubmit=${submit}>
    <div class="stack tight">${h(TextField, { label: 'Panel domain', value: v.panel_domain, set: form.set('panel_domain'), mono: true, autofocus: true, placeholder: 'panel.example.com', inputmode: 'url', error: form.error('panel_domain'), hint: 'Point its A or AAAA record to this server.' })}${h(DomainCheck, { host: v.panel_domain })}</div>
    ${h(TextField, { label: 'Email for certificates', type: 'email', value: v.acme_email, set: form.set('acme_email'), optional: true, error: form.error('acme_email') })}
    ${h(FormProblem, { text: form.general(['panel_domain', 'acme_email', 'apps_domain']) })}
    ${h(Submit, { form, label: 'Continue', class: 'wide', disabled: !v.panel_domain.trim() })}
    <button type="button" class="btn ghost wide" onClick=${next}>Skip</button></form>`;
}

const AppStep = () => html`<div class="stack">${h(FirstApp, {})}<a class="btn ghost wide" href="/">Skip, open the panel</a></div>`;
