// A list of names and values.
import { html } from '../lib/html.js';

/** @param {{ items: ([label: string, value: any] | null | false | undefined)[], class?: string }} props */
export const Facts = ({ items, class: more = '' }) => html`<dl class=${`facts ${more}`}>${items.map((item) => (item ? html`<div><dt>${item[0]}</dt><dd>${item[1] ?? html`<span class="faint">–</span>`}</dd></div>` : null))}</dl>`;
