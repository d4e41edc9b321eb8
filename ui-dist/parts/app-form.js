// The fields of an app that are in the wizard and in its settings.
import { html, h, icon } from '../lib/html.js';
import { bytes, parseBytes } from '../lib/format.js';
import { joinWords, splitWords } from '../lib/words.js';
import { amount, FieldWrong, TextField, SelectField, Switch, whole } from './field.js';
import { profilesOf, SetupFields } from './compose.js';
import { LookInside } from './look-inside.js';
import { QuotaRoom } from './quota.js';
import { RepositoryPick, useForges } from './repository.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */
/** @typedef {{ url: string, forge: string, repository: string, branch: string, folder: string, dockerfile: string, target: string, submodules: boolean, preset: string, version: string, packages: string, install: string, build: string, start_command: string, output: string, dockerfile_text: string, builder: string, user: string, password: string, deploy_key: boolean, reference: string, compose: string, several: boolean, compose_file: string, main_service: string, profiles: string }} SourceValues */
/** @typedef {{ port: string, command: string, memory: string, cpus: string, pids: string, health: 'auto' | 'tcp' | 'http' | 'web' | 'running', health_path: string, interval: string, timeout: string, start: string, grace: string, deploy_timeout: string, keep: string, keep_days: string, keep_bytes: string, cache: string, restarts: string, within: string, replicas: string }} RunValues */

const NONE = '(none)';
/** @param {string | null | undefined} text */
const shownCommand = (text) => (text === '' ? NONE : text ?? '');
/** What was wished of a build, as fields. @param {import('../lib/api.js').S<'Build'> | null} wish */
const buildValues = (wish) => ({ preset: wish?.preset ?? '', version: wish?.version ?? '', packages: (wish?.packages ?? []).join(' '), install: shownCommand(wish?.install), build: shownCommand(wish?.build), start_command: shownCommand(wish?.start), output: wish?.output ?? '', dockerfile_text: wish?.dockerfile_text ?? '', builder: wish?.builder ?? '' });
/** @param {SourceValues} v @returns {import('../lib/api.js').S<'BuildInput'>} */
function buildInput(v) {
  const text = (/** @type {string} */ value) => value.trim() || undefined;
  const line = (/** @type {string} */ value) => (value.trim() === NONE ? '' : text(value));
  if (v.preset === 'buildpacks') return { preset: 'buildpacks', start: line(v.start_command), dockerfile_text: v.dockerfile_text.trim() ? v.dockerfile_text : undefined, builder: text(v.builder) };
  return { preset: /** @type {any} */ (v.preset || undefined), version: text(v.version), packages: v.packages.trim() ? v.packages.trim().split(/[\s,]+/) : undefined, install: line(v.install), build: line(v.build), start: line(v.start_command), output: text(v.output), dockerfile_text: v.dockerfile_text.trim() ? v.dockerfile_text : undefined };
}

/** Services of a source tree, as fields. @param {import('../lib/api.js').S<'TreeServices'> | null | undefined} services */
const servicesValues = (services) => ({ several: Boolean(services), compose_file: services?.compose_file ?? '', main_service: services?.main_service ?? '', profiles: (services?.profiles ?? []).join(' ') });

/** @param {App | null} app @returns {SourceValues} */
export const sourceValues = (app) => ({ ...placeValues(app), ...servicesValues(app?.source.kind === 'git' || app?.source.kind === 'upload' ? app.source.services : null) });
/** @param {App | null} app */
const placeValues = (app) => (app?.source.kind === 'git'
  ? { url: app.source.url, forge: app.source.forge ?? '', repository: app.source.repository ?? '', branch: app.source.branch ?? '', folder: app.source.folder === '.' ? '' : app.source.folder, dockerfile: app.source.dockerfile, target: app.source.target ?? '', submodules: app.source.submodules, ...buildValues(app.source.build), user: app.source.user ?? '', password: '', deploy_key: Boolean(app.source.deploy_key_public), reference: '', compose: '' }
  : app?.source.kind === 'upload' ? { url: '', forge: '', repository: '', branch: '', folder: app.source.folder === '.' ? '' : app.source.folder, dockerfile: app.source.dockerfile, target: app.source.target ?? '', submodules: false, ...buildValues(app.source.build), user: '', password: '', deploy_key: false, reference: '', compose: '' }
  : { url: '', forge: '', repository: '', branch: '', folder: '', dockerfile: '', target: '', submodules: false, ...buildValues(null), user: '', password: '', deploy_key: false, reference: app?.source.kind === 'image' ? app.source.reference : '', compose: '' });

