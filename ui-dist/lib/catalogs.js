// The requests about catalogs, imports and newer versions of templates. Loaded with their pages.
import { all, del, enc, post, put } from './api.js';

/** @template {keyof import('./api.js').Schemas} K @typedef {import('./api.js').S<K>} S */

export const catalogs = {
  list: () => /** @type {Promise<S<'Catalog'>[]>} */ (all('/catalogs')),
  create: (/** @type {S<'CatalogCreate'>} */ body) => /** @type {Promise<S<'Catalog'>>} */ (post('/catalogs', body)),
  refresh: (/** @type {string} */ name) => /** @type {Promise<S<'Catalog'>>} */ (post(`/catalogs/${enc(name)}/refresh`)),
  remove: (/** @type {string} */ name) => del(`/catalogs/${enc(name)}`),
  putTemplate: (/** @type {string} */ name, /** @type {string} */ template, /** @type {S<'CatalogFiles'>} */ body) => put(`/catalogs/${enc(name)}/templates/${enc(template)}`, body),
  takeTemplate: (/** @type {string} */ name, /** @type {string} */ template) => del(`/catalogs/${enc(name)}/templates/${enc(template)}`),
  convert: (/** @type {S<'CatalogImport'>} */ body) => /** @type {Promise<S<'CatalogImported'>>} */ (post('/catalog-imports', body)),
  planUpdate: (/** @type {string} */ app, /** @type {S<'TemplateUpdate'>} */ body) => /** @type {Promise<S<'TemplateUpdatePlan'>>} */ (post(`/apps/${enc(app)}/template/plan`, body)),
  update: (/** @type {string} */ app, /** @type {S<'TemplateUpdate'>} */ body) => /** @type {Promise<S<'App'>>} */ (post(`/apps/${enc(app)}/template/update`, body)),
  undo: (/** @type {string} */ app, data = false) => /** @type {Promise<S<'App'>>} */ (post(`/apps/${enc(app)}/template/undo`, { data })),
};
