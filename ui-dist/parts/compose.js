// A Compose file to write: it is looked at while one types, each problem with its line.
import { html, h, icon, cx, useEffect, useRef, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { said } from './said.js';
import { Field, TextField } from './field.js';
import { PickFile } from './pick-file.js';

/** @typedef {import('../lib/api.js').S<'ComposeReport'>} Report */

/** What the panel says of the text, a moment after the last letter. @param {string} text @param {{ app?: string, profiles?: string[] }} [of] `profiles`: whose services run too @returns {{ report: Report | null, error: Error | null, busy: boolean }} */
export function useCompose(text, { app, profiles = [] } = {}) {
  const names = profiles.join(' ');
  const [state, setState] = useState(/** @type {{ report: Report | null, error: Error | null, busy: boolean }} */ ({ report: null, error: null, busy: false }));
  useEffect(() => {
    if (!text.trim()) { setState({ report: null, error: null, busy: false }); return undefined; }
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      setState((before) => ({ ...before, busy: true }));
      try {
        const report = await api.composeCheck({ compose: text, profiles, ...(app ? { app } : {}) }, stop.signal);
        if (!stop.signal.aborted) setState({ report, error: null, busy: false });
      } catch (error) {
        if (!stop.signal.aborted) setState({ report: null, error: /** @type {Error} */ (error), busy: false });
      }
    }, 250);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [text, app, names]);
  return state;
}

/** @param {{ value: string, set: (value: string) => void, state: ReturnType<typeof useCompose>, error?: string, label?: string, rows?: number, main?: string }} props `main`: the service that is named as the main one */
export function ComposeField({ value, set, state, error, label = 'Compose file', rows = 18, main }) {
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const go = (/** @type {number} */ line) => {
    const box = area.current;
    if (!box || line < 1) return;
    const lines = value.split('\n');
    const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    box.focus();
    box.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
    box.scrollTop = Math.max(0, (line - 6) * 20);
  };
  const indent = (/** @type {KeyboardEvent} */ event) => {
    // Two spaces, as everywhere in YAML; with Escape before it, Tab leaves the field.
    const box = /** @type {HTMLTextAreaElement} */ (event.target);
    if (event.key === 'Escape') { box.dataset.leave = 'yes'; return; }
    if (event.key !== 'Tab' || event.shiftKey || box.dataset.leave) { delete box.dataset.leave; return; }
    event.preventDefault();
    box.setRangeText('  ', box.selectionStart, box.selectionEnd, 'end');
    set(box.value);
  };
  const { report } = state;
  return html`${h(Field, { label, error, aside: h(PickFile, { accept: '.yaml,.yml', set }), hint: 'Tab indents; Escape and then Tab leaves the field.', children: (attrs) => html`<textarea ref=${area} class="input code compose-text" rows=${rows} wrap="off" spellcheck="false" autocapitalize="off" placeholder=${'services:\n  web:\n    image: nginx:1.27\n    ports: ["80"]'} value=${value} onKeyDown=${indent} onInput=${(/** @type {any} */ event) => set(event.target.value)} ...${attrs}></textarea>` })}
    <div class="compose-says" role="status" aria-live="polite">
      ${state.error ? html`<p class="notice bad">${icon('circle-alert')}<span>${said(state.error.message)}</span></p>` : null}
      ${report?.problems.map((one, index) => h(Note, { key: `p${index}`, tone: 'bad', name: 'circle-alert', line: one.line, what: one.what, go }))}
      ${report?.rights.map((one, index) => h(Note, { key: `r${index}`, tone: 'warn', name: 'shield-alert', line: one.line, what: `${one.service} ${one.what}: only an administrator may save this`, go }))}
      ${report?.hints.map((one, index) => h(Note, { key: `h${index}`, tone: '', name: 'info', line: one.line, what: one.what, go }))}
      ${report && !report.problems.length ? html`<p class="notice ok">${icon('circle-check')}<span>${report.services.length === 1 ? 'One service' : `${report.services.length} services`}: ${report.services.map((one) => one.name).join(', ')}${main || report.main_service ? `. Domains lead to ${main || report.main_service}.` : '.'}</span></p>` : null}
      ${report?.services.some((one) => one.networks.length) ? h(Note, { tone: '', name: 'info', line: 0, what: `services find each other where they share a network: ${report.services.map((one) => `${one.name} is on ${one.networks.join(' and ') || 'that of the server'}`).join(', ')}`, go }) : null}
      ${report?.services.filter((one) => one.stops_first).map((one) => h(Note, { key: `s${one.name}`, tone: '', name: 'info', line: 0, what: `when ${one.name} changes, its old container stops before the new one starts: ${one.stops_first}`, go }))}
    </div>`;
}

/** @param {{ tone: string, name: string, line: number, what: string, go: (line: number) => void }} props */
const Note = ({ tone, name, line, what, go }) => html`<p class=${cx('notice', tone)}>${icon(name)}<span class="grow any">${said(what)}</span>${line ? html`<button type="button" class="btn ghost small" onClick=${() => go(line)}>Line ${line}</button>` : null}</p>`;

/** Names with spaces or commas between them. @param {string} text */
export const profilesOf = (text) => text.split(/[\s,]+/).filter(Boolean);

/** What is said of a Compose file beside its text. @param {{ main: string, profiles: string, set: (name: 'main_service' | 'profiles') => (value: string) => void, error: (...names: string[]) => string | undefined }} props */
export const SetupFields = ({ main, profiles, set, error }) => html`<div class="form-row">${h(TextField, { label: 'Main service', value: main, set: set('main_service'), mono: true, optional: true, placeholder: 'the first with a port', error: error('main_service', 'source.main_service'), hint: 'Domains lead to it.' })}
  ${h(TextField, { label: 'Profiles', value: profiles, set: set('profiles'), mono: true, optional: true, error: error('profiles', 'source.profiles'), hint: 'Services of these run too; * for all.' })}</div>`;
