// A new app: where it comes from, its name and domain; what is seldom needed is folded away.
import { html, h, icon, useEffect, useRef, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { navigate, route } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { apps, appPath, putApp, putDeployment, loadApps } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { nameFrom } from '../lib/words.js';
import { looksSecret } from '../lib/environment.js';
import { parseEnv } from '../lib/dotenv.js';
import { PageHead, Panel } from '../parts/page.js';
import { useForm, TextField, SelectField, FormProblem, Submit, Field } from '../parts/field.js';
import { FORM_FIELDS, HealthFields, LimitFields, SourceFields, runInput, runValues, sourceInput, sourceValues } from '../parts/app-form.js';
import { DomainCheck } from '../parts/domains.js';
import { ComposeField, profilesOf, SetupFields, useCompose } from '../parts/compose.js';
import { Copy } from '../parts/copy.js';
import { Drop, useDraft } from '../parts/drop.js';
import { Act } from '../parts/act.js';
import { Empty } from '../parts/empty.js';
import { allows, may } from '../lib/rights.js';
import { forges } from '../lib/forges.js';
import { toast } from '../parts/toast.js';

export default function AppNewPage() {
  useTrail([{ label: 'Apps', href: '/apps' }, { label: 'New' }]);
  const projects = useResource('projects', api.projectList).value.value;
  const settings = useResource('settings', () => (may('admin') ? api.settingShow() : Promise.resolve(null))).value.value;
  const [kind, setKind] = useState(/** @type {'git' | 'image' | 'compose' | 'upload'} */ (['image', 'compose', 'upload'].includes(route.peek().query.get('from') ?? '') ? route.peek().query.get('from') : 'git'));
  // Kept where an effect that comes late sees what was typed meanwhile.
  const named = useRef(false);
  const addressed = useRef(false);
  const [made, setMade] = useState(/** @type {import('../lib/api.js').S<'App'> | null} */ (null));
  const dropped = useDraft();
  const form = useForm({ ...sourceValues(null), ...runValues(null), name: '', host: '', place: '', env: '' });
  const v = form.values.value;
  const places = (projects ?? []).flatMap((project) => project.environments.filter((environment) => allows(environment, 'configure')).map((environment) => ({ value: `${project.id}/${environment.id}`, label: `${project.name} / ${environment.name}` })));
  const wanted = route.value.query.get('project');
  const place = v.place || places.find((one) => wanted && one.value.startsWith(`${wanted}/`))?.value || places[0]?.value || '';
  const base = settings?.apps_domain;

  // The name follows the source, and the domain the name, until they are typed.
  const source = kind === 'git' ? v.url : kind === 'image' ? v.reference : kind === 'upload' ? dropped.parcel?.label.replace(/\.(tar|tgz|zip|tzst).*$/i, '') ?? '' : v.compose;
  const compose = useCompose(kind === 'compose' ? v.compose : '', { profiles: profilesOf(v.profiles) });
  useEffect(() => { if (!named.current && kind !== 'compose') form.set('name')(nameFrom(source)); }, [source, kind]);
  useEffect(() => { if (!addressed.current) form.set('host')(base && v.name ? `${v.name}.${base}` : ''); }, [v.name, base]);

  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      const [project, environment] = place.split('/');
      const { keep_releases: _, keep_release_days: __, keep_release_bytes: ___, restart_limit: ____, rollback_within_minutes: _____, build_cache_bytes: ______, ...run } = runInput(v);
      const wait = kind === 'git' && v.deploy_key;
      const app = await api.appCreate({
        name: v.name.trim(), project: project || null, environment: environment || null, source: sourceInput(kind, v), ...(kind === 'compose' ? { ...run, command: null } : run),
        // Without a typed domain the panel gives its default.
        ...(v.host.trim() ? { domains: [v.host.trim()] } : addressed.current ? { domains: [] } : {}),
        variables: parseEnv(v.env).pairs.map((pair) => ({ ...pair, secret: looksSecret(pair.key) })), deploy: !wait,
      });
      putApp(app);
      if (kind === 'upload') {
        const upload = await given(app, dropped.give);
        putDeployment(await api.deploymentCreate(app.id, { upload: upload.id }));
      }
      // The webhook is made at the forge too; if it cannot be, the app's page says so and has the button.
      if (kind === 'git' && v.forge) await forges.register(app.id).catch((failure) => toast(`The webhook was not made: ${failure.message}`, { tone: 'bad', href: appPath(app, 'webhook'), action: 'Webhook' }));
      if (app.deployment) putDeployment(app.deployment);
      loadApps();
      if (wait) { setMade(app); scrollTo(0, 0); } else navigate(appPath(app));
    });
  };
  if (made) return h(KeyStep, { app: made });
  if (projects && !places.length) return html`<div class="page">${h(PageHead, { title: 'New app' })}<section class="panel">${h(Empty, { icon: 'lock', title: 'There is no place for an app of yours', text: 'An app is made in an environment in which you may configure. Ask an administrator for the role developer in one.', action: html`<a class="btn" href="/apps">Your apps</a>` })}</section></div>`;
  return html`<div class="page">${h(PageHead, { title: 'New app' })}
    <div class="new-grid"><form class="stack" onSubmit=${submit}>
      <div class="pick" role="radiogroup" aria-label="Where it comes from">
        ${[/** @type {const} */ (['git', 'Git repository', 'Built here, with or without a Dockerfile']), /** @type {const} */ (['image', 'Image', 'Pulled and run as it is']), /** @type {const} */ (['compose', 'Compose file', 'Several services together']), /** @type {const} */ (['upload', 'Upload', 'A folder or an archive of yours'])].map(([id, title, text]) => html`<button type="button" role="radio" aria-checked=${kind === id} onClick=${() => setKind(id)}>${icon({ git: 'git-branch', image: 'box', compose: 'layers', upload: 'upload' }[id])}<span><b>${title}</b><span>${text}</span></span></button>`)}</div>
      ${h(Panel, {}, html`<div class="stack">${kind === 'compose' ? html`${h(ComposeField, { value: v.compose, set: form.set('compose'), state: compose, error: form.error('compose', 'source.compose', 'source'), main: v.main_service.trim() })}${h(SetupFields, { main: v.main_service, profiles: v.profiles, set: form.set, error: form.error })}` : html`${kind === 'upload' ? h(Drop, { value: dropped.parcel, set: dropped.set, error: dropped.error, sending: dropped.sending }) : null}${h(SourceFields, { form, kind, upload: kind === 'upload' ? dropped.draft?.id : undefined })}`}</div>`)}
      ${h(Panel, {}, html`<div class="stack">
        <div class="form-row">${h(TextField, { label: 'Name', value: v.name, set: (value) => { named.current = true; form.set('name')(value); }, mono: true, required: true, error: form.error('name'), placeholder: 'blog' })}
        ${places.length > 1 ? h(SelectField, { label: 'Project', value: place, set: form.set('place'), options: places, error: form.error('project', 'environment') }) : null}</div>
        <div class="stack tight">${h(TextField, { label: 'Domain', value: v.host, set: (value) => { addressed.current = true; form.set('host')(value); }, mono: true, optional: true, placeholder: base ? `${v.name || 'name'}.${base}` : 'a default of this panel', inputmode: 'url', error: form.error('domains', 'host', 'domain') })}${v.host ? h(DomainCheck, { host: v.host }) : null}</div>
        ${h(TextField, { label: 'Port', value: v.port, set: form.set('port'), inputmode: 'numeric', optional: true, placeholder: 'as the image says, else 8080', hint: 'The app gets it as PORT where the image names none.', error: form.error('port') })}</div>`)}
      ${h(Panel, {}, html`<div class="stack">
        <details class="more"><summary>${icon('chevron-right', 'icon-small')}Environment variables</summary><div class="stack">${h(Field, { label: 'As a .env file', optional: true, hint: 'Secrets are recognized by their names and masked.', error: form.error('variables'), children: (attrs) => html`<textarea class="input code" rows="6" spellcheck="false" placeholder="DATABASE_URL=postgres://…" value=${v.env} onInput=${(/** @type {any} */ event) => form.set('env')(event.target.value)} ...${attrs}></textarea>` })}</div></details>
        <details class="more"><summary>${icon('chevron-right', 'icon-small')}Health check</summary><div class="stack">${h(HealthFields, { form })}</div></details>
        <details class="more"><summary>${icon('chevron-right', 'icon-small')}Limits and command</summary><div class="stack">${h(LimitFields, { form, project: place.split('/')[0] || projects?.[0]?.id })}${h(TextField, { label: 'Command', value: v.command, set: form.set('command'), mono: true, optional: true, placeholder: 'the image’s own', error: form.error('command') })}</div></details></div>`)}
      ${h(FormProblem, { text: form.general(FORM_FIELDS) })}
      <div class="form-foot">${h(Submit, { form, label: v.deploy_key && kind === 'git' ? 'Create and show the key' : 'Create and deploy', icon: 'rocket', disabled: !source.trim() || !v.name.trim() || (kind === 'upload' && !dropped.draft) || Boolean(compose.report?.problems.length) })}<a class="btn" href="/apps">Cancel</a></div>
    </form>
    <aside class="stack hide-phone" aria-label="What happens next">${h(Panel, { title: 'What happens next' }, html`<ol class="steps-list">
      ${kind === 'git' ? html`<li><span><b>Fetch</b>${v.forge ? 'The branch is cloned with the connection’s token, and a webhook is made so that pushes deploy.' : 'The branch is cloned; nothing else of your forge is touched.'}</span></li><li><span><b>Build</b>By its Dockerfile, or by one that fits, with limits of its own, so that running apps keep their speed.</span></li>` : kind === 'upload' ? html`<li><span><b>Upload</b>The files are packed in your browser, without what .gitignore names, and kept with the release.</span></li><li><span><b>Build</b>By the Dockerfile, or by what the files look like.</span></li>` : html`<li><span><b>Pull</b>The image is brought here.</span></li>`}
      <li><span><b>Check</b>The new container must pass its health check.</span></li><li><span><b>Live</b>Traffic moves over without a dropped request, over HTTPS.</span></li></ol>`)}</aside></div></div>`;
}

