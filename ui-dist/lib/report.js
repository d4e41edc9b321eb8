// The edge's counters, asked for every 2 s while a page that shows them is looked at, or seldomer where the answer takes long. What was
// seen is kept for two minutes.
import { computed, signal, useEffect } from './html.js';
import { network } from './network.js';

/** @typedef {import('./traffic.js').Sample} Sample */

const EVERY = 2000;
const KEPT = 61;
/** The oldest first. */
export const samples = signal(/** @type {Sample[]} */ ([]));
export const reportError = signal(/** @type {Error | null} */ (null));
export const report = computed(() => samples.value.at(-1)?.report);

let watchers = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let asking = false;

async function ask() {
  clearTimeout(timer);
  if (asking || !watchers) return;
  const begun = Date.now();
  if (!document.hidden) {
    asking = true;
    try {
      const got = { at: Date.now(), report: await network.edgeReport() };
      // After a pause the old samples would be drawn as if nothing lay between.
      const fresh = got.at - (samples.value.at(-1)?.at ?? 0) < 30 * EVERY ? samples.value : [];
      samples.value = [...fresh, got].slice(-KEPT);
      reportError.value = null;
    } catch (error) { reportError.value = /** @type {Error} */ (error); } finally { asking = false; }
  }
  if (watchers) timer = setTimeout(ask, Math.max(EVERY, 8 * (Date.now() - begun)));
}

/** Keeps the counters coming while the component is there. */
export function useReport() {
  useEffect(() => {
    watchers += 1;
    if (watchers === 1) ask();
    return () => { watchers -= 1; if (!watchers) clearTimeout(timer); };
  }, []);
  return { report: report.value, samples: samples.value, error: reportError.value };
}
/** Asks at once, after something was changed. */
export const askNow = () => ask();
