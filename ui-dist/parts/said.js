// A sentence of the API on the page: names stand in backticks there, and are set as code here.
import { html } from '../lib/html.js';
import { sentence } from '../lib/format.js';

/** @param {string | null | undefined} text */
export const said = (text) => {
  const parts = sentence(text).split('`');
  return parts.length % 2 ? parts.map((part, index) => (index % 2 ? html`<code class="any">${part}</code>` : part)) : parts.join('`');
};
