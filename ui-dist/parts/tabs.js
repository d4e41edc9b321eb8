// Tabs that are links: each has an address.
import { html, icon, useEffect, useRef } from '../lib/html.js';

/** @param {{ label: string, at: string, items: { id: string, label: string, href: string, icon?: string, count?: number | null, mark?: string }[] }} props */
export function Tabs({ label, at, items }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const here = /** @type {HTMLElement | null | undefined} */ (box.current?.querySelector('[aria-current=page]'));
    if (here && box.current) box.current.scrollLeft = here.offsetLeft - box.current.clientWidth / 2 + here.clientWidth / 2;
  }, [at]);
  return html`<nav class="tabs" aria-label=${label} ref=${box}>${items.map((item) => html`<a key=${item.id} href=${item.href} aria-current=${item.id === at ? 'page' : undefined}>${item.icon ? icon(item.icon) : null}${item.label}${item.count != null ? html`<span class="count num">${item.count}</span>` : null}${item.mark ? html`<i class=${`dot-mark ${item.mark}`}></i>` : null}</a>`)}</nav>`;
}
