// A sentence of the API on the page: names stand in backticks there, and are set as code here.
import { html } from '../lib/html.js';
import { sentence } from '../lib/format.js';

/** @param {string} text */
export const coded = (text) => {
  const parts = text.split('`');
  return parts.length % 2 ? parts.map((part, index) => (index % 2 ? html`<code class="any">${part}</code>` : part)) : text;
};

/** The same, and it begins as a sentence of its own. @param {string | null | undefined} text */
export const said = (text) => coded(sentence(text));
