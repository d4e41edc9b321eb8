// Where a folder or an archive is dropped, or picked, to be uploaded.
import { html, icon, cx, useRef, useState } from '../lib/html.js';
import { bytes, plural, sentence } from '../lib/format.js';
import { chosen, dropped } from '../lib/parcel.js';

/** @typedef {import('../lib/parcel.js').Parcel} Parcel */

/** @param {{ value: Parcel | null, set: (parcel: Parcel | null) => void, error?: string | null }} props */
export function Drop({ value, set, error }) {
  const [over, setOver] = useState(false);
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState('');
  const folder = useRef(/** @type {HTMLInputElement | null} */ (null));
  const archive = useRef(/** @type {HTMLInputElement | null} */ (null));
  const take = async (/** @type {Promise<Parcel>} */ coming) => {
    setBusy(true); setFailed('');
    try { set(await coming); } catch (failure) { set(null); setFailed(/** @type {Error} */ (failure).message); } finally { setBusy(false); }
  };
  const drop = (/** @type {DragEvent} */ event) => { event.preventDefault(); setOver(false); if (event.dataTransfer) take(dropped(event.dataTransfer)); };
  const field = (/** @type {any} */ event) => { const { files } = event.target; if (files?.length) take(chosen(files)); event.target.value = ''; };
  const problem = error || failed;
  return html`<div class="stack tight"><div class=${cx('drop-zone', over && 'over', value && 'full')} role="group" aria-label="What to upload"
      onDragOver=${(/** @type {DragEvent} */ event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)} onDrop=${drop}>
      ${busy ? html`<i class="spin" aria-hidden="true"></i><p>Packing …</p>` : value ? html`${icon('package')}<p class="any"><b class="strong">${value.label}</b><br />${value.files == null ? bytes(value.body.size) : `${plural(value.files, 'file')}, ${bytes(value.body.size)} packed${value.left ? `; ${plural(value.left, 'file')} left out by .gitignore` : ''}`}</p>`
        : html`${icon('upload')}<p><b class="strong">Drop a folder or an archive here</b><br />tar, tar.gz, tar.zst or zip, at most 512 MiB</p>`}
      <div class="row"><button type="button" class="btn small" disabled=${busy} onClick=${() => folder.current?.click()}>${icon('folder')}Choose a folder</button><button type="button" class="btn small" disabled=${busy} onClick=${() => archive.current?.click()}>${icon('package')}Choose an archive</button></div>
      <input ref=${folder} type="file" webkitdirectory hidden tabindex="-1" aria-hidden="true" onChange=${field} />
      <input ref=${archive} type="file" accept=".tar,.gz,.tgz,.zst,.tzst,.zip" hidden tabindex="-1" aria-hidden="true" onChange=${field} /></div>
    ${problem ? html`<p class="field-error" role="alert">${sentence(problem)}</p>` : null}</div>`;
}
