// How new releases of an app are tried on a share of the requests before they go live, as fields.
import { html, h, icon } from '../lib/html.js';
import { amount, Switch, TextField, whole } from './field.js';

/** @typedef {import('../lib/api.js').S<'App'>} App */
/** @typedef {ReturnType<typeof canaryValues>} CanaryValues */
/** @typedef {{ values: { value: any }, set: (name: any) => (value: any) => void, error: (...names: string[]) => string | undefined }} Form */

/** @param {App} app */
export const canaryValues = (app) => ({
  on: Boolean(app.canary), percent: String(app.canary?.percent ?? 10), minutes: String(Number(((app.canary?.seconds ?? 600) / 60).toFixed(2))),
  errors: app.canary ? String(app.canary.limits.max_error_percent ?? '') : '5', p95: String(app.canary?.limits.max_p95_millis ?? ''), least: String(app.canary?.limits.min_requests ?? 50),
});

/** What is not a number is found here; the rest is the API's to judge. @param {CanaryValues} v @returns {import('../lib/api.js').S<'AppCanaryInput'> | null} */
export function canaryInput(v) {
  if (!v.on) return null;
  const perhaps = (/** @type {string} */ text, /** @type {string} */ name) => (text.trim() ? whole(text, name) : null);
  const minutes = amount(v.minutes, 'seconds', 'Use a number of minutes such as 10 or 0.5');
  return {
    percent: whole(v.percent, 'percent'), seconds: Math.round(minutes * 60),
    limits: { min_requests: whole(v.least, 'min_requests'), max_error_percent: perhaps(v.errors, 'max_error_percent'), max_p95_millis: perhaps(v.p95, 'max_p95_millis') },
  };
}

/** `writes`: where a volume lies to which it writes. @param {{ form: Form, writes?: string }} props */
export function CanaryFields({ form, writes }) {
  /** @type {CanaryValues} */
  const v = form.values.value;
  return html`${h(Switch, { label: 'Try new releases on some requests first', hint: 'On those to its domains that no rule answers. Inside of its environment other apps reach both releases meanwhile. A rollback goes live at once.', on: v.on, set: form.set('on') })}
    ${writes ? html`<p class="notice middle">${icon('info')}<span class="grow any">New releases of this app are never tried: what is live stops first, because both would write to the volume at <code>${writes}</code>.</span></p>` : null}
    ${v.on ? html`<div class="form-row">${h(TextField, { label: 'Share', value: v.percent, set: form.set('percent'), inputmode: 'numeric', suffix: 'of 100', hint: '1 to 50.', error: form.error('percent', 'canary') })}${h(TextField, { label: 'For', value: v.minutes, set: form.set('minutes'), inputmode: 'decimal', suffix: 'min', hint: 'Then it goes live; at most 1440.', error: form.error('seconds') })}</div>
      <h3>All requests go back when</h3>
      <div class="form-row">${h(TextField, { label: 'Errors pass', value: v.errors, set: form.set('errors'), inputmode: 'numeric', optional: true, suffix: 'of 100', placeholder: 'any', error: form.error('max_error_percent') })}${h(TextField, { label: '95 of 100 take over', value: v.p95, set: form.set('p95'), inputmode: 'numeric', optional: true, suffix: 'ms', placeholder: 'any', error: form.error('max_p95_millis') })}${h(TextField, { label: 'Not before', value: v.least, set: form.set('least'), inputmode: 'numeric', suffix: 'requests', error: form.error('min_requests') })}</div>` : null}`;
}
