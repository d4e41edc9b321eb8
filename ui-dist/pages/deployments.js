// Deployments of all apps: what is under way and what waits, in order, then all that was.
import { html, h } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { deployments as live, findApp, inSome, mayDo, placeOf, putDeployment, running } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { millis, shortCommit } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { State } from '../parts/state.js';
import { Ago, Took } from '../parts/time.js';
import { Empty } from '../parts/empty.js';
import { Act } from '../parts/act.js';
import { said } from '../parts/said.js';

/** @typedef {import('../lib/api.js').S<'Deployment'>} Deployment */

/** What was deployed, in a word, where no commit and no tag says it. @param {import('../lib/api.js').S<'App'>['source'] | undefined} source */
const kindOf = (source) => (source?.kind === 'image' ? 'Image' : source?.kind === 'compose' ? (source.template ? 'From the marketplace' : 'Compose file') : 'Source');

/** Why it was deployed, below what was. @type {Record<string, string>} */
const CAUSES = { manual: 'asked for', created: 'the app’s first', push: 'pushed', rollback: 'an earlier release again', promotion: 'from another environment', new_image: 'its tag moved' };

/** @param {boolean} withApp @returns {import('../parts/table.js').Column<Deployment>[]} */
export const deploymentColumns = (withApp) => [
  ...(withApp ? [/** @type {import('../parts/table.js').Column<Deployment>} */ ({ id: 'app', label: 'App', width: '22%', card: 'head', sort: (one) => one.app.name, cell: (one) => html`<span class="cell-name"><b class="cut">${one.app.name}</b><span class="faint num">#${one.number}</span>${placeOf(one.app) ? html`<span class="faint cut">${placeOf(one.app)}</span>` : null}</span>` })]
    : [/** @type {import('../parts/table.js').Column<Deployment>} */ ({ id: 'number', label: '#', width: '72px', card: 'head', sort: (one) => one.number, cell: (one) => html`<b class="strong num">#${one.number}</b>` })]),
  { id: 'state', label: 'State', width: '120px', card: 'tail', sort: (one) => one.phase, cell: (one) => h(State, { state: one.phase, detail: one.error }) },
  { id: 'what', label: 'What', card: 'plain', cell: (one) => html`<span class="cell-two">${one.commit ? html`<span><code class="accent-text">${shortCommit(one.commit.id)}</code> ${one.commit.subject}</span>` : html`<span>${one.cause === 'rollback' ? 'Rollback' : one.cause === 'promotion' ? 'Promotion' : one.cause === 'new_image' ? 'Newer image' : one.upload ? 'Upload' : one.reference ?? kindOf(findApp(one.app.id)?.source)}</span>`}<span>${one.error ? html`<span class="bad-text">${said(one.error)}</span>` : one.commit ? `${one.commit.author}${one.reference ? ` · ${one.reference}` : ''}${one.cause === 'rollback' ? ' · rollback' : ''}` : one.rollback_why ? said(one.rollback_why) : CAUSES[one.cause] ?? one.cause}</span></span>` },
  { id: 'by', label: 'By', width: '17%', optional: true, card: 'hide', sort: (one) => one.by, cell: (one) => html`<span class="dim">${one.by}</span>` },
  { id: 'took', label: 'Took', width: '86px', align: 'right', optional: true, card: 'hide', sort: (one) => (millis(one.finished_at) ?? 0) - (millis(one.queued_at) ?? 0), cell: (one) => h(Took, { from: one.queued_at, to: one.finished_at }) },
  { id: 'when', label: 'When', width: '108px', align: 'right', sort: (one) => one.queued_at, cell: (one) => html`<span class="faint">${h(Ago, { at: one.queued_at })}</span>` },
];
/** @param {Deployment} one */
export const deploymentText = (one) => `${one.app.name} #${one.number} ${one.phase} ${one.by} ${one.reference ?? ''} ${one.commit ? `${one.commit.id} ${one.commit.subject} ${one.commit.author}` : ''} ${one.error ?? ''}`;

/** What was loaded, with what moved since. @param {Deployment[] | undefined} rows @param {(one: Deployment) => boolean} wanted */
export const withLive = (rows, wanted) => {
  if (!rows) return rows;
  const known = new Set(rows.map((one) => one.id));
  const fresh = Object.values(live.value).filter((one) => wanted(one) && !known.has(one.id));
  return [...fresh, ...rows.map((one) => live.value[one.id] ?? one)].sort((a, b) => (a.queued_at < b.queued_at ? 1 : -1));
};

/** Those under way, the oldest first, then those that wait. @param {Deployment[]} open */
export const inOrder = (open) => [...open].sort((a, b) => (a.phase === 'queued' ? 1 : 0) - (b.phase === 'queued' ? 1 : 0) || (a.waits?.place ?? 0) - (b.waits?.place ?? 0) || (a.queued_at < b.queued_at ? -1 : 1));

export default function DeploymentsPage() {
  useTrail([{ label: 'Deployments' }]);
  const found = useResource('deployments', () => api.deploymentListAll());
  const queue = inOrder(running.value);
  return html`<div class="page">${h(PageHead, { title: 'Deployments', note: 'The newest over all apps' })}
    ${queue.length ? h(Panel, { title: 'Queue', note: 'What is under way, then what waits, in its order', flush: true }, html`<ol class="run-list queue" aria-label="Queue">${queue.map((one) => html`<li class="run" key=${one.id}>
      <a class="row-link run-number" href=${`/deployments/${one.id}`}>${one.app.name} <span class="num">#${one.number}</span>${placeOf(one.app) ? html` <span class="faint">${placeOf(one.app)}</span>` : null}</a><span class="run-state">${h(State, { state: one.phase })}</span>
      <span class="run-what any">${one.waits ? `Place ${one.waits.place}: ${one.waits.why}` : one.built_on ? `${one.by}, on ${one.built_on}` : one.by}</span><span class="run-when faint">${h(Ago, { at: one.queued_at })}</span>
      ${mayDo(one.app.id, 'deploy') && one.cancellable ? h(Act, { label: `Cancel ${one.app.name} #${one.number}`, icon: 'x', small: true, square: true, tone: 'ghost', run: async () => putDeployment(await api.deploymentCancel(one.id)) }) : null}</li>`)}</ol>`) : null}
    ${h(Panel, { flush: true }, h(/** @type {typeof Table<Deployment>} */ (Table), {
      label: 'Deployments', name: 'deployments', columns: deploymentColumns(true), rows: withLive(found.value.value?.items, () => true), error: found.error.value, retry: found.load, keyOf: (one) => one.id, href: (one) => `/deployments/${one.id}`, text: deploymentText, filter: 'Filter by app, commit, person',
      empty: h(Empty, { icon: 'rocket', title: 'Nothing was deployed yet', text: 'Each deployment, its log and what it put live is kept here.', action: inSome('configure') ? html`<a class="btn primary" href="/apps/new">New app</a>` : null }),
    }))}</div>`;
}
