// What the whole panel shares and keeps current from the event stream: apps, running deployments, samples of servers and apps.
import { signal, computed } from './html.js';
import { api } from './api.js';
import { on } from './events.js';
import { resource, forgetAll } from './resource.js';
import { allows, everywhere, has } from './rights.js';

/** @template {keyof import('./api.js').Schemas} K @typedef {import('./api.js').S<K>} S */

const appsLoaded = resource(() => api.appList());
export const apps = appsLoaded.value;
export const appsError = appsLoaded.error;
export const loadApps = appsLoaded.load;

/** Deployments that are not final, and those that ended while we watched, by id. */
export const deployments = signal(/** @type {Record<string, S<'Deployment'>>} */ ({}));
const FINAL = new Set(['live', 'failed', 'cancelled', 'superseded']);
/** @param {{ phase: string }} deployment */
export const isFinal = (deployment) => FINAL.has(deployment.phase);
export const running = computed(() => Object.values(deployments.value).filter((one) => !isFinal(one)).sort((a, b) => (a.queued_at < b.queued_at ? 1 : -1)));

/** The last two minutes of samples, every 2 s, by server and by app. */
export const machines = signal(/** @type {Record<string, S<'ServerSample'>[]>} */ ({}));
export const usage = signal(/** @type {Record<string, { cpu_cores: number | null, memory_bytes: number | null }[]>} */ ({}));
const KEPT = 60;

/** @param {S<'Deployment'>} deployment */
export function putDeployment(deployment) {
  deployments.value = { ...deployments.value, [deployment.id]: deployment };
  apps.value = apps.value?.map((app) => (app.id === deployment.app.id && (!app.deployment || app.deployment.number <= deployment.number)
    ? { ...app, deployment, state: isFinal(deployment) ? app.state : 'deploying' } : app));
}
/** @param {S<'App'>} next */
export function putApp(next) {
  if (!apps.value) return;
  const known = apps.value.some((app) => app.id === next.id);
  apps.value = known ? apps.value.map((app) => (app.id === next.id ? next : app)) : [...apps.value, next];
}

/** @param {string} id */
async function refreshDeployment(id) {
  try {
    const deployment = await api.deploymentShow(id);
    putDeployment(deployment);
    if (isFinal(deployment)) await refreshApp(deployment.app.id);
  } catch { /* the next event, or the next page, asks again */ }
}
/** @param {string} id */
export async function refreshApp(id) {
  try { putApp(await api.appShow(id)); } catch { /* as above */ }
}

/** Calls `act` once for a burst with the same key. @param {(key: string) => void} act @param {number} wait */
function gather(act, wait) {
  /** @type {Set<string>} */
  const waiting = new Set();
  return (/** @type {string} */ key) => {
    if (waiting.has(key)) return;
    waiting.add(key);
    setTimeout(() => { waiting.delete(key); act(key); }, wait);
  };
}

/** @param {any} event the id of the thing it is about, wherever the answer keeps it */
const appOf = (event) => event?.app?.id ?? event?.app ?? event?.data?.app ?? null;
const deploymentOf = (/** @type {any} */ event) => event?.deployment?.id ?? event?.deployment ?? event?.data?.deployment ?? null;
export { appOf, deploymentOf };

