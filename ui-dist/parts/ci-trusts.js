// Repositories whose CI may deploy an app without a secret, and a workflow that does.
import { html, h, icon, useEffect } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { exact, sentence } from '../lib/format.js';
import { allows } from '../lib/rights.js';
import { Panel } from './page.js';
import { Table } from './table.js';
import { Empty } from './empty.js';
import { Ago } from './time.js';
import { Copy } from './copy.js';
import { confirm, DialogHead, leaving, showDialog, showForm } from './dialog.js';
import { FormProblem, Submit, TextField, useForm } from './field.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */
/** @typedef {import('../lib/api.js').S<'CiTrust'>} CiTrust */

const GITHUB = 'https://token.actions.githubusercontent.com';
const lines = (/** @type {string} */ text) => text.split(/[\n,]/).map((line) => line.trim()).filter(Boolean);

/** @param {{ app: App }} props */
export function CiTrusts({ app }) {
  const mine = (/** @type {any} */ message) => message.data?.app === app.id;
  const found = useResource(`app:${app.id}:ci-trusts`, () => api.ciTrustList(app.id), ['ci_trust_changed', 'ci_token_given'], mine);
  const trusts = found.value.value;
  // Keys of an issuer are read in the background, in a moment.
  const waits = trusts?.items.some((one) => !one.keys_read_at && !one.problem) ?? false;
  useEffect(() => { if (!waits) return undefined; const soon = setTimeout(found.load, 2000); return () => clearTimeout(soon); }, [trusts, waits]);
  const can = allows(app, 'configure');
  const add = () => showForm('Trust a repository', (close, leave) => h(TrustForm, { app, close, leave }), { wide: true }).then((/** @type {unknown} */ done) => { if (done) found.load(); });
  const remove = (/** @type {CiTrust} */ one) => confirm({ title: `Trust ${one.repository} no more?`, text: 'Tokens that its jobs have got end at once.', action: 'Remove', run: () => api.ciTrustRemove(app.id, one.id) }).then((/** @type {unknown} */ done) => { if (done) found.load(); });
  const button = html`<button type="button" class="btn small" onClick=${add}>${icon('plus')}Trust a repository</button>`;
  return h(Panel, {
    title: 'Deploy from CI', flush: true, note: 'GitHub Actions or GitLab CI deploy this app without a stored secret: the forge signs an ID token for each job, which is changed for a token for this app alone.',
    foot: html`${trusts ? html`<button type="button" class="btn small ghost" onClick=${() => showWorkflow(trusts.workflow, trusts.audience)}>${icon('scroll-text')}Workflow</button>` : null}<span class="end row">${can && trusts?.items.length ? button : null}</span>`,
  }, h(/** @type {typeof Table<CiTrust>} */ (Table), {
    label: 'Trusted repositories', rows: trusts?.items, error: found.error.value, retry: found.load, keyOf: (one) => one.id,
    columns: [
      { id: 'repository', label: 'Repository', card: 'head', cell: (one) => html`<span class="cell-two"><b class="strong cut">${one.repository}</b>${one.problem ? html`<span class="bad-text" title=${one.problem}>${sentence(one.problem)}</span>` : one.issuer === GITHUB ? null : html`<span class="cut">${one.issuer}</span>`}</span>` },
      { id: 'of', label: 'Jobs of', cell: (one) => html`<span class="cell-two"><code class="any">${[...one.branches, ...one.tags.map((tag) => `tag ${tag}`)].join(', ')}</code>${one.environment || one.workflow ? html`<span class="any">${[one.environment, one.workflow].filter(Boolean).join(', ')}</span>` : null}</span>` },
      { id: 'by', label: 'Acts through', width: '22%', optional: true, cell: (one) => (one.by ? html`<span class="dim cut">${one.by}</span>` : html`<span class="bad-text">gone; trust it again</span>`) },
      { id: 'used', label: 'Used', width: '110px', card: 'tail', cell: (one) => h(Ago, { at: one.last_used_at }) },
      { id: 'actions', label: '', width: '60px', align: 'right', card: 'plain', cell: (one) => (can ? html`<span class="cell-actions"><button type="button" class="btn ghost small square" aria-label=${`Trust ${one.repository} no more`} title=${one.ends_at ? `Ends ${exact(one.ends_at)}` : 'Remove'} onClick=${() => remove(one)}>${icon('trash-2')}</button></span>` : null) },
    ],
    empty: h(Empty, { icon: 'key-round', title: 'No repository is trusted', text: 'Name a repository and its branches: their jobs can deploy this app and nothing else.', action: can ? button : null, small: true }),
  }));
}