/** @param {App | null} app @returns {RunValues} */
export const runValues = (app) => ({
  port: app?.port ? String(app.port) : '', command: app?.command ? joinWords(app.command) : '',
  memory: app ? bytes(app.limits.memory_bytes).replace('\u00a0', ' ') : '512 MiB', cpus: app ? String(app.limits.cpu_millis / 1000) : '1', pids: app ? String(app.limits.pids) : '512',
  health: app?.health.kind ?? 'auto', health_path: app?.health.path ?? '/', interval: String(app?.health.interval_seconds ?? 5), timeout: String(app?.health.timeout_seconds ?? 5), start: String(app?.health.start_seconds ?? 60),
  grace: String(app?.grace_seconds ?? 10), deploy_timeout: String(app?.deploy_timeout_seconds ?? 1800), keep: String(app?.keep_releases ?? 5), keep_days: app?.keep_release_days ? String(app.keep_release_days) : '', keep_bytes: app?.keep_release_bytes ? bytes(app.keep_release_bytes).replace('\u00a0', ' ') : '', cache: app?.build_cache_bytes ? bytes(app.build_cache_bytes).replace('\u00a0', ' ') : '', restarts: String(app?.restart_limit ?? 10), within: String(app?.rollback_within_minutes ?? 10), replicas: String(app?.replicas ?? 1),
});

/** @param {'git' | 'image' | 'compose' | 'upload'} kind @param {SourceValues} v @returns {import('../lib/api.js').S<'SourceInput'>} */
export function sourceInput(kind, v) {
  if (kind === 'image') return { kind, reference: v.reference.trim() };
  if (kind === 'compose') return { kind, compose: v.compose, profiles: profilesOf(v.profiles), ...(v.main_service.trim() ? { main_service: v.main_service.trim() } : {}) };
  const text = (/** @type {string} */ value) => value.trim() || null;
  const built = { ...(v.folder.trim() ? { folder: v.folder.trim() } : { folder: '.' }), ...(v.dockerfile.trim() ? { dockerfile: v.dockerfile.trim() } : {}), target: text(v.target), build: buildInput(v), ...(v.several ? { compose_file: v.compose_file.trim(), main_service: text(v.main_service), profiles: profilesOf(v.profiles) } : {}) };
  if (kind === 'upload') return { kind, ...built };
  if (v.forge) return { kind, forge: v.forge, repository: v.repository, branch: text(v.branch), ...built, submodules: v.submodules };
  return { kind, url: v.url.trim(), branch: text(v.branch), ...built, submodules: v.submodules, user: text(v.user), ...(v.password ? { password: v.password } : {}), ...(v.deploy_key ? { deploy_key: true } : {}) };
}

/** What is not a number, a size or a command line is found here; the rest is the API's to judge. @param {RunValues} v */
export function runInput(v) {
  const memory = parseBytes(v.memory);
  const command = v.command.trim() ? splitWords(v.command) : null;
  const size = (/** @type {string} */ text, /** @type {string} */ name) => { const found = parseBytes(text); if (found == null) throw new FieldWrong(name, 'Use a size such as 5 GiB'); return found; };
  if (memory == null) throw new FieldWrong('limits.memory_bytes', 'Use a size such as 512 MiB or 2 GiB');
  if (v.command.trim() && !command) throw new FieldWrong('command', 'A quote is never closed');
  const cpus = amount(v.cpus, 'limits.cpu_millis', 'Use a number of cores such as 0.5 or 2');
  return {
    port: v.port.trim() ? whole(v.port, 'port') : null, command,
    limits: { memory_bytes: memory, cpu_millis: Math.round(cpus * 1000), pids: whole(v.pids, 'limits.pids') },
    health: { kind: v.health, path: v.health === 'http' || v.health === 'web' ? v.health_path.trim() || '/' : null, interval_seconds: whole(v.interval, 'health.interval_seconds'), timeout_seconds: whole(v.timeout, 'health.timeout_seconds'), start_seconds: whole(v.start, 'health.start_seconds') },
    grace_seconds: whole(v.grace, 'grace_seconds'), deploy_timeout_seconds: whole(v.deploy_timeout, 'deploy_timeout_seconds'), keep_releases: whole(v.keep, 'keep_releases'),
    keep_release_days: v.keep_days.trim() ? whole(v.keep_days, 'keep_release_days') : null, keep_release_bytes: v.keep_bytes.trim() ? size(v.keep_bytes, 'keep_release_bytes') : null, build_cache_bytes: v.cache.trim() ? size(v.cache, 'build_cache_bytes') : null, restart_limit: whole(v.restarts, 'restart_limit'), rollback_within_minutes: whole(v.within, 'rollback_within_minutes'), replicas: whole(v.replicas, 'replicas'),
  };
}

