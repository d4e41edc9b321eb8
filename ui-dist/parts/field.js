// Form fields with their label, hint and failure; and the state of a form, with the API's field errors beside the fields.
import { html, h, icon, cx, signal, useId, useMemo, useState } from '../lib/html.js';
import { Problem } from '../lib/api.js';
import { sentence } from '../lib/format.js';
import { said } from './said.js';

/** What a field would not take, told beside it. */
export class FieldWrong extends Problem {
  /** @param {string} message @param {string} field */
  constructor(field, message) { super({ status: 422, code: 'invalid', detail: message, field }); }
}

/** A whole number as it was typed. @param {string} text @param {string} field */
export function whole(text, field) {
  if (!/^\s*\d+\s*$/.test(text)) throw new FieldWrong(field, 'Use a whole number');
  return Number(text);
}

/** More than nothing, with a point or a comma. @param {string} text @param {string} field @param {string} wrong what is said of anything else */
export function amount(text, field, wrong) {
  const value = Number(text.replace(',', '.'));
  if (!Number.isFinite(value) || value <= 0) throw new FieldWrong(field, wrong);
  return value;
}

/** The state of a form. @template {Record<string, any>} V @param {V} start */
export function formModel(start) {
  const values = signal(start);
  const problem = signal(/** @type {Error | null} */ (null));
  const busy = signal(false);
  const touched = signal(false);
  /** Whether the failure stands beside a field; else it is told below the form. */
  const placed = signal(true);
  return {
    values, problem, busy, touched,
    /** @template {keyof V} K @param {K} name */
    set: (name) => (/** @type {V[K]} */ value) => {
      values.value = { ...values.value, [name]: value };
      touched.value = true;
      // Also of what is in it: `parts[1].weight` is gone when `parts` changes.
      const gone = (/** @type {string} */ field) => field === name || field.startsWith(`${String(name)}.`) || field.startsWith(`${String(name)}[`);
      if (problem.value instanceof Problem && Object.keys(problem.value.fields).some(gone)) {
        const rest = Object.fromEntries(Object.entries(problem.value.fields).filter(([field]) => !gone(field)));
        const next = new Problem({ detail: problem.value.message, status: problem.value.status, code: problem.value.code });
        next.fields = rest;
        problem.value = Object.keys(rest).length ? next : null;
      }
    },
    /** @param {V} next */
    reset: (next) => { values.value = next; touched.value = false; problem.value = null; },
    /** The message of a field; several names where the API nests it. @param {...string} names */
    error: (...names) => {
      if (!(problem.value instanceof Problem)) return undefined;
      for (const name of names) {
        const found = Object.entries(problem.value.fields).find(([field]) => field === name || field.startsWith(`${name}.`) || field.startsWith(`${name}[`));
        if (found) return own(found[1], found[0]);
      }
      return undefined;
    },
    /** What belongs to no shown field. @param {string[]} shown */
    general: (shown) => {
      const now = problem.value;
      if (!now) return null;
      if (!(now instanceof Problem)) return now.message;
      const fields = Object.keys(now.fields);
      return placed.value && fields.length && fields.every((field) => shown.some((name) => field === name || field.startsWith(`${name}.`) || field.startsWith(`${name}[`))) ? null : now.message;
    },
    /** @param {() => unknown} act */
    submit: async (act) => {
      if (busy.value) return false;
      busy.value = true; problem.value = null; placed.value = true;
      try { await act(); touched.value = false; return true; } catch (failure) {
        problem.value = /** @type {Error} */ (failure);
        requestAnimationFrame(() => {
          for (const field of document.querySelectorAll('[aria-invalid=true]')) { const fold = field.closest('details'); if (fold) fold.open = true; }
          const first = /** @type {HTMLElement | null} */ (document.querySelector('[aria-invalid=true]'));
          placed.value = first !== null;
          first?.focus();
        });
        return false;
      } finally { busy.value = false; }
    },
  };
}
/** @template {Record<string, any>} V @param {V} start @param {unknown[]} [deps] */
export const useForm = (start, deps = []) => useMemo(() => formModel(start), deps);

/** "name: use 1 to 63…" beside the field `name` says its name twice. @param {string} text @param {string} field */
const own = (text, field) => sentence(text.startsWith(`${field}: `) ? text.slice(field.length + 2) : text);

/** @typedef {{ label: string, hint?: any, error?: string, optional?: boolean, class?: string, aside?: any }} Around */

