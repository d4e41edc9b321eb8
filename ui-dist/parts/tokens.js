// API tokens as they are shown and made: one's own, and those of service accounts.
import { html, h, useState } from '../lib/html.js';
import { api, session } from '../lib/api.js';
import { apps } from '../lib/live.js';
import { useResource } from '../lib/resource.js';
import { DialogHead, confirm, showDialog } from './dialog.js';
import { useForm, FieldWrong, TextField, SelectField, Switch, FormProblem, Submit } from './field.js';
import { revealOnce } from './secret.js';
import { KindTable } from './token-kinds.js';
import { Ago } from './time.js';

/** @typedef {import('../lib/api.js').S<'Token'>} Token */
/** @typedef {Token['scopes'][number]} Scope */

const OPEN_SCOPES = /** @type {{ id: Scope, label: string, hint: string }[]} */ ([
  { id: 'deploy', label: 'Deploy', hint: 'Deploy, roll back, start and stop' },
  { id: 'write', label: 'Write', hint: 'Create, change and delete' },
  { id: 'secrets', label: 'Secrets', hint: 'Reveal values of secret variables' },
  { id: 'terminal', label: 'Terminal', hint: 'Open a shell in a container' },
  { id: 'admin', label: 'Everything', hint: 'All that its owner may do' },
]);

/** What a token may, in few words: `read, deploy; jobs: read, write`. @param {Pick<Token, 'scopes'>} token */
export function scopeWords(token) {
  if (token.scopes.includes('admin')) return 'everything';
  const parts = /** @type {Map<string, string[]>} */ (new Map());
  for (const scope of token.scopes) {
    const [verb, kind] = scope.split(':').reverse();
    parts.set(kind ?? '', [...(parts.get(kind ?? '') ?? []), verb ?? '']);
  }
  return [...parts].map(([kind, verbs]) => `${kind ? `${kind}: ` : ''}${verbs.join(', ')}`).join('; ');
}
/** Where it is of use and where it may come from. @param {Token} token */
export const boundWords = (token) => [...(token.places ?? []).map((place) => place.name), ...token.networks.map((network) => `from ${network}`)].join(', ');

/** @param {{ token: Token }} props */
export const TokenUse = ({ token }) => html`<span class="dim">${h(Ago, { at: token.last_used_at })}${token.last_used_address ? html` <span class="faint">from <code>${token.last_used_address}</code></span>` : null}</span>`;

/** The secret of a token, once. @param {string} secret */
export const showSecret = (secret) => revealOnce({ title: 'Your new token', text: 'Store it now: it is not shown again.', secret, hint: html`<p class="hint">Use it as <code>Authorization: Bearer …</code>, or run <code>serverkit login ${location.origin}</code>.</p>` });

/** Asks what a token is for and makes it. @param {{ id: string, name: string } | null} account A service account, or oneself. */
export async function makeToken(account = null) {
  const secret = await showDialog('New API token', (close) => h(TokenForm, { account, close }));
  if (secret) showSecret(/** @type {string} */ (secret));
  return Boolean(secret);
}

/** Gives a token a new secret. @param {Token} token */
export async function rotateToken(token) {
  const secret = await showDialog('New secret', (close) => h(RotateForm, { token, close }));
  if (secret) showSecret(/** @type {string} */ (secret));
  return Boolean(secret);
}

/** @param {Token} token */
export const revokeToken = (token) => confirm({ title: `Revoke ${token.name}?`, text: 'What uses it stops working at once.', action: 'Revoke', run: () => api.tokenRevoke(token.id) });

/** Places to choose from: the whole first, then projects, environments and apps. @param {string} whole What the whole is called */
export function usePlaces(whole) {
  const projects = useResource('projects', api.projectList).value.value ?? [];
  return [
    { value: 'organization', label: whole },
    ...projects.map((project) => ({ value: `project:${project.id}`, label: `Project ${project.name}` })),
    ...projects.flatMap((project) => project.environments.map((environment) => ({ value: `environment:${environment.id}`, label: `Environment ${environment.name} of ${project.name}` }))),
    ...(apps.value ?? []).map((app) => ({ value: `app:${app.id}`, label: `App ${app.name}` })),
  ];
}

