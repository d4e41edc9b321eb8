// A chart in its panel, with what it says now; and the ranges to choose from.
import { html, h, useEffect } from '../lib/html.js';
import { bytes, cores, count, duration, percent, rate } from '../lib/format.js';
import { Panel } from './page.js';
import '../elements/sk-chart.js';

export const RANGES = [{ value: '15', label: '15 min' }, { value: '60', label: '1 hour' }, { value: '360', label: '6 hours' }, { value: '1440', label: '24 hours' }, { value: '10080', label: '7 days' }];
const FORMATS = { bytes, rate, percent, cores, count, ms: duration };

/** @param {{ title: string, group: string, data: import('../elements/sk-chart.js').Data | null, unit?: string, early?: string, reload?: () => unknown }} props `reload`: called each 15 s while shown; `early`: said while there are not two moments yet to draw a line between */
export function Chart({ title, group, data, unit, early, reload }) {
  useEffect(() => {
    if (!reload) return undefined;
    const timer = setInterval(() => { if (!document.hidden) reload(); }, 15_000);
    return () => clearInterval(timer);
  }, [reload]);
  const few = early && data && data.times.length < 2;
  const none = few || data && data.series.every((one) => one.values.every((value) => value == null));
  return h(Panel, {
    class: 'chart-panel', title, actions: html`<span class="chart-now num">${data?.series.map((one, index) => html`<span class="legend"><i class=${`series-${one.tone ?? index + 1}`}></i>${data.series.length > 1 ? html`<span class="faint">${one.name}</span>` : null}<b class="strong">${FORMATS[one.format ?? 'count'](one.values.findLast((value) => value != null))}</b>${unit && index === 0 ? html`<span class="faint">${unit}</span>` : null}</span>`)}</span>`,
  }, none ? html`<div class="chart-none">${few ? early : 'Nothing was measured in this time.'}</div>` : html`<sk-chart label=${title} group=${group} data=${data}></sk-chart>`);
}
