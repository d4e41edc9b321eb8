// One domain: its head, and the tabs.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { network } from '../lib/network.js';
import { navigate } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { appPath, mayDo } from '../lib/live.js';
import { useTrail } from '../lib/trail.js';
import { certificateState } from '../lib/states.js';
import { moment } from '../lib/clock.js';
import { policyWords } from '../lib/policy.js';
import { PageHead } from '../parts/page.js';
import { State } from '../parts/state.js';
import { Copy } from '../parts/copy.js';
import { Menu } from '../parts/menu.js';
import { Tab } from '../parts/tab.js';
import { Tabs } from '../parts/tabs.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { domainPath, removeDomain } from '../parts/domains.js';
import { setPassthrough } from '../parts/passthrough.js';

/** @typedef {import('../lib/api.js').S<'DomainTraffic'>} Traffic */
/** What each tab gets. @typedef {{ traffic: Traffic, domain: import('../lib/api.js').S<'Domain'> | undefined, put: (next: Traffic) => void, load: () => Promise<unknown> }} TabProps */

/** @type {[id: string, label: string, load: () => Promise<any>][]} */
const TABS = [
  ['traffic', 'Traffic', () => import('./domain-traffic.js')],
  ['rules', 'Rules', () => import('./domain-rules.js')],
  ['policy', 'Policy', () => import('./domain-policy.js')],
  ['canary', 'Canary', () => import('./domain-canary.js')],
  ['certificate', 'Certificate', () => import('./domain-certificate.js')],
];

/** @param {{ params: Record<string, string> }} props */
export default function DomainPage({ params }) {
  const { host } = params;
  const tab = params.tab ?? 'traffic';
  const found = useResource(`domain:${host}`, () => network.domainShow(host), ['domain_changed', 'canary_failed', 'domain_removed', 'domain_added']);
  const all = useResource('domains', api.domainList, ['domain_added', 'domain_removed', 'certificate_issued', 'certificate_failed']);
  const list = all.value.value;
  const domain = list?.find((one) => one.host === host);
  useTrail([{ label: 'Domains', href: '/domains' }, { label: host, menu: list && list.length > 1 ? list.slice(0, 60).map((one) => ({ label: one.host, note: one.app.name, href: domainPath(one.host, tab), checked: one.host === host })) : undefined }], [host, list?.length, tab]);
  const traffic = found.value.value;
  if (!traffic) return html`<div class="page">${h(PageHead, { title: host })}${found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 4 })}</div>`;
  const entry = TABS.find(([id]) => id === tab);
  const put = (/** @type {Traffic} */ next) => { found.value.value = next; };
  const counts = { rules: traffic.rules.length, policy: policyWords(traffic.policy).length };
  const items = TABS.map(([id, label]) => ({ id, label, href: domainPath(host, id), count: (id === 'rules' && counts.rules) || (id === 'policy' && counts.policy) || null, mark: id === 'canary' && traffic.canary ? 'busy' : id === 'certificate' && domain?.certificate?.last_error ? 'bad' : id === 'policy' && traffic.policy.maintenance ? '' : undefined }));
  return html`<div class="page">
    ${h(PageHead, {
      title: host, state: domain?.certificate ? h(State, { state: certificateState(domain.certificate, moment.value), detail: domain.certificate.last_error }) : null,
      note: html`<div class="app-meta"><span class="app-link">${icon('box')}<a href=${appPath(traffic.app, 'domains')}>${traffic.app.name}</a></span>
        ${domain && !host.startsWith('*') ? html`<span class="app-link">${icon('globe')}<a href=${domain.url} target="_blank" rel="noreferrer">${domain.url.replace(/\/$/, '')}</a>${h(Copy, { text: domain.url, label: 'Copy address' })}</span>` : null}
        <span class="hide-phone">${icon('arrow-right-left')}${traffic.force_https ? 'plain HTTP is sent to HTTPS' : 'also served over plain HTTP'}</span></div>`,
      actions: html`<a class="btn" href=${`${domainPath(host, 'rules')}#why`}>${icon('circle-help')}Why this?</a>
        ${mayDo(traffic.app.id, 'configure') ? h(Menu, { label: 'More actions', items: [
          { label: traffic.passthrough ? 'Change TLS passthrough…' : 'Pass TLS through to the app…', icon: 'lock', run: () => setPassthrough(traffic).then((next) => { if (next) put(next); }) },
          domain && !host.startsWith('*') ? { label: 'Open', icon: 'external-link', href: domain.url, external: true } : null,
          'line',
          domain ? { label: 'Remove…', icon: 'trash-2', tone: 'danger', run: async () => { if (await removeDomain(domain)) navigate('/domains'); } } : null,
        ] }) : null}`,
    }, h(Tabs, { label: 'Domain', at: tab, items }))}
    ${traffic.passthrough ? html`<p class="notice warn">${icon('lock')}<span>TLS is passed through to port ${traffic.passthrough.port} of ${traffic.app.name}. The edge does not see the requests, so rules and policy hold for plain HTTP only.</span></p>` : null}
    ${traffic.policy.maintenance && tab !== 'policy' ? html`<p class="notice warn">${icon('construction')}<span class="grow">The maintenance page is on: visitors do not reach the app.</span><a class="btn small" href=${domainPath(host, 'policy')}>See the policy</a></p>` : null}
    ${entry ? h(Tab, { key: tab, load: entry[2], props: { traffic, domain, put, load: found.load, key: host } }) : h(Empty, { icon: 'circle-help', title: 'No such tab', action: html`<a class="btn" href=${domainPath(host)}>Open the traffic</a>` })}
  </div>`;
}
