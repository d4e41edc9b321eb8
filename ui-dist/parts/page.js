// The head of a page: name, state, the primary action at the right; and panels to put its parts in.
import { html, cx, useEffect } from '../lib/html.js';

/** @param {{ title: any, name?: string, state?: any, note?: any, actions?: any, children?: any, back?: any }} props `name`: the title as text, where `title` is markup */
export function PageHead({ title, name, state, note, actions, children }) {
  const text = name ?? (typeof title === 'string' ? title : '');
  useEffect(() => { document.title = text ? `${text} · serverkit` : 'serverkit'; }, [text]);
  return html`<header class="page-head"><div class="page-title"><div class="grow"><div class="title-row"><h1 tabindex="-1" class="cut" title=${text}>${title}</h1>${state}</div>${note ? html`<div class="page-note">${note}</div>` : null}</div>
    ${actions ? html`<div class="page-actions">${actions}</div>` : null}</div>${children}</header>`;
}

/** @param {{ title?: any, note?: any, actions?: any, children?: any, class?: string, flush?: boolean, foot?: any, id?: string }} props `flush`: the content reaches the border */
export const Panel = ({ title, note, actions, children, class: more, flush, foot, id }) => html`<section class=${cx('panel', flush && 'flush', more)} id=${id}>
  ${title ? html`<header class="panel-head"><div class="grow"><h2>${title}</h2>${note ? html`<p class="hint">${note}</p>` : null}</div>${actions}</header>` : null}
  <div class="panel-body">${children}</div>${foot ? html`<footer class="panel-foot">${foot}</footer>` : null}</section>`;
