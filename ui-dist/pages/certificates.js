// The inventory of certificates, and the panel's own authority with how to trust it.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { network } from '../lib/network.js';
import { route, setQuery } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { certificateState } from '../lib/states.js';
import { moment } from '../lib/clock.js';
import { day, plural, sentence } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { State } from '../parts/state.js';
import { Ago } from '../parts/time.js';
import { Act } from '../parts/act.js';
import { Copy } from '../parts/copy.js';
import { Menu } from '../parts/menu.js';
import { confirm } from '../parts/dialog.js';
import { toast } from '../parts/toast.js';
import { ORIGINS, orderCertificate, uploadCertificate } from '../parts/certificates.js';
import { domainPath } from '../parts/domains.js';
import { Choice } from '../parts/field.js';
import { Empty } from '../parts/empty.js';
import { mayDo } from '../lib/live.js';
import { everywhere } from '../lib/rights.js';

/** @typedef {import('../lib/api.js').S<'Certificate'>} Certificate */

/** How much of its life has passed, 0 to 1. @param {Certificate} one @param {number} now */
const spent = (one, now) => {
  const [from, to] = [Date.parse(one.not_before ?? ''), Date.parse(one.not_after ?? '')];
  return Number.isFinite(from) && to > from ? Math.min(1, Math.max(0, (now - from) / (to - from))) : null;
};

/** What somebody should do about it, or what happens by itself. @param {Certificate} one @param {string} state */
const nextOf = (one, state) => (one.next_step ? sentence(one.next_step)
  : state === 'pending' ? 'Ordered; it comes by itself' : state === 'failed' || state === 'waiting' ? 'Tried again by itself'
  : one.origin === 'uploaded' ? (state === 'valid' ? '' : 'Upload another') : '');

export default function CertificatesPage() {
  useTrail([{ label: 'Certificates' }]);
  const found = useResource('certificates', network.certificateList, ['certificate_issued', 'certificate_failed', 'certificate_expiring', 'certificate_uploaded', 'certificate_removed', 'domain_added', 'domain_removed']);
  const domains = useResource('domains', api.domainList, ['domain_added', 'domain_removed']).value.value;
  const isDomain = (/** @type {string | undefined} */ host) => Boolean(host && domains?.some((one) => one.host === host));
  const can = everywhere('configure');
  const mayRenew = (/** @type {Certificate} */ one) => can || (domains ?? []).some((each) => one.serves.includes(each.host) && mayDo(each.app.id, 'configure'));
  const again = (/** @type {unknown} */ done) => { if (done) found.load(); };
  useEffect(() => { if (route.value.query.has('upload')) { setQuery('upload', null); if (can) uploadCertificate().then(again); } }, []);
  const renew = async (/** @type {Certificate} */ one) => { try { await network.certificateRenew(one.id); await found.load(); } catch (error) { toast(/** @type {Error} */ (error).message, { tone: 'bad' }); } };
  const remove = (/** @type {Certificate} */ one) => confirm({ title: `Remove the certificate for ${one.names[0] ?? one.host}?`, text: one.serves.length ? 'The domains that it serves get others.' : 'It serves no domain.', objects: [{ icon: 'shield-check', label: one.names.join(', '), note: ORIGINS[one.origin].toLowerCase() }, ...one.serves.map((host) => ({ icon: 'globe', label: host, note: 'gets another', kept: true }))], action: 'Remove', run: () => network.certificateRemove(one.id) }).then(again);
  const upload = () => uploadCertificate().then(again);
  return html`<div class="page">${h(PageHead, { title: 'Certificates', note: 'They renew themselves; this shows when, and why not', actions: can ? html`<button type="button" class="btn" onClick=${() => orderCertificate().then(again)}>${icon('plus')}Order</button><button type="button" class="btn primary" onClick=${upload}>${icon('upload')}Upload</button>` : null })}
    <div class="grid12"><div class="span-8 stack wide-at-1100">${h(Panel, { flush: true }, h(/** @type {typeof Table<Certificate>} */ (Table), {
      label: 'Certificates', rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.id, text: (one) => `${one.names.join(' ')} ${one.host} ${one.issuer} ${one.state} ${one.origin} ${one.last_error ?? ''}`, filter: 'Filter certificates', sort: { id: 'ends' },
      columns: [
        { id: 'host', label: 'Names', width: '32%', card: 'head', sort: (one) => one.names[0] ?? one.host, cell: (one) => html`<span class="cell-two"><b class="strong" title=${one.names.join(', ')}>${one.names[0] ?? one.host}${one.names.length > 1 ? html` <span class="faint">+${one.names.length - 1}</span>` : null}</b><span>${one.serves.length === 1 && one.serves[0] === (one.names[0] ?? one.host) ? (isDomain(one.serves[0]) ? html`<a class="ext" href=${domainPath(one.serves[0], 'certificate')}>its domain</a>` : 'this panel') : one.serves.length ? `serves ${plural(one.serves.length, 'domain')}` : 'serves no domain'}</span></span>` },
        { id: 'state', label: 'State', width: '112px', card: 'tail', sort: (one) => certificateState(one, moment.value), cell: (one) => h(State, { state: certificateState(one, moment.value), detail: one.last_error }) },
        { id: 'ends', label: 'Days left', width: '22%', sort: (one) => one.not_after ?? '', cell: (one) => { const part = spent(one, moment.value); return one.not_after ? html`<span class="life"><span><span class="num strong" title=${one.fingerprint ? `SHA-256 ${one.fingerprint}` : undefined}>${one.days_left ?? 0}</span> <span class="faint">until ${day(one.not_after)}</span></span>${part != null ? html`<span class=${`meter ${part > 0.9 ? 'warn' : ''}`}><i style=${{ width: `${(part * 100).toFixed(0)}%` }}></i></span>` : null}</span>` : one.next_try_at ? html`<span class="dim">next try ${h(Ago, { at: one.next_try_at })}</span>` : html`<span class="faint">–</span>`; } },
        { id: 'origin', label: 'From', sort: (one) => one.origin, cell: (one) => html`<span class="cell-two"><span class="dim">${ORIGINS[one.origin]}</span><span title=${one.issuer}>${one.issuer || 'not issued yet'}</span></span>` },
        { id: 'actions', label: '', width: '52px', align: 'right', card: 'plain', cell: (one) => (mayRenew(one) ? html`<span class="cell-actions">${h(Menu, { label: `Actions for ${one.names[0] ?? one.host}`, class: 'btn ghost small square', items: [
          one.origin === 'uploaded' ? can ? { label: 'Replace…', icon: 'upload', run: () => uploadCertificate(one).then(again) } : null : { label: one.last_error ? 'Try now' : 'Renew now', icon: 'refresh-cw', run: () => renew(one) },
          isDomain(one.serves[0]) && !one.shared ? { label: 'Open its domain', icon: 'globe', href: domainPath(one.serves[0], 'certificate') } : null,
          ...(one.shared && !one.automatic && everywhere('delete') ? [/** @type {const} */ ('line'), { label: 'Remove…', icon: 'trash-2', tone: /** @type {const} */ ('danger'), run: () => remove(one) }] : []),
        ] })}</span>` : null) },
      ],
      empty: h(Empty, { icon: 'shield-check', title: 'No certificates yet', text: 'A domain gets one by itself as soon as it is added. Or bring your own.', action: can ? html`<a class="btn" href="/domains">Open the domains</a><button type="button" class="btn" onClick=${upload}>${icon('upload')}Upload</button>` : null }),
    }))}</div><div class="span-4 stack wide-at-1100">${h(Troubles, { list: found.value.value ?? [] })}${h(Authority, {})}</div></div></div>`;
}

