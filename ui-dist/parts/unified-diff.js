// A unified diff with its lines coloured.
import { html } from '../lib/html.js';

/** @param {string} line */
const tone = (line) => (line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : line.startsWith('@@') ? 'place' : '');

/** @param {{ text: string }} props */
export function UnifiedDiff({ text }) {
  if (!text) return html`<p class="dim small unified-none">The file stays as it is.</p>`;
  const lines = text.replace(/\n$/, '').split('\n').filter((line) => !line.startsWith('---') && !line.startsWith('+++'));
  return html`<pre class="code unified" tabindex="0" aria-label="Changes">${lines.map((line, index) => html`<span key=${index} class=${tone(line)}>${line || ' '}\n</span>`)}</pre>`;
}
