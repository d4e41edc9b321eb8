// How often the panel's own API may be asked, and who asks too often just now.
import { html, h, useEffect } from '../lib/html.js';
import { network } from '../lib/network.js';
import { useResource } from '../lib/resource.js';
import { spanOf } from '../lib/policy.js';
import { ruleOf, rulesOf } from '../lib/api-limits.js';
import { linesOf, listOf } from '../lib/traffic.js';
import { count } from '../lib/format.js';
import { Panel } from './page.js';
import { Saved } from './saved.js';
import { Empty, Failed, Loading } from './empty.js';
import { SelectField, Switch, TextField } from './field.js';
import { Rows } from './network.js';

const CLASSES = [{ value: 'any', label: 'All requests' }, { value: 'read', label: 'Reading' }, { value: 'write', label: 'Changing' }, { value: 'sign_in', label: 'Signing in' }, { value: 'hooks', label: 'Webhooks' }];
const CALLERS = [{ value: 'caller', label: 'Person or token' }, { value: 'address', label: 'Address' }];

/** @typedef {import('../lib/api-limits.js').Row} Row */

/** For administrators only. */
export function ApiLimits() {
  const found = useResource('api-limits', network.apiLimitsShow, ['api_limits_changed']);
  // Who is limited changes without an event.
  useEffect(() => { const timer = setInterval(() => { if (!document.hidden) found.load(); }, 5000); return () => clearInterval(timer); }, []);
  const now = found.value.value;
  if (!now) return found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 3 });
  const save = async (/** @type {{ rules: Row[], exempt: string }} */ v) => { found.value.value = await network.apiLimitsUpdate({ rules: rulesOf(v.rules), exempt: listOf(v.exempt) }); };
  const fields = now.rules.concat(now.rules).flatMap((_, at) => ['name', 'path', 'requests', 'period_seconds', 'burst'].map((name) => `rules[${at}].${name}`));
  return html`<div class="grid12"><div class="span-8 stack wide-at-1100">${h(/** @type {typeof Saved<{ rules: Row[], exempt: string }>} */ (Saved), {
    title: 'The panel’s own API', note: 'Browsers, scripts and forges that ask too often get 429 and are told when to come back.', id: 'panel', start: { rules: now.rules.map(ruleOf), exempt: linesOf(now.exempt) }, fields: [...fields, 'exempt'], save,
    body: (form) => {
      const v = form.values.value;
      return html`${h(/** @type {any} */ (Rows), { rows: v.rules, set: form.set('rules'), add: 'Add a limit', what: 'limit', fresh: () => ({ name: '', class: 'any', path: '', per: 'caller', requests: '600', period: '1m', burst: '', dry: true }),
        row: (/** @type {Row} */ one, /** @type {(change: Partial<Row>) => void} */ change, /** @type {number} */ at) => html`<div class="form-row">
          ${h(TextField, { label: 'Name', value: one.name, set: (name) => change({ name }), error: form.error(`rules[${at}].name`) })}
          ${h(SelectField, { label: 'Of', value: one.class, set: (kind) => change({ class: /** @type {Row['class']} */ (kind) }), options: CLASSES })}
          ${h(SelectField, { label: 'For each', value: one.per, set: (per) => change({ per: /** @type {Row['per']} */ (per) }), options: CALLERS })}</div>
          <div class="form-row four">${h(TextField, { label: 'Requests', value: one.requests, set: (requests) => change({ requests }), inputmode: 'numeric', error: form.error(`rules[${at}].requests`) })}
          ${h(TextField, { label: 'In', value: one.period, set: (period) => change({ period }), placeholder: '1m', error: form.error(`rules[${at}].period_seconds`) })}
          ${h(TextField, { label: 'At once', value: one.burst, set: (burst) => change({ burst }), inputmode: 'numeric', optional: true, placeholder: 'as many', error: form.error(`rules[${at}].burst`) })}
          ${h(TextField, { label: 'Only to', value: one.path, set: (path) => change({ path }), mono: true, optional: true, placeholder: '/apps/*/deployments', error: form.error(`rules[${at}].path`) })}</div>
          ${h(Switch, { label: 'On trial', hint: 'Counts what it would refuse, and lets it pass.', on: one.dry, set: (dry) => change({ dry }) })}` })}
        ${h(TextField, { label: 'Never limited', value: v.exempt, set: form.set('exempt'), mono: true, rows: 3, optional: true, placeholder: 'nobody', error: form.error('exempt'), hint: 'An address or a network on each line. The serverkit command on the panel’s own machine never is either.' })}`;
    } })}</div>
    <div class="span-4 stack wide-at-1100">${h(Panel, { title: 'Asking the panel too often', note: 'In the last ten minutes', flush: true }, h(Asking, { items: now.limited }))}</div></div>`;
}

/** @param {{ items: import('../lib/api.js').S<'ApiLimited'>[] }} props */
function Asking({ items }) {
  if (!items.length) return h(Empty, { icon: 'gauge', title: 'Nobody is limited', text: 'Who meets a limit of the panel’s API shows here.', small: true });
  return html`<ul class="limited">${items.map((one) => html`<li key=${`${one.limit}/${one.key}`}><span class="cell-two grow"><b class="mono cut" title=${one.key}>${one.key}</b><span>${one.limit}</span></span>
    ${one.dry_run ? html`<span class="tag warn" title="The limit is on trial: it counts and lets pass">would be</span>` : null}
    <span class="cell-two right num"><b>${count(one.refused)}</b><span>${one.seconds_ago < 2 ? 'now' : `${spanOf(one.seconds_ago)} ago`}</span></span></li>`)}</ul>`;
}
