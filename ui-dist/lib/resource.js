// Something loaded from the API: value, failure and whether it is on its way, each a signal. What was there stays visible while it loads again.
import { signal, useLayoutEffect, useMemo } from './html.js';
import { on } from './events.js';

/** @template T @typedef {{ value: import('@preact/signals').Signal<T | undefined>, error: import('@preact/signals').Signal<Error | null>, loading: import('@preact/signals').Signal<boolean>, load: () => Promise<T | undefined> }} Resource */

/** @template T @param {() => Promise<T>} fetcher @returns {Resource<T>} */
export function resource(fetcher) {
  const value = signal(/** @type {T | undefined} */ (undefined));
  const error = signal(/** @type {Error | null} */ (null));
  const loading = signal(false);
  let turn = 0;
  return {
    value, error, loading,
    async load() {
      const mine = (turn += 1);
      loading.value = true;
      try {
        const got = await fetcher();
        // An older answer must not replace a newer one.
        if (mine === turn) { value.value = got; error.value = null; }
        return got;
      } catch (failure) {
        if (mine === turn) error.value = /** @type {Error} */ (failure);
        return undefined;
      } finally { if (mine === turn) loading.value = false; }
    },
  };
}

/** @type {Map<string, Resource<any>>} */
const kept = new Map();
/** Forgets everything: another person may sign in next. */
export const forgetAll = () => { kept.clear(); begun.clear(); };

/** What `early` began and no component has shown yet. @type {Map<string, { at: number, coming: Promise<unknown> }>} */
const begun = new Map();

/** Begins to load what `useResource` of this key will show, before its page is drawn. @param {string} key @param {() => Promise<unknown>} fetcher */
export function early(key, fetcher) {
  const before = begun.get(key);
  if (before && isFresh(before)) return before.coming;
  let made = kept.get(key);
  if (!made) kept.set(key, (made = resource(fetcher)));
  const coming = made.load();
  begun.set(key, { at: Date.now(), coming });
  return coming;
}

/** @param {{ at: number } | undefined} one */
const isFresh = (one) => one !== undefined && Date.now() - one.at < 1000;

/** A resource kept by key over page changes, loaded when the component appears and again on the given kinds of event.
 * @template T @param {string} key @param {() => Promise<T>} fetcher @param {string[]} [kinds] @param {(message: import('./events.js').Message) => boolean} [wanted] @returns {Resource<T>} */
export function useResource(key, fetcher, kinds = [], wanted = () => true) {
  const found = useMemo(() => {
    let made = kept.get(key);
    if (!made) kept.set(key, (made = resource(fetcher)));
    return /** @type {Resource<T>} */ (made);
  }, [key]);
  // Not behind the first painting of the page, as `useEffect`: asking and painting go side by side.
  useLayoutEffect(() => {
    // What was begun for this page just now need not be asked for again.
    if (!isFresh(begun.get(key))) found.load();
    begun.delete(key);
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let soon;
    const again = (/** @type {import('./events.js').Message} */ message) => {
      if (!wanted(message)) return;
      clearTimeout(soon);
      soon = setTimeout(found.load, 120);
    };
    const stops = [...kinds, 'reconnected'].map((kind) => on(kind, kind === 'reconnected' ? () => { found.load(); } : again));
    return () => { clearTimeout(soon); stops.forEach((stop) => stop()); };
  }, [key]);
  return found;
}
