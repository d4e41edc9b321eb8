// Another app that gets some of a domain's requests, and how it does.
import { html, h, icon } from '../lib/html.js';
import { Problem } from '../lib/api.js';
import { network } from '../lib/network.js';
import { apps, appPath, findApp, inSome, mayDo } from '../lib/live.js';
import { useReport } from '../lib/report.js';
import { within } from '../lib/traffic.js';
import { count, percent, plural } from '../lib/format.js';
import { Panel } from '../parts/page.js';
import { Saved } from '../parts/saved.js';
import { Facts } from '../parts/facts.js';
import { Ago } from '../parts/time.js';
import { State } from '../parts/state.js';
import { confirm } from '../parts/dialog.js';
import { Empty } from '../parts/empty.js';
import { SelectField, TextField } from '../parts/field.js';
import '../parts/network.js';

/** @param {string} text @param {string} field @param {number | null} top */
function number(text, field, top) {
  if (!text.trim()) return null;
  if (!/^\d+$/.test(text.trim()) || (top != null && Number(text) > top)) throw new Problem({ status: 422, code: 'invalid', detail: top == null ? 'Use a whole number' : `Use a number from 0 to ${top}`, field });
  return Number(text);
}

/** @param {import('./domain.js').TabProps} props */
export default function DomainCanary({ traffic, put }) {
  const { report } = useReport();
  const { canary, host } = traffic;
  const can = mayDo(traffic.app.id, 'configure');
  const others = (apps.value ?? []).filter((app) => app.id !== traffic.app.id && !app.trashed_at).sort((a, b) => a.name.localeCompare(b.name));
  const failed = canary?.failed;
  const state = failed ?? report?.canaries.find((one) => one.host === host && one.app === canary?.app);
  const start = {
    app: canary?.app ?? '', percent: String(canary?.percent ?? 5), header: canary?.header?.name ?? '', test: canary?.header?.test.kind ?? 'present', value: canary?.header?.test.value ?? '',
    min: String(canary?.limits.min_requests ?? 50), errors: canary ? String(canary.limits.max_error_percent ?? '') : '5', p95: canary ? String(canary.limits.max_p95_millis ?? '') : '',
  };
  const save = async (/** @type {typeof start} */ v) => {
    if (!v.app) throw new Problem({ status: 422, code: 'invalid', detail: 'Choose an app', field: 'app' });
    put(await network.domainCanary(host, {
      app: v.app, percent: number(v.percent, 'percent', 100) ?? 0,
      ...(v.header.trim() ? { header: { name: v.header.trim(), test: { kind: /** @type {any} */ (v.test), ...(v.test === 'equals' || v.test === 'contains' ? { value: v.value } : {}) } } } : {}),
      limits: { min_requests: number(v.min, 'min', null) ?? 50, max_error_percent: number(v.errors, 'errors', 100), max_p95_millis: number(v.p95, 'p95', null) },
    }));
  };
  const end = () => confirm({ title: 'End the canary?', text: `All requests go to ${traffic.app.name} again.`, action: 'End', run: async () => put(await network.domainCanary(host, {})) });
  const app = canary ? findApp(canary.app) : null;
  if (!canary && !others.length && apps.value) return h(Panel, {}, h(Empty, { icon: 'bird', title: 'A canary is another app', text: 'Deploy the next version as an app of its own, then send it a few of the requests and watch.', action: inSome('configure') ? html`<a class="btn" href="/apps/new">${icon('plus')}New app</a>` : null }));
  return html`<div class="grid12"><div class="span-7 stack">${h(/** @type {typeof Saved<typeof start>} */ (Saved), {
    title: 'Canary', note: `Some requests for ${host} go to another app, until it fails too often or is too slow.`, start, save, can, label: canary ? 'Save' : 'Start', fields: ['app', 'percent', 'header', 'min', 'errors', 'p95'],
    actions: canary && can ? html`<button type="button" class="btn small danger" onClick=${end}>End canary…</button>` : null,
    body: (form) => { const v = form.values.value; return html`
      ${h(SelectField, { label: 'App', value: v.app, set: form.set('app'), options: [{ value: '', label: 'Choose an app' }, ...others.map((one) => ({ value: one.id, label: `${one.name} (${one.project.name}, ${one.environment.name})` }))], error: form.error('app') })}
      <div class="field"><div class="label-row"><label class="label" for="share">Share of the requests</label><b class="num">${v.percent || 0} of 100</b></div><input id="share" class="range" type="range" min="0" max="100" value=${v.percent} aria-invalid=${form.error('percent') ? 'true' : undefined} onInput=${(/** @type {any} */ event) => form.set('percent')(event.target.value)} /></div>
      <div class="form-row">${h(TextField, { label: 'Always with this header', value: v.header, set: form.set('header'), mono: true, optional: true, placeholder: 'X-Canary', error: form.error('header') })}
        ${v.header.trim() ? h(SelectField, { label: 'Test', value: v.test, set: form.set('test'), options: [{ value: 'present', label: 'is there' }, { value: 'equals', label: 'is' }, { value: 'contains', label: 'has in it' }, { value: 'absent', label: 'is not there' }] }) : null}
        ${v.header.trim() && (v.test === 'equals' || v.test === 'contains') ? h(TextField, { label: 'Value', value: v.value, set: form.set('value'), mono: true }) : null}</div>
      <h3>All requests go back when</h3>
      <div class="form-row">${h(TextField, { label: 'Errors pass', value: v.errors, set: form.set('errors'), inputmode: 'numeric', optional: true, suffix: 'of 100', error: form.error('errors', 'limits'), placeholder: 'any' })}${h(TextField, { label: '95 of 100 take over', value: v.p95, set: form.set('p95'), inputmode: 'numeric', optional: true, suffix: 'ms', error: form.error('p95'), placeholder: 'any' })}${h(TextField, { label: 'Not before', value: v.min, set: form.set('min'), inputmode: 'numeric', suffix: 'requests', error: form.error('min') })}</div>`; },
  })}</div>
  <div class="span-5 stack">${h(Panel, { title: 'How it does', actions: canary ? h(State, { state: failed ? 'failed' : 'active' }) : null }, !canary ? html`<p class="dim small">No canary yet. It begins as soon as it is saved; a share of 0 with a header is for testers only.</p>` : html`<div class="stack">
    ${failed ? html`<p class="notice bad">${icon('undo-2')}<span class="any">All requests go to ${traffic.app.name} again: ${failed.why} (${h(Ago, { at: failed.at })}). Saving it, as it is or with other limits, tries anew.</span></p>` : null}
    ${h(Facts, { items: [['App', app ? html`<a class="ext" href=${appPath(app)}>${app.name}</a>` : html`<code>${canary.app}</code>`], ['Requests', state ? count(state.requests) : '–'], ['Errors', state ? html`${count(state.errors)}${state.requests ? html` <span class="faint">${percent(state.errors / state.requests)}</span>` : null}` : '–'], ['95 of 100', within(state?.p95_millis)], ['Decided after', plural(canary.limits.min_requests ?? 50, 'request')]] })}</div>`)}</div></div>`;
}
