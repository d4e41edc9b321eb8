// Quotas: bars of what may be used and is, what is left where something is made or resized, and the form that sets them.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { bytes, parseBytes, percent } from '../lib/format.js';
import { DialogHead, leaving, showForm } from './dialog.js';
import { FieldWrong, FormProblem, Submit, TextField, useForm } from './field.js';

/** @typedef {import('../lib/api.js').S<'Quota'>} Quota */
/** @typedef {import('../lib/api.js').S<'QuotaLimits'>} QuotaLimits */

export const useQuotas = () => useResource('quotas', api.quotaList, ['quota_changed', 'quota_reached', 'app_created', 'app_changed', 'app_trashed', 'app_restored', 'project_removed', 'deployment_moved']);

const cores = (/** @type {number} */ millis) => String(millis / 1000);
/** @type {{ name: keyof QuotaLimits, label: string, used: (quota: Quota) => number | null | undefined, words: (value: number) => string, note: string }[]} */
const KINDS = [
  { name: 'apps', label: 'Apps', used: (quota) => quota.used.apps, words: String, note: 'Those in the trash do not count' },
  { name: 'memory_bytes', label: 'Memory', used: (quota) => quota.used.memory_bytes, words: bytes, note: 'By the limits of all apps' },
  { name: 'cpu_millis', label: 'Cores', used: (quota) => quota.used.cpu_millis, words: cores, note: 'By the limits of all apps' },
  { name: 'disk_bytes', label: 'Disk', used: (quota) => quota.used.disk_bytes, words: bytes, note: 'Volumes, kept images, uploads' },
  { name: 'traffic_bytes', label: 'Traffic', used: (quota) => quota.used.traffic_bytes, words: bytes, note: 'In this month, both directions' },
  { name: 'builds_per_month', label: 'Builds', used: (quota) => quota.used.builds_this_month, words: String, note: 'In this month' },
  { name: 'builds_at_once', label: 'Builds at once', used: (quota) => quota.used.builds_now, words: String, note: 'More wait for their turn' },
];

/** What is bounded, as bars. @param {{ quota: Quota }} props */
export function QuotaBars({ quota }) {
  const bounded = KINDS.filter((kind) => quota.limits[kind.name] != null);
  if (!bounded.length) return html`<p class="dim">No limits are set.</p>`;
  const cap = quota.limits.traffic_cap;
  return html`<ul class="quota-bars">${bounded.map((kind) => {
    const limit = Number(quota.limits[kind.name]);
    const used = kind.used(quota);
    const share = used == null ? 0 : limit ? used / limit : 1;
    const note = kind.name === 'traffic_bytes' && cap ? `${kind.note}; then ${bytes(cap)}/s for each domain` : kind.note;
    return html`<li key=${kind.name}><span class="row"><b class="strong grow">${kind.label}</b><span class="num">${used == null ? 'not measured yet' : kind.words(used)} <span class="faint">of ${kind.words(limit)}</span></span></span>
      <span class=${`meter ${share >= 1 && kind.name !== 'builds_at_once' ? 'bad' : share >= 0.8 ? 'warn' : ''}`} role="img" aria-label=${`${kind.label}: ${percent(share)} used`}><i style=${{ width: `${Math.min(100, share * 100).toFixed(1)}%` }}></i></span>
      <span class="tiny faint">${note}</span></li>`;
  })}</ul>`;
}

/** What a new or larger app may still take, where that is bounded: the least of project and organization. @param {{ project?: string, larger?: boolean }} props `larger`: the app is there */
export function QuotaRoom({ project, larger = false }) {
  const quotas = useQuotas().value.value ?? [];
  const over = quotas.filter((quota) => (quota.of === 'project' ? quota.id === project : quota.own));
  const left = KINDS.slice(larger ? 1 : 0, 3).flatMap((kind) => {
    const rests = over.filter((quota) => quota.limits[kind.name] != null).map((quota) => Math.max(0, Number(quota.limits[kind.name]) - Number(kind.used(quota))));
    return rests.length ? [{ kind, rest: Math.min(...rests) }] : [];
  });
  if (!left.length) return null;
  return html`<p class="hint row">${icon('gauge', 'icon-small')}<span>Left of the quota: ${left.map(({ kind, rest }) => `${kind.words(rest)} ${kind.name === 'memory_bytes' ? 'of memory' : kind.label.toLowerCase()}`).join(', ')}. <a href="/quotas">All quotas</a></span></p>`;
}

/** @param {Quota} quota */
export const editQuota = (quota) => showForm(`Quota of ${quota.name}`, (close, leave) => h(QuotaForm, { quota, close, leave }), { wide: true });

