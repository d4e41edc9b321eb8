// One app of the marketplace: what it is and needs, what it asks, and what will be made.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { navigate } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { appPath, inSome, putApp } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { bytes, parseBytes, plural } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Failed, Loading } from '../parts/empty.js';
import { Facts } from '../parts/facts.js';
import { Monogram } from '../parts/monogram.js';
import { Sketch } from '../parts/sketch.js';
import { Asked } from '../parts/asked.js';
import { useForm, SelectField, TextField, FormProblem, Submit } from '../parts/field.js';
import { QuotaRoom } from '../parts/quota.js';
import { allows } from '../lib/rights.js';
import { coded, said } from '../parts/said.js';

/** @template {keyof import('../lib/api.js').Schemas} K @typedef {import('../lib/api.js').S<K>} S */

/** @param {{ params: Record<string, string> }} props */
export default function TemplatePage({ params }) {
  const { value, error, load } = useResource(`catalog:${params.template}`, () => api.catalogShow(params.template));
  const detail = value.value;
  useTrail([{ label: 'Marketplace', href: '/marketplace' }, { label: detail?.entry.title ?? params.template }], [detail?.entry.title]);
  if (!detail) return html`<div class="page">${error.value ? html`${h(PageHead, { title: params.template })}${h(Failed, { error: error.value, retry: load })}` : h(Loading, { rows: 5 })}</div>`;
  const { entry } = detail;
  return html`<div class="page">${h(PageHead, { name: entry.title, title: html`<span class="template-title">${h(Monogram, { text: entry.icon_text, color: entry.icon_color, large: true })}<span>${entry.title}</span></span>`, note: entry.description })}
    ${entry.installed.length ? html`<div class="notice middle">${icon('info')}<span class="grow">Installed as ${entry.installed.map((one, index) => html`${index ? ', ' : ''}<a href=${`/apps/${one.app}`}>${one.app}</a>`)}. Another one beside it works.</span></div>` : null}
    <div class="new-grid">${inSome('configure') ? h(Install, { detail, key: entry.name }) : h(Panel, { title: 'About' }, h(Words, { text: detail.details }))}
      <aside class="stack" aria-label=${`About ${entry.title}`}>
        ${inSome('configure') ? h(Panel, { title: 'About' }, h(Words, { text: detail.details })) : null}
        ${h(Panel, { title: 'How it stands' }, h(Sketch, { services: detail.services, web: detail.web, mark: { text: entry.icon_text, color: entry.icon_color } }))}
        ${h(Panel, { title: 'Facts' }, h(Facts, { items: [
          ['Template', entry.version],
          detail.versions.length ? ['Versions', html`<ul>${detail.versions.map((one, index) => html`<li><b class="strong">${one.name}</b> <code class="faint">${one.image}</code>${index ? null : html` <span class="tag">usual</span>`}${one.notes ? html`<div class="faint">${one.notes}</div>` : null}</li>`)}</ul>`] : false,
          ['Images', html`<ul>${imagesOf(detail.services).map(({ image, names }) => html`<li><code class="any">${image}</code> <span class="faint">${names.join(', ')}</span></li>`)}</ul>`],
          ['Licence', detail.licence], ['Needs', `${bytes(entry.memory_mb * 1024 * 1024)} of memory, ${bytes(entry.disk_mb * 1024 * 1024)} of disk`],
          detail.backup.length ? ['Worth a backup', detail.backup.join(', ')] : false,
          detail.also.length ? ['Further ports', detail.also.map((one) => `${one.title} (${one.service}:${one.port})`).join(', ')] : false,
          detail.rights.length ? ['Rights on the host', detail.rights.join(', ').replaceAll('_', ' ')] : false,
          ['Links', html`<span class="links">${[[detail.website, 'Website'], [detail.documentation, 'Documentation'], [detail.source, 'Source']].filter(([href]) => href).map(([href, label]) => html`<a href=${href} target="_blank" rel="noreferrer">${label}</a>`)}</span>`],
        ] }))}
        ${detail.differs ? h(Panel, { title: 'Different from its own set-up' }, h(Words, { text: detail.differs })) : null}
        ${detail.upgrade_notes ? h(Panel, { title: 'Before an update' }, h(Words, { text: detail.upgrade_notes })) : null}
        <details class="more panel compose-shown"><summary>${icon('chevron-right', 'icon-small')}Compose file</summary><pre class="code" tabindex="0">${detail.compose}</pre></details>
      </aside></div></div>`;
}

/** Each image once, with the services that run it. @param {S<'PlannedService'>[]} services */
const imagesOf = (services) => [...new Set(services.map((one) => one.image))].map((image) => ({ image, names: services.filter((one) => one.image === image).map((one) => one.name) }));

/** Paragraphs and lists. @param {{ text: string }} props */
function Words({ text }) {
  const blocks = text.trim().split(/\n\s*\n/);
  return html`<div class="words">${blocks.map((block) => {
    const lines = block.split('\n').map((line) => line.trim());
    if (lines.every((line) => /^[-*] /.test(line))) return html`<ul>${lines.map((line) => html`<li>${coded(line.slice(2))}</li>`)}</ul>`;
    return html`<p>${coded(lines.join(' '))}</p>`;
  })}</div>`;
}

