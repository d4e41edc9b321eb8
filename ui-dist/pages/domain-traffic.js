// A domain's traffic, live: requests, statuses, times, bytes, and who asks for what.
import { html, h, icon } from '../lib/html.js';
import { useReport } from '../lib/report.js';
import { domainOf, latency, points, within } from '../lib/traffic.js';
import { bytes, bytesParts, count, percent, plural, rate } from '../lib/format.js';
import { Panel } from '../parts/page.js';
import { Tile } from '../parts/tile.js';
import { Chart } from '../parts/chart.js';
import { Facts } from '../parts/facts.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { Frequent, Limited, StatusBar } from '../parts/network.js';
import { domainPath } from '../parts/domains.js';

/** @param {import('./domain.js').TabProps} props */
export default function DomainTraffic({ traffic, domain }) {
  const { report, samples, error } = useReport();
  const host = traffic.host;
  if (!report) return error ? h(Failed, { error }) : h(Loading, { rows: 4 });
  const now = domainOf(report, host);
  const line = points(samples, host);
  const last = line.at(-1);
  const recent = line.slice(-15);
  const sum = (/** @type {(one: typeof line[number]) => number} */ of) => recent.reduce((all, one) => all + of(one), 0);
  const errors = sum((one) => one.requests) ? sum((one) => one.statuses[4]) / sum((one) => one.requests) : null;
  const [sent, unit] = bytesParts(last?.bytesOut ?? 0);
  const limited = report.limited.filter((one) => one.host === host);
  const address = domain && !host.startsWith('*') ? domain.url : null;
  return html`<div class="stack">
    <div class="tiles">
      ${h(Tile, { label: 'Requests', icon: icon('activity'), value: last ? count(last.requests) : '–', unit: last ? '/s' : '', note: now ? `${count(now.active)} under way` : 'none yet', values: line.map((one) => one.requests) })}
      ${h(Tile, { label: 'Errors', icon: icon('circle-alert'), value: percent(errors).replace('%', ''), unit: errors == null ? '' : '%', note: 'answers 5xx, last 30 s', values: line.map((one) => one.statuses[4]), tone: 'tone-4' })}
      ${h(Tile, { label: 'Response time', icon: icon('clock'), value: within(latency(samples, host, 50)), note: `95 of 100 ${within(latency(samples, host, 95))}` })}
      ${h(Tile, { label: 'Sent', icon: icon('arrow-down-up'), value: last ? sent : '–', unit: last ? `${unit}/s` : '', note: last ? `received ${rate(last.bytesIn)}` : 'measured in a moment', values: line.map((one) => one.bytesOut) })}
    </div>
    ${!now?.requests ? h(Panel, {}, h(Empty, { icon: 'activity', title: 'No request yet', text: 'Requests show here as they come. Counters run since the edge started.', action: address ? html`<a class="btn" href=${address} target="_blank" rel="noreferrer">${icon('external-link')}Open ${host}</a>` : null, small: true })) : html`
    ${h(Chart, { title: 'Answers', group: `domain:${host}`, unit: 'a second', early: 'The first rates come in a few seconds.', data: { times: line.map((one) => one.at / 1000), series: [
      { name: '2xx', values: line.map((one) => one.statuses[1]), format: 'count', tone: 2 }, { name: '3xx', values: line.map((one) => one.statuses[2]), format: 'count', tone: 1 },
      { name: '4xx', values: line.map((one) => one.statuses[3]), format: 'count', tone: 3 }, { name: '5xx', values: line.map((one) => one.statuses[4]), format: 'count', tone: 4 }] } })}
    <div class="grid12">
      <div class="span-6 stack">${h(Panel, { title: 'Top paths', note: 'Since the edge started', flush: true }, h(Frequent, { items: now.top_paths, empty: 'No path yet.', link: (what) => `${domainPath(host, 'rules')}?path=${encodeURIComponent(what)}#why`, about: (what) => `Which rule answers ${what}` }))}</div>
      <div class="span-6 stack">${h(Panel, { title: 'Top addresses', note: 'Since the edge started', flush: true }, h(Frequent, { items: now.top_addresses, empty: 'No address yet.' }))}</div>
      <div class="span-6 stack">${h(Panel, { title: 'All answers', note: `${plural(now.requests, 'request')} since the edge started` }, html`<div class="stack">${h(StatusBar, { statuses: now.statuses })}${h(Facts, { items: [
        ['Sent', bytes(now.bytes_out)], ['Received', bytes(now.bytes_in)],
        ['99 of 100', within(now.p99_millis)],
        ['Refused by address', count(now.denied)], ['Refused by a limit', html`${count(now.limited)}${now.would_limit ? html` <span class="faint">${count(now.would_limit)} more would be, by limits on trial</span>` : null}`],
        traffic.policy.cache || now.cache_hits ? ['From the cache', html`${count(now.cache_hits)} <span class="faint">of ${count(now.cache_hits + now.cache_misses)}${now.cache_stale ? `, ${count(now.cache_stale)} stale` : ''}</span>`] : null,
      ] })}</div>`)}</div>
      <div class="span-6 stack">${h(Panel, { title: 'Being limited now', flush: true }, h(Limited, { items: limited, text: traffic.policy.rate_limits?.length ? 'Nobody asks too often.' : 'This domain has no rate limit.', action: traffic.policy.rate_limits?.length ? null : html`<a class="btn small" href=${`${domainPath(host, 'policy')}#rates`}>Add one</a>` }))}</div>
    </div>`}</div>`;
}
