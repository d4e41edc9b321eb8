// The one door to Preact, htm and signals: `html` for markup, `h(Part, props)` for components (so that props are type-checked).
import { h, render, Fragment } from '../vendor/preact-11.2.0.js';
import htm from '../vendor/htm-3.1.1.js';

/** @typedef {import('preact').ComponentChildren} Children */
/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(/** @type {any} */ (h));
export { h, render, Fragment };
export { useState, useEffect, useRef, useMemo, useCallback, useLayoutEffect, useId, useErrorBoundary } from '../vendor/preact-hooks-11.2.0.js';
export { signal, computed, effect, batch, untracked, useSignal, useComputed, useSignalEffect } from '../vendor/signals-2.11.4.js';

/** One icon of the sprite. It is an ornament: the label stands beside it or on the control.
 * @param {string} name @param {string} [more] further classes */
export const icon = (name, more = '') => html`<svg class=${`icon ${more}`} aria-hidden="true"><use href=${`/vendor/icons.svg#${name}`} /></svg>`;

/** Class names that hold. @param {...(string | false | null | undefined)} names */
export const cx = (...names) => names.filter(Boolean).join(' ');
