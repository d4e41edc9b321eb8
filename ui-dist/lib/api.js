// Every request of the panel, but for those of domains and the edge, which `network.js` adds when a page needs them. A 401 renews the session once and tries again; an answer that is not 2xx becomes a `Problem`.
import { effect, signal } from './html.js';

/** @typedef {import('../types/api.d.ts').components['schemas']} Schemas */
/** @template {keyof Schemas} K @typedef {Schemas[K]} S */
/** @template T @typedef {{ items: T[], next: string | null }} Page */

const BASE = '/api/v1';

/** Who is signed in; `undefined` until asked, `null` when nobody is. */
export const session = signal(/** @type {S<'Session'> | null | undefined} */ (undefined));

/** Whether somebody was signed in when this browser was here last: the cookies cannot be seen, and asking to renew what never was is a way for nothing.
 * Where nothing can be kept, somebody may have been. */
export const wasSigned = () => { try { return localStorage.getItem('signed') !== null; } catch { return true; } };
effect(() => {
  const now = session.value;
  if (now === undefined) return;
  try { if (now) localStorage.setItem('signed', 'yes'); else localStorage.removeItem('signed'); } catch { /* as above */ }
});

/** A failure in the API's words (RFC 9457). */
export class Problem extends Error {
  /** @param {{ status?: number, code?: string, title?: string, detail?: string, field?: string | null, request_id?: string, errors?: { field: string, message: string }[] }} body */
  constructor(body) {
    super(body.detail || body.title || 'The panel answered with an error');
    this.name = 'Problem';
    this.status = body.status ?? 0;
    this.code = body.code ?? 'internal';
    this.requestId = body.request_id ?? null;
    /** Messages by field name. @type {Record<string, string>} */
    this.fields = {};
    if (body.field) this.fields[body.field] = this.message;
    for (const { field, message } of body.errors ?? []) this.fields[field] = message;
  }
}

/** Whether the browser acts in another organization by now than this tab shows: in another tab it was switched. @param {S<'Session'>} now */
const isElsewhere = (now) => session.value != null && now.organization?.id !== session.value.organization?.id;
/** What the tab shows is not there any more: it begins anew, and nothing that it asked for is done in the other one. @returns {Promise<never>} */
const leave = () => { location.assign('/'); return new Promise(() => { /* the page goes */ }); };

/** @type {Promise<boolean> | null} */
let renewing = null;
/** Renews the session by the refresh cookie; parallel callers share one request. */
export function renew() {
  renewing ??= (async () => {
    try {
      const answer = await fetch(`${BASE}/session/refresh`, { method: 'POST', headers: { accept: 'application/json' } });
      if (answer.ok) {
        const next = await answer.json();
        if (isElsewhere(next)) return await leave();
        session.value = next;
        return true;
      }
      if (answer.status === 401 || answer.status === 403) session.value = null;
      return false;
    } catch { return false; } finally { setTimeout(() => { renewing = null; }); }
  })();
  return renewing;
}

const unique = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** Asks for the second factor when the panel wants it shown again; set by app.js. @type {{ ask: () => Promise<boolean> }} */
export const confirmer = { ask: async () => false };

/** @typedef {{ query?: Record<string, string | number | boolean | null | undefined>, body?: unknown, raw?: Blob, signal?: AbortSignal, as?: 'json' | 'text' | 'response', open?: boolean, confirmed?: boolean }} Options */

/** @param {string} method @param {string} path @param {Options} [options] @returns {Promise<any>} */
async function call(method, path, options = {}) {
  const url = new URL(BASE + path, location.origin);
  for (const [key, value] of Object.entries(options.query ?? {})) if (value != null && value !== '') url.searchParams.set(key, String(value));
  const key = method === 'POST' ? unique() : null;
  const send = () => {
    /** @type {Record<string, string>} */
    const headers = { accept: options.as === 'text' ? 'text/plain, application/problem+json' : 'application/json, application/problem+json' };
    if (options.body !== undefined) headers['content-type'] = 'application/json';
    if (options.raw) headers['content-type'] = 'application/octet-stream';
    if (key) headers['idempotency-key'] = key;
    if (method !== 'GET' && session.value?.csrf) headers['x-csrf-token'] = session.value.csrf;
    return fetch(url, { method, headers, body: options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body)), signal: options.signal });
  };
  // What may be sent twice is: reading, and a POST by its key.
  const twice = method === 'GET' || key !== null;
  let answer = await reach(send, twice);
  if (answer.status === 401 && !options.open && (session.value || wasSigned()) && (await renew())) answer = await reach(send, twice);
  // The word that goes with what changes something is another one after a switch.
  if (answer.status === 403 && method !== 'GET' && session.value && !options.open) {
    const now = await fetch(`${BASE}/session`, { headers: { accept: 'application/json' } }).then((found) => (found.ok ? found.json() : null), () => null);
    if (now && isElsewhere(now)) return leave();
  }
  if (!answer.ok) {
    if (answer.status === 401 && !options.open) session.value = null;
    const failure = await problem(answer);
    // The same again once the second factor or the password was shown: refused, it did nothing.
    if (failure.code === 'unconfirmed' && !options.confirmed && (await confirmer.ask())) return call(method, path, { ...options, confirmed: true });
    throw failure;
  }
  if (options.as === 'response') return answer;
  if (options.as === 'text') return answer.text();
  return answer.status === 204 ? null : answer.json();
}

