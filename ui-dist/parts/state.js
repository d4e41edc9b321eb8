// A state as a dot and a word: the one look of states everywhere.
import { html } from '../lib/html.js';
import { stateOf } from '../lib/states.js';

/** @param {{ state: string, detail?: string | null, plain?: boolean }} props `plain`: no pill around it */
export function State({ state, detail, plain }) {
  const { word, tone, meaning } = stateOf(state);
  return html`<span class=${`state ${tone} ${plain ? 'plain' : ''}`} title=${detail || meaning}><i class="dot" aria-hidden="true"></i>${word}</span>`;
}

/** The dot alone, with its word for those who cannot see it. @param {{ state: string }} props */
export function Dot({ state }) {
  const { word, tone } = stateOf(state);
  return html`<span class=${`state bare ${tone}`} title=${word}><i class="dot" aria-hidden="true"></i><span class="unseen">${word}</span></span>`;
}
