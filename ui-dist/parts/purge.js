// Throwing kept answers away.
import { html, h } from '../lib/html.js';
import { network } from '../lib/network.js';
import { plural } from '../lib/format.js';
import { askNow } from '../lib/report.js';
import { DialogHead, showDialog } from './dialog.js';
import { FormProblem, Submit, TextField, useForm } from './field.js';
import { toast } from './toast.js';

/** @param {string | null} host `null`: of all domains */
export const purge = (host) => showDialog('Purge the cache', (close) => h(PurgeForm, { host, close }));

/** @param {{ host: string | null, close: (done?: unknown) => void }} props */
function PurgeForm({ host, close }) {
  const form = useForm({ path: '' });
  const path = form.values.value.path.trim();
  return html`<form class="stack" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => {
    const { answers } = await network.edgePurge({ ...(host ? { host } : {}), ...(path ? { path } : {}) });
    askNow();
    close(true);
    toast(answers ? `${plural(answers, 'kept answer').replace('\u00a0', ' ')} thrown away` : 'Nothing was kept there', { tone: 'ok' });
  }); }}>
    ${h(DialogHead, { title: 'Purge the cache', note: host ? `Kept answers of ${host}. The app is asked again.` : 'Kept answers of all domains. The apps are asked again.', close: () => close() })}
    ${h(TextField, { label: 'Path', value: form.values.value.path, set: form.set('path'), mono: true, optional: true, placeholder: '/images/*', error: form.error('path'), hint: 'Left empty: everything. With * at its end, all that begin so.' })}
    ${h(FormProblem, { text: form.general(['path']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: path ? 'Purge' : 'Purge all' })}</footer></form>`;
}
