// The way back from a forge, where somebody allowed an application or made an App.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { forges } from '../lib/forges.js';
import { route } from '../lib/router.js';
import { sentence } from '../lib/format.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';

export default function ForgesBackPage() {
  useTrail([{ label: 'Forges', href: '/forges' }, { label: 'Back from the forge' }]);
  const [problem, setProblem] = useState(/** @type {string | null} */ (null));
  const [made, setMade] = useState(/** @type {import('../lib/api.js').S<'ForgeConnection'> | null} */ (null));
  useEffect(() => {
    const query = route.peek().query;
    const [code, state, failure] = [query.get('code'), query.get('state'), query.get('error')];
    // What the address holds is good once: it does not stay in the history.
    history.replaceState(null, '', '/forges/back');
    if (failure) { setProblem(`The forge says: ${query.get('error_description') ?? failure}`); return; }
    if (!code || !state) { setProblem('There is nothing to finish here.'); return; }
    forges.comeBack({ code, state }).then(setMade).catch((error) => setProblem(error.message));
  }, []);
  return html`<div class="page">${h(PageHead, { title: problem ? 'Not connected' : made ? `${made.name} is connected` : 'Connecting' })}<div class="settings-grid">${h(Panel, {}, html`<div class="stack">
    ${problem ? html`<p class="problem" role="alert"><span>${sentence(problem)}</span></p>` : made ? html`<p>${made.url.replace(/^https?:\/\//, '')} knows the panel as <b class="strong">${made.account}</b>.</p>${made.install_url ? html`<p class="hint">Next, install the App for the accounts and repositories that the panel may use.</p>` : null}` : html`<p class="dim" role="status">One moment…</p>`}
    <div class="form-foot">${made?.install_url ? html`<a class="btn primary" href=${made.install_url} target="_blank" rel="noreferrer">${icon('external-link')}Install it</a>` : null}<a class=${made && !made.install_url ? 'btn primary' : 'btn'} href="/forges">To the forges</a>${made ? html`<a class="btn" href="/apps/new">New app</a>` : null}</div></div>`)}</div></div>`;
}
