// The people, and what each may do.
import { html, h, icon } from '../lib/html.js';
import { api, session } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { navigate } from '../lib/router.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { State } from '../parts/state.js';
import { Ago } from '../parts/time.js';
import { Act } from '../parts/act.js';
import { Menu } from '../parts/menu.js';
import { confirm, DialogHead, showDialog } from '../parts/dialog.js';
import { useForm, TextField, SelectField, FormProblem, Submit } from '../parts/field.js';
import { PasswordField } from '../parts/password.js';
import { revealOnce } from '../parts/secret.js';
import { plural } from '../lib/format.js';
import { may } from '../lib/rights.js';
import { toast } from '../parts/toast.js';
import { Tabs } from '../parts/tabs.js';
import { makeToken } from '../parts/tokens.js';

/** @typedef {import('../lib/api.js').S<'User'>} User */
export const ROLES = [{ value: 'member', label: 'Member: only what is granted' }, { value: 'viewer', label: 'Viewer: sees everything but secrets' }, { value: 'developer', label: 'Developer: makes, deploys and deletes apps' }, { value: 'admin', label: 'Admin: also people, settings and the server' }, { value: 'owner', label: 'Owner: also makes owners' }];

/** People, and the rights beside their roles. @param {{ at: string }} props */
export const TeamTabs = ({ at }) => h(Tabs, { label: 'Team', at, items: [{ id: 'people', label: 'People', href: '/team' }, { id: 'roles', label: 'Roles and teams', href: '/team/roles' }] });

export default function TeamPage() {
  useTrail([{ label: 'Team' }]);
  const found = useResource('users', api.userList, ['user_created', 'user_changed', 'invitation_accepted', 'user_removed', 'second_factor_added', 'second_factor_removed']);
  const me = session.value?.user;
  // Elsewhere people come by invitation: whether an address has an account is not for another organization to know.
  const hosts = useResource('organizations', api.organizationList).value.value?.find((one) => one.current)?.hosts;
  const manages = (/** @type {User} */ user) => may('admin') && (user.role !== 'owner' || may('owner'));
  const act = async (/** @type {() => Promise<unknown>} */ run) => { try { await run(); found.load(); } catch (error) { toast(/** @type {Error} */ (error).message, { tone: 'bad' }); } };
  const edit = (/** @type {User | null} */ user) => showDialog(user ? 'Change person' : 'Add a person', (close) => h(UserForm, { user, close })).then((done) => { if (done) found.load(); });
  const invited = useResource('invitations', api.invitationList, ['user_invited', 'invitation_revoked', 'invitation_accepted']);
  const service = () => showDialog('Add a service account', (close) => h(ServiceForm, { close })).then((done) => { if (done) found.load(); });
  const invite = () => showDialog('Invite somebody', (close) => h(InviteForm, { close })).then((done) => { if (done) invited.load(); });
  return html`<div class="page">${h(PageHead, { title: 'Team', note: 'People who sign in to this panel', actions: may('admin') ? html`<button type="button" class="btn" onClick=${service}>Add service account</button>${hosts ? html`<button type="button" class="btn" onClick=${() => edit(null)}>Add person</button>` : null}<button type="button" class="btn primary" onClick=${invite}>${icon('user-plus')}Invite</button>` : null })}
    ${h(TeamTabs, { at: 'people' })}
    ${h(Panel, { flush: true }, h(/** @type {typeof Table<User>} */ (Table), {
      label: 'People', rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (user) => user.id, sort: { id: 'name' },
      columns: [
        { id: 'name', label: 'Person', width: '42%', card: 'head', sort: (user) => user.name || user.email, cell: (user) => html`<span class="cell-two"><b class="strong">${user.name || user.email}${user.id === me?.id ? html` <span class="faint">you</span>` : null}${user.service ? html` <span class="tag">service account</span>` : user.guest ? html` <span class="tag">guest</span>` : null}</b><span>${user.service ? 'for scripts; signs in by token only' : user.email}</span></span>` },
        { id: 'role', label: 'Role', width: '120px', sort: (user) => ['member', 'viewer', 'developer', 'admin', 'owner'].indexOf(user.role), cell: (user) => html`<span class="tag">${user.role}</span>` },
        { id: 'second', label: 'Second factor', width: '120px', sort: (user) => String(user.second_factor), cell: (user) => (user.service ? html`<span class="faint">—</span>` : user.second_factor ? html`<span class="ok-text row tight">${icon('shield-check', 'icon-small')}on</span>` : html`<span class="faint">off</span>`) },
        { id: 'state', label: 'State', width: '120px', card: 'tail', sort: (user) => String(user.disabled), cell: (user) => h(State, { state: user.disabled ? 'disabled' : 'active' }) },
        { id: 'seen', label: 'Last seen', align: 'right', sort: (user) => user.last_seen_at ?? '', cell: (user) => html`<span class="dim">${h(Ago, { at: user.last_seen_at })}</span>` },
        { id: 'actions', label: '', width: '64px', align: 'right', card: 'plain', cell: (user) => (manages(user) && user.id !== me?.id ? html`<span class="cell-actions">${h(Menu, { label: `Actions for ${user.email}`, class: 'btn ghost small square', items: [
          { label: 'Name and role…', icon: 'pencil', run: () => edit(user) },
          ...(user.service ? [{ label: 'New token…', icon: 'key-round', run: () => makeToken({ id: user.id, name: user.name }) }] : user.guest ? [] : [{ label: 'New password…', icon: 'key-round', run: () => newPassword(user) }]),
          user.disabled ? { label: 'Let in again', icon: 'check', run: () => act(() => api.userUpdate(user.id, { disabled: false })) } : { label: 'Lock out', icon: 'lock', run: () => confirm({ title: `Lock out ${user.email}?`, text: 'All sessions and tokens of this person end at once.', action: 'Lock out', run: () => api.userUpdate(user.id, { disabled: true }) }).then((done) => { if (done) found.load(); }) },
          ...(user.second_factor && may('owner') ? [{ label: 'Take second factor away…', icon: 'smartphone', run: () => confirm({ title: `Take the second factor of ${user.email} away?`, text: 'For a phone that is lost. From then on the password is enough, until a new one is set up; all their sessions end. Make sure that it is really they who ask.', action: 'Take away', run: () => api.userResetSecondFactor(user.id) }).then((done) => { if (done) found.load(); }) }] : []),
          'line',
          { label: 'Remove…', icon: 'trash-2', tone: 'danger', run: () => confirm({ title: `Remove ${user.email}?`, text: 'Sessions and tokens of this person end at once. What they did stays in the activity.', action: 'Remove', run: () => api.userDelete(user.id) }).then((done) => { if (done) found.load(); }) },
        ] })}</span>` : null) },
      ],
    }))}
    ${invited.value.value?.length ? h(Panel, { title: 'Invited', note: 'Links that were not used yet', flush: true }, html`<ul class="lines tall">${invited.value.value.map((one) => html`<li key=${one.id}>${icon('user-plus')}<span class="cell-two grow"><span class="any">${one.email} <span class="tag">${one.role}</span></span><span class="any">by ${one.by} · ends ${h(Ago, { at: one.expires_at })}</span></span>
      ${may('admin') && (one.role !== 'owner' || may('owner')) ? h(Act, { label: 'Revoke', small: true, tone: 'ghost', run: async () => { await api.invitationRevoke(one.id); await invited.load(); } }) : null}</li>`)}</ul>`) : null}
    ${may('owner') ? h(Organization, {}) : null}</div>`;
}

