// The requests about mail, and about forgotten passwords. Loaded with their pages.
import { del, get, post, put } from './api.js';

/** @template {keyof import('./api.js').Schemas} K @typedef {import('./api.js').S<K>} S */

export const mail = {
  show: () => /** @type {Promise<S<'Mail'>>} */ (get('/mail')),
  replace: (/** @type {S<'MailWrite'>} */ body) => /** @type {Promise<S<'Mail'>>} */ (put('/mail', body)),
  remove: () => del('/mail'),
  test: () => /** @type {Promise<S<'MailTested'>>} */ (post('/mail/test', {})),
  forgotten: (/** @type {string} */ email) => post('/password/forgotten', { email }, { open: true }),
  renew: (/** @type {string} */ token, /** @type {string} */ password) => post('/password/reset', { token, password }, { open: true }),
};
