// Who gets in, and how.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api, session } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { Failed, Loading } from '../parts/empty.js';
import { AllowLists } from '../parts/allow-lists.js';
import { Feed } from '../parts/feed.js';
import { useForm, TextField, SelectField, Switch, FormProblem, Submit, whole } from '../parts/field.js';

/** @typedef {import('../lib/api.js').S<'Security'>} Security */

export default function SecurityPage() {
  useTrail([{ label: 'Security' }]);
  const found = useResource('security', api.securityShow, ['security_changed']);
  const now = found.value.value;
  return html`<div class="page">${h(PageHead, { title: 'Security', note: 'Who gets in, and how', actions: html`<a class="btn" href="/identity-providers">${icon('key-round')}<span>Single sign-on</span></a>` })}<div class="settings-grid">
    ${h(Happened, {})}
    ${now ? html`${h(Rules, { now, saved: (next) => { found.value.value = next; } })}${h(Log, { now, saved: (next) => { found.value.value = next; } })}` : h(Panel, { title: 'Second factor' }, found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 3 }))}
    ${h(AllowLists, {})}
  </div></div>`;
}

/** What whoever guards the panel should look at, newest first. */
function Happened() {
  const found = useResource('security:events', () => api.eventList({ security: true, limit: 12 }), ['*'], (message) => SECURITY.has(message.event));
  const page = found.value.value;
  return h(Panel, { title: 'Security events', note: 'Failed sign-ins, new browsers, tokens, providers, rights, the audit log', flush: true, foot: html`<a class="small" href="/audit">All in the audit log</a>` }, !page ? found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 3 }) : h(Feed, { events: page.items, small: true }));
}
const SECURITY = new Set(['login_failed', 'second_factor_failed', 'second_factor_removed', 'recovery_code_used', 'new_country', 'new_device', 'password_reset', 'password_set', 'provider_sessions_ended', 'identity_provider_changed', 'security_changed', 'allow_lists_changed', 'allow_lists_reverted', 'user_created', 'invitation_accepted', 'token_created', 'token_rotated', 'ci_trust_changed', 'organization_removed', 'role_raised', 'role_changed', 'rights_granted', 'audit_broken']);

