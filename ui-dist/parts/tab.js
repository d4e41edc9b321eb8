// The part of a page under a tab, loaded when it is first opened.
import { h, useEffect, useState } from '../lib/html.js';
import { Failed, Loading } from './empty.js';

/** @type {Map<() => Promise<any>, any>} */
const loaded = new Map();

/** @param {{ load: () => Promise<{ default: any }>, props: Record<string, any> }} props */
export function Tab({ load, props }) {
  const [, turn] = useState(0);
  const [error, setError] = useState(/** @type {Error | null} */ (null));
  const Part = loaded.get(load);
  useEffect(() => { if (!Part) load().then((module) => { loaded.set(load, module.default); turn((n) => n + 1); }, setError); }, [load]);
  if (error) return h(Failed, { error });
  return Part ? h(Part, props) : h(Loading, { rows: 5 });
}