/** Fields of the size, by the names that the API gives them. */
const SIZE_FIELDS = [{ name: 'limits.memory_bytes', title: 'Memory' }, { name: 'memory_bytes', title: 'Memory' }, { name: 'limits.cpu_millis', title: 'Cores' }, { name: 'cpu_millis', title: 'Cores' }, { name: 'limits', title: 'Size' }];

/** Names end with `_` to stay apart from a template's variables. @param {S<'CatalogSize'>} size */
const sizeStart = (size) => ({ size_: 'usual', memory_: bytes(size.usual.memory_bytes).replace('\u00a0', ' '), cores_: String(size.usual.cpu_millis / 1000) });

/** Half of the usual size, but no less than it needs; and twice. @param {S<'CatalogSize'>} size */
const sizesOf = ({ usual, least_memory_bytes: least }) => ({
  small: { memory_bytes: Math.max(Math.round(usual.memory_bytes / 2), least), cpu_millis: Math.max(Math.round(usual.cpu_millis / 2), 100) },
  large: { memory_bytes: usual.memory_bytes * 2, cpu_millis: usual.cpu_millis * 2 },
});

/** What is chosen; null: the usual, or nothing that can be read. @param {S<'CatalogSize'>} size @param {Record<string, string>} v @returns {S<'CatalogLimits'> | null} */
function limitsOf(size, v) {
  if (v.size_ === 'small' || v.size_ === 'large') return sizesOf(size)[v.size_];
  if (v.size_ !== 'own') return null;
  const memory = parseBytes(v.memory_);
  const cores = Number(v.cores_.replace(',', '.'));
  return memory != null && cores > 0 ? { memory_bytes: memory, cpu_millis: Math.round(cores * 1000) } : null;
}

/** How much the main service may use. @param {{ size: S<'CatalogSize'>, form: any, v: Record<string, string>, project?: string }} props */
function Size({ size, form, v, project }) {
  const { small, large } = sizesOf(size);
  const words = (/** @type {{ memory_bytes: number, cpu_millis: number }} */ one) => `${bytes(one.memory_bytes)}, ${plural(one.cpu_millis / 1000, 'core')}`;
  const options = [
    ...(small.memory_bytes < size.usual.memory_bytes ? [{ value: 'small', label: `Small: ${words(small)}` }] : []),
    { value: 'usual', label: `Usual: ${words(size.usual)}` }, { value: 'large', label: `Large: ${words(large)}` }, { value: 'own', label: 'Other…' },
  ];
  return html`${h(SelectField, { label: 'Size', hint: `What ${size.service} may use.`, value: v.size_, set: form.set('size_'), options, error: v.size_ === 'own' ? undefined : form.error(...SIZE_FIELDS.map((one) => one.name)) })}
    ${v.size_ === 'own' ? html`<div class="form-row">${h(TextField, { label: 'Memory', value: v.memory_, set: form.set('memory_'), hint: `${bytes(size.least_memory_bytes)} at least`, error: form.error('limits.memory_bytes', 'memory_bytes', 'limits') })}${h(TextField, { label: 'Cores', value: v.cores_, set: form.set('cores_'), inputmode: 'decimal', error: form.error('limits.cpu_millis', 'cpu_millis') })}</div>` : null}${h(QuotaRoom, { project })}`;
}

