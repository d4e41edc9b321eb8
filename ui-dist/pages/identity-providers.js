// Single sign-on: where people are known who need no password of the panel's own.
import { html, h, icon, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { providers } from '../lib/identity-providers.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { sentence } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Empty } from '../parts/empty.js';
import { Copy } from '../parts/copy.js';
import { confirm, DialogHead, leaving, showDialog, showForm } from '../parts/dialog.js';
import { usePlaces } from '../parts/tokens.js';
import { Choice, FormProblem, SelectField, Submit, Switch, TextField, useForm } from '../parts/field.js';

/** @template {keyof import('../lib/api.js').Schemas} K @typedef {import('../lib/api.js').S<K>} S */
/** @typedef {S<'IdentityProvider'>} Provider */

const ROLES = [{ value: 'viewer', label: 'Viewer' }, { value: 'developer', label: 'Developer' }, { value: 'admin', label: 'Admin' }];
/** Those to choose from, and what is written already but is there no more. @param {{ value: string, label: string }[]} options @param {string} value */
const withOwn = (options, value) => (options.some((one) => one.value === value) ? options : [...options, { value, label: `${value} (gone)` }]);
const FIELDS = ['name', 'issuer', 'client_id', 'client_secret', 'scopes', 'groups_claim', 'authority', 'url', 'start_tls', 'bind_dn', 'bind_password', 'base', 'filter', 'email_attribute', 'name_attribute', 'groups_attribute', 'group_base', 'group_filter', 'metadata', 'metadata_url', 'entity_id', 'subject_attribute', 'domains', 'groups'];
const KINDS = { oidc: 'OpenID Connect', saml: 'SAML', ldap: 'LDAP' };
const at = (/** @type {Provider} */ one) => one.oidc?.issuer ?? one.ldap?.url ?? one.saml?.metadata_url ?? one.saml?.entity_id ?? 'metadata that was pasted';

export default function IdentityProvidersPage() {
  useTrail([{ label: 'Security', href: '/security' }, { label: 'Single sign-on' }]);
  const found = useResource('identity-providers', providers.list, ['identity_provider_changed']);
  const again = (/** @type {unknown} */ done) => { if (done) found.load(); };
  const edit = (/** @type {Provider | null} */ one) => showForm(one ? `Change ${one.name}` : 'Add an identity provider', (close, leave) => h(ProviderForm, { one, close, leave }), { wide: true }).then((done) => { again(done); const made = /** @type {Provider | undefined} */ (done); if (!one && made?.saml) register(made); });
  // A provider of SAML is told of the panel once there is something to tell.
  const register = (/** @type {Provider} */ one) => showDialog(`Register the panel at ${one.name}`, (close) => h(RegisterPanel, { one, close }));
  const remove = (/** @type {Provider} */ one) => confirm({ title: `Remove ${one.name}?`, text: 'Whoever signed in by it is signed out. The accounts stay, and need a password or another provider.', objects: [{ icon: 'key-round', label: one.name, note: at(one) }], action: 'Remove', run: () => providers.remove(one.id) }).then(again);
  const test = (/** @type {Provider} */ one) => showDialog(`Test ${one.name}`, (close) => h(TestForm, { one, close }));
  const provision = (/** @type {Provider} */ one) => showDialog(`Provisioning by ${one.name}`, (close) => h(ProvisionForm, { one, close }));
  const add = html`<button type="button" class="btn primary" onClick=${() => edit(null)}>${icon('plus')}Add provider</button>`;
  return html`<div class="page">${h(PageHead, { title: 'Single sign-on', note: 'People sign in where they are known already', actions: found.value.value?.length ? add : null })}
    <div class="stack">${h(Panel, { flush: true }, h(/** @type {typeof Table<Provider>} */ (Table), {
      label: 'Identity providers', rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.id, sort: { id: 'name' },
      columns: [
        { id: 'name', label: 'Provider', width: '26%', card: 'head', sort: (one) => one.name, cell: (one) => html`<span class="cell-two"><b class="strong">${one.name}${one.enabled ? null : html` <span class="tag warn">off</span>`}</b><span>${KINDS[one.kind]}</span></span>` },
        { id: 'at', label: 'At', cell: (one) => html`<span class="dim cut" title=${at(one)}><code>${at(one)}</code></span>` },
        { id: 'roles', label: 'Roles', width: '24%', cell: (one) => html`<span class="dim">${[...one.groups.map((rule) => `${rule.group}: ${rule.role}${rule.place ? ' in one place' : ''}`), one.default_role ? `others: ${one.default_role}` : 'others: refused'].join(', ')}</span>` },
        { id: 'actions', label: '', width: '230px', align: 'right', card: 'plain', cell: (one) => html`<span class="cell-actions"><button type="button" class="btn small" onClick=${() => test(one)}>${icon('plug-zap')}<span>Test</span></button><button type="button" class="btn ghost small square" aria-label=${`Provisioning by ${one.name}`} title="Provisioning" onClick=${() => provision(one)}>${icon('users')}</button><button type="button" class="btn ghost small square" aria-label=${`Change ${one.name}`} title="Change" onClick=${() => edit(one)}>${icon('pencil')}</button><button type="button" class="btn ghost small square" aria-label=${`Remove ${one.name}`} title="Remove" onClick=${() => remove(one)}>${icon('trash-2')}</button></span>` },
      ],
      empty: h(Empty, { icon: 'key-round', title: 'No identity providers', text: 'Let your team sign in by Keycloak, Authentik, Entra, Google or another OpenID Connect or SAML provider, or by LDAP and Active Directory.', action: add }),
    }))}
    <p class="hint">Owners sign in with a password or a passkey of the panel’s own, never by a provider: so one always gets in.</p></div></div>`;
}

const LASTS = [{ value: '90', label: '90 days' }, { value: '365', label: 'a year' }, { value: '1095', label: 'three years' }];

/** @param {{ one: Provider, close: () => void }} props */
function ProvisionForm({ one, close }) {
  const form = useForm({ days: '365' });
  const found = useResource(`provisioning:${one.id}`, () => providers.provisioning(one.id));
  const [token, setToken] = useState('');
  const now = found.value.value;
  const turnOn = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { setToken((await providers.provision(one.id, Number(form.values.value.days))).token); await found.load(); }); };
  const turnOff = () => form.submit(async () => { await providers.unprovision(one.id); setToken(''); await found.load(); });
  const box = (/** @type {string} */ label, /** @type {string} */ text) => html`<div class="stack tight"><span class="label">${label}</span><div class="key-box"><code class="any">${text}</code>${h(Copy, { text, label: `Copy: ${label}` })}</div></div>`;
  return html`<form class="stack" onSubmit=${turnOn}>${h(DialogHead, { title: `Provisioning by ${one.name}`, note: 'By SCIM 2.0 the provider makes, changes and disables accounts itself. Owners it cannot touch.', close })}
    ${now ? box('Address (base URL)', `${location.origin}${now.path}`) : null}
    ${token ? html`${box('Token, shown this once', token)}` : now ? html`<p class="hint">Its token begins with <code>${now.hint}</code>. ${now.users === 1 ? 'One person' : `${now.users} people`} and ${now.groups === 1 ? 'one group' : `${now.groups} groups`} are from it${now.last_used_at ? '' : '; it has not come yet'}. ${Date.parse(now.expires_at) < Date.now() ? 'The token has ended: make a new one.' : `The token ends on ${now.expires_at.slice(0, 10)}.`}</p>` : html`<p class="hint">It is off.</p>`}
    ${token ? null : h(SelectField, { label: now ? 'A new token is good for' : 'Its token is good for', value: form.values.value.days, set: form.set('days'), options: LASTS, hint: now ? 'The one from before ends at once.' : 'The provider comes with it; it is shown once.' })}
    ${h(FormProblem, { text: form.general(['expires_in_days']) })}
    <footer class="dialog-foot">${now ? html`<button type="button" class="btn danger" onClick=${turnOff}>Turn off</button>` : null}<button type="button" class="btn" onClick=${() => close()}>Close</button>${token ? null : h(Submit, { form, label: now ? 'New token' : 'Turn on' })}</footer></form>`;
}