/** The names of the fields below, for `form.general`. */
export const FORM_FIELDS = ['name', 'url', 'git', 'image', 'source', 'source.url', 'forge', 'source.forge', 'repository', 'source.repository', 'branch', 'source.branch', 'folder', 'dockerfile', 'target', 'preset', 'version', 'packages', 'install', 'build', 'start', 'output', 'dockerfile_text', 'builder', 'compose_file', 'main_service', 'profiles', 'before_deploy', 'after_deploy', 'user', 'password', 'reference', 'compose', 'source.compose', 'port', 'command', 'limits', 'health', 'grace_seconds', 'deploy_timeout_seconds', 'percent', 'seconds', 'min_requests', 'max_error_percent', 'max_p95_millis', 'keep_releases', 'keep_release_days', 'keep_release_bytes', 'build_cache_bytes', 'restart_limit', 'rollback_within_minutes', 'replicas', 'start', 'stop', 'zone', 'sleep_after_minutes', 'domains', 'host', 'domain'];

/** @typedef {{ values: { value: any }, set: (name: any) => (value: any) => void, error: (...names: string[]) => string | undefined }} Form */

/** @param {{ form: Form, kind: 'git' | 'image' | 'upload', has_password?: boolean, app?: string, upload?: string }} props `upload`: what was sent to be looked at */
export function SourceFields({ form, kind, has_password, app, upload }) {
  const v = /** @type {SourceValues} */ (form.values.value);
  const forges = useForges();
  if (kind === 'image') return html`${h(TextField, { label: 'Image', value: v.reference, set: form.set('reference'), mono: true, required: true, placeholder: 'ghcr.io/you/app:1.2', error: form.error('reference', 'source.reference', 'source', 'image'), hint: 'With its tag or digest. It is pulled at each deployment.' })}`;
  const dockerfile = h(TextField, { label: 'Dockerfile', value: v.dockerfile, set: form.set('dockerfile'), mono: true, optional: true, placeholder: 'Dockerfile', hint: 'Without one it is found out how to build.', error: form.error('dockerfile', 'source.dockerfile') });
  const place = html`<div class="form-row">${h(TextField, { label: 'Folder', value: v.folder, set: form.set('folder'), mono: true, optional: true, placeholder: '.', error: form.error('folder', 'source.folder'), hint: 'The build context, for sources with several apps.' })}
      ${h(TextField, { label: 'Stage', value: v.target, set: form.set('target'), mono: true, optional: true, placeholder: 'the last', error: form.error('target', 'source.target') })}</div>`;
  const made = app ? null : h(SelectField, { label: 'Made of', value: v.several ? 'several' : 'one', set: (one) => form.set('several')(one === 'several'), options: [{ value: 'one', label: 'One container' }, { value: 'several', label: 'Services of its Compose file' }] });
  const services = v.several ? html`<div class="form-row">${h(TextField, { label: 'Compose file', value: v.compose_file, set: form.set('compose_file'), mono: true, optional: true, placeholder: 'compose.yaml, docker-compose.yml, …', error: form.error('compose_file', 'source.compose_file'), hint: 'Seen from the folder. Read at each deployment, with the files beside it.' })}
      ${h(TextField, { label: 'Folder', value: v.folder, set: form.set('folder'), mono: true, optional: true, placeholder: '.', error: form.error('folder', 'source.folder') })}</div>
    ${h(SetupFields, { main: v.main_service, profiles: v.profiles, set: form.set, error: form.error })}` : null;
  const inside = h(LookInside, { key: v.forge, form, source: sourceInput(kind, v), app, upload });
  if (kind === 'upload') return html`${made}${v.several ? services : html`${dockerfile}<details class="more" open=${Boolean(v.folder || v.target || v.dockerfile_text)}><summary>${icon('chevron-right', 'icon-small')}Build</summary><div class="stack">${place}${h(BuildFields, { form })}</div></details>`}${upload || app ? inside : null}`;
  const ssh = !v.forge && /^(ssh:|git@|[^/]+@[^/]+:)/.test(v.url.trim());
  const where = forges.length || v.forge ? h(SelectField, { label: 'Where it is', value: v.forge, set: (forge) => { form.set('forge')(forge); form.set('repository')(''); form.set('url')(''); form.set('branch')(''); }, options: [...forges.map((one) => ({ value: one.id, label: `${one.name} (${one.url.replace(/^https?:\/\//, '')}${one.owner ? `/${one.owner}` : ''})` })), ...(v.forge && !forges.some((one) => one.id === v.forge) ? [{ value: v.forge, label: 'a connected forge' }] : []), { value: '', label: 'At an address' }], error: form.error('forge', 'source.forge') }) : null;
  return html`${where}
    ${v.forge ? html`${h(RepositoryPick, { key: v.forge, form, forge: v.forge })}${v.several ? null : dockerfile}` : html`
    ${h(TextField, { label: 'Repository', value: v.url, set: form.set('url'), mono: true, required: true, placeholder: 'https://github.com/you/app.git', error: form.error('url', 'source.url', 'source', 'git'), hint: 'https, http or ssh; private addresses too. Administrators may also name a path on the server.', inputmode: 'url' })}
    <div class="form-row">${h(TextField, { label: 'Branch', value: v.branch, set: form.set('branch'), mono: true, optional: true, placeholder: 'default branch', error: form.error('branch', 'source.branch') })}
      ${v.several ? made : dockerfile}</div>`}
    ${v.several ? html`${v.forge ? made : null}${services}` : made}
    ${ssh || (v.deploy_key && !v.forge) ? h(Switch, { label: 'Use a deploy key', hint: 'serverkit makes a key for this app; give its public half to the repository.', on: v.deploy_key, set: form.set('deploy_key') }) : null}
    ${ssh || v.forge ? null : html`<details class="more" open=${Boolean(v.user || has_password)}><summary>${icon('chevron-right', 'icon-small')}Private repository</summary><div class="stack">
      <div class="form-row">${h(TextField, { label: 'User', value: v.user, set: form.set('user'), optional: true, placeholder: 'for tokens often x-access-token', error: form.error('user', 'source.user') })}
      ${h(TextField, { label: 'Password or token', type: 'password', autocomplete: 'new-password', value: v.password, set: form.set('password'), optional: true, placeholder: has_password ? 'kept as it is' : '', error: form.error('password', 'source.password') })}</div>
      ${v.deploy_key ? null : h(Switch, { label: 'Use a deploy key instead', hint: 'Needs an ssh address.', on: v.deploy_key, set: form.set('deploy_key') })}</div></details>`}
    <details class="more" open=${Boolean((v.folder && !v.several) || v.target || v.submodules)}><summary>${icon('chevron-right', 'icon-small')}Build</summary><div class="stack">
      ${v.several ? null : place}
      ${h(Switch, { label: 'Fetch submodules', on: v.submodules, set: form.set('submodules') })}
      ${v.several ? null : h(BuildFields, { form })}</div></details>
    ${inside}`;
}

