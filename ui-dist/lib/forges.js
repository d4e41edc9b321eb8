// The requests about forges. Loaded with the pages that need them.
import { all, del, enc, get, patch, post } from './api.js';

/** @template {keyof import('./api.js').Schemas} K @typedef {import('./api.js').S<K>} S */

/** What forges are called. @type {Record<S<'ForgeKind'>, string>} */
export const KINDS = { github: 'GitHub', gitlab: 'GitLab', bitbucket: 'Bitbucket', bitbucket_data_center: 'Bitbucket Data Center', gitea: 'Gitea or Forgejo' };

export const forges = {
  list: () => /** @type {Promise<S<'ForgeConnection'>[]>} */ (all('/forges')),
  create: (/** @type {S<'ForgeCreate'>} */ body) => /** @type {Promise<S<'ForgeConnection'>>} */ (post('/forges', body)),
  update: (/** @type {string} */ id, /** @type {S<'ForgePatch'>} */ body) => /** @type {Promise<S<'ForgeConnection'>>} */ (patch(`/forges/${enc(id)}`, body)),
  remove: (/** @type {string} */ id) => del(`/forges/${enc(id)}`),
  test: (/** @type {string} */ id) => /** @type {Promise<S<'ForgeConnection'>>} */ (post(`/forges/${enc(id)}/test`)),
  authorize: (/** @type {string} */ id) => /** @type {Promise<S<'ForgeAway'>>} */ (post(`/forges/${enc(id)}/authorize`)),
  beginApp: (/** @type {S<'ForgeAppWish'>} */ body) => /** @type {Promise<S<'ForgeAppPage'>>} */ (post('/forge-apps', body)),
  comeBack: (/** @type {S<'ForgeBack'>} */ body) => /** @type {Promise<S<'ForgeConnection'>>} */ (post('/forge-returns', body)),
  repositories: (/** @type {string} */ id, /** @type {string} */ search) => /** @type {Promise<S<'ForgeRepositories'>>} */ (get(`/forges/${enc(id)}/repositories`, { query: { search: search || null } })),
  branches: (/** @type {string} */ id, /** @type {string} */ repository, /** @type {string} */ search = '') => /** @type {Promise<S<'ForgeBranches'>>} */ (get(`/forges/${enc(id)}/branches`, { query: { repository, search: search || null } })),
  register: (/** @type {string} */ app) => /** @type {Promise<S<'Webhook'>>} */ (post(`/apps/${enc(app)}/webhook/register`)),
  report: (/** @type {string} */ deployment) => /** @type {Promise<S<'ForgeReports'>>} */ (get(`/deployments/${enc(deployment)}/forge-report`)),
  reportAgain: (/** @type {string} */ deployment) => /** @type {Promise<S<'ForgeReports'>>} */ (post(`/deployments/${enc(deployment)}/forge-report`)),
};
