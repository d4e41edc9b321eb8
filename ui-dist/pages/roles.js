// Rights beyond the built-in roles: roles that people make, teams, and who has which where.
import { html, h, icon, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { Act } from '../parts/act.js';
import { Ago } from '../parts/time.js';
import { confirm, DialogHead, showDialog } from '../parts/dialog.js';
import { useForm, TextField, SelectField, Switch, FormProblem, Submit } from '../parts/field.js';
import { may } from '../lib/rights.js';
import { usePlaces } from '../parts/tokens.js';
import { TeamTabs } from './team.js';

/** @typedef {import('../lib/api.js').S<'CustomRole'>} CustomRole */
/** @typedef {import('../lib/api.js').S<'Team'>} Team */
/** @typedef {CustomRole['rights'][number]} Right */

/** @type {{ id: Right, label: string, hint: string }[]} */
const PLACED = [
  { id: 'deploy', label: 'Deploy', hint: 'Deploy, roll back, start, stop' },
  { id: 'configure', label: 'Configure', hint: 'Create and change apps, domains, variables' },
  { id: 'secrets', label: 'Secrets', hint: 'Read values of secret variables' },
  { id: 'terminal', label: 'Terminal', hint: 'Open a shell in a container' },
  { id: 'delete', label: 'Delete', hint: 'Delete apps, projects and volumes' },
];
/** @type {{ id: Right, label: string, hint: string }[]} */
const WHOLE = [
  { id: 'view_servers', label: 'See servers', hint: 'The machine, and how it fares' },
  { id: 'view_team', label: 'See the team', hint: 'People, roles, tokens of others' },
  { id: 'audit', label: 'Audit log', hint: 'Read who changed what' },
  { id: 'manage_team', label: 'Manage people', hint: 'Invite, change and remove; roles, teams, service accounts' },
  { id: 'administer', label: 'DNS and catalogs', hint: 'Providers, records, own catalogs' },
  { id: 'operate', label: 'Operate the panel', hint: 'Settings, ports, upgrades, the doctor' },
  { id: 'secure', label: 'Security rules', hint: 'Second factor, sessions' },
  { id: 'use_host', label: 'Reach the host', hint: 'Privileged services' },
  { id: 'use_local_paths', label: 'Local paths', hint: 'Apps from a folder of the server' },
];
const rightWord = (/** @type {Right} */ right) => [...PLACED, ...WHOLE].find((one) => one.id === right)?.label ?? right.replaceAll('_', ' ');

export default function RolesPage() {
  useTrail([{ label: 'Team', href: '/team' }, { label: 'Roles and teams' }]);
  const roles = useResource('roles', api.roleList, ['role_changed', 'rights_granted', 'rights_taken']);
  const teams = useResource('teams', api.teamList, ['team_changed', 'user_removed']);
  const grants = useResource('grants', api.grantList, ['rights_granted', 'rights_taken', 'role_changed', 'team_changed', 'user_removed']);
  const manages = may('admin');
  const open = (/** @type {string} */ title, /** @type {(close: (done?: unknown) => void) => any} */ body) => showDialog(title, body).then((done) => { if (done) { roles.load(); teams.load(); grants.load(); } });
  const grant = () => open('Give rights', (close) => h(GrantForm, { roles: roles.value.value ?? [], teams: teams.value.value ?? [], close }));
  const role = (/** @type {CustomRole | null} */ one) => open(one ? 'Change role' : 'New role', (close) => h(RoleForm, { role: one, close }));
  const team = (/** @type {Team | null} */ one) => open(one ? 'Change team' : 'New team', (close) => h(TeamForm, { team: one, close }));
  return html`<div class="page">${h(PageHead, { title: 'Team', note: 'Rights beside the built-in roles, also in one project, environment or app', actions: manages ? html`<button type="button" class="btn primary" onClick=${grant}>${icon('key-round')}Give rights</button>` : null })}
    ${h(TeamTabs, { at: 'roles' })}
    ${h(Panel, { title: 'Who has what where', note: 'Beside the role that each person has in the whole', flush: true }, listed(grants, { icon: 'key-round', title: 'Nothing is granted', text: 'A person with the role member sees only what is granted here: one app, or a whole project.' }, (one) => html`<li key=${one.id}>${icon(one.to.startsWith('team ') ? 'users' : 'user')}<span class="cell-two grow"><span class="any"><b class="strong">${one.to}</b> <span class="tag">${one.role}</span></span><span class="any">in ${one.place.name} · since ${h(Ago, { at: one.created_at })}</span></span>
      ${manages ? h(Act, { label: 'Take away', small: true, tone: 'ghost', run: async () => { await api.grantDelete(one.id); await grants.load(); } }) : null}</li>`))}
    <div class="grid12"><div class="span-6">${h(Panel, { title: 'Roles', note: 'Owner, admin, developer, viewer and member are built in', flush: true, actions: manages ? html`<button type="button" class="btn small" onClick=${() => role(null)}>${icon('plus')}New role</button>` : null }, listed(roles, { icon: 'shield-check', title: 'No roles of your own', text: 'Such as one that deploys but reads no secrets.' }, (one) => html`<li key=${one.id}><span class="cell-two grow"><span class="any"><b class="strong">${one.name}</b> <span class="faint">granted ${one.grants === 1 ? 'once' : `${one.grants} times`}</span></span><span class="any">${one.description ? `${one.description} · ` : ''}${one.rights.map(rightWord).join(', ').toLowerCase()}</span></span>
      ${manages ? html`<span class="row tight"><button type="button" class="btn small ghost" aria-label=${`Change ${one.name}`} onClick=${() => role(one)}>Change</button><button type="button" class="btn small ghost danger" aria-label=${`Remove ${one.name}`} onClick=${() => confirm({ title: `Remove the role ${one.name}?`, text: 'It must be granted to nobody.', action: 'Remove', run: () => api.roleDelete(one.id) }).then((done) => { if (done) roles.load(); })}>Remove</button></span>` : null}</li>`))}</div>
    <div class="span-6">${h(Panel, { title: 'Teams', note: 'People who are given rights together', flush: true, actions: manages ? html`<button type="button" class="btn small" onClick=${() => team(null)}>${icon('plus')}New team</button>` : null }, listed(teams, { icon: 'users', title: 'No teams', text: 'A team gets rights once, and whoever joins it has them.' }, (one) => html`<li key=${one.id}>${icon('users')}<span class="cell-two grow"><b class="strong">${one.name}</b><span class="any">${one.members.map((member) => member.name).join(', ') || 'nobody yet'}</span></span>
      ${manages ? html`<span class="row tight"><button type="button" class="btn small ghost" aria-label=${`Change ${one.name}`} onClick=${() => team(one)}>Change</button><button type="button" class="btn small ghost danger" aria-label=${`Remove ${one.name}`} onClick=${() => confirm({ title: `Remove the team ${one.name}?`, text: 'What was granted to it is taken from everybody in it.', action: 'Remove', run: () => api.teamDelete(one.id) }).then((done) => { if (done) { teams.load(); grants.load(); } })}>Remove</button></span>` : null}</li>`))}</div></div></div>`;
}

/** A list as it is: loading, failed, empty or filled. @template T @param {{ value: { value: T[] | null | undefined }, error: { value: Error | null }, load: () => unknown }} found @param {{ icon: string, title: string, text: string }} none @param {(one: T) => any} line */
function listed(found, none, line) {
  const list = found.value.value;
  if (!list) return found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 2 });
  return list.length ? html`<ul class="lines tall">${list.map(line)}</ul>` : h(Empty, { ...none, small: true });
}

