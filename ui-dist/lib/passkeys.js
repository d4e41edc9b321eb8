// Passkeys: what the panel's API and the browser's authenticator say to each other (WebAuthn Level 3).
import { signal } from './html.js';
import { all, del, enc, patch, post, session } from './api.js';

/** @template {keyof import('./api.js').Schemas} K @typedef {import('./api.js').S<K>} S */

/** Whether this is a name: browsers make no passkeys for addresses. @param {string} host */
export const isName = (host) => !/^\[|^\d+(\.\d+){3}$/.test(host);
/** Whether this browser can do it here. */
export const possible = () => isSecureContext && 'PublicKeyCredential' in window && isName(location.hostname);

const bytes = (/** @type {string} */ text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
const text = (/** @type {ArrayBuffer} */ buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

/** @param {any[] | undefined} list */
const descriptors = (list) => list?.map((one) => ({ ...one, id: bytes(one.id) }));

/** In words, what the browser says when nothing came of it. @param {unknown} failure */
function inWords(failure) {
  const name = /** @type {Error} */ (failure)?.name;
  if (name === 'NotAllowedError' || name === 'AbortError') return new Error('No passkey was used: it was cancelled, there is none here, or it took too long.');
  if (name === 'InvalidStateError') return new Error('This device has a passkey of your account already.');
  if (name === 'SecurityError') return new Error('The browser does not allow passkeys at this address.');
  return /** @type {Error} */ (failure);
}

/** Has the authenticator make a passkey. @param {any} options @returns {Promise<any>} for the API */
async function make(options) {
  const publicKey = { ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) }, excludeCredentials: descriptors(options.excludeCredentials) };
  const made = /** @type {PublicKeyCredential} */ (await navigator.credentials.create({ publicKey }).catch((failure) => { throw inWords(failure); }));
  const response = /** @type {AuthenticatorAttestationResponse} */ (made.response);
  return { id: made.id, rawId: text(made.rawId), type: made.type, response: { attestationObject: text(response.attestationObject), clientDataJSON: text(response.clientDataJSON) }, clientExtensionResults: {} };
}

/** Has the authenticator show one. @returns {Promise<S<'PasskeyInput'>>} */
async function show() {
  const { id, options } = /** @type {{ id: string, options: any }} */ (await post('/session/passkey/question', undefined, { open: true }));
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: descriptors(options.allowCredentials) };
  const shown = /** @type {PublicKeyCredential} */ (await navigator.credentials.get({ publicKey }).catch((failure) => { throw inWords(failure); }));
  const response = /** @type {AuthenticatorAssertionResponse} */ (shown.response);
  return { id, credential: { id: shown.id, rawId: text(shown.rawId), type: shown.type, clientExtensionResults: {}, response: { authenticatorData: text(response.authenticatorData), clientDataJSON: text(response.clientDataJSON), signature: text(response.signature), userHandle: response.userHandle ? text(response.userHandle) : null } } };
}

/** Counts up when the own passkeys change, so that what shows them looks again. */
export const changed = signal(0);

export const passkeys = {
  show,
  list: () => /** @type {Promise<S<'Passkey'>[]>} */ (all('/account/passkeys')),
  signIn: async () => { const made = await post('/session/passkey', await show(), { open: true }); session.value = made; return /** @type {S<'Session'>} */ (made); },
  confirm: async () => { const made = await post('/session/confirm/passkey', await show()); if (session.value) session.value = { ...session.value, confirmed_until: made.confirmed_until }; },
  /** @param {string} name @param {string | null} password @returns {Promise<S<'PasskeyCreated'>>} */
  add: async (name, password) => {
    const { id, options } = await post('/account/passkeys/question', { password });
    const made = await post('/account/passkeys', { id, name, credential: await make(options) });
    changed.value += 1;
    return made;
  },
  rename: (/** @type {string} */ id, /** @type {string} */ name) => /** @type {Promise<S<'Passkey'>>} */ (patch(`/account/passkeys/${enc(id)}`, { name })),
  remove: async (/** @type {string} */ id) => { await del(`/account/passkeys/${enc(id)}`); changed.value += 1; },
};
