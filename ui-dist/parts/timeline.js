// A deployment's steps with their durations, live: across (at the top of an app) or down (on its own page).
import { html, h, icon } from '../lib/html.js';
import { stepsOf, stateOf } from '../lib/states.js';
import { Took } from './time.js';

/** @param {{ deployment: any, builds?: boolean, down?: boolean }} props */
export function Timeline({ deployment, builds = true, down }) {
  const steps = stepsOf({ ...deployment, cause: typeof deployment.cause === 'string' ? deployment.cause : deployment.cause?.kind }, builds);
  return html`<ol class=${down ? 'timeline down' : 'timeline'} aria-label="Steps">${steps.map((step) => html`<li class=${step.status} key=${`${step.phase} ${step.started_at ?? ''}`} aria-current=${step.status === 'now' ? 'step' : undefined}>
    <span class="mark" aria-hidden="true">${step.status === 'done' ? icon('check') : step.status === 'bad' ? icon('x') : step.status === 'off' ? icon('minus') : step.status === 'now' ? html`<i class="spin"></i>` : null}</span>
    <span class="step-word">${stateOf(step.phase).word}<span class="unseen">${{ done: ', done', now: ', running', next: ', to come', bad: ', failed', off: '' }[step.status]}</span></span>
    <span class="step-time">${step.started_at && !['live', 'failed', 'cancelled', 'superseded'].includes(step.phase) ? h(Took, { from: step.started_at, to: step.finished_at }) : null}</span>
  </li>`)}</ol>`;
}