/** @param {{ role: CustomRole | null, close: (done?: unknown) => void }} props */
function RoleForm({ role, close }) {
  const form = useForm({ name: role?.name ?? '', description: role?.description ?? '' });
  const [rights, setRights] = useState(/** @type {Right[]} */ (role?.rights ?? ['view']));
  const v = form.values.value;
  const set = (/** @type {Right} */ right, /** @type {boolean} */ on) => setRights(on ? [...rights, right] : rights.filter((one) => one !== right));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      const body = { name: v.name.trim(), description: v.description.trim(), rights };
      if (role) await api.roleUpdate(role.id, body); else await api.roleCreate(body);
      close(true);
    });
  };
  const part = (/** @type {string} */ legend, /** @type {typeof PLACED} */ list) => html`<fieldset class="stack small"><legend class="small strong">${legend}</legend>${list.map((one) => h(Switch, { key: one.id, label: one.label, hint: one.hint, on: rights.includes(one.id), set: (on) => set(one.id, on) }))}</fieldset>`;
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: role ? role.name : 'New role', note: role && role.grants ? 'Everybody who has it has the new rights at once' : 'A name for some rights', close: () => close() })}
    ${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), required: true, autofocus: true, placeholder: 'Release captain', error: form.error('name') })}
    ${h(TextField, { label: 'What it is for', value: v.description, set: form.set('description'), optional: true, error: form.error('description') })}
    ${part('May see, and', PLACED)}${part('When it is granted in the whole, also', WHOLE)}
    ${h(FormProblem, { text: form.general(['name', 'description']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: role ? 'Save' : 'Make role' })}</footer></form>`;
}

/** @param {{ team: Team | null, close: (done?: unknown) => void }} props */
function TeamForm({ team, close }) {
  const people = useResource('users', api.userList).value.value ?? [];
  const form = useForm({ name: team?.name ?? '' });
  const [members, setMembers] = useState((team?.members ?? []).map((member) => member.id));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      const body = { name: form.values.value.name.trim(), members };
      if (team) await api.teamUpdate(team.id, body); else await api.teamCreate(body);
      close(true);
    });
  };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: team ? team.name : 'New team', close: () => close() })}
    ${h(TextField, { label: 'Name', value: form.values.value.name, set: form.set('name'), required: true, autofocus: true, placeholder: 'web', error: form.error('name') })}
    <fieldset class="stack small"><legend class="small strong">Members</legend>${people.map((user) => h(Switch, { key: user.id, label: user.name || user.email, hint: user.service ? 'Service account' : user.email, on: members.includes(user.id), set: (on) => setMembers(on ? [...members, user.id] : members.filter((id) => id !== user.id)) }))}</fieldset>
    ${h(FormProblem, { text: form.general(['name']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: team ? 'Save' : 'Make team' })}</footer></form>`;
}

