// A secret that is shown once.
import { html, h, icon } from '../lib/html.js';
import { Copy } from './copy.js';
import { showDialog } from './dialog.js';

/** @param {{ title: string, text: string, secret: string, hint?: any }} what */
export const revealOnce = (what) => showDialog(what.title, (close) => html`<div class="stack">
  <header class="dialog-head"><span class="dialog-mark ok">${icon('key-round')}</span><h2>${what.title}</h2></header>
  <p class="dim small">${what.text}</p>
  <div class="secret"><code>${what.secret}</code>${h(Copy, { text: what.secret, label: 'Copy secret' })}</div>
  ${what.hint}
  <footer class="dialog-foot"><button type="button" class="btn primary" autofocus onClick=${() => close(true)}>I have stored it</button></footer></div>`);
