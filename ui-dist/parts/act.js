// A button that does something: it shows that it is at work, and its failure beside it.
import { html, icon, cx, useState, useEffect } from '../lib/html.js';
import { said } from './said.js';

/** @param {{ label: string, run: () => unknown, icon?: string, tone?: 'primary' | 'danger' | 'ghost' | '', small?: boolean, square?: boolean, disabled?: boolean, title?: string, class?: string }} props */
export function Act({ label, run, icon: name, tone = '', small, square, disabled, title, class: more }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {Error | null} */ (null));
  useEffect(() => {
    if (!error) return undefined;
    const timer = setTimeout(() => setError(null), 12_000);
    return () => clearTimeout(timer);
  }, [error]);
  const act = async (/** @type {Event} */ event) => {
    event.stopPropagation();
    setBusy(true); setError(null);
    try { await run(); } catch (failure) { setError(/** @type {Error} */ (failure)); } finally { setBusy(false); }
  };
  return html`<span class=${cx('act', more)}>
    <button type="button" class=${cx('btn', tone, small && 'small', square && 'square')} disabled=${disabled || busy} aria-busy=${busy} title=${title ?? (square ? label : undefined)} aria-label=${square ? label : undefined} onClick=${act}>
      ${busy ? html`<i class="spin" aria-hidden="true"></i>` : name ? icon(name) : null}${square ? null : html`<span>${label}</span>`}
    </button>
    ${error ? html`<span class="act-error" role="alert"><span class="grow">${said(error.message)}</span><button type="button" class="btn ghost small square" aria-label="Close message" onClick=${() => setError(null)}>${icon('x')}</button></span>` : null}
  </span>`;
}
