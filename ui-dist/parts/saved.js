// A panel with a form that is saved by itself: what was changed shows at its foot, and leaving the page asks first.
import { html, h, useEffect, useState } from '../lib/html.js';
import { useUnsaved } from '../lib/unsaved.js';
import { Panel } from './page.js';
import { FormProblem, Submit, useForm } from './field.js';

/** @template {Record<string, any>} V
 * @param {{ title: string, note?: any, start: V, save: (values: V) => unknown, body: (form: ReturnType<typeof useForm<V>>) => any, fields?: string[], toggle?: keyof V, can?: boolean, id?: string, actions?: any, label?: string }} props
 *   `toggle`: the value that turns the whole on, as a switch in the head; `fields`: those that show their own failure */
export function Saved({ title, note, start, save, body, fields = [], toggle, can = true, id, actions, label = 'Save' }) {
  const form = useForm(start);
  const [turn, next] = useState(0);
  const key = JSON.stringify(start);
  useEffect(() => { if (!form.touched.peek()) form.reset(start); }, [key, turn]);
  const v = form.values.value;
  const dirty = JSON.stringify(v) !== key;
  useUnsaved(dirty && form.touched.value, title.toLowerCase());
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (await form.submit(() => save(form.values.value))) next((n) => n + 1);
  };
  const on = !toggle || v[toggle];
  return html`<form onSubmit=${submit} aria-label=${title}>${h(Panel, {
    title, note, id, class: on ? '' : 'closed',
    actions: html`${actions}${toggle ? html`<label class="switch bare"><input type="checkbox" role="switch" aria-label=${title} checked=${v[toggle]} disabled=${!can} onChange=${(/** @type {any} */ event) => form.set(toggle)(event.target.checked)} /></label>` : null}`,
    foot: can && (dirty || form.problem.value) ? html`<span class="faint">Not saved</span><span class="end row"><button type="button" class="btn small" onClick=${() => form.reset(start)}>Discard</button>${h(Submit, { form, label, tone: 'primary small' })}</span>` : null,
  }, on || form.problem.value ? html`<fieldset class="stack" disabled=${!can}>${on ? body(form) : null}${h(FormProblem, { text: form.general(fields) })}</fieldset>` : null)}</form>`;
}
