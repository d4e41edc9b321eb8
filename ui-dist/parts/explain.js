// "Why this?": which rule answers a request, and why not another.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { network } from '../lib/network.js';
import { headersOf } from '../lib/traffic.js';
import { FormProblem, SelectField, Submit, TextField, useForm } from './field.js';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];

/** @param {{ host: string, path?: string | null, told?: (answer: import('../lib/api.js').S<'Explanation'> | null) => void, stale?: unknown }} props `stale`: when it changes, the answer may be another */
export function Explain({ host, path, told, stale }) {
  const form = useForm({ url: `https://${host.replace(/^\*/, 'any')}${path || '/'}`, method: 'GET', headers: '', client: '' });
  const [answer, setAnswer] = useState(/** @type {import('../lib/api.js').S<'Explanation'> | null} */ (null));
  const v = form.values.value;
  const put = (/** @type {import('../lib/api.js').S<'Explanation'> | null} */ next) => { setAnswer(next); told?.(next); };
  const ask = () => form.submit(async () => put(await network.domainExplain({ url: v.url.trim(), method: v.method, headers: headersOf(v.headers), ...(v.client.trim() ? { client: v.client.trim() } : {}) })));
  useEffect(() => { if (answer || path) ask(); }, [stale]);
  return html`<form class="stack" aria-label="Why this?" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); ask(); }}>
    <div class="ask-row">${h(SelectField, { label: 'Method', value: v.method, set: form.set('method'), options: METHODS.map((value) => ({ value, label: value })) })}${h(TextField, { label: 'Address', value: v.url, set: form.set('url'), mono: true, required: true, error: form.error('url'), inputmode: 'url' })}</div>
    <details class="more"><summary>${icon('chevron-right', 'icon-small')}Headers and client</summary><div class="stack">
      ${h(TextField, { label: 'Headers', value: v.headers, set: form.set('headers'), mono: true, optional: true, rows: 3, placeholder: 'X-Beta: yes', error: form.error('headers') })}
      ${h(TextField, { label: 'Address of the client', value: v.client, set: form.set('client'), mono: true, optional: true, placeholder: '203.0.113.5', error: form.error('client'), hint: 'Left out, lists of addresses are not looked at.' })}</div></details>
    ${h(FormProblem, { text: form.general(['url', 'client', 'headers']) })}
    <div>${h(Submit, { form, label: 'Explain', icon: 'circle-help', tone: '' })}</div>
    <div role="status" class="explained">${answer ? html`<p class="explain-answer">${icon('corner-down-right')}<b class="any">${answer.answer}</b></p>
      <ol class="explain-steps">${answer.steps.map((step) => html`<li class=${step.decides ? 'decides' : ''}><span class="explain-what">${step.what}</span><span class="any">${step.why}${step.decides ? html` <span class="tag accent">decides</span>` : null}</span></li>`)}</ol>` : null}</div></form>`;
}
