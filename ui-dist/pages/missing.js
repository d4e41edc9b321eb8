// No page has this address.
import { html, h } from '../lib/html.js';
import { useTrail } from '../lib/trail.js';
import { PageHead } from '../parts/page.js';
import { Empty } from '../parts/empty.js';
import { openPalette } from '../parts/palette.js';

export default function MissingPage() {
  useTrail([{ label: 'Not found' }]);
  return html`<div class="page">${h(PageHead, { title: html`<span class="unseen">Not found</span>`, name: 'Not found' })}<div class="missing">${h(Empty, { icon: 'compass', title: 'Nothing is at this address', text: 'It may have been moved or deleted. Search for it, or start from the overview.', action: html`<a class="btn primary" href="/">Overview</a><button type="button" class="btn" onClick=${openPalette}>Search</button>` })}</div></div>`;
}
