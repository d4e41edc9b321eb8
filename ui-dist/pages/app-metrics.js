// An app over time.
import { html, h } from '../lib/html.js';
import { api } from '../lib/api.js';
import { route, setQuery } from '../lib/router.js';
import { useResource } from '../lib/resource.js';
import { Choice } from '../parts/field.js';
import { Failed } from '../parts/empty.js';
import { Chart, RANGES } from '../parts/chart.js';

/** @param {{ app: import('../lib/api.js').S<'App'> }} props */
export default function AppMetrics({ app }) {
  const range = RANGES.some((one) => one.value === route.value.query.get('range')) ? String(route.value.query.get('range')) : '60';
  const found = useResource(`app:${app.id}:metrics:${range}`, () => api.appMetrics(app.id, Number(range)));
  const got = found.value.value;
  const of = (/** @type {import('../elements/sk-chart.js').Series[]} */ series, top = undefined) => (got ? { times: got.times, series, top } : null);
  const s = got?.series;
  return html`<div class="stack"><div class="row">${h(Choice, { label: 'Range', small: true, value: range, set: (value) => setQuery('range', value === '60' ? null : value), options: RANGES })}</div>
    ${found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : null}
    <div class="charts">
      ${h(Chart, { title: 'Processor', group: app.id, reload: found.load, data: of([{ name: 'cores', values: s?.cpu_cores ?? [], format: 'cores' }]) })}
      ${h(Chart, { title: 'Memory', group: app.id, data: of([{ name: 'used', values: s?.memory_bytes ?? [], format: 'bytes' }]) })}
      ${h(Chart, { title: 'Requests', group: app.id, unit: 'a second', data: of([{ name: 'requests', values: s?.requests ?? [], format: 'count' }, { name: 'errors', values: s?.errors ?? [], format: 'count', tone: 4 }]) })}
      ${h(Chart, { title: 'Response time', group: app.id, data: of([{ name: 'median', values: s?.latency_ms ?? [], format: 'ms', tone: 3 }]) })}
      ${h(Chart, { title: 'Network', group: app.id, data: of([{ name: 'out', values: s?.net_out ?? [], format: 'rate' }, { name: 'in', values: s?.net_in ?? [], format: 'rate' }]) })}
    </div></div>`;
}
