// The form of one rule: what it looks at, and what becomes of a request that fits.
import { html, h, icon } from '../lib/html.js';
import { Problem } from '../lib/api.js';
import { network } from '../lib/network.js';
import { ruleValues, ruleWish } from '../lib/traffic.js';
import { apps } from '../lib/live.js';
import { DialogHead, leaving, showForm } from './dialog.js';
import { Choice, Field, FormProblem, SelectField, Submit, Switch, TextField, useForm } from './field.js';
import { Rows } from './network.js';
import { hasServices } from './source.js';
import { ServicePlace } from './service-pick.js';
import { may } from '../lib/rights.js';

/** @template {keyof import('../lib/api.js').Schemas} K @typedef {import('../lib/api.js').S<K>} S */
/** @typedef {import('../lib/traffic.js').RuleValues} Values */

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
/** What people mostly want, with what it fills in. @type {(host: string) => { label: string, values: Partial<Values> }[]} */
const REDIRECTS = (host) => [
  host.startsWith('www.') ? { label: 'To the name without www', values: { pattern: '', to: `https://${host.slice(4)}{uri}`, status: '308' } } : { label: 'To the name with www', values: { pattern: '', to: `https://www.${host}{uri}`, status: '308' } },
  { label: 'One path to another', values: { pattern: '^/old/(.*)$', to: '/new/$1', status: '301' } },
  { label: 'Everything elsewhere', values: { pattern: '', to: 'https://example.com{uri}', status: '302' } },
];
const STATUSES = [{ value: '301', label: '301 for good' }, { value: '302', label: '302 for now' }, { value: '307', label: '307 for now, same method' }, { value: '308', label: '308 for good, same method' }];

/** @param {{ host: string, app: { id: string, name: string } }} traffic @param {S<'Rule'> | null} rule @returns {Promise<S<'Rule'> | null>} */
export const editRule = (traffic, rule) => showForm(rule ? `Rule ${rule.name}` : 'Add a rule', (close, leave) => h(RuleForm, { traffic, rule, close, leave }), { wide: true });

const SHOWN = ['parts', 'name', 'path', 'methods', 'headers', 'app', 'service', 'origin', 'strip_prefix', 'rewrite', 'redirect', 'status', 'content_type', 'body'];