/** @param {Around & { children: (attrs: { id: string, 'aria-describedby'?: string, 'aria-invalid'?: 'true' }) => any }} props */
export function Field({ label, hint, error, optional, children, class: more, aside }) {
  const id = useId();
  const about = error || hint ? `${id}-about` : undefined;
  return html`<div class=${cx('field', error && 'wrong', more)}>
    <div class="label-row"><label class="label" for=${id}>${label}${optional ? html` <span class="faint">optional</span>` : null}</label>${aside}</div>
    ${children({ id, 'aria-describedby': about, 'aria-invalid': error ? 'true' : undefined })}
    ${error ? html`<p class="field-error" id=${about}>${icon('circle-alert', 'icon-small')}<span>${said(error)}</span></p>` : hint ? html`<p class="hint" id=${about}>${hint}</p>` : null}
  </div>`;
}

/** @typedef {Around & { value: string, set: (value: string) => void, type?: string, placeholder?: string, mono?: boolean, autocomplete?: string, required?: boolean, autofocus?: boolean, rows?: number, prefix?: any, suffix?: any, name?: string, inputmode?: string, disabled?: boolean, list?: string }} TextProps */
/** @param {TextProps} props */
export function TextField({ value, set, type = 'text', placeholder, mono, autocomplete = 'off', required, autofocus, rows, prefix, suffix, name, inputmode, disabled, list, ...around }) {
  const [shown, setShown] = useState(false);
  const common = { name, placeholder, autocomplete, required, disabled, autofocus, spellcheck: false, autocapitalize: 'off', value, onInput: (/** @type {any} */ event) => set(event.target.value) };
  return h(Field, {
    ...around,
    children: (attrs) => rows
      ? html`<textarea class=${cx('input', mono && 'mono')} rows=${rows} ...${common} ...${attrs}></textarea>`
      : html`<div class=${cx('input-box', (prefix || suffix) && 'joined')}>${prefix ? html`<span class="affix">${prefix}</span>` : null}
          <input class=${cx('input', mono && 'mono')} type=${type === 'password' && shown ? 'text' : type} inputmode=${inputmode} list=${list} ...${common} ...${attrs} />
          ${type === 'password' ? html`<button type="button" class="btn ghost small square inside" aria-label=${shown ? 'Hide' : 'Show'} aria-pressed=${shown} onClick=${() => setShown(!shown)}>${shown ? icon('eye-off') : icon('eye')}</button>` : null}
          ${suffix ? html`<span class="affix after">${suffix}</span>` : null}</div>`,
  });
}

/** @param {Around & { value: string, set: (value: any) => void, options: { value: string, label: string }[], disabled?: boolean }} props */
export const SelectField = ({ value, set, options, disabled, ...around }) => h(Field, {
  ...around,
  children: (attrs) => html`<span class="select-box"><select class="input" disabled=${disabled} value=${value} onChange=${(/** @type {any} */ event) => set(event.target.value)} ...${attrs}>
    ${options.map((one) => html`<option value=${one.value} selected=${one.value === value}>${one.label}</option>`)}</select>${icon('chevron-down')}</span>`,
});

/** @param {{ label: any, hint?: any, on: boolean, set: (on: boolean) => void, disabled?: boolean }} props */
export function Switch({ label, hint, on, set, disabled }) {
  const id = useId();
  return html`<label class="switch" for=${id}><input id=${id} type="checkbox" role="switch" checked=${on} disabled=${disabled} onChange=${(/** @type {any} */ event) => set(event.target.checked)} />
    <span class="switch-text"><span class="strong">${label}</span>${hint ? html`<span class="hint">${hint}</span>` : null}</span></label>`;
}

/** Few choices side by side. @param {{ label: string, value: string, set: (value: any) => void, options: { value: string, label: string, icon?: string }[], small?: boolean }} props */
export const Choice = ({ label, value, set, options, small }) => html`<div class=${cx('choice', small && 'small')} role="radiogroup" aria-label=${label}
  onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = options.findIndex((one) => one.value === value);
    const next = (at + step + options.length) % options.length;
    set(options[next].value);
    /** @type {HTMLElement[]} */ ([.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll('[role=radio]')])[next]?.focus();
  }}>
  ${options.map((one) => html`<button type="button" role="radio" aria-checked=${one.value === value} tabindex=${one.value === value ? 0 : -1} onClick=${() => set(one.value)}>${one.icon ? icon(one.icon) : null}${one.label}</button>`)}
</div>`;

/** A failure that belongs to no field. @param {{ text: string | null | undefined }} props */
export const FormProblem = ({ text }) => (text ? html`<p class="problem" role="alert">${icon('circle-alert')}<span>${said(text)}</span></p>` : null);

/** @param {{ form: { busy: { value: boolean } }, label: string, icon?: string, tone?: string, disabled?: boolean, class?: string }} props */
export const Submit = ({ form, label, icon: name, tone = 'primary', disabled, class: more }) => html`<button type="submit" class=${cx('btn', tone, more)} disabled=${disabled || form.busy.value} aria-busy=${form.busy.value}>
  ${form.busy.value ? html`<i class="spin" aria-hidden="true"></i>` : name ? icon(name) : null}<span>${label}</span></button>`;
