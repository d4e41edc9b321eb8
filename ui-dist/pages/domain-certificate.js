// The certificate that serves a domain: its state, what to do next, whether an order would work, and what its name needs in DNS.
import { html, h, icon, useState } from '../lib/html.js';
import { network } from '../lib/network.js';
import { useResource } from '../lib/resource.js';
import { certificateState } from '../lib/states.js';
import { isPublic } from '../lib/traffic.js';
import { moment } from '../lib/clock.js';
import { day, plural, sentence } from '../lib/format.js';
import { Panel } from '../parts/page.js';
import { Facts } from '../parts/facts.js';
import { State } from '../parts/state.js';
import { Ago } from '../parts/time.js';
import { Act } from '../parts/act.js';
import { Copy } from '../parts/copy.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { Notes } from '../parts/network.js';
import { DnsSetup } from '../parts/dns-setup.js';
import { CHALLENGES, ORIGINS, uploadCertificate } from '../parts/certificates.js';
import { mayDo } from '../lib/live.js';
import { everywhere } from '../lib/rights.js';

/** @param {import('./domain.js').TabProps} props */
export default function DomainCertificate({ traffic }) {
  const { host } = traffic;
  const found = useResource('certificates', network.certificateList, ['certificate_issued', 'certificate_failed', 'certificate_uploaded', 'certificate_removed', 'domain_added', 'domain_removed']);
  const [forecast, setForecast] = useState(/** @type {import('../lib/api.js').S<'CertificateForecast'> | null} */ (null));
  const list = found.value.value;
  if (!list) return found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : h(Loading, { rows: 4 });
  const one = list.find((each) => each.serves.includes(host)) ?? list.find((each) => each.host === host || each.names.includes(host));
  const own = list.find((each) => !each.shared && each.host === host);
  const shown = own?.last_error && one !== own ? own : one;
  const can = mayDo(traffic.app.id, 'configure');
  const state = one ? certificateState(one, moment.value) : '';
  return html`<div class="grid12"><div class="span-7 stack">
    ${h(Panel, { title: 'Certificate', actions: html`${one ? h(State, { state, detail: one.last_error }) : null}${everywhere('configure') ? html`<button type="button" class="btn small" onClick=${() => uploadCertificate().then((done) => { if (done) found.load(); })}>${icon('upload')}Upload my own…</button>` : null}${one && can && one.origin !== 'uploaded' ? h(Act, { label: one.last_error ? 'Try now' : 'Renew', icon: 'refresh-cw', small: true, run: async () => { await network.certificateRenew(one.id); await found.load(); } }) : null}` },
      !one ? h(Empty, { icon: 'shield-check', title: 'No certificate yet', text: traffic.passthrough ? 'The app ends TLS itself, with a certificate of its own.' : 'It follows by itself in a moment.', small: true }) : html`<div class="stack">
      ${shown?.last_error ? html`<div class=${`notice ${shown.state === 'waiting' ? 'warn' : 'bad'}`}>${icon('circle-alert')}<div class="grow any"><b>${sentence(shown.last_error)}</b>${shown.next_step ? html`<p>${sentence(shown.next_step)}</p>` : null}<p class="small">${shown.state === 'waiting' ? 'No order is sent before it would work; it is looked at again by itself' : shown.next_try_at && Date.parse(shown.next_try_at) > moment.value ? html`Tried again ${h(Ago, { at: shown.next_try_at })}` : 'Tried again by itself'}${shown.failures > 1 ? `, after ${plural(shown.failures, 'failure')} in a row` : ''}.</p></div></div>`
      : html`<p class=${`notice ${state === 'valid' ? 'ok' : state === 'pending' ? 'busy' : 'warn'}`}>${state === 'valid' ? icon('shield-check') : icon('clock')}<span>${nextStep(one, state)}</span></p>`}
      ${h(Facts, { items: [
        ['For', html`<span class="chips">${one.names.map((name) => html`<code class="chip">${name}</code>`)}</span>`], ['From', `${one.issuer || 'nobody yet'}${one.issuer ? `, ${ORIGINS[one.origin].toLowerCase()}` : ''}`],
        ['Valid', one.not_after ? html`${day(one.not_before)} to ${day(one.not_after)} <span class="faint">${one.days_left === 0 ? 'it has ended' : `${plural(one.days_left ?? 0, 'day')} left`}</span>` : null],
        one.renew_from ? ['Renewed', html`between ${day(one.renew_from)} and ${day(one.renew_to)}`] : null, one.challenge ? ['Proven by', CHALLENGES[one.challenge]] : null,
        one.fingerprint ? ['SHA-256', html`<span class="code-line"><code title=${one.fingerprint}>${one.fingerprint}</code>${h(Copy, { text: one.fingerprint, label: 'Copy fingerprint' })}</span>`] : null,
      ] })}</div>`)}</div>
    <div class="span-5 stack">
      ${h(Panel, { title: 'DNS', note: 'Where the name leads' }, h(DnsSetup, { host }))}
      ${isPublic(host) ? h(Panel, { title: 'Forecast', note: 'Whether an order would work, without sending one', actions: h(Act, { label: forecast ? 'Look again' : 'Look', icon: 'telescope', small: true, run: async () => setForecast(await network.certificateForecast(one?.names.length ? one.names : [host])) }) },
        forecast ? html`<div class="stack"><p class=${`row small ${forecast.ok ? 'ok-text' : 'bad-text'}`}>${forecast.ok ? icon('circle-check') : icon('circle-alert')}${forecast.ok ? `An order would work, proven by ${CHALLENGES[forecast.challenge]}.` : 'An order would fail.'}</p>${h(Notes, { notes: forecast.notes })}</div>` : html`<p class="dim small">Asks name servers for addresses and CAA records, tries the ports, and looks at the orders that are left for this name.</p>`) : null}
    </div></div>`;
}

/** @param {import('../lib/api.js').S<'Certificate'>} one @param {string} state */
function nextStep(one, state) {
  if (state === 'pending') return 'Ordered. A certificate of this panel’s own authority serves until it comes.';
  if (state === 'expired') return one.origin === 'uploaded' ? 'It has ended. Upload another.' : 'It has ended. A new one is on its way.';
  if (one.origin === 'uploaded') return `It is yours: upload another before ${day(one.not_after)}.`;
  if (one.origin === 'own') return 'Signed by this panel’s own authority, and renewed by itself. Browsers warn until they trust it.';
  return 'All is well. It is renewed by itself; nothing to do.';
}
