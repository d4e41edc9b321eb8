// Identity providers: which there are, and signing in by one.
import { all, del, enc, get, post, put, session } from './api.js';

/** @template {keyof import('./api.js').Schemas} K @typedef {import('./api.js').S<K>} S */

const NEXT = 'serverkit-sso-next';

export const providers = {
  offered: () => /** @type {Promise<S<'OfferedProviders'>>} */ (get('/session/providers', { open: true })),
  list: () => /** @type {Promise<S<'IdentityProvider'>[]>} */ (all('/identity-providers')),
  create: (/** @type {S<'IdentityProviderInput'>} */ body) => /** @type {Promise<S<'IdentityProvider'>>} */ (post('/identity-providers', body)),
  replace: (/** @type {string} */ id, /** @type {S<'IdentityProviderInput'>} */ body) => /** @type {Promise<S<'IdentityProvider'>>} */ (put(`/identity-providers/${enc(id)}`, body)),
  remove: (/** @type {string} */ id) => del(`/identity-providers/${enc(id)}`),
  test: (/** @type {string} */ id, /** @type {string | null} */ user) => /** @type {Promise<S<'ProviderReport'>>} */ (post(`/identity-providers/${enc(id)}/test`, { user })),
  provisioning: async (/** @type {string} */ id) => { try { return /** @type {S<'Provisioning'>} */ (await get(`/identity-providers/${enc(id)}/provisioning`)); } catch (error) { if (/** @type {any} */ (error).status === 404) return null; throw error; } },
  provision: (/** @type {string} */ id, /** @type {number} */ days) => /** @type {Promise<S<'NewProvisioning'>>} */ (post(`/identity-providers/${enc(id)}/provisioning`, { expires_in_days: days })),
  unprovision: (/** @type {string} */ id) => del(`/identity-providers/${enc(id)}/provisioning`),
  /** Leaves for the provider; `next` is where to go afterwards. @param {string} provider @param {'oidc' | 'saml'} kind @param {string | null} next */
  leave: async (provider, kind, next) => {
    const { url } = /** @type {S<'OidcAway'>} */ (await post(`/session/${kind}/begin`, { provider }, { open: true }));
    try { sessionStorage.setItem(NEXT, next ?? '/'); } catch { /* to the first page then */ }
    location.assign(url);
  },
  /** @param {{ state: string, code: string, iss?: string }} body */
  comeBack: async (body) => { const made = await post('/session/oidc', body, { open: true }); session.value = made; return /** @type {S<'Session'>} */ (made); },
  /** @param {string} answer */
  landed: async (answer) => { const made = await post('/session/saml', { answer }, { open: true }); session.value = made; return /** @type {S<'Session'>} */ (made); },
  /** Where somebody wanted to go before they left. */
  next: () => { try { const next = sessionStorage.getItem(NEXT); sessionStorage.removeItem(NEXT); return next && /^\/(?![/\\])/.test(next) ? next : '/'; } catch { return '/'; } },
  /** @param {{ provider: string, user: string, password: string }} body */
  directory: async (body) => { const made = await post('/session/ldap', body, { open: true }); session.value = made; return /** @type {S<'Session'>} */ (made); },
};
