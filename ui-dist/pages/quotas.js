// Quotas: of the organization, its projects, and for those who run the panel of the other organizations.
import { html, h, icon } from '../lib/html.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { Failed, Loading } from '../parts/empty.js';
import { QuotaBars, editQuota, useQuotas } from '../parts/quota.js';

/** @typedef {import('../lib/api.js').S<'Quota'>} Quota */

export default function QuotasPage() {
  useTrail([{ label: 'Quotas' }]);
  const found = useQuotas();
  const list = found.value.value;
  const edit = (/** @type {Quota} */ quota) => editQuota(quota).then((done) => { if (done) found.load(); });
  const one = (/** @type {Quota} */ quota, /** @type {string} */ note) => h(Panel, {
    key: quota.id, title: quota.of === 'project' ? html`<a href=${`/projects/${quota.id}`}>${quota.name}</a>` : quota.name, note,
    actions: quota.changeable ? html`<button type="button" class="btn small" aria-label=${`Change the quota of ${quota.name}`} onClick=${() => edit(quota)}>${icon('pencil')}Change</button>` : null,
  }, h(QuotaBars, { quota }));
  const parts = (/** @type {(quota: Quota) => boolean} */ which, /** @type {string} */ note) => (list ?? []).filter(which).map((quota) => one(quota, note));
  return html`<div class="page">${h(PageHead, { title: 'Quotas', note: 'What an organization or a project may take of the server' })}
    ${list ? html`${parts((quota) => quota.of === 'organization' && quota.own, 'The organization: those who run this panel set it')}
      <div class="quota-grid">${parts((quota) => quota.of === 'project', 'Project: administrators set it, within the organization’s')}</div>
      <div class="quota-grid">${parts((quota) => quota.of === 'organization' && !quota.own, 'Another organization')}</div>`
      : html`<section class="panel">${found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 4 })}</section>`}</div>`;
}
