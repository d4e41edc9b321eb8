// A menu on a button: popover, arrow keys, closes on choice. Its items are there once it was opened: a page has many that never are.
import { html, icon, cx, useId, useRef, useState } from '../lib/html.js';

/** @typedef {{ label: string, icon?: string, href?: string, run?: () => unknown, tone?: 'danger', checked?: boolean, disabled?: boolean, note?: string, external?: boolean } | 'line' | false | null | undefined} Item */

// The default, named for the sprite: icon('ellipsis')
/** Puts `box` under `button`, inside the window. @param {HTMLElement} button @param {HTMLElement} box */
export function place(button, box) {
  const at = button.getBoundingClientRect();
  const width = box.offsetWidth;
  const height = box.offsetHeight;
  const left = at.left + width > innerWidth - 8 ? at.right - width : at.left;
  const below = at.bottom + 6 + height <= innerHeight - 8 || at.top < height;
  box.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  box.style.top = `${below ? Math.min(at.bottom + 6, Math.max(8, innerHeight - height - 8)) : at.top - height - 6}px`;
}

/** @param {{ label: string, items: Item[], icon?: string, text?: any, class?: string, heading?: any }} props */
export function Menu({ label, items, icon: name = 'ellipsis', text, class: more = 'btn square', heading }) {
  const id = useId();
  const button = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [filled, setFilled] = useState(false);
  const entries = () => /** @type {HTMLElement[]} */ ([...(box.current?.querySelectorAll('[role^=menuitem]:not(:disabled)') ?? [])]);
  const toggled = (/** @type {ToggleEvent} */ event) => {
    button.current?.setAttribute('aria-expanded', String(event.newState === 'open'));
    if (event.newState !== 'open' || !button.current || !box.current) return;
    place(button.current, box.current);
    entries()[0]?.focus();
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const list = entries();
    const at = list.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: list.length - 1 }[event.key];
    if (to !== undefined) { event.preventDefault(); list[(to + list.length) % list.length]?.focus(); }
    if (event.key === 'Tab') box.current?.hidePopover();
  };
  return html`<button type="button" ref=${button} class=${more} popovertarget=${id} aria-haspopup="menu" aria-expanded="false" aria-label=${text ? undefined : label} title=${text ? undefined : label}>${text ?? icon(name)}</button>
    <div id=${id} ref=${box} class="menu" role="menu" aria-label=${label} popover="auto" onBeforeToggle=${() => setFilled(true)} onToggle=${toggled} onKeyDown=${keys}>${filled ? html`
      ${heading ? html`<div class="menu-heading" role="presentation">${heading}</div>` : null}
      ${items.filter(Boolean).map((item) => {
        if (item === 'line' || !item) return html`<hr role="separator" />`;
        const inside = html`${item.icon ? icon(item.icon) : null}<span class="grow">${item.label}</span>${item.note ? html`<span class="faint tiny">${item.note}</span>` : null}${item.checked ? icon('check') : null}`;
        const close = () => box.current?.hidePopover();
        return item.href
          ? html`<a role="menuitem" tabindex="-1" class="menu-item" href=${item.href} target=${item.external ? '_blank' : undefined} rel=${item.external ? 'noreferrer' : undefined} onClick=${close}>${inside}</a>`
          : html`<button type="button" role=${item.checked === undefined ? 'menuitem' : 'menuitemradio'} aria-checked=${item.checked} tabindex="-1" class=${cx('menu-item', item.tone)} disabled=${item.disabled} onClick=${() => { close(); item.run?.(); }}>${inside}</button>`;
      })}` : null}
    </div>`;
}
