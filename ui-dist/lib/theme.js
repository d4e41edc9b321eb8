// The theme: 'dark', 'light' or 'system', kept in the browser. The first paint is theme-first.js's.
import { signal } from './html.js';

/** @typedef {'dark' | 'light' | 'system'} Theme */
const stored = () => { try { return localStorage.getItem('theme'); } catch { return null; } };
export const theme = signal(/** @type {Theme} */ (stored() === 'dark' ? 'dark' : stored() === 'light' ? 'light' : 'system'));
/** Goes up whenever colours change, for things that are painted on a canvas. */
export const painted = signal(0);

const systemLight = matchMedia('(prefers-color-scheme: light)');
function apply() {
  const light = theme.value === 'system' ? systemLight.matches : theme.value === 'light';
  document.documentElement.dataset.theme = light ? 'light' : 'dark';
  document.querySelector('meta[name=theme-color]')?.setAttribute('content', light ? '#fafbfd' : '#0d0f14');
  painted.value += 1;
}
systemLight.addEventListener('change', apply);
apply();

/** @param {Theme} next */
export function setTheme(next) {
  theme.value = next;
  try { if (next === 'system') localStorage.removeItem('theme'); else localStorage.setItem('theme', next); } catch { /* storage may be closed */ }
  apply();
}

/** A token's value as a colour that a canvas takes. @param {string} name */
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
