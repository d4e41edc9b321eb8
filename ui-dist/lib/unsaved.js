// Forms with changes that are not saved: leaving the page asks first.
import { guard } from './router.js';
import { useEffect } from './html.js';

/** @type {Map<object, string>} */
const dirty = new Map();

const ask = (/** @type {Event} */ event) => event.preventDefault();
function tell() {
  if (!dirty.size) { guard.current = null; removeEventListener('beforeunload', ask); return; }
  const names = [...new Set(dirty.values())];
  guard.current = () => !window.confirm(`Leave without saving the changes to ${names.slice(0, 3).join(', ')}${names.length > 3 ? ' and more' : ''}?`);
  addEventListener('beforeunload', ask);
}

/** @param {boolean} changed @param {string} what how the question names it */
export function useUnsaved(changed, what) {
  useEffect(() => {
    if (!changed) return undefined;
    const key = {};
    dirty.set(key, what);
    tell();
    return () => { dirty.delete(key); tell(); };
  }, [changed, what]);
}
