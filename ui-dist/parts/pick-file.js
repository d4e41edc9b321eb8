// Beside a field for text: a file whose text goes into it.
import { html } from '../lib/html.js';
import { bytes } from '../lib/format.js';
import { toast } from './toast.js';

/** No text that a person wrote is longer. */
const MOST = 4 * 1024 * 1024;

/** @param {{ accept: string, set: (text: string) => void }} props `accept`: endings, such as `.yaml,.yml` */
export function PickFile({ accept, set }) {
  const take = async (/** @type {HTMLInputElement} */ box) => {
    const file = box.files?.[0];
    // The same file may be chosen again, when it was changed.
    box.value = '';
    if (!file) return;
    if (file.size > MOST) { toast(`${file.name} is larger than ${bytes(MOST)}`, { tone: 'bad' }); return; }
    set(await file.text());
  };
  return html`<label class="link small pick-file">Choose a file<input type="file" class="unseen" accept=${accept} onChange=${(/** @type {any} */ event) => take(event.target)} /></label>`;
}
