// What the edge does with a domain's requests, or with those of one rule, in parts that are saved one by one.
import { html, h, icon, useEffect } from '../lib/html.js';
import { network } from '../lib/network.js';
import { route, setQuery } from '../lib/router.js';
import { changed, PARTS } from '../lib/policy.js';
import { ruleValues, ruleWish } from '../lib/traffic.js';
import { Panel } from '../parts/page.js';
import { Saved } from '../parts/saved.js';
import { Empty } from '../parts/empty.js';
import { SelectField } from '../parts/field.js';
import { confirm } from '../parts/dialog.js';
import { purge } from '../parts/purge.js';
import * as fields from '../parts/policy.js';
import { mayDo } from '../lib/live.js';
import { may } from '../lib/rights.js';
import '../parts/network.js';

/** @typedef {import('../lib/policy.js').Policy} Policy */
/** @typedef {keyof typeof PARTS} Part */

/** @type {[group: string, parts: { part: Part, title: string, note: string, toggle?: boolean, body: (form: any) => any, admin?: boolean, fields?: string[] }[]][]} */
const GROUPS = [
  ['Who may come', [
    { part: 'maintenance', title: 'Maintenance', note: 'Everybody but those allowed gets a page that says so.', toggle: true, body: fields.Maintenance, fields: ['maintenance_retry'] },
    { part: 'access', title: 'Addresses', note: 'What is denied is denied. If anything is allowed, only that may come.', body: fields.Access },
    { part: 'rates', title: 'Rate limits', note: 'Who asks too often gets 429. On trial, a limit only counts.', body: fields.Rates, fields: ['rate_limits'] },
    { part: 'password', title: 'Password', note: 'The browser asks for a name and a password.', toggle: true, body: fields.Password },
    { part: 'forward', title: 'Ask another server', note: 'Each request is shown to it; 2xx lets it pass.', toggle: true, body: fields.Forward, admin: true },
  ]],
  ['What is answered', [
    { part: 'headers', title: 'Headers of answers', note: 'Added to, or taken from, what the app says.', body: fields.Headers, fields: ['response_headers_set', 'response_headers_hsts'] },
    { part: 'cors', title: 'Other origins (CORS)', note: 'Which pages elsewhere may read the answers. The edge answers for the app.', toggle: true, body: fields.Cors, fields: ['cors_age'] },
    { part: 'compression', title: 'Compression', note: 'gzip, brotli or zstd, whichever the browser takes, for kinds that gain from it.', toggle: true, body: () => null },
    { part: 'cache', title: 'Cache', note: 'Answers that may be shared are kept in memory and given again, until the app is deployed.', toggle: true, body: fields.Cache, fields: ['cache_max', 'cache_object', 'cache_fresh', 'cache_stale', 'cache_failed'] },
    { part: 'pages', title: 'Error pages', note: 'In place of the edge’s own pages.', body: fields.Pages, fields: ['error_pages'] },
    { part: 'limits', title: 'Sizes and times', note: 'Left empty: the edge’s own.', body: fields.Limits, fields: ['limits_body', 'limits_response', 'limits_idle', 'bandwidth'] },
  ]],
  ['How the app is reached', [
    { part: 'balancing', title: 'Balancing', note: 'Which container gets a request, and when another is tried.', body: fields.Balancing, fields: ['slow_start_seconds', 'retries_attempts'] },
    { part: 'health', title: 'Health', note: 'Containers that are not well get no requests while another is.', body: fields.Health, fields: ['active_health', 'ejection', 'active_health_status', 'active_health_interval', 'active_health_timeout', 'active_health_healthy', 'active_health_unhealthy', 'ejection_failures', 'ejection_seconds', 'ejection_share'] },
    { part: 'upstream', title: 'Protocol', note: 'What is spoken with the app.', body: fields.Upstream },
  ]],
];

