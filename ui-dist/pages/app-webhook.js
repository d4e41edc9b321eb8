// Pushes that deploy: the address for the forge, which pushes it takes, and the inbox of what came with each decision in words.
import { html, h, icon, useEffect } from '../lib/html.js';
import { api } from '../lib/api.js';
import { forges } from '../lib/forges.js';
import { previews } from '../lib/previews.js';
import { useResource } from '../lib/resource.js';
import { apps, putDeployment } from '../lib/live.js';
import { bytes, exact, plural } from '../lib/format.js';
import { Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { Facts } from '../parts/facts.js';
import { Act } from '../parts/act.js';
import { Ago } from '../parts/time.js';
import { State } from '../parts/state.js';
import { Copy } from '../parts/copy.js';
import { confirm, DialogHead, showDialog } from '../parts/dialog.js';
import { useForm, TextField, Switch, FormProblem, Submit, whole } from '../parts/field.js';
import { revealOnce } from '../parts/secret.js';
import { allows } from '../lib/rights.js';
import { CiTrusts } from '../parts/ci-trusts.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */
/** @typedef {import('../lib/api.js').S<'Webhook'>} Webhook */
/** @typedef {import('../lib/api.js').S<'Delivery'>} Delivery */

const FORGES = { github: 'GitHub', gitlab: 'GitLab', bitbucket: 'Bitbucket', gitea: 'Gitea', generic: 'Signed call', poll: 'Polling' };
/** @param {Delivery} one */
const stateOf = (one) => ({ deployed: 'deployed', ping: 'answered', preview_made: 'deployed', preview_renewed: 'deployed', preview_removed: 'removing', preview_waits: 'unallowed', preview_full: 'full', bad_signature: 'refused', unreadable: 'refused', failed: 'failed' }[/** @type {string} */ (one.decision)] ?? 'ignored');
/** @param {Delivery} one */
const whatOf = (one) => (one.push?.reference ? one.push.reference.replace(/^refs\/(heads|tags)\//, '') : one.event);
const lines = (/** @type {string} */ text) => text.split('\n').map((line) => line.trim()).filter(Boolean);

/** @param {{ app: App }} props */
export default function AppWebhook({ app }) {
  return html`<div class="stack">${h(Pushes, { app })}${h(CiTrusts, { app })}</div>`;
}

/** @param {{ app: App }} props */
function Pushes({ app }) {
  const mine = (/** @type {any} */ message) => message.data?.app === app.id;
  const hook = useResource(`app:${app.id}:webhook`, () => api.webhookShow(app.id), ['webhook_changed'], mine);
  const inbox = useResource(`app:${app.id}:deliveries`, () => api.deliveryList(app.id), ['delivery_decided'], mine);
  const webhook = hook.value.value;
  if (!webhook) return hook.error.value ? h(Failed, { error: hook.error.value, retry: hook.load }) : h(Loading, { rows: 5 });
  const begin = async () => { const made = await api.webhookRotate(app.id); hook.value.value = { ...made, secret: null }; showSecret(made); };
  const register = async () => { hook.value.value = await forges.register(app.id); };
  if (!webhook.url && app.source.kind === 'git' && app.source.forge) return html`<section class="panel">${h(Empty, { icon: 'git-branch', title: 'Deploy when something is pushed', text: 'The panel makes the webhook at the forge itself; what came and what was decided is kept here.', action: allows(app, 'configure') ? h(Act, { label: 'Make it at the forge', icon: 'plug-zap', tone: 'primary', run: register }) : null })}</section>`;
  if (!webhook.url) return html`<section class="panel">${h(Empty, { icon: 'git-branch', title: 'Deploy when something is pushed', text: 'The app gets an address of its own. GitHub, GitLab, Bitbucket, Gitea, Forgejo or a script of yours sends to it; what came and what was decided is kept here.', action: allows(app, 'configure') ? h(Act, { label: 'Make the address', icon: 'plus', tone: 'primary', run: begin }) : null })}</section>`;
  return html`<div class="stack">
    ${h(Panel, { title: 'Address', note: 'For the forge, with JSON as the content type.', actions: html`<span class="row">${allows(app, 'secrets') ? h(Act, { label: 'Show secret', icon: 'eye', small: true, run: async () => showSecret(await api.webhookShow(app.id, true)) }) : null}${allows(app, 'configure') ? h(Act, { label: 'Renew', icon: 'refresh-cw', small: true, tone: 'ghost', run: () => confirm({ title: 'Make a new address and secret?', text: 'The old ones stop working at once: give the new ones to the forge.', action: 'Renew', run: async () => { const made = await api.webhookRotate(app.id); hook.load(); setTimeout(() => showSecret(made), 60); } }) }) : null}</span>` },
      html`<div class="stack"><div class="key-box"><code>${webhook.url}</code>${h(Copy, { text: webhook.url, label: 'Copy address' })}</div>
      ${app.source.kind === 'git' && app.source.forge && allows(app, 'configure') ? html`<div class="row wrap">${h(Act, { label: webhook.registered ? 'Make it there again' : 'Make it at the forge', icon: 'plug-zap', small: true, run: register })}<span class="hint">${webhook.registered ? `The panel has made it in ${webhook.registered} itself.` : 'The panel gives the address and the secret to the forge itself.'}</span></div>` : null}
      ${webhook.is_public ? null : html`<p class="hint">Forges check certificates: give the panel a domain in the settings, or switch the check off at the forge.</p>`}
      ${webhook.poll_error ? html`<p class="notice warn">${icon('triangle-alert')}<span class="any">Polling: ${webhook.poll_error}</span></p>` : null}</div>`)}
    ${h(Rules, { app, webhook, saved: (made) => { hook.value.value = made; } })}
    ${h(Panel, { title: 'Inbox', flush: true, note: 'Everything that came, with what was decided. Commits that say [skip deploy] are left out.' },
      h(/** @type {typeof Table<Delivery>} */ (Table), {
        label: 'Deliveries', name: 'deliveries', rows: inbox.value.value, error: inbox.error.value, retry: inbox.load, keyOf: (one) => one.id, text: (one) => `${one.why} ${one.event} ${one.push?.reference ?? ''} ${one.push?.message ?? ''} ${one.push?.by ?? ''} ${FORGES[one.forge]}`, filter: 'Filter by branch, person, decision',
        columns: [
          { id: 'decision', label: 'Decision', width: '120px', card: 'tail', cell: (one) => h(State, { state: stateOf(one) }) },
          { id: 'what', label: 'What', width: '22%', card: 'head', cell: (one) => html`<button type="button" class="link cut" title=${one.push?.message ?? one.event} onClick=${() => show(one)}>${whatOf(one)}</button>` },
          { id: 'why', label: 'Why', cell: (one) => html`<span class="wrapped">${one.why}</span>` },
          { id: 'forge', label: 'From', width: '110px', optional: true, cell: (one) => html`<span class="dim">${FORGES[one.forge]}</span>` },
          { id: 'at', label: 'When', width: '110px', cell: (one) => h(Ago, { at: one.at }) },
          { id: 'actions', label: '', width: '140px', align: 'right', card: 'plain', cell: (one) => (one.deployment ? html`<a class="btn small" href=${`/deployments/${one.deployment}`}>Deployment</a>` : one.can_replay && allows(app, 'deploy') ? h(Act, { label: 'Replay', icon: 'rotate-cw', small: true, run: () => replay(one, inbox) }) : null) },
        ],
        empty: h(Empty, { icon: 'scroll-text', title: 'Nothing came yet', text: 'Push something, or press the forge’s test button: it appears here within a moment, also when it does not deploy.', small: true }),
      }))}
    ${allows(app, 'configure') ? html`<div class="row"><span class="end">${h(Act, { label: 'Remove the webhook', icon: 'trash-2', small: true, tone: 'ghost', run: () => confirm({ title: 'Remove the webhook?', text: 'Pushes no longer reach this app. The inbox stays.', action: 'Remove', run: async () => { await api.webhookRemove(app.id); hook.load(); } }) })}</span></div>` : null}
  </div>`;
}

/** @param {Webhook} webhook */
const showSecret = (webhook) => revealOnce({ title: 'Webhook secret', text: 'The forge signs what it sends with this. At GitHub, Bitbucket and Gitea the field is called Secret, at GitLab Secret token.', secret: webhook.secret ?? '', hint: html`<p class="hint">A script of yours sends <code>X-Signature-256: sha256=</code> and the HMAC-SHA256 of the body in hex. The body is JSON with what it likes of <code>ref</code>, <code>commit</code>, <code>message</code>, <code>by</code> and <code>files</code>, the changed ones, which the rules for paths need; or <code>before</code>, <code>after</code> and <code>commits</code> as forges send them.</p>` });

/** @param {Delivery} one @param {import('../lib/resource.js').Resource<Delivery[]>} inbox */
async function replay(one, inbox) {
  const made = await api.deliveryReplay(one.id);
  await inbox.load();
  if (made.deployment) putDeployment(await api.deploymentShow(made.deployment));
}

/** @param {{ app: App, webhook: Webhook, saved: (webhook: Webhook) => void }} props */
function Rules({ app, webhook, saved }) {
  const running = useResource(`app:${app.id}:previews`, () => previews.list(app.id), ['preview_moved']);
  const isPreview = (/** @type {App} */ one) => (running.value.value ?? []).some((preview) => preview.app?.id === one.id);
  const others = (apps.value ?? []).filter((one) => one.id !== app.id && !isPreview(one) && one.name === app.name && one.project.id === app.project.id && one.source.kind === 'git');
  const start = { environments: webhook.environments.map((one) => one.app.id), enabled: webhook.enabled, branches: webhook.branches.join('\n'), tags: webhook.tags.join('\n'), paths: webhook.paths.join('\n'), poll: webhook.poll_seconds ? String(webhook.poll_seconds) : '' };
  const form = useForm(start);
  const key = JSON.stringify(start);
  useEffect(() => { if (!form.touched.peek()) form.reset(start); }, [key]);
  const v = form.values.value;
  const dirty = JSON.stringify(v) !== key;
  const branch = app.source.kind === 'git' ? app.source.branch : null;
  const save = async () => saved(await api.webhookUpdate(app.id, { ...(JSON.stringify(v.environments) === JSON.stringify(start.environments) ? {} : { environments: v.environments }), enabled: v.enabled, branches: lines(v.branches), tags: lines(v.tags), paths: lines(v.paths), poll_seconds: v.poll.trim() ? whole(v.poll, 'poll_seconds') : null }));
  return html`<form onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(save); }}>${h(Panel, {
    title: 'What deploys', note: 'One pattern a line: * within a part, ** any parts, ! takes out again; the last that fits decides.',
    foot: allows(app, 'configure') && (dirty || form.problem.value) ? html`<span class="faint">Not saved</span><span class="end row"><button type="button" class="btn small" onClick=${() => form.reset(start)}>Discard</button>${h(Submit, { form, label: 'Save', tone: 'primary small' })}</span>` : null,
  }, html`<fieldset class="stack" disabled=${!allows(app, 'configure')}>${h(Switch, { label: 'Pushes deploy', hint: 'While this is off, what comes is kept in the inbox only.', on: v.enabled, set: form.set('enabled') })}
    <div class="form-row">${h(TextField, { label: 'Branches', value: v.branches, set: form.set('branches'), mono: true, rows: 3, optional: true, placeholder: branch ?? 'the default branch', hint: 'None: the app’s own branch.', error: form.error('branches') })}
      ${h(TextField, { label: 'Tags', value: v.tags, set: form.set('tags'), mono: true, rows: 3, optional: true, placeholder: 'v*', hint: 'None: no tags.', error: form.error('tags') })}</div>
    ${h(TextField, { label: 'Watch paths', value: v.paths, set: form.set('paths'), mono: true, rows: 3, optional: true, placeholder: 'services/web\n!**/*.md', hint: 'A push must change one of these files; none: any. A folder stands for what is in it.', error: form.error('paths') })}
    ${app.source.kind === 'git' ? h(TextField, { label: 'Ask the repository every', value: v.poll, set: form.set('poll'), inputmode: 'numeric', optional: true, suffix: 's', placeholder: 'never', hint: 'For forges that cannot reach this panel: 15 to 86400 seconds.', error: form.error('poll_seconds') }) : null}
    ${others.length ? html`<fieldset class="plain stack tight"><legend class="label">Other environments</legend><p class="hint">So that one webhook serves them all: a push to the branch that ${app.name} follows there deploys it there.</p>${others.map((one) => h(Switch, { key: one.id, label: one.environment.name, hint: one.source.kind === 'git' && one.source.branch ? html`Pushes to <code>${one.source.branch}</code>` : 'Names no branch yet', on: v.environments.includes(one.id), set: (on) => form.set('environments')(on ? [...v.environments, one.id] : v.environments.filter((id) => id !== one.id)) }))}${form.error('environments') ? html`<p class="field-error">${form.error('environments')}</p>` : null}</fieldset>` : null}
    ${h(FormProblem, { text: form.general(['branches', 'tags', 'paths', 'poll_seconds', 'environments']) })}</fieldset>`)}</form>`;
}

/** @param {Delivery} one */
const show = (one) => showDialog('Delivery', (close) => html`<div class="stack">${h(DialogHead, { title: whatOf(one), note: one.why, close })}
  ${h(Facts, { items: [
    ['Decision', h(State, { state: stateOf(one) })],
    ['From', `${FORGES[one.forge]}${one.address ? `, ${one.address}` : ''}`],
    ['When', exact(one.at)],
    ['Event', html`<code>${one.event}</code>`],
    one.forge_id ? ['Delivery', html`<code class="any">${one.forge_id}</code>`] : null,
    one.push?.by ? ['Pushed by', one.push.by] : null,
    one.push?.after ? ['Commit', html`<span class="code-line"><code>${one.push.after.slice(0, 12)}</code>${h(Copy, { text: one.push.after, label: 'Copy commit' })}</span>`] : null,
    one.push?.message ? ['Message', html`<span class="any">${one.push.message}</span>`] : null,
    one.bytes ? ['Size', bytes(one.bytes)] : null,
  ] })}
  ${one.push?.files ? html`<details class="more" open=${one.push.files.length < 12}><summary>${icon('chevron-right', 'icon-small')}${plural(one.push.file_count ?? one.push.files.length, 'file')} changed</summary><ul class="targets" tabindex="0" aria-label="Changed files">${one.push.files.map((file) => html`<li><code class="any">${file}</code></li>`)}</ul></details>` : null}
</div>`);
