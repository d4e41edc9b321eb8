// A style sheet that only some pages need, loaded once.
/** @type {Map<string, Promise<void>>} */
const loaded = new Map();

/** @param {string} href @returns {Promise<void>} */
export function loadSheet(href) {
  let one = loaded.get(href);
  if (!one) {
    one = new Promise((resolve) => {
      const link = document.createElement('link');
      link.rel = 'stylesheet';
      link.href = href;
      link.onload = link.onerror = () => resolve();
      document.head.append(link);
    });
    loaded.set(href, one);
  }
  return one;
}
