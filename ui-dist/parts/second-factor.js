// The second factor: asking for a code, setting it up, and showing recovery codes once.
import { html, h, icon, useEffect, useRef, useState } from '../lib/html.js';
import { api, session } from '../lib/api.js';
import { showDialog, DialogHead } from './dialog.js';
import { useForm, TextField, FormProblem, Submit } from './field.js';
import { Copy } from './copy.js';
import { passkeys, possible } from '../lib/passkeys.js';

/** @typedef {import('../lib/api.js').S<'SecondFactorSetUp'>} SetUp */

/** A field for six digits, or for a recovery code. @param {{ label?: string, value: string, set: (value: string) => void, error?: string, hint?: string, autofocus?: boolean }} props */
export const CodeField = ({ label = 'Code', value, set, error, hint = 'Six digits from your authenticator app, or a recovery code.', autofocus = true }) => h(TextField, { label, value, set, error, hint, autofocus, name: 'one-time-code', autocomplete: 'one-time-code', required: true, mono: true });

/** Uses a passkey. @param {{ label: string, form: { busy: { value: boolean }, submit: (act: () => unknown) => Promise<boolean> }, run: () => Promise<unknown> }} props */
export const PasskeyButton = ({ label, form, run }) => (possible() ? html`<button type="button" class="btn wide" disabled=${form.busy.value} onClick=${() => form.submit(run)}>${icon('key-round')}<span>${label}</span></button>` : null);

/** Asks for a code, or for a passkey where that will do, and does something with it; what it gives, or null. @param {{ title: string, text: string, action: string, run: (code: string) => Promise<unknown>, passkey?: () => Promise<unknown> }} question @returns {Promise<any>} */
export const askCode = (question) => showDialog(question.title, (close) => h(AskCode, { question, close }));