/** Gives what was uploaded to an app that was just made; when that is refused, the app goes again, so that the form can be sent anew. @param {import('../lib/api.js').S<'App'>} app @param {ReturnType<typeof useDraft>['give']} give */
async function given(app, give) {
  try { return await give(app.id); } catch (failure) {
    await api.appDelete(app.id).catch(() => null);
    apps.value = apps.value?.filter((other) => other.id !== app.id);
    throw failure;
  }
}

/** The deploy key has to reach the forge before the first deployment. @param {{ app: import('../lib/api.js').S<'App'> }} props */
function KeyStep({ app }) {
  const now = apps.value?.find((one) => one.id === app.id) ?? app;
  const key = now.source.kind === 'git' ? now.source.deploy_key_public : null;
  return html`<div class="page">${h(PageHead, { title: `${app.name} is ready for its key` })}<div class="settings-grid">${h(Panel, { title: 'Deploy key', note: 'Add it to the repository as a deploy key; reading is enough. Then deploy.' }, html`<div class="stack">
    <div class="key-box"><code>${key ?? 'no key'}</code>${key ? h(Copy, { text: key, label: 'Copy deploy key' }) : null}</div>
    <div class="form-foot">${h(Act, { label: 'Deploy', icon: 'rocket', tone: 'primary', run: async () => { putDeployment(await api.deploymentCreate(app.id)); navigate(appPath(app)); } })}<a class="btn" href=${appPath(app, 'settings')}>Later</a></div></div>`)}</div></div>`;
}
