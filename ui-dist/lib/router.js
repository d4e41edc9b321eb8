// History routing with real links: a click on a same-origin <a> becomes a route, everything else stays the browser's.
import { signal } from './html.js';

/** @typedef {{ path: string, query: URLSearchParams, hash: string }} Route */
const read = () => ({ path: location.pathname, query: new URLSearchParams(location.search), hash: location.hash });

export const route = signal(/** @type {Route} */ (typeof location === 'undefined' ? { path: '/', query: new URLSearchParams(), hash: '' } : read()));
/** Asked before leaving a page with unsaved work; answers whether to stay. @type {{ current: null | (() => boolean) }} */
export const guard = { current: null };

/** The address that is shown. */
let last = typeof location === 'undefined' ? '' : location.href;
/** @type {Map<string, number>} */
const scrolls = new Map();

/** @param {string} url @param {{ replace?: boolean, keepScroll?: boolean }} [how] */
export function navigate(url, how = {}) {
  if (guard.current && guard.current()) return;
  scrolls.set(history.state?.key ?? '', scrollY);
  const next = new URL(url, location.href);
  const samePage = next.pathname === location.pathname;
  history[how.replace ? 'replaceState' : 'pushState']({ key: String(Math.random()) }, '', url);
  last = location.href;
  route.value = read();
  if (!how.keepScroll && !samePage) scrollTo(0, 0);
}

/** Changes one query value without a new history entry. @param {string} key @param {string | null} value */
export function setQuery(key, value) {
  const url = new URL(location.href);
  if (value == null || value === '') url.searchParams.delete(key); else url.searchParams.set(key, value);
  navigate(url.pathname + url.search + url.hash, { replace: true, keepScroll: true });
}

export function startRouter() {
  history.scrollRestoration = 'manual';
  addEventListener('popstate', () => {
    // The browser is there already; whoever stays is put back where they were.
    if (guard.current && guard.current()) { history.pushState({ key: String(Math.random()) }, '', last); return; }
    last = location.href;
    route.value = read();
    const at = scrolls.get(history.state?.key ?? '') ?? 0;
    requestAnimationFrame(() => scrollTo(0, at));
  });
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = /** @type {HTMLAnchorElement | null} */ (event.composedPath().find((node) => node instanceof HTMLAnchorElement));
    if (!link || !link.href || link.target || link.hasAttribute('download') || link.origin !== location.origin || link.pathname.startsWith('/api/')) return;
    if (link.getAttribute('href')?.startsWith('#')) return;
    event.preventDefault();
    navigate(link.pathname + link.search + link.hash);
  });
}

/** Matches '/apps/:app/:tab?' against a path. @param {string} pattern @param {string} path @returns {Record<string, string> | null} */
export function match(pattern, path) {
  const want = pattern.split('/').filter(Boolean);
  const have = path.split('/').filter(Boolean);
  if (have.length > want.length) return null;
  /** @type {Record<string, string>} */
  const found = {};
  for (let i = 0; i < want.length; i += 1) {
    const optional = want[i].endsWith('?');
    if (want[i].startsWith(':')) {
      if (have[i] == null && !optional) return null;
      try { if (have[i] != null) found[want[i].slice(1).replace('?', '')] = decodeURIComponent(have[i]); } catch { return null; }
    } else if (want[i] !== have[i]) return null;
  }
  return found;
}
