// The panel's mark, as in icon.svg, but drawn in the page: an image would be a request and a document of its own before the first view.
import { html, useId } from '../lib/html.js';

export function Logo() {
  const id = useId();
  return html`<svg class="logo" viewBox="0 0 32 32" aria-hidden="true"><linearGradient id=${id} x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#7c7cff" /><stop offset="1" stop-color="#5b3fe0" /></linearGradient>
    <rect width="32" height="32" rx="8" fill=${`url(#${id})`} /><rect x="8" y="9" width="16" height="5" rx="1.2" fill="#fff" /><rect x="8" y="18" width="11" height="5" rx="1.2" fill="#fff" fill-opacity=".72" /><circle cx="22.2" cy="20.5" r="2.2" fill="#7df0b2" /></svg>`;
}
