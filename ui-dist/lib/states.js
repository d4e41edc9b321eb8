// One vocabulary of states for the whole panel: the word, the tone (ok, busy, warn, bad, off), and what it means.

/** @typedef {'ok' | 'busy' | 'warn' | 'bad' | 'off'} Tone */
/** @type {Record<string, [word: string, tone: Tone, meaning: string]>} */
const WORDS = {
  new: ['New', 'off', 'Not deployed yet'],
  deploying: ['Deploying', 'busy', 'A deployment is running'],
  running: ['Running', 'ok', 'It serves'],
  starting: ['Starting', 'busy', 'The container is up, its health check has not passed yet'],
  stopped: ['Stopped', 'off', 'Stopped on purpose'],
  asleep: ['Asleep', 'off', 'Its container starts when a request comes'],
  waking: ['Waking', 'busy', 'A request came and waits until it is started'],
  unhealthy: ['Unhealthy', 'warn', 'The container is up but its health check fails'],
  crashing: ['Crashing', 'bad', 'The container exits again and again'],
  failed: ['Failed', 'bad', 'It ended with an error'],
  unknown: ['Unknown', 'off', 'The engine does not answer'],
  queued: ['Queued', 'busy', 'Waiting for its turn'],
  fetching: ['Fetching', 'busy', 'The source or the image is brought here'],
  building: ['Building', 'busy', 'The image is built'],
  checking: ['Checking', 'busy', 'The new container has to pass its health check; the old one still serves'],
  trying: ['Trying', 'busy', 'A share of the requests goes to the new container; the old one serves the others'],
  live: ['Live', 'ok', 'It was put live'],
  done: ['Done', 'ok', 'It ended well'],
  timed_out: ['Timed out', 'bad', 'It took longer than its limit'],
  skipped: ['Left out', 'off', 'The run before it was still going'],
  frozen: ['Holds', 'warn', 'Nothing is deployed'],
  held: ['Held', 'warn', 'It waits for the end of a freeze'],
  released: ['Released', 'off', 'It waited for the end of a freeze'],
  missed: ['Missed', 'warn', 'serverkit did not run when it was time'],
  lost: ['Lost', 'bad', 'serverkit was restarted while it ran'],
  stopping: ['Stopping', 'busy', 'What writes to the data stops'],
  copying: ['Copying', 'busy', 'The data is copied'],
  undoing: ['Taking back', 'busy', 'What was made is removed again'],
  cancelled: ['Cancelled', 'off', 'Somebody stopped it'],
  superseded: ['Superseded', 'off', 'A newer deployment came first'],
  deployed: ['Deployed', 'ok', 'A deployment was queued'],
  answered: ['Answered', 'ok', 'The forge reaches this panel'],
  ignored: ['Ignored', 'off', 'It does not deploy'],
  refused: ['Refused', 'bad', 'Nothing in it was believed'],
  unallowed: ['Waiting', 'warn', 'Somebody has to allow a commit of a fork'],
  full: ['No room', 'warn', 'There are as many as there may be; it follows when one goes'],
  removing: ['Removing', 'busy', 'It is being removed'],
  gone: ['Removed', 'off', 'Nothing of it is left'],
  pending: ['Pending', 'busy', 'Ordered; a certificate of our own serves meanwhile'],
  waiting: ['Waiting', 'warn', 'An order would fail, so none is sent; it is looked at again by itself'],
  valid: ['Valid', 'ok', 'Issued and in date'],
  expiring: ['Expiring', 'warn', 'Less than 14 days left'],
  expired: ['Expired', 'bad', 'No longer accepted by browsers'],
  well: ['Well', 'ok', 'It gets requests'],
  ejected: ['Left out', 'warn', 'It failed too often on requests and gets none for a while'],
  up: ['Up', 'ok', 'It answers'],
  down: ['Down', 'bad', 'It does not answer'],
  unready: ['Not ready', 'warn', 'It cannot be used yet'],
  switched_off: ['Off', 'off', 'Nothing new is built there'],
  ok: ['OK', 'ok', ''],
  warning: ['Warning', 'warn', ''],
  problem: ['Problem', 'bad', ''],
  active: ['Active', 'ok', ''],
  disabled: ['Disabled', 'off', 'Cannot sign in'],
};

/** @param {string} state @returns {{ word: string, tone: Tone, meaning: string }} */
export function stateOf(state) {
  const [word, tone, meaning] = WORDS[state] ?? [state, 'off', ''];
  return { word, tone, meaning };
}

/** A certificate's state with its remaining days taken in. @param {{ state: string, not_after?: string | null }} certificate @param {number} now */
export function certificateState(certificate, now) {
  const ends = certificate.not_after ? Date.parse(certificate.not_after) : NaN;
  if (Number.isFinite(ends) && ends < now) return 'expired';
  if (certificate.state === 'valid' && ends - now < 14 * 86_400_000) return 'expiring';
  return certificate.state;
}

/** The phases of a deployment in the order they come. Only some are tried. */
export const PHASES = ['queued', 'fetching', 'building', 'starting', 'checking', 'trying', 'live'];

/** The steps to show for a deployment: those that were, and those still to come. An image app has no build.
 * @param {{ phase: string, steps: { phase: string, started_at: string, finished_at?: string | null }[], cause?: string }} deployment @param {boolean} [builds]
 * @returns {{ phase: string, status: 'done' | 'now' | 'next' | 'bad' | 'off', started_at: string | null, finished_at: string | null }[]} */
export function stepsOf(deployment, builds = true) {
  const over = ['live', 'failed', 'cancelled', 'superseded'].includes(deployment.phase);
  /** @type {ReturnType<typeof stepsOf>} */
  const shown = deployment.steps.map((step, index) => ({
    phase: step.phase,
    status: step.phase === 'failed' ? 'bad' : step.phase === 'cancelled' || step.phase === 'superseded' ? 'off'
      : step.phase === 'live' || index < deployment.steps.length - 1 ? 'done' : 'now',
    started_at: step.started_at, finished_at: step.finished_at ?? null,
  }));
  const last = shown.at(-1);
  if (over && last && last.status === 'bad' && shown.length > 1) shown[shown.length - 2].status = 'bad';
  if (!over) {
    const from = PHASES.indexOf(deployment.phase);
    for (const phase of PHASES.slice(from + 1)) {
      if (phase === 'trying' || (!builds && phase === 'building')) continue;
      if (deployment.cause === 'rollback' && (phase === 'fetching' || phase === 'building')) continue;
      shown.push({ phase, status: 'next', started_at: null, finished_at: null });
    }
  }
  return shown;
}