/** What its owner may do to the organization as a whole; the one that runs the panel stays. */
function Organization() {
  const mine = useResource('organizations', api.organizationList).value.value?.find((one) => one.current);
  if (!mine || mine.hosts) return null;
  const remove = () => confirm({
    title: `Delete the organization ${mine.name}?`, text: 'For good, with all data of its apps. Everybody who acts in it is signed out of it at once, you too.', typed: mine.name, action: 'Delete the organization',
    objects: async () => goneOf(await api.organizationDeletePlan(mine.id)), run: () => api.organizationDelete(mine.id, mine.name),
  }).then((done) => { if (done) { session.value = null; navigate('/sign-in'); } });
  return h(Panel, { title: 'The organization', note: 'Its apps, volumes, domains and accounts of people who are in no other go with it' }, html`<button type="button" class="btn danger" onClick=${remove}>${icon('trash-2')}Delete the organization…</button>`);
}

/** @param {import('../lib/api.js').S<'OrganizationDeletePlan'>} plan @returns {import('../parts/dialog.js').Target[]} */
const goneOf = (plan) => [
  ...plan.apps.map((label) => ({ icon: 'box', label, note: 'app' })), ...plan.volumes.map((one) => ({ icon: 'hard-drive', label: one.name, note: 'volume with its data', bytes: one.bytes })),
  ...plan.domains.map((label) => ({ icon: 'globe', label, note: 'domain' })), ...plan.certificates.map((label) => ({ icon: 'shield-check', label, note: 'certificate' })), ...plan.projects.map((label) => ({ icon: 'folder', label, note: 'project' })),
  ...(plan.tokens ? [{ icon: 'key-round', label: plural(plan.tokens, 'token') }] : []), ...plan.people.map((label) => ({ icon: 'user', label, note: 'account' })), ...plan.staying.map((label) => ({ icon: 'user', label, note: 'stays: in other organizations too', kept: true })),
];