/** @param {{ one: Provider }} props */
const OwnAddresses = ({ one }) => (one.saml || one.logout ? html`${(one.saml ? [['The panel’s metadata, and its entity ID', one.saml.own_metadata], ['Where answers go (ACS, HTTP-POST)', one.saml.consumer]] : [['Where it says that somebody signed out (back-channel logout)', String(one.logout)]]).map(([label, path]) => html`<div class="stack tight" key=${path}><span class="label">${label}</span><div class="key-box"><code class="any">${location.origin}${path}</code>${h(Copy, { text: `${location.origin}${path}`, label: `Copy: ${label}` })}</div></div>`)}${one.logout ? html`<p class="hint">Its server must reach the panel. Where addresses are listed under Security, its own belong to those of programs.</p>` : null}` : null);

/** @param {{ one: Provider, close: () => void }} props */
const RegisterPanel = ({ one, close }) => html`<div class="stack">${h(DialogHead, { title: `Register the panel at ${one.name}`, note: 'Give it the metadata’s address, or type both in.', close })}
  ${h(OwnAddresses, { one })}
  <p class="hint">Let it send a persistent name (NameID), the attributes mail, displayName and groups, and sign its assertions with SHA-256. It may encrypt them.</p>
  <footer class="dialog-foot"><a class="btn" href=${one.saml?.own_metadata} download="serverkit-metadata.xml">${icon('download')}<span>Download the metadata</span></a><button type="button" class="btn primary" onClick=${close}>Done</button></footer></div>`;

