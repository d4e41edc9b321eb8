// A GitHub App of this panel's own, made from a manifest. The page is loaded as a whole, since only it may send a form to GitHub.
import { html, h, icon } from '../lib/html.js';
import { forges } from '../lib/forges.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { FormProblem, Submit, TextField, useForm } from '../parts/field.js';

export default function ForgesAppPage() {
  useTrail([{ label: 'Forges', href: '/forges' }, { label: 'GitHub App' }]);
  const form = useForm({ name: `serverkit ${location.hostname}`.slice(0, 34), owner: '', url: '' });
  const v = form.values.value;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      const page = await forges.beginApp({ name: v.name.trim(), owner: v.owner.trim() || null, url: v.url.trim() || null });
      const sent = document.createElement('form');
      sent.method = 'post';
      sent.action = page.url;
      const field = document.createElement('input');
      field.type = 'hidden';
      field.name = 'manifest';
      field.value = page.manifest;
      sent.append(field);
      document.body.append(sent);
      sent.submit();
    });
  };
  return html`<div class="page">${h(PageHead, { title: 'Make a GitHub App', note: 'For chosen repositories only, with tokens that last an hour and no person’s account behind them' })}<div class="settings-grid"><form class="stack" onSubmit=${submit}>${h(Panel, {}, html`<div class="stack">
    ${h(TextField, { label: 'Name', value: v.name, set: form.set('name'), required: true, autofocus: true, error: form.error('name'), hint: 'At most 34 characters, and no other App’s at GitHub.' })}
    ${h(TextField, { label: 'Organization', value: v.owner, set: form.set('owner'), mono: true, optional: true, error: form.error('owner'), hint: 'That it belongs to; left out, it is your own account’s.' })}
    <details class="more"><summary>${icon('chevron-right', 'icon-small')}GitHub Enterprise Server</summary><div class="stack">${h(TextField, { label: 'Address', value: v.url, set: form.set('url'), mono: true, optional: true, inputmode: 'url', placeholder: 'https://github.example.com', error: form.error('url') })}</div></details>
    <p class="hint">GitHub asks you to confirm, and sends you back here. Then install the App where the repositories are.</p>
    ${h(FormProblem, { text: form.general(['name', 'owner', 'url']) })}
    <div class="form-foot">${h(Submit, { form, label: 'Go on at GitHub', icon: 'external-link' })}<a class="btn" href="/forges">Cancel</a></div></div>`)}</form></div></div>`;
}