/** Those that need somebody, in words. @param {{ list: Certificate[] }} props */
function Troubles({ list }) {
  const wrong = list.map((one) => ({ one, state: certificateState(one, moment.value) })).filter(({ one, state }) => one.last_error || state === 'expired' || (state === 'expiring' && one.origin === 'uploaded'));
  if (!wrong.length) return null;
  return h(Panel, { title: 'What stands in the way', flush: true }, html`<ul class="troubles">${wrong.map(({ one, state }) => html`<li key=${one.id}>${h(State, { state })}<div class="grow any"><b class="strong">${one.names[0] ?? one.host}</b><p class="dim">${sentence(one.last_error ?? (state === 'expired' ? 'It has ended' : `It ends in ${plural(one.days_left ?? 0, 'day')}`))}</p>
    ${nextOf(one, state) ? html`<p class="row small">${icon('arrow-right', 'icon-small')}<span>${nextOf(one, state)}</span></p>` : null}${one.serves[0] ? html`<a class="link small" href=${domainPath(one.serves[0], 'certificate')}>Look closer</a>` : null}</div></li>`)}</ul>`);
}

const HOW = {
  linux: { label: 'Linux', text: 'sudo cp serverkit-ca.crt /usr/local/share/ca-certificates/\nsudo update-ca-certificates', note: 'Firefox keeps its own list: Settings, Certificates, Import.' },
  mac: { label: 'macOS', text: 'sudo security add-trusted-cert -d -r trustRoot \\\n  -k /Library/Keychains/System.keychain serverkit-ca.crt', note: '' },
  windows: { label: 'Windows', text: 'certutil -addstore -f Root serverkit-ca.crt', note: 'In a terminal opened as administrator.' },
};

function Authority() {
  const [system, setSystem] = useState(/** @type {keyof typeof HOW} */ (/Mac/.test(navigator.platform) ? 'mac' : /Win/.test(navigator.platform) ? 'windows' : 'linux'));
  const save = async () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([await network.certificateAuthority()], { type: 'application/x-x509-ca-cert' }));
    link.download = 'serverkit-ca.crt';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  const how = HOW[system];
  return h(Panel, { title: 'This panel’s own authority' }, html`<div class="stack small">
    <p class="dim">Names that are not public (.test, .internal, .localhost, addresses) get certificates signed by this panel. Browsers warn until they trust its authority.</p>
    <div class="row row-wrap">${h(Act, { label: 'Download', icon: 'download', run: save })}${h(Copy, { text: network.certificateAuthority, label: 'Copy as PEM', show: true })}</div>
    ${h(Choice, { label: 'System', small: true, value: system, set: setSystem, options: Object.entries(HOW).map(([value, { label }]) => ({ value, label })) })}
    <div class="key-box"><code class="pre">${how.text}</code>${h(Copy, { text: how.text, label: 'Copy commands' })}</div>
    <p class="hint">${how.note || 'Then restart the browser.'}</p></div>`);
}