/** @param {{ question: Parameters<typeof askCode>[0], close: (value?: unknown) => void }} props */
function AskCode({ question, close }) {
  const form = useForm({ code: '' });
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { close((await question.run(form.values.value.code)) ?? true); }); };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: question.title, close: () => close(), note: question.text })}
    ${h(CodeField, { value: form.values.value.code, set: form.set('code'), error: form.error('code') })}
    ${question.passkey ? h(PasskeyButton, { label: 'Use a passkey', form, run: async () => { close((await question.passkey?.()) ?? true); } }) : null}
    ${h(FormProblem, { text: form.general(['code']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: question.action })}</footer></form>`;
}

/** Asks for the password again; true, or null. @returns {Promise<any>} */
const askPassword = () => showDialog('Confirm that it is you', (close) => h(AskPassword, { close }));

/** @param {{ close: (value?: unknown) => void }} props */
function AskPassword({ close }) {
  const form = useForm({ password: '' });
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); form.submit(async () => { await api.sessionConfirm({ password: form.values.value.password }); close(true); }); };
  return html`<form class="stack" onSubmit=${submit}>${h(DialogHead, { title: 'Confirm that it is you', close: () => close(), note: 'What you are about to do needs your password. You are asked once in 15 minutes.' })}
    <input class="unseen" type="text" autocomplete="username" value=${session.value?.user.email} readonly tabindex="-1" aria-hidden="true" />
    ${h(TextField, { label: 'Your password', type: 'password', autocomplete: 'current-password', value: form.values.value.password, set: form.set('password'), required: true, autofocus: true, error: form.error('password') })}
    ${h(FormProblem, { text: form.general(['password']) })}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>${h(Submit, { form, label: 'Confirm' })}</footer></form>`;
}

const askFactor = () => askCode({ title: 'Confirm that it is you', text: 'What you are about to do is protected by your second factor. You are asked once in 15 minutes.', action: 'Confirm', run: async (code) => { await api.sessionConfirm({ code }); return true; }, passkey: passkeys.confirm });

/** @type {Promise<boolean> | null} */
let asking = null;
/** Shows the second factor again, or the password where there is none, so that what is dangerous may be done for a while. Parallel callers
 * share one question. */
export function stepUp() {
  asking ??= (session.value?.confirms_by_password ? askPassword() : askFactor()).then(Boolean).finally(() => { asking = null; });
  return asking;
}

/** @param {{ codes: string[] }} props */
export const Codes = ({ codes }) => {
  const save = () => { const link = document.createElement('a'); link.href = URL.createObjectURL(new Blob([`serverkit recovery codes of ${session.value?.user.email ?? ''} at ${location.host}\nEach works once.\n\n${codes.join('\n')}\n`], { type: 'text/plain' })); link.download = 'serverkit-recovery-codes.txt'; link.click(); };
  return html`<div class="stack tight"><ul class="codes" aria-label="Recovery codes">${codes.map((code) => html`<li key=${code}><code>${code}</code></li>`)}</ul>
    <div class="row">${h(Copy, { text: codes.join('\n'), label: 'Copy all', show: true })}<button type="button" class="btn ghost small" onClick=${save}>${icon('download')}<span>Save as a file</span></button></div></div>`;
};

/** Shows new recovery codes, once. @param {string[]} codes */
export const showCodes = (codes) => showDialog('Your recovery codes', (close) => html`<div class="stack"><header class="dialog-head"><span class="dialog-mark ok">${icon('key-round')}</span><h2>Your recovery codes</h2></header>
  <p class="dim small">Each lets you in once when your phone is gone. Print them or keep them in a password manager: they are not shown again.</p>
  ${h(Codes, { codes })}
  <footer class="dialog-foot"><button type="button" class="btn primary" onClick=${() => close(true)}>I have stored them</button></footer></div>`);

/** The way to a second factor: password, app, codes. `done` is called when there is one and its codes were seen.
 * @param {{ done: () => void, cancel?: () => void }} props */
export function Enrol({ done, cancel }) {
  const [made, setMade] = useState(/** @type {SetUp | null} */ (null));
  const [codes, setCodes] = useState(/** @type {string[] | null} */ (null));
  const form = useForm({ password: '', code: '' });
  const box = useRef(/** @type {HTMLFormElement | null} */ (null));
  // What was focused is gone with the step before.
  useEffect(() => { if (made) /** @type {HTMLElement | null | undefined} */ (box.current?.querySelector('[name=one-time-code]'))?.focus(); }, [made]);
  const v = form.values.value;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    form.submit(async () => {
      if (!made) { setMade(await api.secondFactorBegin(v.password)); return; }
      setCodes((await api.secondFactorConfirm(v.code)).codes);
    });
  };
  if (codes) return html`<div class="stack"><p class="small ok-text row" role="status">${icon('circle-check')}<span>Your second factor is on.</span></p>
    <p class="dim small">These recovery codes let you in when your phone is gone, each once. Keep them in a safe place: they are not shown again.</p>
    ${h(Codes, { codes })}<footer class="dialog-foot"><button type="button" class="btn primary" onClick=${done}>I have stored them</button></footer></div>`;
  return html`<form class="stack" ref=${box} onSubmit=${submit}>
    ${made ? html`<p class="dim small">Scan this with an authenticator app, or type the key in. Then enter the code that it shows.</p>
      <div class="enrol"><img class="qr" width="184" height="184" alt="QR code with the key for your authenticator app" src=${`data:image/svg+xml,${encodeURIComponent(made.qr_svg)}`} />
      <div class="stack tight"><span class="label">Key</span><div class="key-box"><code class="any">${made.key.match(/.{1,4}/g)?.join(' ')}</code>${h(Copy, { text: made.key, label: 'Copy key' })}</div><p class="hint">By time, six digits, SHA-1, 30 seconds.</p></div></div>
      ${h(CodeField, { value: v.code, set: form.set('code'), error: form.error('code'), hint: 'Six digits.' })}`
    : html`<p class="dim small">You need an authenticator app on your phone, such as Aegis, 2FAS or Google Authenticator; most password managers have one too.</p>
      <input class="unseen" type="text" autocomplete="username" value=${session.value?.user.email} readonly tabindex="-1" aria-hidden="true" />
      ${h(TextField, { label: 'Your password', type: 'password', autocomplete: 'current-password', value: v.password, set: form.set('password'), required: true, autofocus: true, error: form.error('password') })}`}
    ${h(FormProblem, { text: form.general(['password', 'code']) })}
    <footer class="dialog-foot">${cancel ? html`<button type="button" class="btn" onClick=${cancel}>Cancel</button>` : null}${h(Submit, { form, label: made ? 'Turn on' : 'Go on' })}</footer></form>`;
}