/** @param {{ close: (done?: unknown) => void }} props */
function ServiceForm({ close }) {
  const form = useForm({ name: '', role: /** @type {User['role']} */ ('member') });
  const v = form.values.value;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      const made = await api.serviceAccountCreate({ name: v.name.trim(), role: v.role });
      close(true);
      await makeToken({ id: made.id, name: made.name });
    });
  };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: 'Add a service account', note: 'For scripts: it has no password, and outlives whoever made it', close: () => close() })}
    ${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), required: true, autofocus: true, placeholder: 'ci', error: form.error('name') })}
    ${h(SelectField, { label: 'Role', value: v.role, set: (value) => form.set('role')(/** @type {User['role']} */ (value)), options: ROLES.filter((role) => role.value !== 'owner'), hint: 'A member may only what is granted under Roles and teams.', error: form.error('role') })}
    ${h(FormProblem, { text: form.general(['name', 'role']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Add' })}</footer></form>`;
}

/** @param {{ close: (done?: unknown) => void }} props */
function InviteForm({ close }) {
  const form = useForm({ email: '', role: /** @type {User['role']} */ ('developer'), days: '7', mail: true });
  const v = form.values.value;
  const sends = useResource('setup', api.setupShow).value.value?.mail ?? false;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      const made = await api.invitationCreate({ email: v.email.trim(), role: v.role, expires_in_days: Number(v.days), mail: sends && v.mail });
      close(true);
      // Where the panel is reached from here, they will reach it too.
      revealOnce({ title: `The link for ${made.invitation.email}`, text: sends && v.mail ? 'Another link goes by mail; the one that is used first ends both. This one is not shown again.' : 'Send it over a safe way: whoever has it gets in. It works once and is not shown again.', secret: `${location.origin}/invitation#${made.link.split('#')[1]}` });
    });
  };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: 'Invite somebody', note: 'They choose their own password', close: () => close() })}
    ${h(TextField, { label: 'Email', type: 'email', value: v.email, set: form.set('email'), required: true, autofocus: true, error: form.error('email') })}
    ${h(SelectField, { label: 'Role', value: v.role, set: (value) => form.set('role')(/** @type {User['role']} */ (value)), options: ROLES.filter((role) => role.value !== 'owner' || may('owner')), error: form.error('role') })}
    ${h(SelectField, { label: 'The link works for', value: v.days, set: form.set('days'), options: [{ value: '1', label: 'a day' }, { value: '7', label: '7 days' }, { value: '30', label: '30 days' }], error: form.error('expires_in_days') })}
    ${sends ? html`<label class="check"><input type="checkbox" checked=${v.mail} onChange=${(/** @type {any} */ event) => form.set('mail')(event.target.checked)} /><span>Send the link by mail</span></label>` : null}
    ${h(FormProblem, { text: form.general(['email', 'role', 'expires_in_days', 'mail']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Make the link' })}</footer></form>`;
}

/** A password that is made here and shown once. */
const madeUp = () => { const letters = 'abcdefghijkmnpqrstuvwxyz23456789'; const bytes = crypto.getRandomValues(new Uint8Array(20)); return [...bytes].map((byte, i) => (i && i % 5 === 0 ? '-' : '') + letters[byte % letters.length]).join(''); };

/** @param {User} user */
async function newPassword(user) {
  const password = madeUp();
  if (await confirm({ title: `New password for ${user.email}?`, text: 'The old one stops working. The new one is shown once.', action: 'Set password', danger: false, run: () => api.userUpdate(user.id, { password }) })) revealOnce({ title: 'New password', text: `Give it to ${user.email} over a safe way; it is not shown again.`, secret: password });
}

/** @param {{ user: User | null, close: (done?: unknown) => void }} props */
function UserForm({ user, close }) {
  const form = useForm({ email: user?.email ?? '', name: user?.name ?? '', role: /** @type {User['role']} */ (user?.role ?? 'developer'), password: user ? '' : madeUp() });
  const v = form.values.value;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      if (user) { await api.userUpdate(user.id, { name: v.name.trim(), role: v.role }); close(true); return; }
      await api.userCreate({ email: v.email.trim(), name: v.name.trim(), role: v.role, password: v.password });
      close(true);
      revealOnce({ title: `${v.email.trim()} may sign in`, text: 'Give this password over a safe way; it is not shown again. It can be changed under Account.', secret: v.password });
    });
  };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: user ? user.email : 'Add a person', close: () => close() })}
    ${user ? null : h(TextField, { label: 'Email', type: 'email', value: v.email, set: form.set('email'), required: true, autofocus: true, error: form.error('email') })}
    ${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), required: true, error: form.error('name') })}
    ${h(SelectField, { label: 'Role', value: v.role, set: (value) => form.set('role')(/** @type {User['role']} */ (value)), options: ROLES.filter((role) => role.value !== 'owner' || may('owner')), error: form.error('role') })}
    ${user ? null : h(PasswordField, { label: 'First password', value: v.password, set: form.set('password'), known: [v.email, v.name], error: form.error('password') })}
    ${h(FormProblem, { text: form.general(['email', 'name', 'role', 'password']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: user ? 'Save' : 'Add person' })}</footer></form>`;
}
