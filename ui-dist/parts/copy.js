// Copies a text, and says so.
import { html, icon, useState, useRef } from '../lib/html.js';

/** @param {string} text */
export async function copyText(text) {
  try { await navigator.clipboard.writeText(text); return true; } catch {
    // No clipboard without a secure context: the old way still works there.
    const area = document.createElement('textarea');
    area.value = text; area.className = 'unseen';
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** @param {{ text: string | (() => string | Promise<string>), label?: string, show?: boolean, class?: string }} props `show`: with its label as text */
export function Copy({ text, label = 'Copy', show, class: more = '' }) {
  const [done, setDone] = useState(false);
  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  const copy = async (/** @type {Event} */ event) => {
    event.preventDefault(); event.stopPropagation();
    if (!(await copyText(typeof text === 'function' ? await text() : text))) return;
    setDone(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setDone(false), 1400);
  };
  return html`<button type="button" class=${`btn ghost small ${show ? '' : 'square'} ${done ? 'done' : ''} ${more}`} aria-label=${label} title=${label} onClick=${copy}>
    ${done ? icon('check') : icon('copy')}${show ? html`<span>${done ? 'Copied' : label}</span>` : null}<span class="unseen" role="status">${done ? 'Copied' : ''}</span>
  </button>`;
}