/** @param {{ roles: CustomRole[], teams: Team[], close: (done?: unknown) => void }} props */
function GrantForm({ roles, teams, close }) {
  const people = useResource('users', api.userList).value.value ?? [];
  const places = usePlaces('The whole organization');
  const form = useForm({ to: '', role: 'developer', place: 'organization' });
  const v = form.values.value;
  const to = [{ value: '', label: 'Choose…' }, ...teams.map((team) => ({ value: `team:${team.id}`, label: `Team ${team.name}` })), ...people.map((user) => ({ value: `user:${user.id}`, label: user.service ? `Service account ${user.name}` : user.email }))];
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => { await api.grantCreate({ to: v.to, role: v.role, place: v.place }); close(true); });
  };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: 'Give rights', note: 'Beside the role that somebody has already', close: () => close() })}
    ${h(SelectField, { label: 'To', value: v.to, set: form.set('to'), options: to, error: form.error('to') })}
    ${h(SelectField, { label: 'Role', value: v.role, set: form.set('role'), options: [{ value: 'viewer', label: 'Viewer' }, { value: 'developer', label: 'Developer' }, { value: 'admin', label: 'Admin' }, ...roles.map((role) => ({ value: role.id, label: role.name }))], error: form.error('role') })}
    ${h(SelectField, { label: 'In', value: v.place, set: form.set('place'), options: places, error: form.error('place'), hint: v.place === 'organization' ? null : 'Administrative rights of a role hold only in the whole.' })}
    ${h(FormProblem, { text: form.general(['to', 'role', 'place']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Give' })}</footer></form>`;
}
