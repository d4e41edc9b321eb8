// The records that a name needs, and whether they are there: looked for again by itself until they are.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { network } from '../lib/network.js';
import { isPublic } from '../lib/traffic.js';
import { sentence } from '../lib/format.js';
import { Act } from './act.js';
import { Copy } from './copy.js';
import { may } from '../lib/rights.js';
import './network.js';

const EVERY = 5000;

/** @param {{ host: string, done?: () => void, quiet?: boolean }} props `done`: once all is there; `quiet`: nothing while all is well */
export function DnsSetup({ host, done, quiet }) {
  const [setup, put] = useState(/** @type {import('../lib/api.js').S<'DnsSetup'> | null} */ (null));
  const [error, setError] = useState(/** @type {Error | null} */ (null));
  const known = isPublic(host);
  useEffect(() => {
    if (!known) return undefined;
    let gone = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const look = async () => {
      if (!document.hidden) {
        try {
          const next = await network.dnsSetupShow(host);
          if (gone) return;
          put(next); setError(null);
          if (next.ok) { done?.(); return; }
        } catch (failure) { if (gone) return; setError(/** @type {Error} */ (failure)); }
      }
      timer = setTimeout(look, EVERY);
    };
    put(null); look();
    return () => { gone = true; clearTimeout(timer); };
  }, [host]);
  if (!known) return quiet ? null : html`<p class="notice">${icon('info')}<span>${host} is not a public name. Give it this server’s address in your own DNS or hosts file; its certificate comes from this panel’s own authority.</span></p>`;
  if (!setup) return quiet && !error ? null : html`<p class="row dim small" role="status">${error ? html`${icon('circle-alert')}<span class="any">${sentence(error.message)}</span>` : html`<i class="spin" aria-hidden="true"></i>Asking the name servers…`}</p>`;
  if (setup.ok) return quiet ? null : html`<p class="row ok-text small" role="status">${icon('circle-check')}<span class="any">${sentence(setup.detail)}</span></p>`;
  return html`<div class="stack dns-setup">
    <p class="small any">${sentence(setup.detail)}.</p>
    ${setup.records.length ? html`<table class="records" aria-label=${`Records for ${host}`}><thead><tr><th scope="col">Type</th><th scope="col">Name</th><th scope="col">Value</th><th scope="col">Now</th></tr></thead><tbody>${setup.records.map((one) => html`<tr key=${one.kind + one.value}>
      <td><span class="tag">${one.kind}</span></td><td><span class="code-line"><code title=${one.name}>${one.name}</code>${h(Copy, { text: one.name, label: 'Copy name' })}</span></td><td><span class="code-line"><code>${one.value}</code>${h(Copy, { text: one.value, label: 'Copy value' })}</span></td>
      <td>${one.ok ? html`<span class="row ok-text">${icon('check', 'icon-small')}there</span>` : one.found.length ? html`<code class="warn-text any">${one.found.join(', ')}</code>` : html`<span class="faint">not there</span>`}</td></tr>`)}</tbody></table>` : null}
    <div class="row row-wrap">${setup.records.length ? html`<span class="row faint small" role="status"><i class="spin" aria-hidden="true"></i>Watching for it</span>` : may('admin') ? html`<a class="btn small" href="/settings#public">Open the settings</a>` : null}
      ${setup.records.length && setup.provider && may('admin') ? html`<span class="end">${h(Act, { label: `Set through ${setup.provider}`, icon: 'wand-sparkles', small: true, run: async () => { const next = await network.dnsSetupApply(host); put(next); if (next.ok) done?.(); } })}</span>` : null}</div></div>`;
}
