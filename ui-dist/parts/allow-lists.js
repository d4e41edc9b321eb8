// From which addresses the panel and its API are reached. A change shows how long it waits to be confirmed.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { network } from '../lib/network.js';
import { useResource } from '../lib/resource.js';
import { linesOf, listOf } from '../lib/traffic.js';
import { second } from '../lib/clock.js';
import { Panel } from './page.js';
import { Saved } from './saved.js';
import { Failed, Loading } from './empty.js';
import { SelectField, Switch, TextField } from './field.js';
import { Act } from './act.js';

/** @typedef {import('../lib/api.js').S<'AllowLists'>} Lists */

const MINUTES = ['2', '5', '10', '30', '60'].map((value) => ({ value, label: `${value} minutes` }));

/** For administrators only. */
export function AllowLists() {
  const found = useResource('allow-lists', network.allowListsShow, ['allow_lists_changed', 'allow_lists_confirmed', 'allow_lists_reverted']);
  const now = found.value.value;
  if (!now) return h(Panel, { title: 'Where from' }, found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 3 }));
  const keep = (/** @type {Lists} */ next) => { found.value.value = next; };
  const save = async (/** @type {{ panel: string, api: string, minutes: string, force: boolean }} */ v) => keep(await network.allowListsUpdate({ panel: listOf(v.panel), api: listOf(v.api), confirm_minutes: Number(v.minutes), force: v.force }));
  const own = now.your_address;
  return html`<div class="stack">${now.trial ? h(Trial, { lists: now, keep, over: found.load }) : null}
    ${h(/** @type {typeof Saved<{ panel: string, api: string, minutes: string, force: boolean }>} */ (Saved), {
    title: 'Where from', note: 'Addresses from which the panel is reached', id: 'allow-lists', start: { panel: linesOf(now.panel), api: linesOf(now.api), minutes: '5', force: false }, fields: ['panel', 'api', 'confirm_minutes'], save,
    body: (form) => {
      const v = form.values.value;
      return html`<div class="form-row">${h(TextField, { label: 'The panel', value: v.panel, set: form.set('panel'), mono: true, rows: 3, optional: true, placeholder: 'everybody', error: form.error('panel'), hint: own ? html`An address or a network on each line. Yours is <code>${own}</code>.` : 'An address or a network on each line.' })}
        ${h(TextField, { label: 'Programs', value: v.api, set: form.set('api'), mono: true, rows: 3, optional: true, placeholder: 'everybody', error: form.error('api'), hint: 'Programs are taken from these only: requests with a token, provisioning (SCIM) and logouts by an identity provider, and jobs of a CI that ask for a token.' })}</div>
        <div class="form-row">${h(SelectField, { label: 'Take back unless confirmed within', value: v.minutes, set: form.set('minutes'), options: MINUTES, error: form.error('confirm_minutes') })}
        ${h(Switch, { label: 'Even if it keeps me out', hint: 'Somebody else must confirm it then.', on: v.force, set: form.set('force') })}</div>
        <p class="hint">Sites of apps, webhooks and challenges of certificate authorities are not touched. On the server itself <code>serverkit security allow-list clear</code> always gets in.</p>`;
    } })}</div>`;
}

/** @param {{ lists: Lists, keep: (next: Lists) => void, over: () => unknown }} props */
function Trial({ lists, keep, over }) {
  const trial = /** @type {NonNullable<Lists['trial']>} */ (lists.trial);
  // Counted from when the answer came: the two clocks may differ.
  const [ends, setEnds] = useState(() => Date.now() + trial.seconds_left * 1000);
  useEffect(() => { setEnds(Date.now() + trial.seconds_left * 1000); }, [trial.until]);
  const left = Math.max(0, Math.ceil((ends - second.value) / 1000));
  useEffect(() => { if (left === 0) { const again = setTimeout(over, 1500); return () => clearTimeout(again); } return undefined; }, [left === 0]);
  const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`;
  const words = (/** @type {string[]} */ list) => (list.length ? list.join(', ') : 'everybody');
  return h(Panel, { title: 'Waits to be confirmed', note: 'The new addresses are in force' }, html`<div class="stack">
    <div class="notice warn">${icon('clock')}<span>Taken back in <b class="num">${clock}</b> unless it is confirmed. Before: the panel <b>${words(trial.panel_before)}</b>, tokens <b>${words(trial.api_before)}</b>.</span></div>
    <p class="unseen" role="status">${left > 0 && left % 60 === 0 ? `${left / 60} minutes left to confirm` : ''}</p>
    <div class="row">${h(Act, { label: 'Keep it', tone: 'primary', small: true, run: async () => keep(await network.allowListsConfirm()) })}
    ${h(Act, { label: 'Take it back now', small: true, run: async () => keep(await network.allowListsRevert()) })}</div></div>`);
}
