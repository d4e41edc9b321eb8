// <sk-chart>: values over time by uPlot, loaded when first used. The cross-hair is shared by all charts of a `group`.
//
// @attribute label  its name, also for screen readers
// @attribute group  charts of one group share the cross-hair
// @property  data   { times: unix seconds[], series: { name, values: (number|null)[], format?: 'bytes' | 'rate' | 'percent' | 'cores' | 'count' | 'ms', tone?: 1..4 }[], top?: number }
import { bytes, rate, percent, cores, count, duration } from '../lib/format.js';
import { effect } from '../vendor/signals-core-1.14.5.js';
import { loadSheet } from '../lib/sheet.js';
import { painted, token } from '../lib/theme.js';

const FORMATS = { bytes, rate, percent, cores, count, ms: duration };
/** @typedef {{ name: string, values: (number | null)[], format?: keyof typeof FORMATS, tone?: number }} Series */
/** @typedef {{ times: number[], series: Series[], top?: number }} Data */

/** Steps of an axis: by powers of two for bytes, by tens for the rest. Pure. @param {number} top @param {boolean} binary @param {number} ticks */
export function niceStep(top, binary, ticks = 4) {
  const rough = top / ticks || 1;
  if (binary) return 2 ** Math.ceil(Math.log2(rough));
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough - power * 1e-9) ?? power * 10;
}

export class SkChart extends HTMLElement {
  constructor() {
    super();
    /** @type {Data | null} */ this.now = null;
    /** @type {any} */ this.plot = null;
    this.turn = 0;
    this.top = 1;
    this.shape = '';
  }
  get data() { return this.now; }
  set data(next) { this.now = next; this.refresh(); }

  connectedCallback() {
    this.sizes = new ResizeObserver(() => { if (this.plot && this.clientWidth) this.plot.setSize({ width: this.clientWidth, height: this.clientHeight }); });
    this.sizes.observe(this);
    this.stop = effect(() => { if (painted.value >= 0) { this.drop(); this.refresh(); } });
  }
  disconnectedCallback() { this.sizes?.disconnect(); this.stop?.(); this.drop(); }
  drop() { this.plot?.destroy(); this.plot = null; this.shape = ''; }

  async refresh() {
    if (!this.isConnected || !this.now) return;
    const mine = (this.turn += 1);
    const [{ default: uPlot }] = await Promise.all([import('../vendor/uplot-1.6.32.js'), loadSheet('/vendor/uplot-1.6.32.css')]);
    if (mine !== this.turn || !this.isConnected || !this.now) return;
    const data = this.now;
    const columns = /** @type {any} */ ([data.times, ...data.series.map((one) => one.values)]);
    const shape = JSON.stringify([data.series.map((one) => [one.name, one.format, one.tone]), data.top]);
    this.top = top(data);
    if (this.plot && shape === this.shape) { this.plot.setData(columns); this.describe(data); return; }
    this.drop();
    this.shape = shape;
    const format = FORMATS[data.series[0]?.format ?? 'count'];
    const binary = data.series[0]?.format === 'bytes' || data.series[0]?.format === 'rate';
    const axis = { stroke: token('--faint'), grid: { stroke: token('--grid'), width: 1 }, ticks: { show: false }, font: '11px Inter, sans-serif', gap: 6 };
    const area = (/** @type {string} */ colour) => (/** @type {any} */ plot) => {
      if (!plot.bbox.height) return 'transparent';
      const fill = plot.ctx.createLinearGradient(0, plot.bbox.top, 0, plot.bbox.top + plot.bbox.height);
      fill.addColorStop(0, colour.replace(')', ' / 22%)'));
      fill.addColorStop(1, colour.replace(')', ' / 0%)'));
      return fill;
    };
    this.plot = new uPlot({
      width: this.clientWidth || 400, height: this.clientHeight || 180,
      padding: [10, 8, 0, 0],
      cursor: { sync: { key: this.getAttribute('group') ?? 'charts' }, points: { size: 7, width: 2 }, y: false, drag: { x: false, y: false } },
      legend: { show: false },
      scales: { x: { time: true }, y: { range: () => [0, this.top] } },
      axes: [
        { ...axis, grid: { show: false }, size: 26, space: 70, values: (/** @type {any} */ plot, /** @type {number[]} */ at) => stamps(at).map((text, index) => (fits(plot, at[index]) ? text : '')) },
        { ...axis, size: 58, splits: () => { const step = niceStep(this.top, binary); const out = []; for (let v = 0; v <= this.top * 1.0001; v += step) out.push(v); return out; }, values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map((value) => (value === 0 ? '0' : format(value).replace('\u00a0', ' '))) },
      ],
      series: [{}, ...data.series.map((one, index) => {
        const colour = token(`--series-${one.tone ?? index + 1}`);
        return { label: one.name, stroke: colour, width: 1.5, fill: index === 0 ? area(colour) : undefined, points: { show: false }, spanGaps: false };
      })],
      hooks: { setCursor: [(/** @type {any} */ plot) => this.tell(plot)] },
    }, columns, this);
    this.tip = document.createElement('div');
    this.tip.className = 'chart-tip';
    this.tip.hidden = true;
    this.plot.over.append(this.tip);
    this.describe(data);
  }