/** @param {() => Promise<Response>} send @param {boolean} twice @returns {Promise<Response>} */
async function reach(send, twice) {
  try { return await send(); } catch (error) {
    if (/** @type {Error} */ (error).name === 'AbortError') throw error;
    if (twice) { await new Promise((resolve) => { setTimeout(resolve, 400); }); return reach(send, false); }
    throw new Problem({ status: 0, code: 'unreachable', detail: 'The panel does not answer. Check your connection, or whether serverkit is running on the server.' });
  }
}

/** @param {Response} answer */
async function problem(answer) {
  try { return new Problem({ status: answer.status, ...(await answer.json()) }); } catch {
    return new Problem({ status: answer.status, detail: `The panel answered ${answer.status} ${answer.statusText}`.trim() });
  }
}

export const enc = encodeURIComponent;
export const get = (/** @type {string} */ path, /** @type {Options} */ o = {}) => call('GET', path, o);
export const post = (/** @type {string} */ path, /** @type {unknown} */ body = undefined, /** @type {Options} */ o = {}) => call('POST', path, { ...o, body });
export const patch = (/** @type {string} */ path, /** @type {unknown} */ body) => call('PATCH', path, { body });
export const put = (/** @type {string} */ path, /** @type {unknown} */ body) => call('PUT', path, { body });
export const del = (/** @type {string} */ path) => call('DELETE', path);

