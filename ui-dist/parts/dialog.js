// Dialogs: a question with what it will do in objects and bytes, or a form. Opened by a call, shown by <Dialogs>.
import { html, h, icon, cx, signal, useEffect, useLayoutEffect, useRef, useState, useId } from '../lib/html.js';
import { bytes } from '../lib/format.js';
import { said } from './said.js';

/** @typedef {{ key: number, body: (close: (value?: unknown) => void) => any, resolve: (value: unknown) => void, label: string, wide?: boolean, leave?: { current: (() => void) | null } }} Open */
const open = signal(/** @type {Open[]} */ ([]));
let keys = 0;

/** Shows a dialog until its body calls `close`. `leave` is called in place of closing when somebody turns away from it: a form asks first.
 * @param {string} label @param {Open['body']} body @param {{ wide?: boolean, leave?: { current: (() => void) | null } }} [how] @returns {Promise<any>} */
export function showDialog(label, body, how = {}) {
  return new Promise((resolve) => { open.value = [...open.value, { key: (keys += 1), body, resolve, label, ...how }]; });
}

export const Dialogs = () => open.value.map((one) => h(Shell, { key: one.key, one }));

/** @param {{ one: Open }} props */
function Shell({ one }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  // Before the paint, so that what is typed at once arrives in the dialog.
  useLayoutEffect(() => {
    const box = element.current;
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    box?.showModal();
    // A form for a password names its user in a field for the browser, which nobody can write into.
    /** @type {HTMLElement | null | undefined} */ (box?.querySelector('[autofocus]') ?? box?.querySelector('input:not([tabindex="-1"]), textarea, select'))?.focus();
    return () => { if (before?.isConnected) before.focus({ preventScroll: true }); };
  }, []);
  const close = (/** @type {unknown} */ value = null) => {
    element.current?.close();
    open.value = open.value.filter((other) => other !== one);
    one.resolve(value);
  };
  const leave = () => (one.leave?.current ?? close)();
  return html`<dialog ref=${element} class=${cx('dialog', one.wide && 'wide')} aria-label=${one.label}
    onCancel=${(/** @type {Event} */ event) => { event.preventDefault(); leave(); }}
    onPointerDown=${(/** @type {PointerEvent} */ event) => { if (event.target === element.current && isBeside(event)) leave(); }}>
    <div class="dialog-box">${one.body(close)}</div>
  </dialog>`;
}

/** Whether a dialog was pressed beside its box; its scroll bar is in it. @param {PointerEvent} event */
function isBeside(event) {
  const { left, right, top, bottom } = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
  return event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom;
}

/** A dialog with a form: turning away from it asks first, once something was written. @param {string} label @param {(close: (value?: unknown) => void, leave: { current: (() => void) | null }) => any} body @param {{ wide?: boolean }} [how] @returns {Promise<any>} */
export function showForm(label, body, how = {}) {
  const leave = { current: /** @type {(() => void) | null} */ (null) };
  return showDialog(label, (close) => body(close, leave), { ...how, leave });
}

/** How a form's dialog is left without saving. @param {{ touched: { peek: () => boolean } }} form @param {() => void} close @param {{ current: (() => void) | null }} leave */
export function leaving(form, close, leave) {
  leave.current = () => { if (!form.touched.peek() || window.confirm('Close without saving what you wrote?')) close(); };
  return leave.current;
}

/** @typedef {{ icon: string, label: string, note?: string, bytes?: number, kept?: boolean }} Target */
/** @typedef {{ title: string, text?: any, objects?: Target[] | (() => Promise<Target[]>), typed?: string, action: string, danger?: boolean, extra?: any, run: () => unknown }} Question */

/** Asks, does, and tells whether it was done. A failure is shown in the dialog, which stays. @param {Question} question @returns {Promise<boolean>} */
export const confirm = (question) => showDialog(question.title, (close) => h(Confirm, { question, close })).then(Boolean);

/** @param {{ question: Question, close: (value?: unknown) => void }} props */
function Confirm({ question, close }) {
  const { title, text, typed, action, danger = true } = question;
  const [name, setName] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {Error | null} */ (null));
  const [objects, setObjects] = useState(/** @type {Target[] | null} */ (Array.isArray(question.objects) ? question.objects : null));
  const id = useId();
  useEffect(() => {
    if (typeof question.objects === 'function') question.objects().then(setObjects, setError);
  }, []);
  const ready = (!typed || name === typed) && !busy && !(typeof question.objects === 'function' && !objects);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!ready) return;
    setBusy(true); setError(null);
    try { await question.run(); close(true); } catch (failure) { setError(/** @type {Error} */ (failure)); setBusy(false); }
  };
  const total = (objects ?? []).reduce((sum, one) => sum + (one.kept ? 0 : one.bytes ?? 0), 0);
  return html`<form class="stack" onSubmit=${submit}>
    <header class="dialog-head"><span class=${cx('dialog-mark', danger ? 'bad' : 'accent')}>${danger ? icon('triangle-alert') : icon('info')}</span><h2>${title}</h2></header>
    ${text ? html`<div class="dim small">${text}</div>` : null}
    ${typeof question.objects === 'function' && !objects && !error ? html`<div class="skeleton" role="status" aria-label="Loading what is affected"></div>` : null}
    ${objects?.length ? html`<ul class="targets" tabindex="0" aria-label="What is affected">${objects.map((one) => html`<li>${icon(one.icon)}<span class="cut" title=${one.label}>${one.label}</span>
      ${one.note ? html`<span class=${cx('tiny nowrap', one.kept ? 'ok-text' : 'faint')}>${one.note}</span>` : null}
      <span class="end num faint tiny nowrap">${one.bytes != null ? bytes(one.bytes) : ''}</span></li>`)}
      ${total > 0 ? html`<li class="total"><span>Frees</span><span class="end num">${bytes(total)}</span></li>` : null}</ul>` : null}
    ${question.extra}
    ${typed ? html`<label class="field" for=${id}><span class="label">Type <code class="typed">${typed}</code> to confirm</span>
      <input id=${id} class="input mono" autocomplete="off" spellcheck="false" autofocus value=${name} onInput=${(/** @type {any} */ event) => setName(event.target.value)} /></label>` : null}
    ${error ? html`<p class="problem" role="alert">${icon('circle-alert')}<span>${said(error.message)}</span></p>` : null}
    <footer class="dialog-foot"><button type="button" class="btn" onClick=${() => close()}>Cancel</button>
      <button type="submit" class=${cx('btn', danger ? 'danger solid' : 'primary')} disabled=${!ready} aria-busy=${busy}>${busy ? html`<i class="spin" aria-hidden="true"></i>` : null}${action}</button></footer>
  </form>`;
}

/** Head of a dialog's own body. @param {{ title: string, close: () => void, note?: any }} props */
export const DialogHead = ({ title, close, note }) => html`<header class="dialog-head"><div class="grow"><h2>${title}</h2>${note ? html`<p class="small dim">${note}</p>` : null}</div>
  <button type="button" class="btn ghost small square" aria-label="Close" onClick=${() => close()}>${icon('x')}</button></header>`;