  /** @param {any} plot */
  tell(plot) {
    const { idx, left } = plot.cursor;
    if (!this.tip || !this.now) return;
    if (idx == null || left < 0) { this.tip.hidden = true; return; }
    this.tip.hidden = false;
    this.tip.replaceChildren();
    const head = document.createElement('time');
    head.textContent = new Intl.DateTimeFormat('en-GB', { weekday: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(plot.data[0][idx] * 1000);
    this.tip.append(head);
    this.now.series.forEach((one, index) => {
      const row = document.createElement('span');
      const dot = document.createElement('i');
      dot.className = `series-${one.tone ?? index + 1}`;
      const value = document.createElement('b');
      value.textContent = FORMATS[one.format ?? 'count'](one.values[idx]);
      row.append(dot, one.name, value);
      this.tip?.append(row);
    });
    const right = left > plot.over.clientWidth / 2;
    this.tip.style.left = right ? '' : `${left + 12}px`;
    this.tip.style.right = right ? `${plot.over.clientWidth - left + 12}px` : '';
  }

  /** @param {Data} data */
  describe(data) {
    const last = data.series.map((one) => `${one.name} ${FORMATS[one.format ?? 'count'](one.values.findLast((value) => value != null))}`);
    this.setAttribute('role', 'img');
    this.setAttribute('aria-label', `${this.getAttribute('label') ?? 'Chart'}: now ${last.join(', ')}`);
  }
}

/** @param {Data} data */
function top(data) {
  if (data.top) return data.top;
  let high = 0;
  for (const one of data.series) for (const value of one.values) if (value != null && value > high) high = value;
  const format = data.series[0]?.format;
  const binary = format === 'bytes' || format === 'rate';
  // Never so little that the axis has one figure thrice: cores are written in hundredths.
  if (format === 'cores') high = Math.max(high, 0.05);
  if (high === 0) return binary ? 1024 : format === 'percent' ? 0.1 : 1;
  const step = niceStep(high * 1.05, binary);
  return Math.ceil((high * 1.05) / step) * step;
}

/** Whether a stamp in the middle below this moment is not cut off at the right: the plot is 66 px narrower than the chart, 8 of them at that side.
 * @param {any} plot @param {number} at unix seconds */
function fits(plot, at) {
  const { min, max } = plot.scales.x;
  return ((max - at) / (max - min)) * (plot.width - 66) > 10;
}

/** @param {number[]} at unix seconds */
function stamps(at) {
  const span = (at.at(-1) ?? 0) - (at[0] ?? 0);
  const days = span > 2 * 86_400;
  const format = new Intl.DateTimeFormat('en-GB', days ? { weekday: 'short', day: 'numeric' } : { hour: '2-digit', minute: '2-digit', ...(span < 300 ? { second: '2-digit' } : {}) });
  return at.map((one) => format.format(one * 1000));
}
if (!customElements.get('sk-chart')) customElements.define('sk-chart', SkChart);