/** @param {{ now: Security, saved: (next: Security) => void }} props */
function Rules({ now, saved }) {
  const start = { second_factor: /** @type {string} */ (now.second_factor), grace_days: String(now.grace_days), tokens_bound: now.tokens_bound, session_idle_days: String(now.session_idle_days), session_days: String(now.session_days), countries: now.countries ?? '' };
  const form = useForm(start);
  useEffect(() => { if (!form.touched.peek()) form.reset(start); }, [JSON.stringify(start)]);
  const [done, setDone] = useState(false);
  const v = form.values.value;
  const dirty = v.second_factor !== now.second_factor || v.grace_days !== String(now.grace_days) || v.tokens_bound !== now.tokens_bound || v.session_idle_days !== start.session_idle_days || v.session_days !== start.session_days || v.countries !== start.countries;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => { const next = await api.securityUpdate({ second_factor: /** @type {Security['second_factor']} */ (v.second_factor), grace_days: whole(v.grace_days, 'grace_days'), tokens_bound: v.tokens_bound, session_idle_days: whole(v.session_idle_days, 'session_idle_days'), session_days: whole(v.session_days, 'session_days'), countries: v.countries.trim() }); setDone(true); saved(next); });
  };
  const mine = session.value?.user;
  const hitsMe = mine && !mine.second_factor && (v.second_factor === 'everyone' || (v.second_factor === 'administrators' && (mine.role === 'admin' || mine.role === 'owner')));
  return html`<form onSubmit=${submit}>${h(Panel, { title: 'Getting in', note: 'The second factor: a code from an authenticator app beside the password', foot: dirty ? html`<span class="faint">Not saved</span><span class="end row"><button type="button" class="btn small" onClick=${() => form.reset(start)}>Discard</button>${h(Submit, { form, label: 'Save', tone: 'primary small' })}</span>` : done ? html`<span class="ok-text" role="status">Saved</span>` : null }, html`<div class="stack">
    <div class="form-row">${h(SelectField, { label: 'Who must have one', value: v.second_factor, set: form.set('second_factor'), options: [{ value: 'off', label: 'Nobody; everybody may' }, { value: 'administrators', label: 'Admins and owners' }, { value: 'everyone', label: 'Everyone' }], error: form.error('second_factor') })}
    ${h(TextField, { label: 'Grace period', value: v.grace_days, set: form.set('grace_days'), inputmode: 'numeric', suffix: 'days', error: form.error('grace_days'), hint: 'After it, those without one can only set one up.' })}</div>
    ${h(Switch, { label: 'Bind API tokens too', hint: 'Tokens of people who must have a second factor and have none are refused after the grace period.', on: v.tokens_bound, set: form.set('tokens_bound') })}
    ${hitsMe ? html`<div class="notice"><span>This concerns you too: set up your own second factor under <a href="/account">Account</a>.</span></div>` : null}
    <p class="hint">Whoever loses phone and recovery codes is let in again by an owner (Team), or on the server: <code>serverkit user reset-2fa EMAIL</code>.</p>
    <h3 class="small strong">Sessions</h3>
    <div class="form-row">${h(TextField, { label: 'End without use after', value: v.session_idle_days, set: form.set('session_idle_days'), inputmode: 'numeric', suffix: 'days', error: form.error('session_idle_days') })}
    ${h(TextField, { label: 'End in any case after', value: v.session_days, set: form.set('session_days'), inputmode: 'numeric', suffix: 'days', error: form.error('session_days'), hint: 'Counted from signing in.' })}</div>
    <h3 class="small strong">Countries</h3>
    ${h(TextField, { label: 'Database on the server', value: v.countries, set: form.set('countries'), optional: true, placeholder: '/var/lib/GeoIP/GeoLite2-Country.mmdb', error: form.error('countries'), hint: 'A file in MaxMind’s format (.mmdb), of DB-IP or GeoLite2. With it, sessions show their country, and a sign-in from a new one is told.' })}
    ${now.countries_problem ? html`<div class="notice warn" role="status"><span>${now.countries_problem}</span></div>` : null}
    <h3 class="small strong">Passwords that leaked</h3>
    <p class="hint">${now.leaked_passwords_refused ? 'On: nobody may choose one that is in the list on the server.' : html`Off. With a list of haveibeenpwned.com on the server, named in its configuration as <code>breached</code> below <code>[passwords]</code>, nobody may choose one of them.`}</p>
    ${h(FormProblem, { text: form.general(['second_factor', 'grace_days', 'session_idle_days', 'session_days', 'countries']) })}</div>`)}</form>`;
}

/** How long the audit log is kept. @param {{ now: Security, saved: (next: Security) => void }} props */
function Log({ now, saved }) {
  const form = useForm({ audit_days: String(now.audit_days) });
  useEffect(() => { if (!form.touched.peek()) form.reset({ audit_days: String(now.audit_days) }); }, [now.audit_days]);
  const v = form.values.value;
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { saved(await api.securityUpdate({ audit_days: whole(v.audit_days, 'audit_days') })); }); };
  return html`<form onSubmit=${submit}>${h(Panel, { title: 'Audit log', note: html`<a href="/audit">Every change, and who made it</a>`, foot: v.audit_days !== String(now.audit_days) ? html`<span class="faint">Not saved</span><span class="end row">${h(Submit, { form, label: 'Save', tone: 'small' })}</span>` : null }, html`<div class="stack">
    ${h(TextField, { label: 'Kept for', value: v.audit_days, set: form.set('audit_days'), inputmode: 'numeric', suffix: 'days', error: form.error('audit_days'), hint: 'At least 30. What is left still proves that nothing in it was altered.' })}
    ${h(FormProblem, { text: form.general(['audit_days']) })}</div>`)}</form>`;
}
