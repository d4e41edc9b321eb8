// The fields of each part of a policy; lib/policy.js says what their values mean.
import { html, h, icon } from '../lib/html.js';
import { CSP, HSTS } from '../lib/policy.js';
import { Field, SelectField, Switch, TextField } from './field.js';
import { PROXY } from './passthrough.js';
import { Rows } from './network.js';

/** @typedef {{ form: { values: { value: any }, set: (name: any) => (value: any) => void, error: (...names: string[]) => string | undefined } }} Props */

const lines = 'An address or a network on each line, such as 203.0.113.0/24.';
/** @param {{ label: string, hint?: any, value: string, set: (value: string) => void, error?: string, rows?: number, placeholder?: string }} props */
const Lines = (props) => h(TextField, { mono: true, rows: 3, ...props });

/** @param {Props} props */
export function Maintenance({ form }) {
  const v = form.values.value;
  return html`${h(TextField, { label: 'Message', value: v.message, set: form.set('message'), rows: 2, optional: true, placeholder: 'We are back at noon.', error: form.error('maintenance'), hint: 'Shown as text on the page.' })}
    <div class="form-row">${h(Lines, { label: 'Still let in', value: v.allow, set: form.set('allow'), hint: lines })}${h(TextField, { label: 'Tell them to come back after', value: v.retry, set: form.set('retry'), optional: true, placeholder: '15m', error: form.error('maintenance_retry') })}</div>`;
}
/** @param {Props} props */
export function Access({ form }) {
  const v = form.values.value;
  return html`<div class="form-row">${h(Lines, { label: 'Allow', value: v.allow, set: form.set('allow'), placeholder: 'everybody', hint: lines, error: form.error('access') })}${h(Lines, { label: 'Deny', value: v.deny, set: form.set('deny'), placeholder: 'nobody' })}</div>`;
}
/** @param {Props} props */
export function Rates({ form }) {
  const v = form.values.value;
  return html`${h(/** @type {any} */ (Rows), { rows: v.limits, set: form.set('limits'), add: 'Add a limit', what: 'limit', fresh: () => ({ name: v.limits.length ? '' : 'visitors', kind: 'address', header: '', requests: '100', period: '1m', burst: '', dry: true, exempt: '' }),
    row: (/** @type {any} */ one, /** @type {(change: any) => void} */ change, /** @type {number} */ at) => html`<div class="form-row">
      ${h(TextField, { label: 'Name', value: one.name, set: (name) => change({ name }), error: form.error(`rate_limits[${at}].name`) })}
      ${h(SelectField, { label: 'For each', value: one.kind, set: (kind) => change({ kind }), options: [{ value: 'address', label: 'Address' }, { value: 'header', label: 'Value of a header' }, { value: 'path', label: 'Path, over all clients' }] })}
      ${one.kind === 'header' ? h(TextField, { label: 'Header', value: one.header, set: (header) => change({ header }), mono: true, placeholder: 'X-Api-Key', error: form.error(`rate_limits[${at}].header`) }) : null}</div>
      <div class="form-row four">${h(TextField, { label: 'Requests', value: one.requests, set: (requests) => change({ requests }), inputmode: 'numeric', error: form.error(`rate_limits[${at}].requests`) })}
      ${h(TextField, { label: 'In', value: one.period, set: (period) => change({ period }), placeholder: '1m', error: form.error(`rate_limits[${at}].period`) })}
      ${h(TextField, { label: 'At once', value: one.burst, set: (burst) => change({ burst }), inputmode: 'numeric', optional: true, placeholder: 'as many', error: form.error(`rate_limits[${at}].burst`) })}</div>
      ${h(TextField, { label: 'Never limited', value: one.exempt, set: (exempt) => change({ exempt }), mono: true, optional: true, placeholder: '10.0.0.0/8, 203.0.113.7' })}
      ${h(Switch, { label: 'On trial', hint: 'Counts what it would refuse, and lets it pass.', on: one.dry, set: (dry) => change({ dry }) })}` })}`;
}
/** @param {Props} props */
export function Password({ form }) {
  const v = form.values.value;
  return html`${h(TextField, { label: 'What the browser shows', value: v.realm, set: form.set('realm') })}
    <div class="field" role="group" aria-label="People"><span class="label">People</span>${h(/** @type {any} */ (Rows), { rows: v.users, set: form.set('users'), add: 'Add a person', what: 'person', fresh: () => ({ name: '', password: '', known: false }),
      row: (/** @type {any} */ one, /** @type {(change: any) => void} */ change) => html`<div class="form-row">${h(TextField, { label: 'Name', value: one.name, set: (name) => change({ name, known: false }), autocomplete: 'off' })}${h(TextField, { label: 'Password', type: 'password', value: one.password, set: (password) => change({ password }), autocomplete: 'new-password', placeholder: one.known ? 'stays as it is' : '' })}</div>` })}</div>`;
}
/** @param {Props} props */
export function Forward({ form }) {
  const v = form.values.value;
  return html`${h(TextField, { label: 'Address', value: v.url, set: form.set('url'), mono: true, required: true, placeholder: 'https://auth.example.com/check', error: form.error('forward_auth', 'url'), hint: 'It gets the headers of the request and X-Forwarded-Method, -Proto, -Host, -Uri and -For.' })}
    ${h(TextField, { label: 'Headers of its answer that the app gets', value: v.pass, set: form.set('pass'), mono: true, optional: true, placeholder: 'Remote-User, Remote-Groups' })}`;
}
/** @param {Props} props */
export function Headers({ form }) {
  const v = form.values.value;
  return html`<div class="form-row">${h(SelectField, { label: 'Only by HTTPS from now on (HSTS)', value: v.hsts, set: form.set('hsts'), options: HSTS, hint: v.hsts === 'preload' ? 'Hard to undo: browsers keep it for years.' : 'Browsers remember it for this long.', error: form.error('response_headers_hsts') })}
      ${v.hsts === 'own' ? h(TextField, { label: 'For', value: v.age, set: form.set('age'), placeholder: '365d' }) : null}</div>
    ${v.hsts === 'own' ? html`<div class="row row-wrap gap-wide">${h(Switch, { label: 'Also subdomains', on: v.sub, set: form.set('sub') })}${h(Switch, { label: 'For browsers’ own lists', on: v.preload, set: form.set('preload') })}</div>` : null}
    ${h(SelectField, { label: 'What a page may load (CSP)', value: v.csp, set: (kind) => { const known = CSP.find((one) => one.value === kind); form.set('csp')(kind); if (known?.text) form.set('csp_text')(known.text); }, options: CSP, hint: v.csp === 'off' || v.csp === 'own' ? undefined : html`<code>${CSP.find((one) => one.value === v.csp)?.text}</code>` })}
    ${v.csp === 'own' ? h(TextField, { label: 'Content-Security-Policy', value: v.csp_text, set: form.set('csp_text'), mono: true, rows: 3 }) : null}
    ${h(TextField, { label: 'Set', value: v.set, set: form.set('set'), mono: true, rows: 3, optional: true, placeholder: 'X-Frame-Options: DENY', hint: 'Name: value, one on each line; in place of what the app says.', error: form.error('response_headers_set') })}
    ${h(TextField, { label: 'Remove', value: v.remove, set: form.set('remove'), mono: true, optional: true, placeholder: 'Server, X-Powered-By' })}`;
}
/** @param {Props} props */
export function Cors({ form }) {
  const v = form.values.value;
  return html`${h(Lines, { label: 'Origins', value: v.origins, set: form.set('origins'), placeholder: 'https://app.example.com', hint: 'One on each line, or * for any.', error: form.error('cors') })}
    <div class="form-row">${h(TextField, { label: 'Methods', value: v.methods, set: form.set('methods'), mono: true, optional: true, placeholder: 'GET, HEAD, POST' })}${h(TextField, { label: 'Headers of the request', value: v.headers, set: form.set('headers'), mono: true, optional: true, placeholder: 'those it asks for' })}</div>
    <div class="form-row">${h(TextField, { label: 'Headers that scripts may read', value: v.expose, set: form.set('expose'), mono: true, optional: true })}${h(TextField, { label: 'Browsers may remember it for', value: v.age, set: form.set('age'), optional: true, placeholder: '10m', error: form.error('cors_age') })}</div>
    ${h(Switch, { label: 'With cookies and passwords', hint: 'Not together with *.', on: v.credentials, set: form.set('credentials') })}`;
}
/** @param {Props} props */
export function Cache({ form }) {
  const v = form.values.value;
  return html`<div class="form-row">${h(TextField, { label: 'Memory', value: v.max, set: form.set('max'), error: form.error('cache_max'), hint: 'This domain’s share.' })}${h(TextField, { label: 'Largest answer', value: v.object, set: form.set('object'), error: form.error('cache_object') })}${h(TextField, { label: 'Fresh for', value: v.fresh, set: form.set('fresh'), optional: true, placeholder: 'as the app says', error: form.error('cache_fresh'), hint: 'For answers that do not say.' })}</div>
    <div class="form-row">${h(TextField, { label: 'Stale while a new one is fetched', value: v.stale, set: form.set('stale'), optional: true, placeholder: '30s', error: form.error('cache_stale') })}${h(TextField, { label: 'Stale when the app fails', value: v.failed, set: form.set('failed'), optional: true, placeholder: '1h', error: form.error('cache_failed') })}</div>`;
}
/** @param {Props} props */
export function Pages({ form }) {
  const v = form.values.value;
  return h(/** @type {any} */ (Rows), { rows: v.pages, set: form.set('pages'), add: 'Add a page', what: 'page', fresh: () => ({ statuses: '502, 503, 504', body: '<!doctype html>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n<p>We are back soon.</p>\n', replace: false }),
    row: (/** @type {any} */ one, /** @type {(change: any) => void} */ change, /** @type {number} */ at) => html`${h(TextField, { label: 'For statuses', value: one.statuses, set: (statuses) => change({ statuses }), mono: true, error: form.error(`error_pages[${at}].statuses`) })}
      ${h(Field, { label: 'Page', hint: html`HTML. <code>{status}</code> and <code>{title}</code> are filled in.`, children: (attrs) => html`<textarea class="input code" rows="6" spellcheck="false" value=${one.body} onInput=${(/** @type {any} */ event) => change({ body: event.target.value })} ...${attrs}></textarea>` })}
      ${h(Switch, { label: 'Also in place of the app’s own', on: one.replace, set: (replace) => change({ replace }) })}` });
}
/** @param {Props} props */
export function Limits({ form }) {
  const v = form.values.value;
  return html`<div class="form-row">${h(TextField, { label: 'Largest body', value: v.body, set: form.set('body'), optional: true, placeholder: '100 MiB', error: form.error('limits_body'), hint: 'Longer ones get 413.' })}${h(TextField, { label: 'Bytes of answers a second', value: v.bandwidth, set: form.set('bandwidth'), optional: true, placeholder: 'as fast as it goes', error: form.error('bandwidth'), hint: 'Over all clients.' })}</div>
    <div class="form-row">${h(TextField, { label: 'Wait for an answer', value: v.response, set: form.set('response'), optional: true, placeholder: '60s', error: form.error('limits_response'), hint: 'Then 504.' })}${h(TextField, { label: 'Silence in the middle', value: v.idle, set: form.set('idle'), optional: true, placeholder: '5m', error: form.error('limits_idle'), hint: 'Of a body or a WebSocket.' })}</div>`;
}
/** @param {Props} props */
export function Balancing({ form }) {
  const v = form.values.value;
  return html`<div class="form-row">${h(SelectField, { label: 'Which container', value: v.kind, set: form.set('kind'), options: [{ value: 'round_robin', label: 'In turn' }, { value: 'least_connections', label: 'The least busy' }, { value: 'consistent_hash', label: 'The same for the same key' }, { value: 'sticky_cookie', label: 'The same for a browser (cookie)' }], error: form.error('balancing') })}
      ${v.kind === 'consistent_hash' ? h(SelectField, { label: 'Key', value: v.key, set: form.set('key'), options: [{ value: 'address', label: 'Address' }, { value: 'path', label: 'Path' }, { value: 'header', label: 'Header' }, { value: 'cookie', label: 'Cookie' }] }) : null}
      ${v.kind === 'sticky_cookie' || (v.kind === 'consistent_hash' && ['header', 'cookie'].includes(v.key)) ? h(TextField, { label: v.kind === 'sticky_cookie' ? 'Cookie' : 'Its name', value: v.name, set: form.set('name'), mono: true, placeholder: v.kind === 'sticky_cookie' ? 'sk-upstream' : '' }) : null}</div>
    <div class="form-row">${h(TextField, { label: 'Full share only after', value: v.slow, set: form.set('slow'), optional: true, placeholder: 'at once', error: form.error('slow_start_seconds'), hint: 'For a container that is new or well again.' })}${h(TextField, { label: 'Further tries', value: v.attempts, set: form.set('attempts'), inputmode: 'numeric', optional: true, placeholder: '0', error: form.error('retries_attempts'), hint: 'Only where nothing can happen twice.' })}</div>
    ${h(Switch, { label: 'Also try again on 502, 503 and 504', on: v.unavailable, set: form.set('unavailable') })}`;
}
/** @param {Props} props */
export function Health({ form }) {
  const v = form.values.value;
  return html`${h(Switch, { label: 'Ask them whether they are well', on: v.on, set: form.set('on') })}
    ${v.on ? html`<div class="form-row">${h(SelectField, { label: 'Question', value: v.kind, set: form.set('kind'), options: [{ value: 'http', label: 'An address answers' }, { value: 'tcp', label: 'The port takes connections' }, { value: 'grpc', label: 'gRPC health check' }] })}
        ${v.kind === 'http' ? h(TextField, { label: 'Path', value: v.path, set: form.set('path'), mono: true, error: form.error('active_health') }) : null}${v.kind === 'http' ? h(TextField, { label: 'Status', value: v.status, set: form.set('status'), inputmode: 'numeric', optional: true, placeholder: '200 to 399', error: form.error('active_health_status') }) : null}${v.kind === 'grpc' ? h(TextField, { label: 'Service', value: v.service, set: form.set('service'), mono: true, optional: true, placeholder: 'the whole server' }) : null}</div>
      <div class="form-row four">${h(TextField, { label: 'Every', value: v.interval, set: form.set('interval'), error: form.error('active_health_interval') })}${h(TextField, { label: 'Time for one try', value: v.timeout, set: form.set('timeout'), error: form.error('active_health_timeout') })}${h(TextField, { label: 'Well after', value: v.healthy, set: form.set('healthy'), inputmode: 'numeric', suffix: 'good', error: form.error('active_health_healthy') })}${h(TextField, { label: 'Ill after', value: v.unhealthy, set: form.set('unhealthy'), inputmode: 'numeric', suffix: 'bad', error: form.error('active_health_unhealthy') })}</div>` : null}
    ${h(Switch, { label: 'Leave out those that fail on real requests', on: v.eject, set: form.set('eject') })}
    ${v.eject ? html`<div class="form-row">${h(TextField, { label: 'After', value: v.failures, set: form.set('failures'), inputmode: 'numeric', suffix: 'in a row', error: form.error('ejection_failures', 'ejection') })}${h(TextField, { label: 'For', value: v.seconds, set: form.set('seconds'), hint: 'Doubles each further time.', error: form.error('ejection_seconds') })}${h(TextField, { label: 'At most', value: v.share, set: form.set('share'), inputmode: 'numeric', suffix: '% of them', error: form.error('ejection_share') })}</div>` : null}`;
}
/** @param {Props} props */
export function Upstream({ form }) {
  const v = form.values.value;
  return html`<div class="form-row">${h(SelectField, { label: 'Protocol', value: v.kind, set: form.set('kind'), options: [{ value: 'http', label: 'HTTP/1.1' }, { value: 'h2c', label: 'HTTP/2 without TLS (gRPC)' }, { value: 'https', label: 'HTTPS' }], error: form.error('upstream') })}
      ${v.kind === 'https' ? h(TextField, { label: 'Name in its certificate', value: v.name, set: form.set('name'), mono: true, required: true, placeholder: 'app.internal' }) : null}</div>
    ${v.kind === 'https' ? html`<details class="more" open=${Boolean(v.ca)}><summary>${icon('chevron-right', 'icon-small')}An authority that is not public</summary><div class="stack">${h(Field, { label: 'Its certificate (PEM)', optional: true, children: (attrs) => html`<textarea class="input code" rows="5" spellcheck="false" placeholder="-----BEGIN CERTIFICATE-----" value=${v.ca} onInput=${(/** @type {any} */ event) => form.set('ca')(event.target.value)} ...${attrs}></textarea>` })}</div></details>` : null}
    <div class="form-row">${h(TextField, { label: 'Host header', value: v.host, set: form.set('host'), mono: true, optional: true, placeholder: 'as the client wrote it', error: form.error('upstream_host') })}${h(SelectField, { label: 'Tell it who the client is', value: v.proxy, set: form.set('proxy'), options: PROXY, hint: 'Beside the headers, which it always gets.' })}</div>`;
}
