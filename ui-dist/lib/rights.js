// What the one signed in may do: everywhere, somewhere, or in one place.
import { session } from './api.js';

/** @typedef {import('./api.js').S<'Session'>['rights'][number]} Right */
/** What tells a role, whether it is built in or made. @type {Record<'admin' | 'owner', Right>} */
const TELLS = { admin: 'manage_team', owner: 'manage_owners' };
/** Whether the one signed in has a right, in the whole or somewhere. @param {Right} right */
export const has = (right) => Boolean(session.value?.rights?.includes(right));
/** Whether the one signed in has at least what this role is about. @param {keyof typeof TELLS} role */
export const may = (role) => has(TELLS[role]);
/** Whether they may do this to an app, or in all of a project or environment: each says what may be done to it. @param {{ rights: Right[] } | null | undefined} place @param {Right} right */
export const allows = (place, right) => Boolean(place?.rights?.includes(right));
/** The organization as such a place. @returns {{ rights: Right[] }} */
export const whole = () => ({ rights: session.value?.rights_everywhere ?? [] });
/** Whether they may do this everywhere. @param {Right} right */
export const everywhere = (right) => allows(whole(), right);
