// One deployment: its steps at the left, its log at the right, what it made and how that differs from before.
import { html, h, icon, useEffect, useRef } from '../lib/html.js';
import { api, socket } from '../lib/api.js';
import { forges } from '../lib/forges.js';
import { useResource } from '../lib/resource.js';
import { appPath, deployments, findApp, isFinal, mayDo, putDeployment } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { bytes, exact, plural, shortCommit } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Facts } from '../parts/facts.js';
import { State } from '../parts/state.js';
import { Ago, Took } from '../parts/time.js';
import { Timeline } from '../parts/timeline.js';
import { Diff } from '../parts/diff.js';
import { Act } from '../parts/act.js';
import { Copy } from '../parts/copy.js';
import { Failed, Loading } from '../parts/empty.js';
import { showDialog, DialogHead } from '../parts/dialog.js';
import { rollBack } from './app-deployments.js';
import '../elements/sk-log.js';
import { said } from '../parts/said.js';

/** @typedef {import('../lib/api.js').S<'Deployment'>} Deployment */

/** @param {{ params: Record<string, string> }} props */
export default function DeploymentPage({ params }) {
  const id = params.deployment;
  const found = useResource(`deployment:${id}`, () => api.deploymentShow(id), ['deployment_moved'], ({ data }) => data?.deployment === id);
  const live = deployments.value[id];
  const loaded = found.value.value;
  const one = live && (!loaded || live.steps.length >= loaded.steps.length) ? live : loaded;
  const app = one ? findApp(one.app.id) : undefined;
  useTrail(one ? [{ label: 'Apps', href: '/apps' }, { label: one.app.name, href: appPath(one.app) }, { label: 'Deployments', href: appPath(one.app, 'deployments') }, { label: `#${one.number}` }] : [{ label: 'Deployment' }], [one?.id, app?.id]);
  const releases = useResource(`app:${one?.app.id}:releases`, async () => (one ? api.releaseList(one.app.id) : []), ['deployment_moved']).value.value ?? [];
  const release = releases.find((other) => other.id === one?.release);
  const before = releases.find((other) => other.id === one?.previous);
  const failure = found.error.value;
  const reported = useResource(`deployment:${id}:forge`, () => forges.report(id), ['deployment_moved', 'forge_told'], ({ data }) => data?.deployment === id);
  if (!one) return html`<div class="page">${failure ? html`${h(PageHead, { title: 'Deployment' })}${h(Failed, { error: failure, retry: found.load })}` : h(Loading, { rows: 4 })}</div>`;
  const told = reported.value.value?.report;
  const builds = !app || ['git', 'upload'].includes(app.source.kind);
  return html`<div class="page fill">
    ${h(PageHead, {
      title: html`<a href=${appPath(one.app)}>${one.app.name}</a> <span class="faint num">#${one.number}</span>`, name: `${one.app.name} #${one.number}`, state: h(State, { state: one.phase, detail: one.error }),
      note: html`<div class="app-meta">${one.commit ? html`<span>${icon('git-commit-horizontal')}<code>${shortCommit(one.commit.id)}</code><span class="cut">${one.commit.subject}</span></span>` : null}<span>${icon('user')}${one.by}</span><span>${icon('clock')}<span>${h(Ago, { at: one.queued_at })}, took ${h(Took, { from: one.queued_at, to: one.finished_at })}</span></span></div>`,
      actions: mayDo(one.app.id, 'deploy') ? html`
        ${one.cancellable && !isFinal(one) ? h(Act, { label: 'Cancel', icon: 'x', run: async () => putDeployment(await api.deploymentCancel(one.id)) }) : null}
        ${release && !release.live && app ? html`<button type="button" class="btn" onClick=${() => rollBack(app, release)}>${icon('undo-2')}Roll back to this</button>` : null}
        ${isFinal(one) && app ? h(Act, { label: 'Deploy again', icon: 'rotate-cw', run: async () => putDeployment(await api.deploymentCreate(one.app.id, one.reference ? { reference: one.reference } : one.image ? { image: one.image } : {})) }) : null}` : null,
    })}
    <div class="deployment-grid">
      <div class="deployment-side">
        ${one.error ? html`<p class="notice bad">${icon('circle-alert')}<span class="any">${said(one.error)}${app?.release && app.release.deployment !== one.id ? html`<br /><span class="dim">Release #${app.release.number} still serves.</span>` : null}</span></p>` : null}
        ${one.rollback_why ? html`<p class="notice warn">${icon('undo-2')}<span class="any">The panel went back by itself, because the release before kept exiting: ${said(one.rollback_why)}</span></p>` : null}
        ${one.kept.map((words) => html`<p class="notice" key=${words}>${icon('info')}<span class="any">${said(words)}</span></p>`)}
        ${one.waits ? html`<p class="notice">${icon('clock')}<span class="any">Number ${one.waits.place} in the <a class="link" href="/deployments">queue</a>: ${one.waits.why}.</span></p>` : null}
        ${!isFinal(one) && app?.stops_first && app.release ? html`<p class="notice">${icon('info')}<span class="any">The old container stops before the new one starts: ${app.stops_first}.</span></p>` : null}
        ${h(Panel, { title: 'Steps' }, h(Timeline, { deployment: one, builds, down: true }))}
        ${h(Panel, { title: 'Facts', class: 'deployment-facts' }, h(Facts, { items: [
          ['Started', html`<span title=${exact(one.queued_at)}>${exact(one.queued_at)}</span>`],
          ['Cause', { manual: 'Asked for', created: 'The app’s first', rollback: 'Rollback', push: 'Pushed', new_image: 'A newer image', promotion: 'Promoted from another environment' }[one.cause] ?? one.cause],
          ['By', one.by],
          Boolean(one.built_on) && ['Built on', String(one.built_on)],
          Boolean(one.reference) && ['Reference', html`<code>${one.reference}</code>`],
          Boolean(one.image) && ['Image', html`<code>${one.image}</code>`],
          one.commit && ['Commit', html`<span class="code-line"><code>${one.commit.id.slice(0, 12)}</code>${h(Copy, { text: one.commit.id, label: 'Copy commit' })}</span>`],
          one.commit && ['Author', one.commit.author],
          told && ['Forge', h(Told, { deployment: one.id, can: mayDo(one.app.id, 'deploy'), report: told, load: reported.load })],
          release && ['Release', html`#${release.number} ${release.live ? html`<span class="tag accent">serves now</span>` : null}`],
          release && ['Image', html`<code class="any">${release.digest ?? release.image_name}</code>`],
          release && ['Port', String(release.port)],
          release && ['Limits', `${bytes(release.limits.memory_bytes)}, ${plural(release.limits.cpu_millis / 1000, 'core')}`],
        ] }))}
        ${release && before ? h(Changes, { app: one.app.id, from: before, to: release }) : null}
      </div>
      <section class="panel deployment-log" aria-label="Log"><div class="panel-body">${h(DeploymentLog, { key: one.id, deployment: one })}</div></section>
    </div></div>`;
}

const TOLD = { pending: 'knows it is under way', success: 'shows success', failure: 'shows a failure', cancelled: 'shows it as ended' };

/** What the forge was told, and why not. @param {{ deployment: string, can: boolean, report: import('../lib/api.js').S<'ForgeReport'>, load: () => unknown }} props */
const Told = ({ deployment, can, report, load }) => html`<span class="stack tight"><span>${report.repository} ${report.told ? TOLD[report.told] : 'was not told yet'}</span>
  ${report.problem ? html`<span class="bad-text any">${said(report.problem)}</span><span class="row">${report.next_at ? html`<span class="dim">Again ${h(Ago, { at: report.next_at })}</span>` : html`<span class="dim">Given up</span>`}${can ? h(Act, { label: 'Tell it now', small: true, run: async () => { await forges.reportAgain(deployment); await load(); } }) : null}</span>` : null}</span>`;

/** @typedef {import('../lib/api.js').S<'Release'>} Release */
/** @param {{ app: string, from: Release, to: Release }} props */
function Changes({ app, from, to }) {
  const found = useResource(`diff:${from.id}:${to.id}`, () => api.releaseDiff(app, from.id, to.id));
  const changes = found.value.value?.changes;
  const all = () => showDialog('Changes', (close) => html`<div class="stack">${h(DialogHead, { title: `Release #${from.number} to #${to.number}`, close })}<div class="panel flush">${h(Diff, { changes: changes ?? [], from: `Release #${from.number}`, to: `Release #${to.number}` })}</div></div>`, { wide: true });
  return h(Panel, { title: `Changes since #${from.number}`, class: 'deployment-facts', flush: true, actions: changes?.length ? html`<button type="button" class="btn ghost small" onClick=${all}>Compare</button>` : null },
    found.error.value ? h(Failed, { error: found.error.value }) : !changes ? h(Loading, { rows: 3 }) : changes.length ? html`<ul class="changes">${changes.slice(0, 8).map((change) => html`<li class=${change.from == null ? 'added' : change.to == null ? 'removed' : 'changed'}>${change.from == null ? icon('plus', 'icon-small') : change.to == null ? icon('minus', 'icon-small') : icon('pencil', 'icon-small')}<span class="cut" title=${change.what}>${change.what}</span></li>`)}${changes.length > 8 ? html`<li class="faint">and ${changes.length - 8} more</li>` : null}</ul>` : html`<p class="dim small inset">Nothing differs.</p>`);
}