/** @param {import('./domain.js').TabProps} props */
export default function DomainPolicy({ traffic, put, load }) {
  const { host, rules } = traffic;
  const id = route.value.query.get('rule') ?? '';
  const rule = rules.find((one) => one.id === id) ?? null;
  const policy = rule ? rule.policy ?? null : traffic.policy;
  const can = mayDo(traffic.app.id, 'configure');
  useEffect(() => { if (route.value.hash) document.getElementById(route.value.hash.slice(1))?.scrollIntoView(); }, []);
  /** @param {Policy | null} next */
  const giveRule = async (next) => {
    if (!rule) return;
    const now = (await network.domainShow(host)).rules.find((one) => one.id === rule.id) ?? rule;
    await network.domainRuleReplace(host, rule.id, ruleWish(ruleValues(now), next));
    await load();
  };
  /** What another has changed meanwhile stays: the change goes into the policy that is there now. @param {import('../lib/policy.js').Change} change */
  const save = async (change) => {
    const now = await network.domainShow(host);
    if (rule) { await giveRule(changed(now.rules.find((one) => one.id === rule.id)?.policy ?? {}, change)); return; }
    const next = await network.domainPolicyReplace(host, changed(now.policy, change));
    put({ ...now, policy: next });
  };
  return html`<div class="policy"><div class="settings-grid">
    ${rules.length ? html`<div class="row row-wrap scope">${h(SelectField, { label: 'Holds for', value: rule?.id ?? '', set: (value) => setQuery('rule', value || null), options: [{ value: '', label: `All of ${host}` }, ...rules.map((one) => ({ value: one.id, label: `Rule ${one.name}${one.policy ? '' : ' (as the domain)'}` }))] })}
      ${rule?.policy && can ? html`<button type="button" class="btn small end" onClick=${() => confirm({ title: `Take the policy of ${rule.name} away?`, text: 'The domain’s policy then holds for its requests.', action: 'Take away', run: () => giveRule(null) })}>Use the domain’s</button>` : null}</div>` : null}
    ${!policy ? h(Panel, {}, h(Empty, { icon: 'sliders-horizontal', title: `${rule?.name} goes by the domain’s policy`, text: 'With a policy of its own, nothing of the domain’s holds for its requests.', small: true, action: can ? html`<button type="button" class="btn" onClick=${() => giveRule(traffic.policy)}>Start from the domain’s</button><button type="button" class="btn" onClick=${() => giveRule({ compression: false })}>Start empty</button>` : null }))
    : GROUPS.map(([group, parts]) => html`<section class="stack policy-group" key=${group} aria-label=${group}><h2 class="group-title">${group}</h2>
      ${parts.map(({ part, title, note, toggle, body, admin, fields: own }) => {
        const start = PARTS[part].of(policy);
        const Body = body;
        return h(/** @type {typeof Saved<any>} */ (Saved), { key: `${id}/${part}`, id: part, title, note, start, toggle: toggle ? 'on' : undefined, can: can && (!admin || may('admin')), fields: own, save: (values) => save(PARTS[part].to(values)), body: (form) => h(/** @type {any} */ (Body), { form }),
          actions: part === 'cache' && policy.cache && can ? html`<button type="button" class="btn small" onClick=${() => purge(host)}>${icon('eraser')}Purge…</button>` : null });
      })}</section>`)}
  </div>${policy ? h(OnPage, { policy }) : null}</div>`;
}

/** What there is, and what of it is on. @param {{ policy: Policy }} props */
function OnPage({ policy }) {
  const go = (/** @type {Event} */ event, /** @type {string} */ part) => { event.preventDefault(); const target = document.getElementById(part); target?.scrollIntoView({ block: 'start' }); /** @type {HTMLElement | null | undefined} */ (target?.querySelector('input, select, textarea, button'))?.focus({ preventScroll: true }); };
  return html`<nav class="on-page" aria-label="Parts of the policy">${GROUPS.map(([group, parts]) => html`<div key=${group}><h3>${group}</h3><ul>${parts.map(({ part, title }) => {
    const on = JSON.stringify(PARTS[part].of(policy)) !== JSON.stringify(PARTS[part].of({}));
    return html`<li key=${part}><a class=${on ? 'is-on' : ''} href=${`#${part}`} onClick=${(/** @type {Event} */ event) => go(event, part)}><i aria-hidden="true"></i>${title}${on ? html`<span class="unseen">, on</span>` : null}</a></li>`;
  })}</ul></div>`)}</nav>`;
}