/** All items of a paged list. @param {string} path @param {Options['query']} [query] @returns {Promise<any[]>} */
export async function all(path, query = {}) {
  const items = [];
  /** @type {string | null} */
  let cursor = null;
  do {
    const page = await get(path, { query: { limit: 500, ...query, cursor } });
    items.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return items;
}

export const api = {
  setupShow: () => /** @type {Promise<S<'SetupState'>>} */ (get('/setup', { open: true })),
  /** @param {{ token: string, email: string, name: string, password: string }} body */
  setupClaim: async (body) => { const made = await post('/setup', body, { open: true }); session.value = made; return /** @type {S<'Session'>} */ (made); },
  /** @param {{ email: string, password: string, code?: string, passkey?: S<'PasskeyInput'>, remember?: boolean }} body */
  sessionCreate: async (body) => { const made = await post('/session', body, { open: true }); session.value = made; return /** @type {S<'Session'>} */ (made); },
  /** @param {{ password: string, known: string[] }} body */
  passwordEstimate: (body) => /** @type {Promise<S<'PasswordEstimate'>>} */ (post('/password/estimate', body, { open: true })),
  invitationList: () => /** @type {Promise<S<'Invitation'>[]>} */ (all('/invitations')),
  invitationCreate: (/** @type {S<'InvitationCreate'>} */ body) => /** @type {Promise<S<'InvitationCreated'>>} */ (post('/invitations', body)),
  invitationRevoke: (/** @type {string} */ id) => del(`/invitations/${enc(id)}`),
  invitationJoin: (/** @type {string} */ token) => /** @type {Promise<S<'Named'>>} */ (post('/invitation/join', { token })),
  invitationMail: (/** @type {string} */ token) => post('/invitation/mail', { token }, { open: true }),
  invitationLook: (/** @type {string} */ token) => /** @type {Promise<S<'InvitationShown'>>} */ (post('/invitation', { token }, { open: true })),
  /** @param {{ token: string, name: string, password: string }} body */
  invitationAccept: async (body) => { const made = await post('/invitation/accept', body, { open: true }); session.value = made; return /** @type {S<'Session'>} */ (made); },
  sessionShow: async () => { const found = await get('/session'); session.value = found; return /** @type {S<'Session'>} */ (found); },
  sessionEnd: async () => { await del('/session'); session.value = null; },
  sessionList: () => /** @type {Promise<S<'SessionInfo'>[]>} */ (all('/sessions')),
  sessionEndOthers: () => del('/sessions'),
  sessionRevoke: (/** @type {string} */ id) => del(`/sessions/${enc(id)}`),
  accountUpdate: (/** @type {{ name?: string, password?: { current: string, new: string } }} */ body) => /** @type {Promise<S<'User'>>} */ (patch('/account', body)),
  sessionConfirm: async (/** @type {S<'ConfirmInput'>} */ proof) => { const made = await post('/session/confirm', proof); if (session.value) session.value = { ...session.value, confirmed_until: made.confirmed_until }; return /** @type {S<'Confirmation'>} */ (made); },
  secondFactorShow: () => /** @type {Promise<S<'SecondFactor'>>} */ (get('/account/second-factor')),
  secondFactorBegin: (/** @type {string} */ password) => /** @type {Promise<S<'SecondFactorSetUp'>>} */ (post('/account/second-factor', { password })),
  secondFactorConfirm: (/** @type {string} */ code) => /** @type {Promise<S<'RecoveryCodes'>>} */ (post('/account/second-factor/confirm', { code })),
  secondFactorRemove: (/** @type {string} */ code) => post('/account/second-factor/remove', { code }),
  recoveryCodesRenew: (/** @type {string} */ code) => /** @type {Promise<S<'RecoveryCodes'>>} */ (post('/account/second-factor/recovery-codes', { code })),
  deviceList: () => /** @type {Promise<S<'Device'>[]>} */ (all('/account/devices')),
  deviceForget: (/** @type {string} */ id) => del(`/account/devices/${enc(id)}`),
  securityShow: () => /** @type {Promise<S<'Security'>>} */ (get('/security')),
  securityUpdate: (/** @type {Partial<S<'Security'>>} */ body) => /** @type {Promise<S<'Security'>>} */ (patch('/security', body)),
  userResetSecondFactor: (/** @type {string} */ id) => del(`/users/${enc(id)}/second-factor`),
  userList: () => /** @type {Promise<S<'User'>[]>} */ (all('/users')),
  userCreate: (/** @type {S<'UserCreate'>} */ body) => /** @type {Promise<S<'User'>>} */ (post('/users', body)),
  userUpdate: (/** @type {string} */ id, /** @type {Partial<{ name: string, role: string, disabled: boolean, password: string }>} */ body) => /** @type {Promise<S<'User'>>} */ (patch(`/users/${enc(id)}`, body)),
  userDelete: (/** @type {string} */ id) => del(`/users/${enc(id)}`),
  tokenList: () => /** @type {Promise<S<'Token'>[]>} */ (all('/tokens')),
  tokenCreate: (/** @type {{ name: string, scopes: string[], places?: string[], networks?: string[], user?: string, expires_in_days: number | null }} */ body) => /** @type {Promise<{ token: S<'Token'>, secret: string }>} */ (post('/tokens', body)),
  tokenRotate: (/** @type {string} */ id, /** @type {number} */ minutes) => /** @type {Promise<{ token: S<'Token'>, secret: string }>} */ (post(`/tokens/${enc(id)}/rotate`, { grace_minutes: minutes })),
  tokenRevoke: (/** @type {string} */ id) => del(`/tokens/${enc(id)}`),

  serviceAccountCreate: (/** @type {S<'ServiceAccountCreate'>} */ body) => /** @type {Promise<S<'User'>>} */ (post('/service-accounts', body)),
  roleList: () => /** @type {Promise<S<'CustomRole'>[]>} */ (all('/roles')),
  roleCreate: (/** @type {S<'RoleCreate'>} */ body) => /** @type {Promise<S<'CustomRole'>>} */ (post('/roles', body)),
  roleUpdate: (/** @type {string} */ id, /** @type {S<'RolePatch'>} */ body) => /** @type {Promise<S<'CustomRole'>>} */ (patch(`/roles/${enc(id)}`, body)),
  roleDelete: (/** @type {string} */ id) => del(`/roles/${enc(id)}`),
  teamList: () => /** @type {Promise<S<'Team'>[]>} */ (all('/teams')),
  teamCreate: (/** @type {S<'TeamCreate'>} */ body) => /** @type {Promise<S<'Team'>>} */ (post('/teams', body)),
  teamUpdate: (/** @type {string} */ id, /** @type {S<'TeamPatch'>} */ body) => /** @type {Promise<S<'Team'>>} */ (patch(`/teams/${enc(id)}`, body)),
  teamDelete: (/** @type {string} */ id) => del(`/teams/${enc(id)}`),
  grantList: () => /** @type {Promise<S<'Grant'>[]>} */ (all('/grants')),
  grantCreate: (/** @type {S<'GrantCreate'>} */ body) => /** @type {Promise<S<'Grant'>>} */ (post('/grants', body)),
  grantDelete: (/** @type {string} */ id) => del(`/grants/${enc(id)}`),
  organizationList: () => /** @type {Promise<S<'Organization'>[]>} */ (all('/organizations')),
  organizationCreate: (/** @type {string} */ name) => /** @type {Promise<S<'Organization'>>} */ (post('/organizations', { name })),
  organizationDeletePlan: (/** @type {string} */ organization) => /** @type {Promise<S<'OrganizationDeletePlan'>>} */ (get(`/organizations/${enc(organization)}/delete-plan`)),
  organizationDelete: (/** @type {string} */ organization, /** @type {string} */ confirm) => call('DELETE', `/organizations/${enc(organization)}`, { query: { confirm } }),
  sessionSwitch: (/** @type {string} */ organization) => /** @type {Promise<S<'Session'>>} */ (post('/session/switch', { organization })),

  projectList: () => /** @type {Promise<S<'Project'>[]>} */ (all('/projects')),
  projectCreate: (/** @type {{ name: string, description?: string }} */ body) => /** @type {Promise<S<'Project'>>} */ (post('/projects', body)),
  projectUpdate: (/** @type {string} */ id, /** @type {{ name?: string, description?: string }} */ body) => /** @type {Promise<S<'Project'>>} */ (patch(`/projects/${enc(id)}`, body)),
  projectDelete: (/** @type {string} */ id) => del(`/projects/${enc(id)}`),
  environmentCreate: (/** @type {string} */ project, /** @type {string} */ name) => post(`/projects/${enc(project)}/environments`, { name }),
  environmentDelete: (/** @type {string} */ id) => del(`/environments/${enc(id)}`),

  appList: () => /** @type {Promise<S<'App'>[]>} */ (all('/apps')),
  appCreate: (/** @type {S<'AppCreate'>} */ body) => /** @type {Promise<S<'App'>>} */ (post('/apps', body)),
  appShow: (/** @type {string} */ app) => /** @type {Promise<S<'App'>>} */ (get(`/apps/${enc(app)}`)),
  appUpdate: (/** @type {string} */ app, /** @type {Record<string, unknown>} */ body) => /** @type {Promise<S<'App'>>} */ (patch(`/apps/${enc(app)}`, body)),
  appDelete: (/** @type {string} */ app) => del(`/apps/${enc(app)}`),
  appDeletePlan: (/** @type {string} */ app) => /** @type {Promise<S<'DeletePlan'>>} */ (get(`/apps/${enc(app)}/delete-plan`)),
  appRestore: (/** @type {string} */ app) => /** @type {Promise<S<'App'>>} */ (post(`/apps/${enc(app)}/restore`)),
  appPurge: (/** @type {string} */ app, /** @type {boolean} */ volumes) => post(`/apps/${enc(app)}/purge`, { volumes }),
  appStart: (/** @type {string} */ app) => /** @type {Promise<S<'App'>>} */ (post(`/apps/${enc(app)}/start`)),
  appStop: (/** @type {string} */ app) => /** @type {Promise<S<'App'>>} */ (post(`/apps/${enc(app)}/stop`)),
  appSleep: (/** @type {string} */ app) => /** @type {Promise<S<'App'>>} */ (post(`/apps/${enc(app)}/sleep`)),
  appRestart: (/** @type {string} */ app) => /** @type {Promise<S<'App'>>} */ (post(`/apps/${enc(app)}/restart`)),
  appLock: (/** @type {string} */ app, /** @type {{ why?: string, minutes?: number }} */ body) => /** @type {Promise<S<'App'>>} */ (put(`/apps/${enc(app)}/lock`, body)),
  appUnlock: (/** @type {string} */ app) => /** @type {Promise<S<'App'>>} */ (del(`/apps/${enc(app)}/lock`)),
  appDeployKey: (/** @type {string} */ app) => /** @type {Promise<{ public_key: string }>} */ (post(`/apps/${enc(app)}/deploy-key`)),

  variableList: (/** @type {string} */ app, reveal = false) => /** @type {Promise<S<'Variable'>[]>} */ (all(`/apps/${enc(app)}/variables`, { reveal: reveal || null })),
  variableUpdate: (/** @type {string} */ app, /** @type {{ set: S<'VariableInput'>[], unset: string[] }} */ body) => patch(`/apps/${enc(app)}/variables`, body),
  variableReplace: (/** @type {string} */ app, /** @type {S<'VariableInput'>[]} */ items) => put(`/apps/${enc(app)}/variables`, { items }),
  variableImport: (/** @type {string} */ app, /** @type {{ text: string, secret?: boolean, scope?: string }} */ body) => post(`/apps/${enc(app)}/variables/import`, body),
  sharedVariableList: (/** @type {string} */ owner, /** @type {{ reveal?: boolean, inherited?: boolean }} */ how = {}) => /** @type {Promise<S<'Variable'>[]>} */ (all('/variables', { owner, reveal: how.reveal || null, inherited: how.inherited || null })),
  sharedVariableUpdate: (/** @type {string} */ owner, /** @type {{ set: S<'VariableInput'>[], unset: string[] }} */ body, deploy = false) => call('PATCH', '/variables', { query: { owner, deploy: deploy || null }, body }),
  sharedVariablePreview: (/** @type {string} */ owner, /** @type {{ set: S<'VariableInput'>[], unset: string[] }} */ body) => /** @type {Promise<S<'VariablePreview'>>} */ (post('/variables/preview', body, { query: { owner } })),
  sharedVariableExport: (/** @type {string} */ owner) => /** @type {Promise<string>} */ (get('/variables/export', { query: { owner }, as: 'text' })),
  variableHistory: (/** @type {string} */ owner, reveal = false) => /** @type {Promise<S<'VariableVersion'>[]>} */ (all('/variables/history', { owner, reveal: reveal || null })),
  variableRestore: (/** @type {string} */ owner, /** @type {string} */ version) => post('/variables/restore', { version }, { query: { owner } }),
  quotaList: () => /** @type {Promise<S<'Quota'>[]>} */ (all('/quotas')),
  organizationQuotaSet: (/** @type {string} */ organization, /** @type {S<'QuotaLimits'>} */ body) => /** @type {Promise<S<'Quota'>>} */ (put(`/organizations/${enc(organization)}/quota`, body)),
  projectQuotaSet: (/** @type {string} */ project, /** @type {S<'QuotaLimits'>} */ body) => /** @type {Promise<S<'Quota'>>} */ (put(`/projects/${enc(project)}/quota`, body)),
  freezeList: () => /** @type {Promise<S<'Freeze'>[]>} */ (get('/freezes').then((page) => page.items)),
  freezeCreate: (/** @type {S<'FreezeCreate'>} */ body) => /** @type {Promise<S<'Freeze'>>} */ (post('/freezes', body)),
  freezeReplace: (/** @type {string} */ id, /** @type {S<'FreezeCreate'>} */ body) => /** @type {Promise<S<'Freeze'>>} */ (put(`/freezes/${enc(id)}`, body)),
  freezeDelete: (/** @type {string} */ id) => del(`/freezes/${enc(id)}`),
  jobList: (/** @type {string} */ app) => /** @type {Promise<S<'AppJob'>[]>} */ (get(`/apps/${enc(app)}/jobs`).then((page) => page.items)),
  jobCreate: (/** @type {string} */ app, /** @type {S<'AppJobCreate'>} */ body) => /** @type {Promise<S<'AppJob'>>} */ (post(`/apps/${enc(app)}/jobs`, body)),
  jobUpdate: (/** @type {string} */ app, /** @type {string} */ job, /** @type {S<'AppJobPatch'>} */ body) => /** @type {Promise<S<'AppJob'>>} */ (patch(`/apps/${enc(app)}/jobs/${enc(job)}`, body)),
  jobDelete: (/** @type {string} */ app, /** @type {string} */ job) => del(`/apps/${enc(app)}/jobs/${enc(job)}`),
  jobRun: (/** @type {string} */ app, /** @type {string} */ job) => /** @type {Promise<S<'JobRun'>>} */ (post(`/apps/${enc(app)}/jobs/${enc(job)}/run`, {})),
  runList: (/** @type {string} */ app) => /** @type {Promise<{ items: S<'JobRun'>[] }>} */ (get(`/apps/${enc(app)}/runs`)),
  runCreate: (/** @type {string} */ app, /** @type {S<'JobRunCreate'>} */ body) => /** @type {Promise<S<'JobRun'>>} */ (post(`/apps/${enc(app)}/runs`, body)),
  runShow: (/** @type {string} */ id) => /** @type {Promise<S<'JobRun'>>} */ (get(`/runs/${enc(id)}`)),
  runCancel: (/** @type {string} */ id) => /** @type {Promise<S<'JobRun'>>} */ (post(`/runs/${enc(id)}/cancel`, {})),
  fileList: (/** @type {string} */ app, reveal = false) => /** @type {Promise<S<'File'>[]>} */ (get(`/apps/${enc(app)}/files`, { query: { reveal: reveal || null } }).then((page) => page.items)),
  filePut: (/** @type {string} */ app, /** @type {S<'FilePut'>} */ body) => put(`/apps/${enc(app)}/files`, body),
  fileRemove: (/** @type {string} */ app, /** @type {string} */ path) => call('DELETE', `/apps/${enc(app)}/files`, { query: { path } }),
  variableExport: (/** @type {string} */ app) => /** @type {Promise<string>} */ (get(`/apps/${enc(app)}/variables/export`, { as: 'text' })),

  domainListApp: (/** @type {string} */ app) => /** @type {Promise<S<'Domain'>[]>} */ (all(`/apps/${enc(app)}/domains`)),
  domainAdd: (/** @type {string} */ app, /** @type {{ host: string, force_https?: boolean, service?: string, service_port?: number }} */ body) => /** @type {Promise<S<'Domain'>>} */ (post(`/apps/${enc(app)}/domains`, body)),
  domainRemove: (/** @type {string} */ host) => del(`/domains/${enc(host)}`),
  domainList: () => /** @type {Promise<S<'Domain'>[]>} */ (all('/domains')),
  domainCheck: (/** @type {string} */ host, /** @type {AbortSignal} */ signal = /** @type {any} */ (undefined)) => /** @type {Promise<S<'DomainCheck'>>} */ (get(`/domains/${enc(host)}/check`, { signal })),

  composeCheck: (/** @type {{ compose: string, app?: string, profiles?: string[] }} */ body, /** @type {AbortSignal} */ signal = /** @type {any} */ (undefined)) => /** @type {Promise<S<'ComposeReport'>>} */ (post('/compose/check', body, { signal })),
  composeShow: (/** @type {string} */ app) => /** @type {Promise<S<'ComposeText'>>} */ (get(`/apps/${enc(app)}/compose`)),
  serviceList: (/** @type {string} */ app) => /** @type {Promise<S<'Service'>[]>} */ (all(`/apps/${enc(app)}/services`)),
  appFirstLogin: (/** @type {string} */ app) => /** @type {Promise<S<'FirstLogin'>>} */ (post(`/apps/${enc(app)}/first-login`)),
  catalogList: () => /** @type {Promise<S<'CatalogEntry'>[]>} */ (all('/catalog')),
  catalogShow: (/** @type {string} */ name) => /** @type {Promise<S<'CatalogDetail'>>} */ (get(`/catalog/${enc(name)}`)),
  catalogPlan: (/** @type {string} */ name, /** @type {S<'CatalogInstall'>} */ body) => /** @type {Promise<S<'CatalogPlan'>>} */ (post(`/catalog/${enc(name)}/plan`, body)),
  catalogInstall: (/** @type {string} */ name, /** @type {S<'CatalogInstall'>} */ body) => /** @type {Promise<S<'App'>>} */ (post(`/catalog/${enc(name)}/install`, body)),

  uploadCreate: (/** @type {string} */ app, /** @type {import('./parcel.js').Parcel} */ parcel) => /** @type {Promise<S<'Upload'>>} */ (call('PUT', `/apps/${enc(app)}/upload`, { query: { strip_top: parcel.strip || null }, raw: parcel.body })),
  uploadDraft: (/** @type {import('./parcel.js').Parcel} */ parcel) => /** @type {Promise<S<'UploadDraft'>>} */ (call('PUT', '/sources/upload', { query: { strip_top: parcel.strip || null }, raw: parcel.body })),
  uploadTake: (/** @type {string} */ app, /** @type {string} */ upload) => /** @type {Promise<S<'Upload'>>} */ (post(`/apps/${enc(app)}/uploads`, { upload })),
  uploadList: (/** @type {string} */ app) => /** @type {Promise<S<'Upload'>[]>} */ (all(`/apps/${enc(app)}/uploads`)),
  deploymentCreate: (/** @type {string} */ app, /** @type {{ reference?: string, upload?: string, image?: string, anyway?: string }} */ body = {}) => /** @type {Promise<S<'Deployment'>>} */ (post(`/apps/${enc(app)}/deployments`, body)),
  deploymentList: (/** @type {string} */ app) => /** @type {Promise<Page<S<'Deployment'>>>} */ (get(`/apps/${enc(app)}/deployments`)),
  deploymentListAll: (/** @type {{ active?: boolean, limit?: number }} */ query = {}) => /** @type {Promise<Page<S<'Deployment'>>>} */ (get('/deployments', { query })),
  deploymentShow: (/** @type {string} */ id) => /** @type {Promise<S<'Deployment'>>} */ (get(`/deployments/${enc(id)}`)),
  deploymentCancel: (/** @type {string} */ id) => /** @type {Promise<S<'Deployment'>>} */ (post(`/deployments/${enc(id)}/cancel`)),
  deploymentLog: (/** @type {string} */ id, /** @type {number} */ after = 0, limit = 5000) => /** @type {Promise<S<'DeploymentLog'>>} */ (get(`/deployments/${enc(id)}/log`, { query: { after, limit } })),
  deploymentLogText: (/** @type {string} */ id) => `${BASE}/deployments/${enc(id)}/log.txt`,
  releaseList: (/** @type {string} */ app) => /** @type {Promise<S<'Release'>[]>} */ (all(`/apps/${enc(app)}/releases`)),
  appRollback: (/** @type {string} */ app, /** @type {string | undefined} */ to = undefined, keep_routes = false) => /** @type {Promise<S<'Deployment'>>} */ (post(`/apps/${enc(app)}/rollback`, { ...(to ? { to } : {}), ...(keep_routes ? { keep_routes } : {}) })),
  releaseDiff: (/** @type {string} */ app, /** @type {string} */ from, /** @type {string} */ to) => /** @type {Promise<{ changes: S<'Change'>[] }>} */ (get(`/apps/${enc(app)}/diff`, { query: { from, to } })),
  releasePin: (/** @type {string} */ app, /** @type {string} */ release, /** @type {boolean} */ pinned) => /** @type {Promise<S<'Release'>>} */ (call(pinned ? 'PUT' : 'DELETE', `/apps/${enc(app)}/releases/${enc(release)}/pin`)),
  promotionPlan: (/** @type {string} */ app, /** @type {string} */ release, /** @type {string} */ to) => /** @type {Promise<S<'PromotionPlan'>>} */ (get(`/apps/${enc(app)}/promotion-plan`, { query: { release, to } })),
  releasePromote: (/** @type {string} */ app, /** @type {S<'Promotion'>} */ body) => /** @type {Promise<S<'Deployment'>>} */ (post(`/apps/${enc(app)}/promote`, body)),

  appLogs: (/** @type {string} */ app, /** @type {{ since?: string, tail?: number, search?: string }} */ query = {}) => /** @type {Promise<{ lines: S<'AppLine'>[] }>} */ (get(`/apps/${enc(app)}/logs`, { query })),
  appMetrics: (/** @type {string} */ app, minutes = 60) => /** @type {Promise<S<'AppMetrics'>>} */ (get(`/apps/${enc(app)}/metrics`, { query: { minutes } })),

  sourceInspect: (/** @type {S<'SourceInspect'>} */ body) => /** @type {Promise<S<'Inspection'>>} */ (post('/sources/inspect', body)),
  ciTrustList: (/** @type {string} */ app) => /** @type {Promise<S<'CiTrusts'>>} */ (get(`/apps/${enc(app)}/ci-trusts`)),
  ciTrustAdd: (/** @type {string} */ app, /** @type {Record<string, unknown>} */ body) => /** @type {Promise<S<'CiTrust'>>} */ (post(`/apps/${enc(app)}/ci-trusts`, body)),
  ciTrustRemove: (/** @type {string} */ app, /** @type {string} */ id) => del(`/apps/${enc(app)}/ci-trusts/${enc(id)}`),
  imageWatchShow: (/** @type {string} */ app) => /** @type {Promise<S<'ImageWatch'>>} */ (get(`/apps/${enc(app)}/image-watch`)),
  imageWatchSet: (/** @type {string} */ app, /** @type {Record<string, unknown>} */ body) => /** @type {Promise<S<'ImageWatch'>>} */ (put(`/apps/${enc(app)}/image-watch`, body)),
  imageWatchCheck: (/** @type {string} */ app) => /** @type {Promise<S<'ImageWatch'>>} */ (post(`/apps/${enc(app)}/image-watch/check`)),
  webhookShow: (/** @type {string} */ app, reveal = false) => /** @type {Promise<S<'Webhook'>>} */ (get(`/apps/${enc(app)}/webhook`, { query: { reveal: reveal || null } })),
  webhookUpdate: (/** @type {string} */ app, /** @type {Record<string, unknown>} */ body) => /** @type {Promise<S<'Webhook'>>} */ (patch(`/apps/${enc(app)}/webhook`, body)),
  webhookRotate: (/** @type {string} */ app) => /** @type {Promise<S<'Webhook'>>} */ (post(`/apps/${enc(app)}/webhook/rotate`)),
  webhookRemove: (/** @type {string} */ app) => del(`/apps/${enc(app)}/webhook`),
  deliveryList: (/** @type {string} */ app) => /** @type {Promise<S<'Delivery'>[]>} */ (all(`/apps/${enc(app)}/deliveries`)),
  deliveryReplay: (/** @type {string} */ id) => /** @type {Promise<S<'Delivery'>>} */ (post(`/deliveries/${enc(id)}/replay`)),

  volumeList: () => /** @type {Promise<S<'Volume'>[]>} */ (all('/volumes')),
  volumeCreate: (/** @type {{ name: string, environment?: string }} */ body) => /** @type {Promise<S<'Volume'>>} */ (post('/volumes', body)),
  volumeDelete: (/** @type {string} */ id) => del(`/volumes/${enc(id)}`),
  trashList: () => /** @type {Promise<S<'App'>[]>} */ (all('/trash')),
  serverList: () => /** @type {Promise<S<'Server'>[]>} */ (all('/servers')),
  serverMetrics: (/** @type {string} */ id, minutes = 60) => /** @type {Promise<S<'ServerMetrics'>>} */ (get(`/servers/${enc(id)}/metrics`, { query: { minutes } })),
  buildCache: () => /** @type {Promise<S<'BuildCache'>>} */ (get('/build-cache')),
  appBuildCache: (/** @type {string} */ app) => /** @type {Promise<S<'AppBuildCache'>>} */ (get(`/apps/${encodeURIComponent(app)}/build-cache`)),
  appBuildCacheTrim: (/** @type {string} */ app, /** @type {number} */ keep_bytes) => /** @type {Promise<S<'BuildCacheTrimmed'>>} */ (post(`/apps/${encodeURIComponent(app)}/build-cache/trim`, { keep_bytes })),
  buildCacheTrim: (/** @type {number} */ keep_bytes) => /** @type {Promise<S<'BuildCacheTrimmed'>>} */ (post('/build-cache/trim', { keep_bytes })),
  doctor: () => /** @type {Promise<{ findings: S<'Finding'>[] }>} */ (get('/doctor')),
  overview: () => /** @type {Promise<S<'Overview'>>} */ (get('/overview')),
  eventList: (/** @type {{ app?: string, security?: boolean, cursor?: string | null, limit?: number }} */ query = {}) => /** @type {Promise<Page<S<'Event'>>>} */ (get('/events/history', { query })),
  auditList: (/** @type {Record<string, string | number | null>} */ query = {}) => /** @type {Promise<Page<S<'AuditEntry'>>>} */ (get('/audit', { query })),
  auditExport: (/** @type {Record<string, string | number | null>} */ query = {}) => /** @type {Promise<string>} */ (get('/audit/export', { query, as: 'text' })),
  auditVerify: () => /** @type {Promise<S<'AuditReport'>>} */ (get('/audit/verification')),
  settingShow: () => /** @type {Promise<S<'Settings'>>} */ (get('/settings')),
  settingUpdate: (/** @type {Partial<S<'Settings'>>} */ body) => /** @type {Promise<S<'Settings'>>} */ (patch('/settings', body)),
  versionShow: () => /** @type {Promise<S<'Version'>>} */ (get('/version')),
  stateExport: () => /** @type {Promise<string>} */ (get('/state/export', { as: 'text' })),

  licences: () => other('/vendor/THIRD-PARTY.md'),

  /** The raw answer of the event stream. @param {string | null} after @param {AbortSignal} stop @returns {Promise<Response>} */
  eventStream: (after, stop) => streaming(after, stop),
};
/** @typedef {typeof api} Api */

/** A text that is served beside the API. @param {string} path @returns {Promise<string>} */
async function other(path) {
  const answer = await reach(() => fetch(path), true);
  if (!answer.ok) throw await problem(answer);
  return answer.text();
}

/** @param {string | null} after @param {AbortSignal} stop */
async function streaming(after, stop) {
  const open = () => fetch(`${BASE}/events`, { headers: { accept: 'text/event-stream', ...(after ? { 'last-event-id': after } : {}) }, signal: stop });
  let answer = await open();
  if (answer.status === 401 && (await renew())) answer = await open();
  if (!answer.ok) throw await problem(answer);
  return answer;
}

/** A WebSocket under the API. A handshake cannot be tried again after a 401, so a session about to end is renewed first.
 * @param {string} path @param {Record<string, string | number | null | undefined>} [query] @returns {Promise<WebSocket>} */
export async function socket(path, query = {}) {
  const ends = Date.parse(session.value?.expires_at ?? '');
  if (Number.isFinite(ends) && ends - Date.now() < 30_000) await renew();
  // Nor after a 403: what is to be shown for a terminal is shown before it opens.
  if (path.endsWith('/terminal') && (session.value?.user.second_factor || session.value?.confirms_by_password) && !(Date.parse(session.value.confirmed_until ?? '') - Date.now() > 5000)) await confirmer.ask();
  const url = new URL(BASE + path, location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  for (const [key, value] of Object.entries(query)) if (value != null && value !== '') url.searchParams.set(key, String(value));
  const made = new WebSocket(url);
  made.binaryType = 'arraybuffer';
  return made;
}