export async function startLive() {
  const soonDeployment = gather(refreshDeployment, 60);
  const soonApps = gather(() => { loadApps(); }, 200);
  const soonApp = gather(refreshApp, 150);
  // What others do moves the queue on; the panel looks at it a moment later.
  const laterQueued = gather(() => { for (const one of running.value) if (one.phase === 'queued') refreshDeployment(one.id); }, 1000);  on('deployment_moved', ({ data }) => { const id = deploymentOf(data); if (id) soonDeployment(id); laterQueued('all'); });
  for (const kind of ['app_created', 'app_trashed', 'app_restored', 'app_removed', 'project_changed', 'environment_cloned', 'freeze_changed', 'reconnected']) on(kind, () => soonApps('all'));
  for (const kind of ['app_changed', 'app_state_changed', 'app_asleep', 'app_awake', 'wake_failed', 'deployments_locked', 'newer_image_found', 'variables_changed', 'domain_added', 'domain_removed', 'certificate_issued']) {
    on(kind, ({ data }) => { const id = appOf(data); if (id) soonApp(id); });
  }
  on('state', ({ data }) => {
    const id = appOf(data);
    if (id) apps.value = apps.value?.map((app) => (app.id === id ? { ...app, state: data.state } : app));
  });
  on('metrics', ({ data }) => {
    const nextMachines = { ...machines.value };
    for (const { id, sample } of data.servers ?? []) if (sample) nextMachines[id] = [...(nextMachines[id] ?? []), sample].slice(-KEPT);
    machines.value = nextMachines;
    const nextUsage = { ...usage.value };
    for (const { id, cpu_cores, memory_bytes } of data.apps ?? []) nextUsage[id] = [...(nextUsage[id] ?? []), { cpu_cores, memory_bytes }].slice(-KEPT);
    usage.value = nextUsage;
  });
  const again = async () => {
    try { deployments.value = Object.fromEntries((await api.deploymentListAll({ active: true })).items.map((one) => [one.id, one])); } catch { /* shown elsewhere */ }
  };
  on('reconnected', again);
  for (const kind of ['project_created', 'project_changed', 'project_removed', 'environment_cloned', 'reconnected']) on(kind, () => { if (differs()) projects.load(); });
}

/** Loads what is shared; called when somebody has signed in. */
export async function loadLive() {
  await Promise.all([loadApps(), differs() ? projects.load() : null, (async () => {
    try { for (const one of (await api.deploymentListAll({ active: true })).items) deployments.value = { ...deployments.value, [one.id]: one }; } catch { /* the events bring them */ }
  })()]);
}

export function forgetLive() {
  apps.value = undefined; projects.value.value = undefined; deployments.value = {}; machines.value = {}; usage.value = {};
  forgetAll();
}

/** Projects with what may be done in them: for those only whose rights differ from place to place. */
const projects = resource(() => api.projectList());
/** @type {import('./rights.js').Right[]} */
const PLACED = ['view', 'configure'];
const differs = () => PLACED.some((right) => has(right) && !everywhere(right));
/** Whether there is an environment in all of which the one signed in may do this; to make an app takes one. @param {'view' | 'configure'} right */
export const inSome = (right) => everywhere(right) || (has(right) && (projects.value.value ?? []).some((project) => project.environments.some((one) => allows(one, right))));
/** Whether they may do this to an app that is known by its id. @param {string | undefined} id @param {import('./rights.js').Right} right */
export const mayDo = (id, right) => allows(apps.value?.find((app) => app.id === id), right);

/** How many apps have a name. */
const named = computed(() => {
  /** @type {Map<string, number>} */
  const count = new Map();
  for (const { name } of apps.value ?? []) count.set(name, (count.get(name) ?? 0) + 1);
  return count;
});

/** Whether no other app has its name. @param {{ name: string }} app */
export const isUnique = (app) => named.value.get(app.name) === 1;

/** The address of an app's page: by name while that is unique, else by id. @param {{ id: string, name: string }} app @param {string} [tab] */
export function appPath(app, tab = '') {
  return `/apps/${encodeURIComponent(isUnique(app) ? app.name : app.id)}${tab ? `/${tab}` : ''}`;
}

/** @param {string} key id or name */
export const findApp = (key) => apps.value?.find((app) => app.id === key) ?? (() => {
  const named = apps.value?.filter((app) => app.name === key) ?? [];
  return named.length === 1 ? named[0] : undefined;
})();

/** The environment of an app whose name others have too, to tell them apart. @param {{ id: string, name: string }} app */
export const placeOf = (app) => (isUnique(app) ? null : findApp(app.id)?.environment.name ?? null);
