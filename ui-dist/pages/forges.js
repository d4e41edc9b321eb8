// Connections to forges: where repositories are found, and what is told of deployments there.
import { html, h, icon, useEffect } from '../lib/html.js';
import { KINDS, forges } from '../lib/forges.js';
import { route, setQuery } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Ago } from '../parts/time.js';
import { Act } from '../parts/act.js';
import { Empty } from '../parts/empty.js';
import { confirm, DialogHead, leaving, showForm } from '../parts/dialog.js';
import { toast } from '../parts/toast.js';
import { Copy } from '../parts/copy.js';
import { Choice, FormProblem, SelectField, Submit, TextField, useForm } from '../parts/field.js';
import { has } from '../lib/rights.js';

/** @typedef {import('../lib/api.js').S<'ForgeConnection'>} Connection */

const BY = { token: 'Access token', oauth: 'OAuth', app: 'GitHub App' };

/** Leaves for the forge, to allow it there. @param {Connection} one */
const allow = async (one) => { const { url } = await forges.authorize(one.id); location.assign(url); };

/** The page that sends a form to GitHub is loaded as a whole. @param {Event} event */
const whole = (event) => { event.preventDefault(); event.stopPropagation(); location.assign('/forges/app'); };

export default function ForgesPage() {
  useTrail([{ label: 'Forges' }]);
  const found = useResource('forges', forges.list, ['forge_connected', 'forge_changed', 'forge_removed']);
  const can = has('administer');
  const again = (/** @type {unknown} */ done) => { if (done) found.load(); };
  const add = () => showForm('Connect a forge', (close, leave) => h(ForgeForm, { close, leave })).then(again);
  const edit = (/** @type {Connection} */ one) => showForm(`Change ${one.name}`, (close, leave) => h(ChangeForm, { one, close, leave })).then(again);
  useEffect(() => { if (route.value.query.has('new')) { setQuery('new', null); if (can) add(); } }, []);
  const remove = (/** @type {Connection} */ one) => confirm({ title: `Forget ${one.name}?`, text: 'What runs goes on. At the forge nothing changes: take the token, application or App away there too.', objects: [{ icon: 'git-branch', label: one.name, note: one.url }], action: 'Forget', run: () => forges.remove(one.id) }).then(again);
  const actions = can ? html`<span class="row"><a class="btn" href="/forges/app" onClick=${whole}>${icon('sparkles')}<span>GitHub App</span></a><button type="button" class="btn primary" onClick=${add}>${icon('plus')}Connect</button></span>` : null;
  return html`<div class="page">${h(PageHead, { title: 'Forges', note: 'Where apps find their repositories', actions: found.value.value?.length ? actions : null })}
    ${h(Panel, { flush: true }, h(/** @type {typeof Table<Connection>} */ (Table), {
      label: 'Forges', rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.id, sort: { id: 'name' },
      columns: [
        { id: 'name', label: 'Forge', width: '30%', card: 'head', sort: (one) => one.name.toLowerCase(), cell: (one) => html`<span class="cut"><b class="strong">${one.name}</b> <span class="dim">${one.url.replace(/^https?:\/\//, '')}${one.owner ? ` / ${one.owner}` : ''}</span></span>` },
        { id: 'by', label: 'By', width: '130px', cell: (one) => html`<span class="dim">${BY[one.access]}</span>` },
        { id: 'as', label: 'As', cell: (one) => (one.problem ? html`<span class="any bad-text">${one.problem}</span>` : one.allowed ? html`<span class="cut">${one.account ?? ''}${one.checked_at ? html` <span class="faint">${h(Ago, { at: one.checked_at })}</span>` : null}</span>` : html`<span class="dim">not allowed there yet</span>`) },
        { id: 'actions', label: '', width: '300px', align: 'right', card: 'plain', cell: (one) => (can ? html`<span class="cell-actions long">
          ${one.access === 'oauth' ? h(Act, { label: one.allowed ? 'Allow again' : 'Allow', icon: 'log-in', small: true, tone: one.allowed ? '' : 'primary', run: () => allow(one) }) : null}
          ${one.install_url ? html`<a class="btn small" href=${one.install_url} target="_blank" rel="noreferrer">${icon('external-link')}Install</a>` : null}
          ${h(Act, { label: 'Test', icon: 'plug-zap', small: true, run: async () => { try { const now = await forges.test(one.id); toast(`${now.name} knows the panel as ${now.account}`, { tone: 'ok' }); } finally { found.load(); } } })}
          <button type="button" class="btn ghost small square" aria-label=${`Change ${one.name}`} title="Change" onClick=${() => edit(one)}>${icon('pencil')}</button>
          <button type="button" class="btn ghost small square" aria-label=${`Forget ${one.name}`} title="Forget" onClick=${() => remove(one)}>${icon('trash-2')}</button></span>` : null) },
      ],
      empty: h(Empty, { icon: 'git-branch', title: 'No forge is connected', text: 'Public repositories need none. With one, repositories and branches are picked from a list, private ones are cloned, webhooks are made by themselves, and commits show what became of them.', action: actions }),
    }))}</div>`;
}

const start = { kind: 'github', by: 'token', name: '', url: '', owner: '', user: '', token: '', client_id: '', client_secret: '', app_id: '', private_key: '' };
const FIELDS = ['name', 'url', 'owner', 'user', 'token', 'client_id', 'client_secret', 'app_id', 'private_key'];
/** What a token needs there. @type {Record<string, string>} */
const NEEDS = {
  github: 'Classic: repo and admin:repo_hook. Fine-grained: contents (read), commit statuses, deployments and webhooks (write).',
  gitlab: 'Scope api, role Maintainer.',
  bitbucket: 'Of a repository or workspace, or an API token of an account: repositories (read, write) and webhooks (read, write).',
  bitbucket_data_center: 'An HTTP access token of the account: project read, repository admin, which makes webhooks.',
  gitea: 'Scopes repository (write) and user (read).',
};
/** Those that only people's own servers are. */
const OWN = ['bitbucket_data_center', 'gitea'];

/** @param {{ close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function ForgeForm({ close, leave }) {
  const form = useForm(start);
  const cancel = leaving(form, close, leave);
  const v = form.values.value;
  const some = (/** @type {string} */ text) => text.trim() || null;
  const text = (/** @type {keyof typeof start} */ field, /** @type {string} */ label, /** @type {object} */ more = {}) => h(TextField, { label, value: v[field], set: form.set(field), error: form.error(field), ...more });
  const ways = [{ value: 'token', label: 'Access token' }, ...(v.kind === 'bitbucket_data_center' ? [] : [{ value: 'oauth', label: 'OAuth' }]), ...(v.kind === 'github' ? [{ value: 'app', label: 'App that is there' }] : [])];
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      const way = v.by === 'oauth' ? { client_id: v.client_id.trim(), client_secret: v.client_secret } : v.by === 'app' ? { app_id: Number(v.app_id), private_key: v.private_key } : { token: v.token, user: some(v.user) };
      const made = await forges.create({ name: v.name.trim(), kind: /** @type {any} */ (v.kind), url: some(v.url), owner: some(v.owner), ...way });
      close(made);
      if (made.access === 'oauth') await allow(made);
    });
  };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: 'Connect a forge', note: 'The forge is asked first whether it takes it.', close: cancel })}
    <div class="form-row">${h(SelectField, { label: 'Kind', value: v.kind, set: (kind) => { form.set('kind')(kind); if ((kind !== 'github' && v.by === 'app') || kind === 'bitbucket_data_center') form.set('by')('token'); }, options: Object.entries(KINDS).map(([value, label]) => ({ value, label })) })}
      ${text('name', 'Name', { required: true, autofocus: true, placeholder: KINDS[/** @type {keyof typeof KINDS} */ (v.kind)].split(' ')[0] })}</div>
    ${text('url', 'Address', { mono: true, inputmode: 'url', optional: !OWN.includes(v.kind), required: OWN.includes(v.kind), placeholder: OWN.includes(v.kind) ? 'https://git.example.com' : `https://${v.kind === 'bitbucket' ? 'bitbucket.org' : `${v.kind}.com`}`, hint: v.kind === 'bitbucket' ? 'Bitbucket Cloud; Data Center is a kind of its own.' : 'Of one that you run yourself; private addresses too.' })}
    ${text('owner', { github: 'Organization or account', gitlab: 'Group', bitbucket: 'Workspace', bitbucket_data_center: 'Project', gitea: 'Organization' }[v.kind] ?? 'Owner', { mono: true, optional: v.kind !== 'bitbucket', required: v.kind === 'bitbucket', hint: 'Only its repositories can be used.' })}
    ${ways.length > 1 ? h(Choice, { label: 'How the panel gets in', value: v.by, set: form.set('by'), options: ways }) : null}
    ${v.by === 'token' ? html`${v.kind === 'bitbucket' ? text('user', 'Mail address', { optional: true, hint: 'Of the account, for its API token. Left out for a token of a repository or workspace.' }) : v.kind === 'bitbucket_data_center' ? text('user', 'User name', { required: true, mono: true, hint: 'Whose token it is: Git asks with both. Tokens of projects and repositories belong to nobody, and Git cannot use them.' }) : null}${text('token', 'Access token', { type: 'password', autocomplete: 'new-password', required: true, hint: NEEDS[v.kind] })}`
    : v.by === 'oauth' ? html`<div class="stack tight"><span class="label">Address to come back to</span><div class="key-box"><code class="any">${location.origin}/forges/back</code>${h(Copy, { text: `${location.origin}/forges/back`, label: 'Copy the address' })}</div><p class="hint">Register an application with it at the forge${v.kind === 'bitbucket' ? ' (an OAuth consumer with repositories and webhooks, write)' : ''}.</p></div>
      <div class="form-row">${text('client_id', 'Client id', { mono: true, required: true })}${text('client_secret', 'Client secret', { type: 'password', autocomplete: 'new-password', required: true })}</div>`
    : html`${text('app_id', 'App id', { mono: true, required: true, inputmode: 'numeric' })}${text('private_key', 'Private key', { mono: true, rows: 5, required: true, placeholder: '-----BEGIN RSA PRIVATE KEY-----' })}`}
    ${h(FormProblem, { text: form.general(FIELDS) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: v.by === 'oauth' ? 'Save and allow it there' : 'Connect' })}</footer></form>`;
}

/** @param {{ one: Connection, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function ChangeForm({ one, close, leave }) {
  const form = useForm({ name: one.name, owner: one.owner ?? '', user: one.user ?? '', secret: '' });
  const cancel = leaving(form, close, leave);
  const v = form.values.value;
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => close(await forges.update(one.id, { name: v.name.trim(), owner: v.owner.trim() || null, user: v.user.trim() || null, ...(v.secret.trim() ? { secret: v.secret } : {}) }))); };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: `Change ${one.name}`, note: one.url, close: cancel })}
    ${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), required: true, autofocus: true, error: form.error('name') })}
    ${h(TextField, { label: 'Owner', value: v.owner, set: form.set('owner'), mono: true, optional: one.kind !== 'bitbucket', hint: 'Only its repositories can be used.', error: form.error('owner') })}
    ${one.kind === 'bitbucket' && one.access === 'token' ? h(TextField, { label: 'Mail address', value: v.user, set: form.set('user'), optional: true, error: form.error('user') }) : null}
    ${one.kind === 'bitbucket_data_center' ? h(TextField, { label: 'User name', value: v.user, set: form.set('user'), required: true, mono: true, error: form.error('user') }) : null}
    ${h(TextField, { label: { token: 'New access token', oauth: 'New client secret', app: 'New private key' }[one.access], ...(one.access === 'app' ? { rows: 5, mono: true } : { type: 'password' }), autocomplete: 'new-password', value: v.secret, set: form.set('secret'), optional: true, placeholder: 'as it was', error: form.error('secret', 'access', 'private_key') })}
    ${h(FormProblem, { text: form.general(['name', 'owner', 'user', 'secret', 'access', 'private_key']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: 'Save' })}</footer></form>`;
}
