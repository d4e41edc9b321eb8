// The requests about clones of environments. Loaded with the pages that need them.
import { all, enc, post } from './api.js';

/** @template {keyof import('./api.js').Schemas} K @typedef {import('./api.js').S<K>} S */

export const clones = {
  list: (/** @type {string} */ project) => /** @type {Promise<S<'EnvironmentClone'>[]>} */ (all('/clones', { project })),
  plan: (/** @type {string} */ environment, /** @type {S<'CloneCreate'>} */ body) => /** @type {Promise<S<'ClonePlan'>>} */ (post(`/environments/${enc(environment)}/clone-plan`, body)),
  create: (/** @type {string} */ environment, /** @type {S<'CloneCreate'>} */ body) => /** @type {Promise<S<'EnvironmentClone'>>} */ (post(`/environments/${enc(environment)}/clones`, body)),
  cancel: (/** @type {string} */ id) => /** @type {Promise<S<'EnvironmentClone'>>} */ (post(`/clones/${enc(id)}/cancel`)),
};

/** What each step is called, in the order in which they are done. */
export const STEPS = /** @type {const} */ ([['stopping', 'Stop what writes'], ['copying', 'Copy the data'], ['starting', 'Start it again'], ['deploying', 'Deploy the apps'], ['done', 'Made']]);

/** @param {S<'EnvironmentClone'>} clone */
export const isOver = (clone) => ['done', 'failed', 'cancelled'].includes(clone.phase);

/** @typedef {'done' | 'now' | 'next' | 'bad' | 'off'} Status */
/** The steps of one, with how each fares; those that nobody asked for are left out. @param {S<'EnvironmentClone'>} clone @returns {{ phase: string, word: string, status: Status, started_at: string | null, finished_at: string | null }[]} */
export function stepsOf(clone) {
  const withData = clone.volumes.some((one) => one.data);
  const wanted = STEPS.filter(([phase]) => withData || phase === 'deploying' || phase === 'done');
  const isBad = ['undoing', 'failed', 'cancelled'].includes(clone.phase);
  const steps = wanted.map(([phase, word]) => {
    const begun = clone.steps.find((one) => one.phase === phase);
    const isLast = begun && clone.steps.filter((one) => STEPS.some(([known]) => known === one.phase)).at(-1) === begun;
    /** @type {Status} */
    const status = !begun ? (isBad ? 'off' : 'next') : isBad && isLast ? 'bad' : phase === 'done' || !isLast ? 'done' : 'now';
    return { phase, word, status, started_at: begun?.started_at ?? null, finished_at: begun?.finished_at ?? null };
  });
  if (!isBad) return steps;
  const undoing = clone.steps.find((one) => one.phase === 'undoing');
  return [...steps.filter((step) => step.status !== 'off'), { phase: 'undoing', word: 'Take it away', status: clone.phase === 'undoing' ? 'now' : 'done', started_at: undoing?.started_at ?? null, finished_at: undoing?.finished_at ?? null }];
}