/** @param {{ account: { id: string, name: string } | null, close: (secret?: unknown) => void }} props */
function TokenForm({ account, close }) {
  const form = useForm({ name: '', place: 'organization', networks: '', days: '90' });
  const [scopes, setScopes] = useState(/** @type {Scope[]} */ (['deploy']));
  const [some, setSome] = useState(false);
  const [kinds, setKinds] = useState(/** @type {Scope[]} */ ([]));
  const v = form.values.value;
  const places = usePlaces(account ? 'Wherever it has rights' : 'Wherever you have rights');
  const set = (/** @type {Scope} */ scope, /** @type {boolean} */ on) => setScopes(on ? [...scopes, scope] : scopes.filter((one) => one !== scope));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      const networks = v.networks.split(/[\s,]+/).filter(Boolean);
      if (some && !kinds.length) throw new FieldWrong('scopes', 'Choose what it may do to at least one kind.');
      const made = await api.tokenCreate({
        name: v.name.trim(), scopes: some ? kinds : scopes, expires_in_days: v.days === 'never' ? null : Number(v.days),
        ...(v.place === 'organization' ? {} : { places: [v.place] }), ...(networks.length ? { networks } : {}), ...(account ? { user: account.id } : {}),
      });
      close(made.secret);
    });
  };
  const all = scopes.includes('admin');
  return html`<form class="stack" onSubmit=${submit}>
    ${h(DialogHead, { title: 'New API token', note: account ? `For ${account.name}` : `Acts as ${session.value?.user.email ?? 'you'}`, close: () => close() })}
    ${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), required: true, autofocus: true, placeholder: 'ci', hint: 'What it is for.', error: form.error('name') })}
    ${h(Switch, { label: 'Only for some kinds of things', hint: 'Such as to read jobs, or to deploy and nothing else.', on: some, set: setSome })}
    ${some ? html`<fieldset class="stack small"><legend class="small strong">May do these things</legend>${h(KindTable, { scopes: kinds, set: setKinds })}</fieldset>` : html`<fieldset class="stack small"><legend class="small strong">May, beside reading</legend>${OPEN_SCOPES.map((one) => h(Switch, { key: one.id, label: one.label, hint: one.hint, on: all || scopes.includes(one.id), disabled: all && one.id !== 'admin', set: (on) => set(one.id, on) }))}</fieldset>`}
    <div class="form-row">${h(SelectField, { label: 'Where', value: v.place, set: form.set('place'), options: places, error: form.error('places') })}
    ${h(SelectField, { label: 'Ends', value: v.days, set: form.set('days'), options: [{ value: '7', label: 'in 7 days' }, { value: '30', label: 'in 30 days' }, { value: '90', label: 'in 90 days' }, { value: '365', label: 'in a year' }, { value: 'never', label: 'never' }], error: form.error('expires_in_days') })}</div>
    ${h(TextField, { label: 'Only from', value: v.networks, set: form.set('networks'), optional: true, mono: true, placeholder: '192.0.2.7, 10.0.0.0/8', hint: 'Addresses or networks; empty: from anywhere.', error: form.error('networks') })}
    ${h(FormProblem, { text: form.general(['name', 'places', 'networks', 'expires_in_days']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Create token' })}</footer></form>`;
}

/** @param {{ token: Token, close: (secret?: unknown) => void }} props */
function RotateForm({ token, close }) {
  const form = useForm({ grace: '60' });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => { close((await api.tokenRotate(token.id, Number(form.values.value.grace))).secret); });
  };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: `A new secret for ${token.name}?`, note: 'The token stays what it is', close: () => close() })}
    ${h(SelectField, { label: 'The old secret is good for', value: form.values.value.grace, set: form.set('grace'), options: [{ value: '0', label: 'not a moment longer' }, { value: '60', label: 'another hour' }, { value: '1440', label: 'another day' }, { value: '10080', label: 'another week' }], error: form.error('grace_minutes') })}
    ${h(FormProblem, { text: form.general(['grace_minutes']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Make a new secret' })}</footer></form>`;
}
