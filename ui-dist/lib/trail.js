// The trail in the top line: pages say where they are.
import { signal, useEffect } from './html.js';

/** @typedef {{ label: string, href?: string, menu?: import('../parts/menu.js').Item[] }} Part */
export const trail = signal(/** @type {Part[]} */ ([]));

/** @param {Part[]} parts @param {unknown[]} deps */
export function useTrail(parts, deps = []) {
  useEffect(() => { trail.value = parts; }, deps);
}
