// How a repository or an upload would be built, before anything of it is saved.
import { html, h, icon, useEffect, useRef, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { mayDo } from '../lib/live.js';
import { has } from '../lib/rights.js';
import { SelectField } from './field.js';
import { Act } from './act.js';
import { Facts } from './facts.js';

/** @typedef {import('../lib/api.js').S<'Inspection'>} Inspection */
/** @typedef {import('./app-form.js').Form} Form */
/** @typedef {import('./app-form.js').SourceValues} SourceValues */

/** While somebody types, it is looked at once they pause. */
const PAUSE = 500;

/** What its Compose file comes to. @param {{ services: import('../lib/api.js').S<'InspectedServices'> }} props */
function Inspected({ services: { compose_file: file, report } }) {
  const said = (/** @type {{ line: number, what: string }} */ one) => `${one.line ? `Line ${one.line}: ` : ''}${one.what}`;
  return html`<p><b class="strong">${report.problems.length ? 'Cannot be deployed' : report.services.length === 1 ? 'One service' : `${report.services.length} services`}</b> <span class="dim">of ${file}</span></p>
    ${report.problems.map((one) => html`<p class="notice bad">${icon('circle-alert')}<span class="any">${said(one)}</span></p>`)}
    ${report.services.length ? h(Facts, { items: report.services.map((one) => /** @type {[string, any]} */ ([one.main ? `${one.name} (main)` : one.name, one.image ? html`<code class="any">${one.image}</code>` : 'built from the source'])) }) : null}
    ${report.rights.map((one) => html`<p class="notice warn">${icon('shield-alert')}<span class="any">${one.service} ${one.what}: an administrator has to allow it</span></p>`)}
    ${report.hints.map((one) => html`<p class="notice">${icon('info')}<span class="any">${said(one)}</span></p>`)}`;
}

/** @param {{ plan: import('../lib/api.js').S<'BuildPlan'> }} props */
function Plan({ plan }) {
  const code = (/** @type {string} */ label, /** @type {string | null | undefined} */ text) => /** @type {[string, any] | null} */ (text ? [label, html`<code class="any">${text}</code>`] : null);
  const facts = [code('Install', plan.install), code('Build', plan.build), code('Start', plan.start), plan.output === '.' ? /** @type {[string, any]} */ (['Serves', 'the top']) : code('Serves', plan.output), plan.packages.length ? code('Packages', plan.packages.join(' ')) : null, plan.builder ? code('Builder', plan.builder) : null, plan.port ? /** @type {[string, any]} */ (['Port', String(plan.port)]) : null].filter(Boolean);
  return html`<p><b class="strong">${plan.framework}${plan.version ? ` ${plan.version}` : ''}</b> <span class="dim">${plan.why}</span></p>${facts.length ? h(Facts, { items: facts }) : null}`;
}

/** `upload`: look into that; it is looked at anew when the form changes. `form` left out: as the app builds it, and nothing to choose. @param {{ form?: Form, source?: import('../lib/api.js').S<'SourceInput'>, app?: string, upload?: string }} props */
export function LookInside({ form, source, app, upload }) {
  const [seen, setSeen] = useState(/** @type {Inspection | null} */ (null));
  const v = /** @type {SourceValues | undefined} */ (form?.values.value);
  const key = JSON.stringify([source, upload]);
  const [of, setOf] = useState('');
  const [looking, setLooking] = useState(false);
  const newest = useRef('');
  const can = app ? mayDo(app, 'configure') : has('configure');
  const look = async () => {
    newest.current = key;
    const found = await api.sourceInspect({ source, app, ...(upload ? { upload } : {}) });
    if (newest.current !== key) return;
    setSeen(found); setOf(key);
  };
  const byItself = () => { setLooking(true); return look().catch(() => null).finally(() => setLooking(false)); };
  // What was picked at a forge is looked into by itself; a failure is told by the button.
  useEffect(() => { if (!app && v?.forge && v.repository) byItself(); }, [v?.forge, v?.repository, v?.branch]);
  // So is what was uploaded.
  useEffect(() => {
    if (!upload || !can) return undefined;
    const timer = setTimeout(byItself, seen ? PAUSE : 0);
    return () => clearTimeout(timer);
  }, [upload, upload && key, can]);
  if (!can) return null;
  const isNow = of === key;
  const plan = isNow ? seen?.plan : null;
  const problem = isNow ? seen?.problem : null;
  const services = isNow ? seen?.services : null;
  const front = v && v.folder.trim() && v.folder.trim() !== '.' ? `${v.folder.trim().replace(/^\.\/|\/$/g, '')}/` : '';
  /** A file of another folder takes the folder with it. @param {string} path */
  const take = (path) => {
    form?.set('several')(true);
    if (path.startsWith(front)) { form?.set('compose_file')(path.slice(front.length)); return; }
    form?.set('folder')(path.split('/').slice(0, -1).join('/'));
    form?.set('compose_file')(path.split('/').at(-1));
  };
  const where = upload ? 'upload' : 'repository';
  const nowhere = !upload && !app && v ? !v.url.trim() && !v.repository : false;
  return html`<div class="stack"><div class="row">${h(Act, { label: 'Look inside', icon: 'search', small: true, disabled: nowhere, run: look })}<span class="hint" role="status">${looking ? 'Looking inside…' : `Shows how it would be built, with its ${upload ? '' : 'branches and '}folders.`}</span></div>
    ${problem ? html`<p class="notice warn">${icon('triangle-alert')}<span class="any">${problem}</span></p>` : null}
    ${seen ? html`<div class="inside stack">
      ${services ? h(Inspected, { services }) : null}
      ${form && v && !v.several && !app && seen.compose_files.length ? html`<div class="row">${seen.compose_files.slice(0, 6).map((path) => html`<button type="button" class="btn small" onClick=${() => take(path)}>${icon('layers')}Use ${path}</button>`)}<span class="hint">Its services, in place of one container.</span></div>` : null}
      ${plan ? h(Plan, { plan }) : null}
      ${form && v ? html`<div class="form-row">${seen.branches.length ? h(SelectField, { label: 'Branch in the repository', value: v.branch, set: form.set('branch'), options: [{ value: '', label: 'the default branch' }, ...seen.branches.map((one) => ({ value: one.name, label: one.default ? `${one.name} (default)` : one.name }))] }) : null}
      ${h(SelectField, { label: `Folder in the ${where}`, value: v.folder || '.', set: (folder) => form.set('folder')(folder === '.' ? '' : folder), options: seen.folders.map((one) => ({ value: one, label: one === '.' ? 'the top' : one })) })}</div>` : null}
      ${plan ? html`<details class="more"><summary>${icon('chevron-right', 'icon-small')}Dockerfile</summary><div class="stack"><pre class="code-text" tabindex="0" aria-label="Dockerfile">${plan.dockerfile}</pre>${!form || v?.dockerfile_text ? null : html`<div class="row"><button type="button" class="btn small" onClick=${() => form.set('dockerfile_text')(plan.dockerfile)}>${icon('pencil')}Take it over</button><span class="hint">Then it is used as you leave it.</span></div>`}</div></details>` : null}
    </div>` : null}</div>`;
}