/** The log: what is written, then what comes. @param {{ deployment: Deployment }} props */
function DeploymentLog({ deployment }) {
  const element = useRef(/** @type {import('../elements/sk-log.js').SkLog | null} */ (null));
  useEffect(() => {
    let gone = false;
    /** @type {WebSocket | null} */
    let line = null;
    const log = element.current;
    if (log) log.downloadUrl = api.deploymentLogText(deployment.id);
    (async () => {
      try {
        let after = 0;
        for (;;) {
          const page = await api.deploymentLog(deployment.id, after, 500);
          if (gone) return;
          log?.push(page.lines);
          const last = page.lines.at(-1)?.n ?? after;
          if (page.complete && page.lines.length < 500) return;
          if (page.lines.length === 0) { after = last; break; }
          after = last;
        }
        /** @type {any[]} */
        let waiting = [];
        const flush = () => { log?.push(waiting); waiting = []; };
        for (let tries = 0; !gone && tries < 8; tries += 1) {
          line = await socket(`/deployments/${deployment.id}/log/stream`, { after });
          if (gone) { line.close(); return; }
          const open = line;
          open.onmessage = ({ data }) => { const one = JSON.parse(data); after = one.n; tries = 0; if (!waiting.length) requestAnimationFrame(flush); waiting.push(one); };
          const code = await new Promise((resolve) => { open.onclose = (event) => resolve(event.code); });
          if (code === 1000) return;
          await new Promise((resolve) => { setTimeout(resolve, 500 * 2 ** tries); });
        }
      } catch (error) { log?.setStatus(/** @type {Error} */ (error).message); }
    })();
    return () => { gone = true; line?.close(); };
  }, [deployment.id]);
  return html`<sk-log ref=${element} foldable label=${`Log of deployment ${deployment.number}`} name=${`${deployment.app.name}-${deployment.number}.log`}></sk-log>`;
}