const FIELDS = ['apps', 'memory_bytes', 'cpu_millis', 'disk_bytes', 'traffic_bytes', 'traffic_cap', 'builds_per_month', 'builds_at_once'];
/** @param {number | null | undefined} value */
const size = (value) => (value == null ? '' : bytes(value).replace('\u00a0', ' '));
/** @param {string} text @param {string} field @param {(text: string) => number | null} read */
function typed(text, field, read) {
  if (!text.trim()) return null;
  const value = read(text);
  if (value == null || !Number.isFinite(value) || value < 0) throw new FieldWrong(field, 'Use a number, or leave it empty for no limit');
  return value;
}
const whole = (/** @type {string} */ text) => (/^\s*\d+\s*$/.test(text) ? Number(text) : null);

/** @param {{ quota: Quota, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function QuotaForm({ quota, close, leave }) {
  const { limits } = quota;
  const number = (/** @type {number | null | undefined} */ value) => (value == null ? '' : String(value));
  const form = useForm({ apps: number(limits.apps), memory: size(limits.memory_bytes), cores: limits.cpu_millis == null ? '' : cores(limits.cpu_millis), disk: size(limits.disk_bytes), traffic: size(limits.traffic_bytes), cap: size(limits.traffic_cap), builds: number(limits.builds_per_month), at_once: number(limits.builds_at_once) });
  const v = form.values.value;
  const cancel = leaving(form, close, leave);
  const save = async () => {
    // A size that was not touched stays to the byte.
    const sized = (/** @type {string} */ text, /** @type {number | null | undefined} */ before, /** @type {string} */ field) => (text === size(before) ? before ?? null : typed(text, field, parseBytes));
    const body = {
      apps: typed(v.apps, 'apps', whole), memory_bytes: sized(v.memory, limits.memory_bytes, 'memory_bytes'), cpu_millis: typed(v.cores, 'cpu_millis', (text) => Math.round(Number(text.replace(',', '.')) * 1000)),
      disk_bytes: sized(v.disk, limits.disk_bytes, 'disk_bytes'), traffic_bytes: sized(v.traffic, limits.traffic_bytes, 'traffic_bytes'), traffic_cap: sized(v.cap, limits.traffic_cap, 'traffic_cap'),
      builds_per_month: typed(v.builds, 'builds_per_month', whole), builds_at_once: typed(v.at_once, 'builds_at_once', whole),
    };
    await (quota.of === 'project' ? api.projectQuotaSet(quota.id, body) : api.organizationQuotaSet(quota.id, body));
    close(true);
  };
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(save); }}>
    ${h(DialogHead, { title: `Quota of ${quota.name}`, note: 'Empty: no limit. What is there stays, also when it is more; only what would be more is refused.', close: cancel })}
    <div class="form-row">${h(TextField, { label: 'Apps', value: v.apps, set: form.set('apps'), inputmode: 'numeric', autofocus: true, error: form.error('apps') })}${h(TextField, { label: 'Memory', value: v.memory, set: form.set('memory'), placeholder: '8 GiB', error: form.error('memory_bytes') })}${h(TextField, { label: 'Cores', value: v.cores, set: form.set('cores'), inputmode: 'decimal', placeholder: '4', error: form.error('cpu_millis') })}</div>
    <p class="hint">Memory and cores are those that the limits of all containers come to. An app that names no limits gets 512 MiB and one core.</p>
    ${h(TextField, { label: 'Disk', value: v.disk, set: form.set('disk'), placeholder: '50 GiB', hint: 'When it is used up nothing is deployed or uploaded; what runs goes on.', error: form.error('disk_bytes') })}
    <div class="form-row">${h(TextField, { label: 'Traffic in a month', value: v.traffic, set: form.set('traffic'), placeholder: '1 TiB', error: form.error('traffic_bytes') })}${h(TextField, { label: 'Then for each domain', value: v.cap, set: form.set('cap'), placeholder: '1 MiB', suffix: '/s', hint: 'Empty: people are only told.', error: form.error('traffic_cap') })}</div>
    <div class="form-row">${h(TextField, { label: 'Builds in a month', value: v.builds, set: form.set('builds'), inputmode: 'numeric', error: form.error('builds_per_month') })}${h(TextField, { label: 'Builds at once', value: v.at_once, set: form.set('at_once'), inputmode: 'numeric', error: form.error('builds_at_once') })}</div>
    ${h(FormProblem, { text: form.general(FIELDS) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: 'Set quota' })}</footer></form>`;
}
