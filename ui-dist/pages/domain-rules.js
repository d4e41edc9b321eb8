// The rules of a domain in the order in which they are asked, and the box that explains which one answers.
import { html, h, icon, cx, useEffect, useState } from '../lib/html.js';
import { route } from '../lib/router.js';
import { network } from '../lib/network.js';
import { apps, mayDo } from '../lib/live.js';
import { actionWords, matchWords, moved, ruleValues, ruleWish } from '../lib/traffic.js';
import { policyWords } from '../lib/policy.js';
import { Panel } from '../parts/page.js';
import { Menu } from '../parts/menu.js';
import { Empty } from '../parts/empty.js';
import { confirm } from '../parts/dialog.js';
import { Explain } from '../parts/explain.js';
import { editRule } from '../parts/rule-editor.js';
import { domainPath } from '../parts/domains.js';
import { toast } from '../parts/toast.js';
import '../parts/network.js';

/** @typedef {import('../lib/api.js').S<'Rule'>} Rule */
// Named for the sprite: icon('box') icon('split') icon('corner-up-right') icon('message-square-text') icon('server')
const ICONS = { app: 'box', split: 'split', redirect: 'corner-up-right', respond: 'message-square-text', origin: 'server' };

/** @param {import('./domain.js').TabProps} props */
export default function DomainRules({ traffic, put, load }) {
  const [answer, setAnswer] = useState(/** @type {import('../lib/api.js').S<'Explanation'> | null} */ (null));
  const { host, rules, app } = traffic;
  const can = mayDo(traffic.app.id, 'configure');
  const asked = route.value.query.get('path');
  useEffect(() => { if (route.value.hash === '#why') document.getElementById('why')?.scrollIntoView({ block: 'nearest' }); }, [route.value.hash]);
  const nameOf = (/** @type {string} */ id) => apps.value?.find((one) => one.id === id)?.name ?? 'another app';
  const order = async (/** @type {string[]} */ ids) => {
    // At once as it will be; what the API says replaces it.
    put({ ...traffic, rules: ids.map((id) => /** @type {Rule} */ (rules.find((one) => one.id === id))) });
    try { put(await network.domainRuleOrder(host, ids)); } catch (error) { toast(/** @type {Error} */ (error).message, { tone: 'bad' }); load(); }
  };
  const move = (/** @type {Rule} */ rule, /** @type {number} */ by) => order(moved(rules.map((one) => one.id), rule.id, by));
  const edit = (/** @type {Rule | null} */ rule) => editRule(traffic, rule).then((done) => { if (done) load(); });
  const turn = async (/** @type {Rule} */ rule) => { await network.domainRuleReplace(host, rule.id, ruleWish({ ...ruleValues(rule), enabled: !rule.enabled }, rule.policy ?? null)); await load(); };
  const add = can ? html`<button type="button" class="btn small" onClick=${() => edit(null)}>${icon('plus')}Add rule</button>` : null;
  const lastHere = answer?.host === host && !answer.rule && answer.steps.at(-1)?.what === 'app';
  return html`<div class="grid12"><div class="span-8 stack">${h(Panel, { title: 'Rules', note: 'Asked from above; the first that fits answers.', flush: true, actions: rules.length ? add : null }, html`
    ${rules.length ? html`<ol class="rules">${rules.map((rule, at) => html`<li key=${rule.id} class=${cx('rule', !rule.enabled && 'is-off', answer?.rule === rule.id && 'answers')}>
      <span class="rule-at num">${at + 1}</span>
      <div class="rule-what"><div class="rule-name"><button type="button" class="rule-open strong" onClick=${() => edit(rule)} disabled=${!can}>${rule.name}</button>${rule.enabled ? null : html`<span class="tag">off</span>`}${answer?.rule === rule.id ? html`<span class="tag accent">answers</span>` : null}${rule.policy ? html`<a class="tag" href=${`${domainPath(host, 'policy')}?rule=${encodeURIComponent(rule.id)}`} title=${policyWords(rule.policy).join(', ')}>own policy</a>` : null}</div>
        <div class="chips">${matchWords(rule.matches, rule.action.pattern).map((one) => html`<code class=${`chip ${one.kind}`}>${one.text}</code>`)}</div></div>
      <div class="rule-to">${icon(ICONS[rule.action.kind], 'icon-small')}<span class="any">${actionWords(rule.action, nameOf, app.name)}</span></div>
      ${can ? html`<div class="rule-tools"><button type="button" class="btn ghost small square" aria-label=${`Move ${rule.name} up`} title="Up" disabled=${at === 0} onClick=${() => move(rule, -1)}>${icon('arrow-up')}</button><button type="button" class="btn ghost small square" aria-label=${`Move ${rule.name} down`} title="Down" disabled=${at === rules.length - 1} onClick=${() => move(rule, 1)}>${icon('arrow-down')}</button>
        ${h(Menu, { label: `More for ${rule.name}`, class: 'btn ghost small square', items: [
          { label: 'Edit…', icon: 'pencil', run: () => edit(rule) },
          { label: rule.enabled ? 'Turn off' : 'Turn on', icon: rule.enabled ? 'circle-pause' : 'play', run: () => turn(rule).catch((error) => toast(error.message, { tone: 'bad' })) },
          { label: rule.policy ? 'Its own policy' : 'Give it a policy of its own', icon: 'sliders-horizontal', href: `${domainPath(host, 'policy')}?rule=${encodeURIComponent(rule.id)}` },
          'line',
          { label: 'Delete…', icon: 'trash-2', tone: 'danger', run: async () => { if (await confirm({ title: `Delete the rule ${rule.name}?`, text: 'Requests that it answered go to the next rule that fits.', action: 'Delete', run: () => network.domainRuleRemove(host, rule.id) })) load(); } },
        ] })}</div>` : null}</li>`)}</ol>`
      : h(Empty, { icon: 'split', title: 'Everything goes to the app', text: 'A rule sends some requests elsewhere: a path to another app, an old address to a new one.', action: add, small: true })}
    <div class=${cx('rule rest', lastHere && 'answers')}><span class="rule-at num">${icon('asterisk', 'icon-small')}</span><div class="rule-what"><span class="dim">everything else</span></div><div class="rule-to">${icon('box', 'icon-small')}<span>${app.name}${lastHere ? html` <span class="tag accent">answers</span>` : null}</span></div></div>`)}</div>
    <div class="span-4 stack wide-at-1100">${h(Panel, { title: 'Why this?', note: 'Which rule would answer a request', id: 'why' }, h(Explain, { key: asked ?? '', host, path: asked, told: setAnswer, stale: JSON.stringify(rules.map((one) => [one.id, one.enabled, one.matches, one.action])) }))}</div></div>`;
}
