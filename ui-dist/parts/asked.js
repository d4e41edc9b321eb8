// A variable that a template asks for, as a field of a form.
import { html, h } from '../lib/html.js';
import { DomainCheck } from './domains.js';
import { SelectField, Switch, TextField } from './field.js';

/** @template {keyof import('../lib/api.js').Schemas} K @typedef {import('../lib/api.js').S<K>} S */

/** One variable of the template. @param {{ one: S<'CatalogVariable'>, form: any, value: string }} props */
export function Asked({ one, form, value }) {
  const set = form.set(one.name);
  const around = { label: one.title, hint: one.description ?? undefined, error: form.error(one.name) };
  if (one.kind === 'boolean') return h(Switch, { label: one.title, hint: one.description ?? undefined, on: value === 'true', set: (/** @type {boolean} */ on) => set(on ? 'true' : 'false') });
  if (one.kind === 'enum') return h(SelectField, { ...around, value, set, options: [...(one.default ? [] : [{ value: '', label: 'Choose…' }]), ...one.options.map((option) => ({ value: option, label: option }))] });
  if (one.kind === 'domain') return html`<div class="stack tight">${h(TextField, { ...around, value, set, mono: true, inputmode: 'url', required: one.required && !value, optional: !one.required && one.name !== 'domain' })}${value ? h(DomainCheck, { host: value }) : null}</div>`;
  const secret = one.kind === 'secret' || one.kind === 'password';
  return h(TextField, { ...around, value, set, type: secret ? 'password' : one.kind === 'mail' ? 'email' : 'text', autocomplete: secret ? 'new-password' : 'off', mono: one.kind === 'port', inputmode: one.kind === 'port' ? 'numeric' : undefined, required: one.required, optional: !one.required && !one.generated && !one.default, placeholder: one.generated ? 'generated' : undefined });
}