const PRESETS = [['', 'Find out'], ['dockerfile', 'Dockerfile'], ['static', 'Static site'], ['node', 'Node'], ['python', 'Python'], ['php', 'PHP'], ['ruby', 'Ruby'], ['go', 'Go'], ['rust', 'Rust'], ['java', 'Java'], ['dotnet', '.NET'], ['nixpacks', 'Nixpacks'], ['buildpacks', 'Cloud Native Buildpacks']].map(([value, label]) => ({ value, label }));

/** How to build what has no Dockerfile. @param {{ form: Form }} props */
function BuildFields({ form }) {
  const v = /** @type {SourceValues} */ (form.values.value);
  const field = (/** @type {'version' | 'install' | 'build' | 'start_command' | 'output' | 'packages' | 'builder'} */ name, /** @type {string} */ label, /** @type {string} */ placeholder, hint = '') => h(TextField, { label, value: v[name], set: form.set(name), mono: true, optional: true, placeholder, hint: hint || undefined, error: form.error(name === 'start_command' ? 'start' : name, `source.build.${name}`) });
  const packs = v.preset === 'buildpacks';
  return html`<div class="form-row">${h(SelectField, { label: 'Build as', value: v.preset, set: form.set('preset'), options: PRESETS, error: form.error('preset', 'source.build.preset'), hint: 'A repository without a Dockerfile gets one that fits.' })}${packs ? field('builder', 'Builder', 'paketobuildpacks/builder-jammy-base', 'The image with the buildpacks; empty: as project.toml says, else this.') : field('version', 'Version', 'as the repository says', 'Of the language: 22, 3.13, 8.3.')}</div>
    ${packs ? field('start_command', 'Start', 'web', 'One of the processes that the buildpacks make, or a command. Buildpacks are told by variables of the build, such as BP_NODE_VERSION.') : v.preset === 'dockerfile' ? null : html`${field('install', 'Install command', 'found out', `${NONE} for none.`)}${field('build', 'Build command', 'found out')}${field('start_command', 'Start command', 'found out', 'It gets PORT.')}
    <div class="form-row">${field('output', 'Folder to serve', 'found out', 'Of a static site or PHP.')}${field('packages', v.preset === 'php' ? 'Extensions' : 'Packages', v.preset === 'php' ? 'gd intl' : 'ffmpeg', v.preset === 'php' ? '' : 'Of Debian.')}</div>`}
    ${v.dockerfile_text ? h(TextField, { label: 'Own Dockerfile', value: v.dockerfile_text, set: form.set('dockerfile_text'), mono: true, rows: 14, hint: 'Used in place of what the repository has. Empty: found out again.', error: form.error('dockerfile_text', 'source.build.dockerfile_text') }) : null}`;
}