/** @param {string} workflow @param {string} audience */
const showWorkflow = (workflow, audience) => showDialog('Workflow', (close) => html`<div class="stack">${h(DialogHead, { title: 'A workflow for GitHub Actions', note: 'Put it into .github/workflows/deploy.yml. It waits for the outcome, and fails with the deployment.', close })}
  <div class="key-box"><code class="pre">${workflow}</code>${h(Copy, { text: workflow, label: 'Copy workflow' })}</div>
  <p class="hint">ID tokens are for the audience <code>${audience}</code>. The runner must reach it with a certificate that it believes.</p></div>`, { wide: true });

/** @param {{ app: App, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function TrustForm({ app, close, leave }) {
  const git = app.source.kind === 'git' ? app.source : null;
  const form = useForm({ repository: git?.repository ?? '', branches: git?.branch ?? 'main', tags: '', environment: '', workflow: '', issuer: GITHUB, authority: '' });
  const v = form.values.value;
  const cancel = leaving(form, close, leave);
  const save = async () => close(await api.ciTrustAdd(app.id, { repository: v.repository.trim(), branches: lines(v.branches), tags: lines(v.tags), environment: v.environment.trim() || null, workflow: v.workflow.trim() || null, issuer: v.issuer.trim() || null, authority: v.authority.trim() || null }));
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(save); }}>
    ${h(DialogHead, { title: 'Trust a repository', note: 'All that is named must be in the job’s ID token. Jobs of pull requests never fit.', close: cancel })}
    ${h(TextField, { label: 'Repository', value: v.repository, set: form.set('repository'), mono: true, required: true, autofocus: true, placeholder: 'owner/name', error: form.error('repository') })}
    <div class="form-row">${h(TextField, { label: 'Branches', value: v.branches, set: form.set('branches'), mono: true, placeholder: 'main', hint: 'Patterns, with commas between them.', error: form.error('branches') })}${h(TextField, { label: 'Tags', value: v.tags, set: form.set('tags'), mono: true, optional: true, placeholder: 'v*', error: form.error('tags') })}</div>
    <div class="form-row">${h(TextField, { label: 'Environment', value: v.environment, set: form.set('environment'), optional: true, placeholder: 'production', hint: 'Of the job, at the forge.', error: form.error('environment') })}${h(TextField, { label: 'Workflow', value: v.workflow, set: form.set('workflow'), mono: true, optional: true, placeholder: '.github/workflows/deploy.yml', error: form.error('workflow') })}</div>
    ${h(TextField, { label: 'Issuer', value: v.issuer, set: form.set('issuer'), mono: true, hint: 'Who signs: GitHub, https://gitlab.com, or the address of an own GitLab.', error: form.error('issuer') })}
    ${v.issuer.trim() === GITHUB ? null : h(TextField, { label: 'Certificates of its authority', value: v.authority, set: form.set('authority'), mono: true, optional: true, rows: 4, placeholder: '-----BEGIN CERTIFICATE-----', hint: 'For an issuer whose certificate no public authority has signed.', error: form.error('authority') })}
    ${h(FormProblem, { text: form.general(['repository', 'branches', 'tags', 'environment', 'workflow', 'issuer', 'authority']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: 'Trust it' })}</footer></form>`;
}
