// The time, as a signal that ticks while somebody looks.
import { signal } from './html.js';

/** Ticks every second, for running durations. */
export const second = signal(Date.now());
/** Ticks every 10 s, for "3 min ago". */
export const moment = signal(Date.now());

if (typeof document !== 'undefined') {
  setInterval(() => {
    if (document.hidden) return;
    second.value = Date.now();
    if (second.value - moment.value >= 10_000) moment.value = second.value;
  }, 1000);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) { second.value = Date.now(); moment.value = second.value; } });
}
