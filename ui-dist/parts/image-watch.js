// Newer images of an app: what becomes of them, when, and what registries said last.
import { html, h, icon, useEffect } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { duration, exact } from '../lib/format.js';
import { moment } from '../lib/clock.js';
import { allows } from '../lib/rights.js';
import { Panel } from './page.js';
import { Act } from './act.js';
import { Ago } from './time.js';
import { Failed, Loading } from './empty.js';
import { FormProblem, SelectField, Submit, Switch, TextField, useForm } from './field.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */
/** @typedef {import('../lib/api.js').S<'ImageWatch'>} ImageWatch */
/** @typedef {import('../lib/api.js').S<'WatchedImage'>} WatchedImage */

const WHAT = [{ value: 'off', label: 'Nothing: registries are not asked' }, { value: 'notify', label: 'Tell of it and mark it here' }, { value: 'deploy', label: 'Deploy it' }];

/** @param {{ app: App }} props */
export function ImageWatchPart({ app }) {
  const mine = (/** @type {any} */ message) => message.data?.app === app.id;
  const found = useResource(`app:${app.id}:image-watch`, () => api.imageWatchShow(app.id), ['newer_image_found', 'deployment_moved', 'app_changed'], mine);
  const watch = found.value.value;
  if (!watch) return found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 2 });
  return h(WatchForm, { app, watch, put: (made) => { found.value.value = made; } });
}

/** @param {ImageWatch} watch */
const valuesOf = (watch) => ({ on_new: String(watch.on_new), every: String(watch.every_minutes), windowed: Boolean(watch.window), cron: watch.window?.cron ?? '0 3 * * *', zone: watch.window?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone ?? 'UTC', hours: String(watch.window ? watch.window.minutes / 60 : 2) });

/** @param {{ app: App, watch: ImageWatch, put: (watch: ImageWatch) => void }} props */
function WatchForm({ app, watch, put }) {
  const start = valuesOf(watch);
  const form = useForm(start);
  const key = JSON.stringify(start);
  useEffect(() => { if (!form.touched.peek()) form.reset(start); }, [key]);
  const v = form.values.value;
  const dirty = JSON.stringify(v) !== key;
  const on = watch.on_new !== 'off';
  const save = async () => put(await api.imageWatchSet(app.id, {
    on_new: v.on_new, every_minutes: Number(v.every) || 0,
    window: v.on_new === 'deploy' && v.windowed ? { cron: v.cron.trim(), zone: v.zone.trim(), minutes: Math.round(Number(v.hours.replace(',', '.')) * 60) || 0 } : null,
  }));
  return html`<form onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(save); }}>${h(Panel, {
    title: 'Newer images', note: 'Whether the registry has another image under the same tag. Asking is no pull.',
    actions: on && allows(app, 'deploy') ? h(Act, { label: 'Check now', icon: 'refresh-cw', small: true, run: async () => put(await api.imageWatchCheck(app.id)) }) : null,
    foot: dirty || form.problem.value ? html`<span class="faint">Not saved</span><span class="end row"><button type="button" class="btn small" onClick=${() => form.reset(start)}>Discard</button>${h(Submit, { form, label: 'Save', tone: 'primary small' })}</span>` : null,
  }, html`<div class="stack">
    <div class="form-row">${h(SelectField, { label: 'When there is a newer one', value: v.on_new, set: form.set('on_new'), options: WHAT, error: form.error('on_new') })}
      ${v.on_new === 'off' ? null : h(TextField, { label: 'Ask every', value: v.every, set: form.set('every'), inputmode: 'numeric', suffix: 'min', hint: '5 to 1440 minutes.', error: form.error('every_minutes') })}</div>
    ${v.on_new === 'deploy' ? h(Switch, { label: 'Only at some times', hint: windowWords(watch), on: v.windowed, set: form.set('windowed') }) : null}
    ${v.on_new === 'deploy' && v.windowed ? html`<div class="form-row">${h(TextField, { label: 'From', value: v.cron, set: form.set('cron'), mono: true, hint: 'Minute, hour, day of month, month, day of week: 0 3 * * SAT,SUN is at 3:00 on weekends.', error: form.error('cron') })}${h(TextField, { label: 'Lasts', value: v.hours, set: form.set('hours'), inputmode: 'decimal', suffix: 'h', error: form.error('minutes') })}</div>${h(TextField, { label: 'Time zone', value: v.zone, set: form.set('zone'), mono: true, error: form.error('zone') })}` : null}
    ${on ? html`<ul class="plain stack tight">${watch.images.map((image) => h(ImageLine, { key: image.reference, image }))}</ul>` : null}
    ${watch.waiting ? html`<p class="notice warn">${icon('circle-pause')}<span class="any">A newer image is there; ${watch.waiting}.</span></p>` : null}
    ${h(FormProblem, { text: form.general(['on_new', 'every_minutes', 'cron', 'zone', 'minutes']) })}</div>`)}</form>`;
}

/** @param {ImageWatch} watch */
function windowWords(watch) {
  if (!watch.window) return 'And never while the app is stopped, locked or frozen.';
  if (watch.window.open_until) return `Open until ${exact(watch.window.open_until)}.`;
  return watch.window.opens_at ? `Opens in ${duration(Math.max(0, Date.parse(watch.window.opens_at) - moment.value))}.` : 'Never opens again.';
}

/** @param {{ image: WatchedImage }} props */
function ImageLine({ image }) {
  const words = image.problem ? html`<span class="bad-text any">${image.problem}</span>` : image.newer ? html`<span class="warn-text">a newer one is there</span>` : html`<span class="dim">${image.newest ? 'the newest runs' : 'not asked yet'}</span>`;
  return html`<li class="row wrap"><code class="any">${image.reference}</code>${words}${image.asked_at ? html`<span class="faint small">asked ${h(Ago, { at: image.asked_at })}</span>` : null}</li>`;
}
