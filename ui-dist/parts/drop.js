// Where a folder or an archive is dropped, or picked, to be uploaded.
import { html, icon, cx, useRef, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { bytes, plural, sentence } from '../lib/format.js';
import { chosen, dropped } from '../lib/parcel.js';

/** @typedef {import('../lib/parcel.js').Parcel} Parcel */

/** What was dropped, and the same at the panel: sent at once, so that it can be looked into before it is an app's. */
export function useDraft() {
  const [parcel, setParcel] = useState(/** @type {Parcel | null} */ (null));
  const [draft, setDraft] = useState(/** @type {import('../lib/api.js').S<'UploadDraft'> | null} */ (null));
  const [sending, setSending] = useState(false);
  const [error, setError] = useState('');
  const newest = useRef(/** @type {Parcel | null} */ (null));
  const set = async (/** @type {Parcel | null} */ next) => {
    newest.current = next;
    setParcel(next); setDraft(null); setError(''); setSending(Boolean(next));
    if (!next) return;
    try {
      const made = await api.uploadDraft(next);
      if (newest.current === next) setDraft(made);
    } catch (failure) { if (newest.current === next) setError(/** @type {Error} */ (failure).message); } finally { if (newest.current === next) setSending(false); }
  };
  /** Gives it to an app. What the panel forgot meanwhile is sent again. @param {string} app */
  const give = async (app) => {
    if (!parcel) throw new Error('Choose what to upload');
    // Once it is an app's it is no draft any more: nothing is to look into it as one.
    setDraft(null);
    try { if (draft) return await api.uploadTake(app, draft.id); } catch (failure) {
      if (/** @type {any} */ (failure).status !== 404) { setDraft(draft); throw failure; }
    }
    return api.uploadCreate(app, parcel);
  };
  return { parcel, draft, sending, error, set, give };
}

/** @param {{ value: Parcel | null, set: (parcel: Parcel | null) => void, error?: string | null, sending?: boolean }} props */
export function Drop({ value, set, error, sending }) {
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
  return html`<div class="stack tight"><div class=${cx('drop-zone', over && 'over', value && !sending && 'full')} role="group" aria-label="What to upload"
      onDragOver=${(/** @type {DragEvent} */ event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)} onDrop=${drop}>
      ${busy || sending ? html`<i class="spin" aria-hidden="true"></i><p role="status">${busy ? 'Packing …' : 'Uploading …'}</p>` : value ? html`${icon('package')}<p class="any"><b class="strong">${value.label}</b><br />${value.files == null ? bytes(value.body.size) : `${plural(value.files, 'file')}, ${bytes(value.body.size)} packed${value.left ? `; ${plural(value.left, 'file')} left out by .gitignore` : ''}`}</p>`
        : html`${icon('upload')}<p><b class="strong">Drop a folder or an archive here</b><br />tar, tar.gz, tar.zst or zip, at most 512 MiB</p>`}
      <div class="row"><button type="button" class="btn small" disabled=${busy || sending} onClick=${() => folder.current?.click()}>${icon('folder')}Choose a folder</button><button type="button" class="btn small" disabled=${busy || sending} onClick=${() => archive.current?.click()}>${icon('package')}Choose an archive</button></div>
      <input ref=${folder} type="file" webkitdirectory hidden tabindex="-1" aria-hidden="true" onChange=${field} />
      <input ref=${archive} type="file" accept=".tar,.gz,.tgz,.zst,.tzst,.zip" hidden tabindex="-1" aria-hidden="true" onChange=${field} /></div>
    ${problem ? html`<p class="field-error" role="alert">${sentence(problem)}</p>` : null}</div>`;
}
