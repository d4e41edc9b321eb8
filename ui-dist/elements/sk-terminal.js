// <sk-terminal>: a terminal in an app's container over a WebSocket, by xterm.js, loaded when first used.
//
// @attribute app      id of the app
// @attribute command  what to run; the image's shell without it
// @attribute service  which of the app's services; the main one without it
// @method    connect() opens it anew; close()
// @fires     sk-state detail: 'connecting' | 'open' | { ended: code | null, why: string }
import { socket } from '../lib/api.js';
import { effect } from '../vendor/signals-core-1.14.5.js';
import { loadSheet } from '../lib/sheet.js';
import { painted, token } from '../lib/theme.js';

/** What xterm takes for a style element (see tests/ui/vendor.mjs): its text becomes a constructed sheet, which the policy allows. */
class SkStyle extends HTMLElement {
  constructor() { super(); this.sheet = new CSSStyleSheet(); }
  connectedCallback() { document.adoptedStyleSheets = [...document.adoptedStyleSheets, this.sheet]; this.hidden = true; }
  disconnectedCallback() { document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => sheet !== this.sheet); }
  get textContent() { return ''; }
  set textContent(text) { this.sheet.replaceSync(text ?? ''); }
}
if (!customElements.get('sk-style')) customElements.define('sk-style', SkStyle);

/** xterm reads colours as hex or rgb only. @param {string} name */
function rgb(name) {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 1;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
  pen.fillStyle = token(name);
  pen.fillRect(0, 0, 1, 1);
  const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
  return `#${[r, g, b].map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}
const NAMES = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white', 'brightBlack', 'brightRed', 'brightGreen', 'brightYellow', 'brightBlue', 'brightMagenta', 'brightCyan', 'brightWhite'];
const colours = () => ({
  background: rgb('--well'), foreground: rgb('--text'), cursor: rgb('--accent'), cursorAccent: rgb('--well'), selectionBackground: rgb('--accent-solid') + '66',
  ...Object.fromEntries(NAMES.map((name, index) => [name, rgb(`--ansi-${index}`)])),
});

export class SkTerminal extends HTMLElement {
  constructor() {
    super();
    /** @type {any} */ this.terminal = null;
    /** @type {any} */ this.fit = null;
    /** @type {WebSocket | null} */ this.line = null;
  }

  async connectedCallback() {
    const [{ Terminal }, { FitAddon }] = await Promise.all([import('../vendor/xterm-6.0.0.js'), import('../vendor/xterm-fit-0.11.0.js'), loadSheet('/vendor/xterm-6.0.0.css')]);
    await document.fonts?.load('13px "JetBrains Mono"').catch(() => {});
    if (!this.isConnected || this.terminal) return;
    this.terminal = new Terminal({ fontFamily: token('--mono'), fontSize: 13, lineHeight: 1.25, cursorBlink: !matchMedia('(prefers-reduced-motion: reduce)').matches, scrollback: 10_000, theme: colours(), allowProposedApi: false, screenReaderMode: false });
    this.fit = new FitAddon();
    this.terminal.loadAddon(this.fit);
    this.terminal.open(this);
    this.terminal.attachCustomKeyEventHandler((/** @type {KeyboardEvent} */ event) => {
      if (event.type !== 'keydown' || !event.ctrlKey || !event.shiftKey) return true;
      if (event.code === 'KeyC') { event.preventDefault(); navigator.clipboard?.writeText(this.terminal.getSelection()); return false; }
      return true;
    });
    this.terminal.onData((/** @type {string} */ text) => this.send(new TextEncoder().encode(text)));
    this.terminal.onBinary((/** @type {string} */ text) => this.send(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
    this.terminal.onResize((/** @type {{ cols: number, rows: number }} */ { cols, rows }) => { if (this.line?.readyState === 1) this.line.send(JSON.stringify({ resize: { columns: cols, rows } })); });
    this.sizes = new ResizeObserver(() => this.refit());
    this.sizes.observe(this);
    this.stop = effect(() => { if (painted.value >= 0 && this.terminal) this.terminal.options.theme = colours(); });
    this.refit();
    this.connect();
  }
  disconnectedCallback() { this.sizes?.disconnect(); this.stop?.(); this.close(); this.terminal?.dispose(); this.terminal = null; this.replaceChildren(); }

  refit() { if (this.clientWidth > 40 && this.clientHeight > 40) this.fit?.fit(); }
  /** @param {Uint8Array} bytes */
  send(bytes) { if (this.line?.readyState === 1) this.line.send(bytes); }
  /** @param {unknown} detail */
  tell(detail) { this.dispatchEvent(new CustomEvent('sk-state', { detail, bubbles: true })); }
  close() { const line = this.line; this.line = null; line?.close(); }

  async connect() {
    this.close();
    this.terminal.reset();
    this.tell('connecting');
    const line = await socket(`/apps/${encodeURIComponent(this.getAttribute('app') ?? '')}/terminal`, { columns: this.terminal.cols, rows: this.terminal.rows, command: this.getAttribute('command'), service: this.getAttribute('service') });
    if (!this.isConnected) { line.close(); return; }
    this.line = line;
    let opened = false;
    /** @type {number | null} */
    let code = null;
    line.onopen = () => { opened = true; this.tell('open'); this.terminal.focus(); };
    line.onmessage = ({ data }) => {
      if (typeof data === 'string') { try { code = JSON.parse(data).exit ?? code; } catch { /* not ours */ } } else this.terminal.write(new Uint8Array(data));
    };
    line.onclose = (event) => {
      if (this.line !== line) return;
      this.line = null;
      this.tell({ ended: code, why: code != null ? `The command ended with code ${code}.` : event.reason || (opened ? 'The connection was lost.' : 'No terminal was opened. Does the app run, and may you open one?') });
    };
  }
}
if (!customElements.get('sk-terminal')) customElements.define('sk-terminal', SkTerminal);