/** @param {{ form: Form }} props */
export function HealthFields({ form }) {
  const v = /** @type {RunValues} */ (form.values.value);
  return html`<div class="form-row">${h(SelectField, { label: 'Health check', value: v.health, set: form.set('health'), options: [{ value: 'auto', label: 'As it is built' }, { value: 'tcp', label: 'The port takes connections' }, { value: 'http', label: 'An address answers well' }, { value: 'web', label: 'An address answers' }, { value: 'running', label: 'It stays up (workers)' }], error: form.error('health.kind') })}
    ${v.health === 'http' || v.health === 'web' ? h(TextField, { label: 'Path', value: v.health_path, set: form.set('health_path'), mono: true, placeholder: '/healthz', hint: v.health === 'web' ? 'Good is all below 500.' : 'Good is 200 to 399.', error: form.error('health.path', 'health') }) : v.health === 'auto' ? html`<p class="hint self-end">An address that answers below 500 for web frameworks, else the port.</p>` : null}</div>
    <div class="form-row">${h(TextField, { label: 'Every', value: v.interval, set: form.set('interval'), inputmode: 'numeric', suffix: 's', error: form.error('health.interval_seconds') })}${h(TextField, { label: 'Time for one try', value: v.timeout, set: form.set('timeout'), inputmode: 'numeric', suffix: 's', error: form.error('health.timeout_seconds') })}${h(TextField, { label: 'Time to start', value: v.start, set: form.set('start'), inputmode: 'numeric', suffix: 's', error: form.error('health.start_seconds') })}</div>`;
}

/** @param {{ form: Form, project?: string, larger?: boolean }} props `project`: its id, for what is left of quotas; `larger`: the app is there */
export function LimitFields({ form, project, larger }) {
  const v = /** @type {RunValues} */ (form.values.value);
  return html`<div class="form-row">${h(TextField, { label: 'Memory', value: v.memory, set: form.set('memory'), error: form.error('limits.memory_bytes', 'limits') })}${h(TextField, { label: 'Cores', value: v.cpus, set: form.set('cpus'), inputmode: 'decimal', error: form.error('limits.cpu_millis') })}${h(TextField, { label: 'Processes', value: v.pids, set: form.set('pids'), inputmode: 'numeric', error: form.error('limits.pids') })}</div>${h(QuotaRoom, { project, larger })}`;
}