/** @param {{ traffic: { host: string, app: { id: string, name: string } }, rule: S<'Rule'> | null, close: (done?: unknown) => void, leave: { current: (() => void) | null } }} props */
function RuleForm({ traffic, rule, close, leave }) {
  const form = useForm(ruleValues(rule));
  const cancel = leaving(form, close, leave);
  const v = form.values.value;
  const set = form.set;
  const save = () => form.submit(async () => {
    if (!v.name.trim()) throw new Problem({ status: 422, code: 'invalid', detail: 'Give the rule a name', field: 'name' });
    if (v.kind === 'origin' && v.origin_kind === 'host' && !/^\d+$/.test(v.origin_port)) throw new Problem({ status: 422, code: 'invalid', detail: 'Use a port from 1 to 65535', field: 'origin' });
    if (v.kind === 'app' && v.service && !/^\d+$/.test(v.port)) throw new Problem({ status: 422, code: 'invalid', detail: 'Use a port from 1 to 65535', field: 'service' });
    if (v.kind === 'split') v.parts.forEach((one, at) => {
      if (!/^\d+$/.test(one.weight)) throw new Problem({ status: 422, code: 'invalid', detail: 'Use a whole number from 0 to 1000', field: `parts[${at}].weight` });
      if (one.service && !/^\d+$/.test(one.port)) throw new Problem({ status: 422, code: 'invalid', detail: 'Use a port from 1 to 65535', field: `parts[${at}].service` });
    });
    const wish = ruleWish(v, rule?.policy ?? null);
    close(rule ? await network.domainRuleReplace(traffic.host, rule.id, wish) : await network.domainRuleAdd(traffic.host, wish));
  });
  const others = (apps.value ?? []).filter((app) => app.id !== traffic.app.id && !app.trashed_at).sort((a, b) => a.name.localeCompare(b.name));
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); save(); }}>
    ${h(DialogHead, { title: rule ? `Rule ${rule.name}` : 'Add a rule', close: cancel, note: `For ${traffic.host}. All that it looks at must fit.` })}
    ${h(TextField, { label: 'Name', value: v.name, set: set('name'), required: true, autofocus: !rule, placeholder: 'api', error: form.error('name') })}
    <section class="stack sub"><h3>Which requests</h3>
      <div class="form-row">${h(SelectField, { label: 'Path', value: v.path_kind, set: set('path_kind'), options: [{ value: 'prefix', label: 'Is or is below' }, { value: 'exact', label: 'Is exactly' }, { value: 'any', label: 'Any path' }] })}
        ${v.path_kind === 'any' ? html`<span></span>` : h(TextField, { label: v.path_kind === 'exact' ? 'Exact path' : 'Path and all below it', value: v.path, set: set('path'), mono: true, required: true, placeholder: '/api', error: form.error('path', 'matches') })}</div>
      <div class="field" role="group" aria-label="Methods"><span class="label">Methods <span class="faint">none: all</span></span><div class="picks">${METHODS.map((method) => html`<label class="pick-one" key=${method}><input type="checkbox" checked=${v.methods.includes(method)} onChange=${() => set('methods')(v.methods.includes(method) ? v.methods.filter((one) => one !== method) : [...v.methods, method])} /><span>${method}</span></label>`)}</div></div>
      <div class="field" role="group" aria-label="Headers"><span class="label">Headers <span class="faint">all of them</span></span>${h(/** @type {typeof Rows<Values['headers'][number]>} */ (Rows), { rows: v.headers, set: set('headers'), fresh: () => ({ name: '', kind: /** @type {const} */ ('equals'), value: '' }), add: 'Add a header', what: 'header',
        row: (one, change) => html`<input class="input mono" aria-label="Header" placeholder="X-Beta" value=${one.name} onInput=${(/** @type {any} */ event) => change({ name: event.target.value })} />
          <span class="select-box"><select class="input" aria-label="Test" value=${one.kind} onChange=${(/** @type {any} */ event) => change({ kind: event.target.value })}>${[['equals', 'is'], ['contains', 'has in it'], ['present', 'is there'], ['absent', 'is not there']].map(([value, label]) => html`<option value=${value} selected=${value === one.kind}>${label}</option>`)}</select>${icon('chevron-down')}</span>
          ${one.kind === 'equals' || one.kind === 'contains' ? html`<input class="input mono" aria-label="Value" value=${one.value} onInput=${(/** @type {any} */ event) => change({ value: event.target.value })} />` : null}` })}${form.error('headers', 'header') ? html`<p class="field-error">${icon('circle-alert', 'icon-small')}<span>${form.error('headers', 'header')}</span></p>` : null}</div>
    </section>
    <section class="stack sub"><h3>What becomes of them</h3>
      ${h(Choice, { label: 'Action', value: v.kind, set: set('kind'), options: [{ value: 'app', label: 'To an app' }, { value: 'split', label: 'To several' }, { value: 'redirect', label: 'Redirect' }, { value: 'respond', label: 'Fixed answer' }, ...(may('admin') || v.kind === 'origin' ? [{ value: 'origin', label: 'To a server' }] : [])] })}
      ${v.kind === 'app' ? html`${h(SelectField, { label: 'App', value: v.app, set: (app) => { form.values.value = { ...v, app, service: '', port: '' }; form.touched.value = true; }, options: [{ value: '', label: `${traffic.app.name} (the domain’s own)` }, ...others.map((app) => ({ value: app.id, label: `${app.name} (${app.project.name}, ${app.environment.name})` }))], error: form.error('app') })}
        ${h(OfApp, { app: v.app || traffic.app.id, place: v, set: (place) => { form.values.value = { ...v, ...place }; form.touched.value = true; }, error: form.error('service') })}` : null}
      ${v.kind === 'split' ? h(Parts, { v, set, form, own: traffic.app.id, options: [{ value: '', label: `${traffic.app.name} (the domain’s own)` }, ...others.map((app) => ({ value: app.id, label: `${app.name} (${app.project.name}, ${app.environment.name})` }))] }) : null}
      ${v.kind === 'origin' ? html`${h(Choice, { label: 'Kind of server', small: true, value: v.origin_kind, set: set('origin_kind'), options: [{ value: 'host', label: 'Name and port' }, { value: 'socket', label: 'Unix socket' }] })}
        ${v.origin_kind === 'socket' ? h(TextField, { label: 'Socket', value: v.socket, set: set('socket'), mono: true, required: true, placeholder: '/run/app.sock', error: form.error('origin') })
          : html`<div class="form-row">${h(TextField, { label: 'Host', value: v.origin_host, set: set('origin_host'), mono: true, required: true, placeholder: '10.0.0.5', error: form.error('origin') })}${h(TextField, { label: 'Port', value: v.origin_port, set: set('origin_port'), inputmode: 'numeric', required: true })}</div>`}` : null}
      ${v.kind === 'app' || v.kind === 'split' || v.kind === 'origin' ? html`<details class="more" open=${Boolean(v.strip || v.rewrite_pattern)}><summary>${icon('chevron-right', 'icon-small')}Change the path on the way</summary><div class="stack">
        ${h(TextField, { label: 'Take off the front', value: v.strip, set: set('strip'), mono: true, optional: true, placeholder: '/api', error: form.error('strip_prefix'), hint: v.strip ? html`<code>${v.strip}/users</code> reaches the app as <code>/users</code>` : 'At the border of a segment.' })}
        <div class="form-row">${h(TextField, { label: 'Then replace', value: v.rewrite_pattern, set: set('rewrite_pattern'), mono: true, optional: true, placeholder: '^/v1/(.*)$', error: form.error('rewrite') })}${h(TextField, { label: 'by', value: v.rewrite_to, set: set('rewrite_to'), mono: true, optional: true, placeholder: '/$1' })}</div></div></details>` : null}
      ${v.kind === 'redirect' ? html`<div class="row row-wrap">${REDIRECTS(traffic.host).map((one) => html`<button type="button" class="btn small" key=${one.label} onClick=${() => { form.values.value = { ...form.values.value, ...one.values }; form.touched.value = true; }}>${one.label}</button>`)}</div>
        ${h(TextField, { label: 'Pattern over the path', value: v.pattern, set: set('pattern'), mono: true, optional: true, placeholder: '^/old/(.*)$', hint: 'A request whose path does not fit it is left to the next rule.' })}
        <div class="form-row">${h(TextField, { label: 'Leads to', value: v.to, set: set('to'), mono: true, required: true, placeholder: '/new/$1', error: form.error('redirect', 'to'), hint: html`<code>$1</code> is what the pattern caught; <code>{host}</code>, <code>{path}</code>, <code>{query}</code> and <code>{uri}</code> are the request’s.` })}
        ${h(SelectField, { label: 'Status', value: v.status || '302', set: set('status'), options: STATUSES })}</div>` : null}
      ${v.kind === 'respond' ? html`<div class="form-row">${h(TextField, { label: 'Status', value: v.status, set: set('status'), inputmode: 'numeric', placeholder: '200', error: form.error('status') })}${h(TextField, { label: 'Content type', value: v.content_type, set: set('content_type'), mono: true, placeholder: 'text/plain; charset=utf-8', error: form.error('content_type') })}</div>
        ${h(Field, { label: 'Body', error: form.error('body'), children: (attrs) => html`<textarea class="input code" rows="5" spellcheck="false" value=${v.body} onInput=${(/** @type {any} */ event) => set('body')(event.target.value)} ...${attrs}></textarea>` })}` : null}
    </section>
    ${h(Switch, { label: 'On', hint: 'A rule that is off is not asked.', on: v.enabled, set: set('enabled') })}
    ${rule?.policy ? html`<p class="hint">This rule has a policy of its own, which stays.</p>` : null}
    ${h(FormProblem, { text: form.general([...SHOWN, ...v.parts.flatMap((_, at) => ['weight', 'service', 'origin'].map((name) => `parts[${at}].${name}`))]) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${cancel}>Cancel</button>${h(Submit, { form, label: rule ? 'Save' : 'Add rule' })}</footer></form>`;
}

/** Which service of an app of several; nothing for one of a single container. @param {{ app: string, place: { service: string, port: string }, set: (place: { service: string, port: string }) => void, error?: string }} props */
function OfApp({ app, place: { service, port }, set, error }) {
  const source = apps.value?.find((one) => one.id === app)?.source;
  if (!service && !(source && hasServices(source))) return null;
  return h(ServicePlace, { key: app, app, service, port, set, label: 'Service', [service ? 'portError' : 'serviceError']: error });
}

/** The apps that answer by turns. @param {{ v: Values, own: string, set: (name: any) => (value: any) => void, form: { error: (...names: string[]) => string | undefined }, options: { value: string, label: string }[] }} props */
function Parts({ v, set, form, own, options }) {
  const all = v.parts.reduce((sum, one) => sum + (Number(one.weight) || 0), 0);
  const share = (/** @type {string} */ weight) => (all && Number(weight) ? `${Math.round((Number(weight) / all) * 1000) / 10}% of the requests` : 'No request');
  // What belongs to one of them stands there.
  const general = v.parts.some((_, at) => form.error(`parts[${at}].weight`, `parts[${at}].service`)) ? undefined : form.error('parts');
  return html`<div class="field" role="group" aria-label="Apps by weight"><span class="label">Apps by weight <span class="faint">what does not run is passed over</span></span>${h(/** @type {typeof Rows<Values['parts'][number]>} */ (Rows), {
    rows: v.parts, set: set('parts'), fresh: () => ({ app: '', service: '', port: '', weight: '10', origin: null }), add: 'Add an app', what: 'app',
    row: (one, change, at) => html`<div class="form-row">${one.origin ? h(TextField, { label: 'Server', value: one.origin.path ?? `${one.origin.host}:${one.origin.port}`, set: () => {}, mono: true, disabled: true }) : h(SelectField, { label: 'App', value: one.app, set: (app) => change({ app, service: '', port: '' }), options })}
      ${h(TextField, { label: 'Weight', value: one.weight, set: (weight) => change({ weight }), inputmode: 'numeric', hint: share(one.weight), error: form.error(`parts[${at}].weight`) })}</div>
      ${one.origin ? null : h(OfApp, { app: one.app || own, place: one, set: change, error: form.error(`parts[${at}].service`) })}` })}
    ${general ? html`<p class="field-error">${icon('circle-alert', 'icon-small')}<span>${general}</span></p>` : null}</div>`;
}
