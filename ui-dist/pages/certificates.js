// Certificates, and the panel's own authority with how to trust it.
import { html, h, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { certificateState } from '../lib/states.js';
import { moment } from '../lib/clock.js';
import { day } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Table } from '../parts/table.js';
import { State } from '../parts/state.js';
import { Ago } from '../parts/time.js';
import { Act } from '../parts/act.js';
import { Copy } from '../parts/copy.js';
import { Choice } from '../parts/field.js';
import { Empty } from '../parts/empty.js';
import { may } from '../parts/frame.js';

/** @typedef {import('../lib/api.js').S<'Certificate'>} Certificate */

/** How much of its life has passed, 0 to 1. @param {Certificate} one @param {number} now */
const spent = (one, now) => {
  const [from, to] = [Date.parse(one.not_before ?? ''), Date.parse(one.not_after ?? '')];
  return Number.isFinite(from) && to > from ? Math.min(1, Math.max(0, (now - from) / (to - from))) : null;
};

export default function CertificatesPage() {
  useTrail([{ label: 'Certificates' }]);
  const found = useResource('certificates', api.certificateList, ['certificate_issued', 'certificate_failed', 'domain_added', 'domain_removed']);
  return html`<div class="page">${h(PageHead, { title: 'Certificates', note: 'They renew themselves; this shows when, and why not' })}
    <div class="grid12"><div class="span-8 stack">${h(Panel, { flush: true }, h(/** @type {typeof Table<Certificate>} */ (Table), {
      label: 'Certificates', rows: found.value.value, error: found.error.value, retry: found.load, keyOf: (one) => one.host, text: (one) => `${one.host} ${one.issuer} ${one.state}`, filter: 'Filter certificates', sort: { id: 'ends' },
      columns: [
        { id: 'host', label: 'Host', width: '34%', card: 'head', sort: (one) => one.host, cell: (one) => html`<span class="cell-two"><b class="strong">${one.host}</b><span title=${one.last_error ?? one.fingerprint}>${one.last_error ? html`<span class="bad-text">${one.last_error}</span>` : one.issuer || 'not issued yet'}</span></span>` },
        { id: 'state', label: 'State', width: '116px', card: 'tail', sort: (one) => certificateState(one, moment.value), cell: (one) => h(State, { state: certificateState(one, moment.value), detail: one.last_error }) },
        { id: 'ends', label: 'Ends', sort: (one) => one.not_after ?? '', cell: (one) => { const part = spent(one, moment.value); return one.not_after ? html`<span class="life"><span><span title=${one.fingerprint ? `SHA-256 ${one.fingerprint}` : undefined}>${day(one.not_after)}</span> <span class="faint">${h(Ago, { at: one.not_after })}</span></span>${part != null ? html`<span class=${`meter ${part > 0.9 ? 'warn' : ''}`}><i style=${{ width: `${(part * 100).toFixed(0)}%` }}></i></span>` : null}</span>` : one.next_try_at ? html`<span class="dim">next try ${h(Ago, { at: one.next_try_at })}</span>` : html`<span class="faint">–</span>`; } },
        { id: 'actions', label: '', width: '112px', align: 'right', card: 'plain', cell: (one) => (may('developer') ? html`<span class="cell-actions">${h(Act, { label: one.state === 'failed' ? 'Try now' : 'Renew', icon: 'refresh-cw', small: true, run: async () => { await api.certificateRenew(one.host); await found.load(); } })}</span>` : null) },
      ],
      empty: h(Empty, { icon: 'shield-check', title: 'No certificates yet', text: 'A domain gets one by itself as soon as it is added.' }),
    }))}</div><div class="span-4 stack">${h(Authority, {})}</div></div></div>`;
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
    link.href = URL.createObjectURL(new Blob([await api.certificateAuthority()], { type: 'application/x-x509-ca-cert' }));
    link.download = 'serverkit-ca.crt';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  const how = HOW[system];
  return h(Panel, { title: 'This panel’s own authority' }, html`<div class="stack small">
    <p class="dim">Names that are not public (.test, .internal, .localhost, addresses) get certificates signed by this panel. Browsers warn until they trust its authority.</p>
    <div class="row row-wrap">${h(Act, { label: 'Download', icon: 'download', run: save })}${h(Copy, { text: api.certificateAuthority, label: 'Copy as PEM', show: true })}</div>
    ${h(Choice, { label: 'System', small: true, value: system, set: setSystem, options: Object.entries(HOW).map(([value, { label }]) => ({ value, label })) })}
    <div class="key-box"><code class="pre">${how.text}</code>${h(Copy, { text: how.text, label: 'Copy commands' })}</div>
    <p class="hint">${how.note || 'Then restart the browser.'}</p></div>`);
}
