// The states of a list that are not its rows: nothing there, failed, loading.
import { html, icon } from '../lib/html.js';
import { said } from './said.js';

/** What this is for, and the first step. @param {{ icon: string, title: string, text?: any, action?: any, small?: boolean }} props */
export const Empty = ({ icon: name, title, text, action, small }) => html`<div class=${`empty ${small ? 'small' : ''}`}>
  <span class="empty-art" aria-hidden="true"><i></i><i></i><b>${icon(name)}</b></span>
  <p class="empty-title">${title}</p>${text ? html`<p>${text}</p>` : null}${action ? html`<div class="row">${action}</div>` : null}
</div>`;

/** The sentence from the API, and what to do next. @param {{ error: Error & { requestId?: string | null, code?: string }, retry?: () => unknown }} props */
export const Failed = ({ error, retry }) => html`<div class="failed" role="alert">${icon('circle-alert')}
  <div class="grow"><p class="strong">${said(error.message)}</p>
  <p class="small dim">${error.code === 'forbidden' ? 'Ask an owner of this panel for the right.' : error.code === 'not_found' ? 'It may have been removed.' : 'Nothing was changed.'}${error.requestId ? html` <span class="mono tiny faint">request ${error.requestId}</span>` : null}</p></div>
  ${retry ? html`<button type="button" class="btn small" onClick=${() => retry()}>${icon('refresh-cw')}Try again</button>` : null}
</div>`;

/** Room for what comes, so that nothing jumps. @param {{ rows?: number, height?: number }} props */
export const Loading = ({ rows = 4 }) => html`<div class="loading" role="status" aria-label="Loading">${Array.from({ length: rows }, (_, i) => html`<i class=${`skeleton w${i % 4}`}></i>`)}</div>`;