/** @param {{ detail: S<'CatalogDetail'> }} props */
function Install({ detail }) {
  const { entry } = detail;
  const start = Object.fromEntries(detail.variables.map((one) => [one.name, one.name === 'domain' ? detail.suggested_domain ?? '' : one.default ?? (one.kind === 'boolean' ? 'false' : '')]));
  const form = useForm({ app: detail.suggested_name, place: '', version_: detail.versions[0]?.name ?? '', ...start, ...sizeStart(detail.size) });
  const projects = useResource('projects', api.projectList).value.value;
  const places = (projects ?? []).flatMap((project) => project.environments.filter((environment) => allows(environment, 'configure')).map((environment) => ({ value: `${project.id}/${environment.id}`, label: `${project.name} / ${environment.name}` })));
  const v = /** @type {Record<string, string>} */ (form.values.value);
  const [project, environment] = (v.place || places[0]?.value || '').split('/');
  const body = () => ({ name: v.app.trim(), project: project || null, environment: environment || null, values: Object.fromEntries(detail.variables.map((one) => [one.name, v[one.name] ?? '']).filter(([, value]) => value !== '')), version: v.version_ || null, limits: limitsOf(detail.size, v) });
  const [plan, setPlan] = useState(/** @type {S<'CatalogPlan'> | null} */ (null));
  const [why, setWhy] = useState('');
  const key = JSON.stringify(v);
  // What people type stands first; what is generated anyway is folded away.
  const [secrets, asked] = [detail.variables.filter((one) => one.kind === 'secret' && one.generated), detail.variables.filter((one) => one.kind !== 'secret' || !one.generated)];
  // The API calls a variable by its name, the form by its title.
  const titled = (/** @type {string} */ text) => { const one = [...detail.variables, ...SIZE_FIELDS].find(({ name }) => text.startsWith(`${name}: `)); return one ? one.title + text.slice(one.name.length) : text; };
  const field = (/** @type {S<'CatalogVariable'>} */ one) => h(Asked, { key: one.name, one, form, value: v[one.name] ?? '' });
  const missing = asked.filter((one) => one.required && !(v[one.name] ?? '').trim()).map((one) => one.title);
  missing.push(...asked.filter((one) => one.must_accept && v[one.name] !== 'true').map((one) => one.title));
  if (v.size_ === 'own' && !limitsOf(detail.size, v)) missing.push('memory and cores');
  useEffect(() => {
    if (missing.length) { setPlan(null); setWhy(''); return undefined; }
    let gone = false;
    const timer = setTimeout(async () => {
      try { const made = await api.catalogPlan(entry.name, body()); if (!gone) { setPlan(made); setWhy(''); } } catch (failure) { if (!gone) { setPlan(null); setWhy(/** @type {Error} */ (failure).message); } }
    }, 250);
    return () => { gone = true; clearTimeout(timer); };
  }, [key]);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => { const app = await api.catalogInstall(entry.name, body()); putApp(app); navigate(appPath(app)); });
  };
  return html`<form class="stack" onSubmit=${submit}>
    ${h(Panel, { title: 'Install' }, html`<div class="stack">
      ${h(TextField, { label: 'Name', value: v.app, set: form.set('app'), mono: true, required: true, error: form.error('name') })}
      ${places.length > 1 ? h(SelectField, { label: 'Project', value: v.place || places[0].value, set: form.set('place'), options: places, error: form.error('project', 'environment') }) : null}
      ${detail.versions.length ? h(SelectField, { label: 'Version', hint: 'Updates keep it.', value: v.version_, set: form.set('version_'), options: detail.versions.map((one) => ({ value: one.name, label: one.notes ? `${one.name}: ${one.notes}` : one.name })), error: form.error('version') }) : null}
      ${asked.map(field)}
      ${h(Size, { size: detail.size, form, v, project })}
      ${secrets.length ? html`<details class="more" open=${secrets.some((one) => form.error(one.name))}><summary>${icon('chevron-right', 'icon-small')}${plural(secrets.length, 'secret')}, generated</summary><div class="stack">${secrets.map(field)}</div></details>` : null}</div>`)}
    ${h(Panel, { title: 'What will be made' }, plan ? h(Facts, { items: [
      ['Address', plan.domain ? html`<span class="any">https://${plan.domain}</span>` : detail.web ? 'no domain' : html`<span class="any"><code>${plan.name}:${detail.port}</code> for other apps of its environment</span>`],
      plan.further_domains.length ? ['Further addresses', html`<span class="any">${plan.further_domains.map((one) => html`<div>https://${one.host} <span class="faint">to ${one.service}:${one.port}</span></div>`)}</span>`] : false,
      ['Services', html`<span class="any">${plan.services.map((one) => html`<div>${one.name} <code class="faint">${one.image}</code> <span class="faint">${bytes(one.limits.memory_bytes)}</span></div>`)}</span>`],
      plan.volumes.length ? ['Volumes', plan.volumes.map((one) => `${plan.name}-${one}`).join(', ')] : false,
      plan.networks.length ? ['Networks', plan.networks.map((one) => one.internal ? `${one.name} (no way out)` : one.name).join(', ')] : false,
      plan.ports.length ? ['Open ports', plan.ports.map((one) => `${one.listen} to ${one.service}:${one.port}`).join(', ')] : false,
      ['Memory', `at most ${bytes(plan.memory_bytes)}`],
      plan.generated.length ? ['Generated', plan.generated.map((name) => detail.variables.find((one) => one.name === name)?.title ?? name).join(', ')] : false,
    ] }) : why && !missing.length ? html`<p class="notice bad" role="status">${icon('circle-alert')}<span class="any">${said(titled(why))}</span></p>` : html`<p class="dim small" role="status">${missing.length ? `Shown when this is filled in: ${missing.join(', ')}.` : 'Looking…'}</p>`)}
    ${plan?.warnings.map((one) => html`<div class="notice warn">${icon('triangle-alert')}<span class="any">It can be installed, but ${coded(one)}.</span></div>`)}
    ${plan?.rights.length ? html`<div class="notice warn">${icon('shield-alert')}<span>It reaches the host, so an administrator has to install it: ${plan.rights.map((one) => `${one.service} ${one.what}`).join('; ')}.</span></div>` : null}
    ${h(FormProblem, { text: form.general(['name', 'version', ...detail.variables.map((one) => one.name), ...SIZE_FIELDS.map((one) => one.name)]) })}
    <div class="form-foot">${h(Submit, { form, label: 'Install', icon: 'rocket', disabled: !plan })}<a class="btn" href="/marketplace">Back</a></div></form>`;
}
