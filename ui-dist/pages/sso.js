// The way back from an identity provider.
import { html, h, useEffect, useState } from '../lib/html.js';
import { navigate, route } from '../lib/router.js';
import { providers } from '../lib/identity-providers.js';
import { sentence } from '../lib/format.js';
import { Logo } from '../parts/logo.js';

export default function SsoPage() {
  const [problem, setProblem] = useState(/** @type {string | null} */ (null));
  useEffect(() => {
    document.title = 'Signing in · serverkit';
    const query = route.peek().query;
    const [code, state, failure, landed] = [query.get('code'), query.get('state'), query.get('error'), query.get('saml')];
    // What the address holds is good once: it does not stay in the history.
    history.replaceState(null, '', '/sso');
    if (failure) { setProblem(`The identity provider says: ${query.get('error_description') ?? failure}`); return; }
    const enter = (/** @type {Promise<unknown>} */ made) => made.then(() => navigate(providers.next(), { replace: true })).catch((error) => setProblem(error.message));
    if (landed) { enter(providers.landed(landed)); return; }
    if (!code || !state) { setProblem('There is nothing to sign in with here.'); return; }
    enter(providers.comeBack({ code, state, ...(query.get('iss') ? { iss: /** @type {string} */ (query.get('iss')) } : {}) }));
  }, []);
  return html`<div class="gate"><div class="gate-top"></div><div class="gate-box">
    <div class="stack gate-hello">${h(Logo, {})}<div><h1 tabindex="-1">${problem ? 'Not signed in' : 'Signing in'}</h1><p class="dim">to ${location.hostname}</p></div></div>
    <div class="panel gate-card stack">${problem ? html`<p class="problem" role="alert"><span>${sentence(problem)}</span></p><a class="btn primary wide" href="/sign-in">Back to signing in</a>` : html`<p class="dim" role="status">One moment…</p>`}</div></div><p class="gate-foot">serverkit</p></div>`;
}
