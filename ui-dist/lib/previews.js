// The requests about previews of pull requests. Loaded with the pages that need them.
import { all, del, enc, get, patch, post } from './api.js';

/** @template {keyof import('./api.js').Schemas} K @typedef {import('./api.js').S<K>} S */

export const previews = {
  list: (/** @type {string} */ app) => /** @type {Promise<S<'Preview'>[]>} */ (all(`/apps/${enc(app)}/previews`)),
  deploy: (/** @type {string} */ app, /** @type {number} */ number) => /** @type {Promise<S<'Preview'>>} */ (post(`/apps/${enc(app)}/previews/${number}/deploy`)),
  approve: (/** @type {string} */ app, /** @type {number} */ number, /** @type {string} */ commit) => /** @type {Promise<S<'Preview'>>} */ (post(`/apps/${enc(app)}/previews/${number}/approve`, { commit })),
  remove: (/** @type {string} */ app, /** @type {number} */ number) => del(`/apps/${enc(app)}/previews/${number}`),
  rules: (/** @type {string} */ app) => /** @type {Promise<S<'PreviewRules'>>} */ (get(`/apps/${enc(app)}/preview-rules`)),
  setRules: (/** @type {string} */ app, /** @type {Record<string, unknown>} */ body) => /** @type {Promise<S<'PreviewRules'>>} */ (patch(`/apps/${enc(app)}/preview-rules`, body)),
  compare: (/** @type {string} */ app) => /** @type {Promise<S<'PreviewComparison'>>} */ (post(`/apps/${enc(app)}/preview-comparison`)),
};