/** @param {{ one: Provider, close: () => void }} props */
function TestForm({ one, close }) {
  const form = useForm({ user: '' });
  const [report, setReport] = useState(/** @type {S<'ProviderReport'> | null} */ (null));
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => setReport(await providers.test(one.id, form.values.value.user.trim() || null))); };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: `Test ${one.name}`, note: 'What can be tried without somebody signing in.', close })}
    ${one.kind === 'ldap' ? h(TextField, { label: 'Somebody to look for', value: form.values.value.user, set: form.set('user'), optional: true, autofocus: true, placeholder: 'ada' }) : null}
    ${report ? html`<ul class="lines tall" aria-label="Findings" role="list">${report.findings.map((finding) => html`<li key=${finding.what}><span class=${finding.ok ? 'ok-text' : 'bad-text'}>${icon(finding.ok ? 'circle-check' : 'circle-alert')}</span><span class="cell-two grow"><span>${finding.what}${finding.ok ? '' : ': wrong'}</span><span class="any">${sentence(finding.detail)}</span></span></li>`)}</ul>` : null}
    ${h(FormProblem, { text: form.general([]) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Close</button>${h(Submit, { form, label: report ? 'Test again' : 'Test' })}</footer></form>`;
}

/** @param {Provider | null} one */
const start = (one) => ({
  kind: /** @type {string} */ (one?.kind ?? 'oidc'), name: one?.name ?? '', enabled: one?.enabled ?? true,
  issuer: one?.oidc?.issuer ?? '', client_id: one?.oidc?.client_id ?? '', client_secret: '', scopes: (one?.oidc?.scopes ?? ['profile', 'email', 'groups', 'offline_access']).join(' '), groups_claim: one?.oidc?.groups_claim ?? 'groups', trusts_emails: one?.oidc?.trusts_emails ?? false,
  url: one?.ldap?.url ?? '', start_tls: one?.ldap?.start_tls ?? false, bind_dn: one?.ldap?.bind_dn ?? '', bind_password: '', base: one?.ldap?.base ?? '', filter: one?.ldap?.filter ?? '(&(objectClass=person)(uid={user}))', email_attribute: one?.ldap?.email_attribute ?? 'mail', name_attribute: one?.ldap?.name_attribute ?? 'cn', groups_attribute: one?.ldap?.groups_attribute ?? '', group_base: one?.ldap?.group_base ?? '', group_filter: one?.ldap?.group_filter ?? '',
  metadata_url: one?.saml?.metadata_url ?? '', metadata: one?.saml?.metadata ?? '', entity_id: one?.saml?.entity_id ?? '', subject_attribute: one?.saml?.subject_attribute ?? '', saml_email: one?.saml?.email_attribute ?? '', saml_name: one?.saml?.name_attribute ?? '', saml_groups: one?.saml?.groups_attribute ?? '',
  authority: one?.oidc?.authority ?? one?.ldap?.authority ?? one?.saml?.authority ?? '', domains: (one?.domains ?? []).join(' '), provision: one?.provision ?? true, default_role: /** @type {string} */ (one?.default_role ?? ''), groups: (one?.groups ?? []).map((rule) => ({ group: rule.group, role: rule.role, place: rule.place ?? 'organization' })),
});

/** @param {ReturnType<typeof start>} v @returns {S<'IdentityProviderInput'>} */
function wish(v) {
  const words = (/** @type {string} */ text) => text.split(/[\s,]+/).filter(Boolean);
  const some = (/** @type {string} */ text) => text.trim() || null;
  const shared = { name: v.name.trim(), enabled: v.enabled, domains: words(v.domains), provision: v.provision, default_role: /** @type {S<'Role'> | null} */ (v.default_role || null), groups: v.groups.filter((rule) => rule.group.trim()).map((rule) => ({ group: rule.group.trim(), role: rule.role, place: rule.place === 'organization' ? null : rule.place })) };
  if (v.kind === 'oidc') return { ...shared, oidc: { issuer: v.issuer.trim(), client_id: v.client_id.trim(), ...(v.client_secret ? { client_secret: v.client_secret } : {}), scopes: words(v.scopes), groups_claim: some(v.groups_claim), trusts_emails: v.trusts_emails, authority: some(v.authority) } };
  if (v.kind === 'saml') return { ...shared, saml: { metadata_url: some(v.metadata_url), metadata: some(v.metadata), entity_id: some(v.entity_id), subject_attribute: some(v.subject_attribute), email_attribute: some(v.saml_email), name_attribute: some(v.saml_name), groups_attribute: some(v.saml_groups), authority: some(v.authority) } };
  return { ...shared, ldap: { url: v.url.trim(), start_tls: v.start_tls, bind_dn: some(v.bind_dn), ...(v.bind_password ? { bind_password: v.bind_password } : {}), base: v.base.trim(), filter: some(v.filter), email_attribute: some(v.email_attribute), name_attribute: some(v.name_attribute), groups_attribute: some(v.groups_attribute), group_base: some(v.group_base), group_filter: some(v.group_filter), authority: some(v.authority) } };
}

/** @param {{ one: Provider | null, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function ProviderForm({ one, close, leave }) {
  const form = useForm(start(one));
  const cancel = leaving(form, close, leave);
  const v = form.values.value;
  const made = useResource('roles', api.roleList).value.value ?? [];
  const roles = [...ROLES, ...made.map((role) => ({ value: role.name, label: role.name }))];
  const places = usePlaces('Everywhere');
  const change = (/** @type {number} */ at, /** @type {Partial<typeof v.groups[number]>} */ more) => form.set('groups')(v.groups.map((each, place) => (place === at ? { ...each, ...more } : each)));
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => close(await (one ? providers.replace(one.id, wish(v)) : providers.create(wish(v))))); };
  const text = (/** @type {keyof typeof v & string} */ field, /** @type {string} */ label, /** @type {object} */ more = {}) => h(TextField, { label, value: /** @type {string} */ (v[field]), set: /** @type {any} */ (form.set(field)), error: form.error(field, `oidc.${field}`, `ldap.${field}`, `saml.${field}`), ...more });
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: one ? `Change ${one.name}` : 'Add an identity provider', close: cancel })}
    ${one ? null : h(Choice, { label: 'Kind', value: v.kind, set: form.set('kind'), options: [{ value: 'oidc', label: 'OpenID Connect' }, { value: 'saml', label: 'SAML 2.0' }, { value: 'ldap', label: 'LDAP, AD' }] })}
    ${text('name', 'Name', { required: true, autofocus: true, placeholder: 'Example', hint: 'The button says: Sign in with Example.' })}
    ${v.kind === 'oidc' ? html`
      <div class="stack tight"><span class="label">Address to come back to</span><div class="key-box"><code class="any">${location.origin}/sso</code>${h(Copy, { text: `${location.origin}/sso`, label: 'Copy the address' })}</div><p class="hint">Register it at the provider, for the authorization code flow.</p></div>
      ${text('issuer', 'Issuer', { mono: true, required: true, inputmode: 'url', placeholder: 'https://id.example.com/realms/team', hint: 'Exactly as the provider calls itself.' })}
      <div class="form-row">${text('client_id', 'Client id', { mono: true, required: true })}${text('client_secret', 'Client secret', { type: 'password', autocomplete: 'new-password', optional: true, placeholder: one?.oidc?.has_secret ? 'as it was' : '' })}</div>
      <div class="form-row">${text('scopes', 'Scopes', { mono: true, hint: 'Beside openid. With offline_access the provider is asked from time to time who is still there.' })}${text('groups_claim', 'Claim with the groups', { mono: true, hint: 'Dots go into objects: realm_access.roles.' })}</div>
      ${h(Switch, { label: 'Believe its mail addresses', hint: 'For providers that check addresses themselves and say nothing of it (email_verified), such as Entra for one organization.', on: v.trusts_emails, set: form.set('trusts_emails') })}`
    : v.kind === 'saml' ? html`
      ${one ? h(OwnAddresses, { one }) : null}
      ${text('metadata_url', 'Address of its metadata', { mono: true, optional: true, inputmode: 'url', placeholder: 'https://id.example.com/saml/metadata', hint: 'Read at each sign-in, so its keys may change. Or paste the metadata:' })}
      ${text('metadata', 'Its metadata', { mono: true, rows: 4, optional: true, placeholder: '<EntityDescriptor …>', hint: 'The address or the metadata, not both.' })}
      ${text('entity_id', 'Its entity ID', { mono: true, optional: true, hint: 'Only where the metadata tells of several providers.' })}
      <div class="form-row">${text('saml_email', 'Mail attribute', { mono: true, optional: true, placeholder: 'mail', error: form.error('email_attribute') })}${text('saml_name', 'Name attribute', { mono: true, optional: true, placeholder: 'displayName', error: form.error('name_attribute') })}</div>
      <div class="form-row">${text('saml_groups', 'Attribute with groups', { mono: true, optional: true, placeholder: 'groups', error: form.error('groups_attribute') })}${text('subject_attribute', 'Attribute that names people', { mono: true, optional: true, placeholder: 'NameID', hint: 'Never another person’s.' })}</div>`
    : html`
      ${text('url', 'Address', { mono: true, required: true, inputmode: 'url', placeholder: 'ldaps://ldap.example.com' })}
      ${h(Switch, { label: 'StartTLS', hint: 'For ldap:// addresses. Passwords never travel without TLS.', on: v.start_tls, set: form.set('start_tls') })}
      <div class="form-row">${text('bind_dn', 'Search account', { mono: true, optional: true, placeholder: 'cn=panel,dc=example,dc=com', hint: 'Who looks people up.' })}${text('bind_password', 'Its password', { type: 'password', autocomplete: 'new-password', optional: true, placeholder: one?.ldap?.has_password ? 'as it was' : '' })}</div>
      <div class="form-row">${text('base', 'People are below', { mono: true, required: true, placeholder: 'ou=people,dc=example,dc=com' })}${text('filter', 'Filter', { mono: true, required: true, hint: 'Active Directory: (&(objectClass=user)(sAMAccountName={user}))' })}</div>
      <div class="form-row">${text('email_attribute', 'Mail attribute', { mono: true })}${text('name_attribute', 'Name attribute', { mono: true })}</div>
      ${text('groups_attribute', 'Attribute with groups', { mono: true, optional: true, placeholder: 'memberOf', hint: 'Where the directory keeps groups with the person. Else look for them:' })}
      <div class="form-row">${text('group_base', 'Groups are below', { mono: true, optional: true, placeholder: 'ou=groups,dc=example,dc=com' })}${text('group_filter', 'Filter of groups', { mono: true, optional: true, placeholder: '(&(objectClass=groupOfNames)(member={dn}))' })}</div>`}
    <fieldset class="plain stack tight"><legend class="label">Roles by group</legend>
      ${v.groups.map((rule, at) => html`<div class="row" key=${at}><input class="input mono grow" aria-label=${`Group ${at + 1}`} placeholder="ops" value=${rule.group} onInput=${(/** @type {any} */ event) => change(at, { group: event.target.value })} />
        <span class="select-box"><select class="input" aria-label=${`Role of group ${at + 1}`} value=${rule.role} onChange=${(/** @type {any} */ event) => change(at, { role: event.target.value })}>${withOwn(roles, rule.role).map((role) => html`<option value=${role.value} selected=${role.value === rule.role}>${role.label}</option>`)}</select>${icon('chevron-down')}</span>
        <span class="select-box"><select class="input" aria-label=${`Place of group ${at + 1}`} value=${rule.place} onChange=${(/** @type {any} */ event) => change(at, { place: event.target.value })}>${withOwn(places, rule.place).map((place) => html`<option value=${place.value} selected=${place.value === rule.place}>${place.label}</option>`)}</select>${icon('chevron-down')}</span>
        <button type="button" class="btn ghost small square" aria-label=${`Remove group ${at + 1}`} onClick=${() => form.set('groups')(v.groups.filter((_, place) => place !== at))}>${icon('x')}</button></div>`)}
      <div><button type="button" class="btn small" onClick=${() => form.set('groups')([...v.groups, { group: '', role: 'developer', place: 'organization' }])}>${icon('plus')}<span>Add group</span></button></div>
      ${form.error('groups') ? html`<p class="field-error">${form.error('groups')}</p>` : null}</fieldset>
    <div class="form-row">${h(SelectField, { label: 'Everybody else', value: v.default_role, set: form.set('default_role'), options: [{ value: '', label: 'Is refused' }, ...ROLES] })}${text('domains', 'Only mail addresses at', { mono: true, optional: true, placeholder: 'example.com' })}</div>
    ${h(Switch, { label: 'Make accounts', hint: 'Somebody who was never here gets one at the first sign-in.', on: v.provision, set: form.set('provision') })}
    ${one ? h(Switch, { label: 'On', hint: 'Turned off, whoever signed in by it is signed out.', on: v.enabled, set: form.set('enabled') }) : null}
    ${text('authority', 'Its own authority', { mono: true, rows: 3, optional: true, placeholder: '-----BEGIN CERTIFICATE-----', hint: 'When its certificate is from an authority that this server does not know.' })}
    ${h(FormProblem, { text: form.general([...FIELDS, 'oidc', 'ldap', 'saml']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: one ? 'Save' : 'Add provider' })}</footer></form>`;
}
