// What the one signed in may do.
import { session } from './api.js';

/** @typedef {import('./api.js').S<'Session'>['rights'][number]} Right */
/** What tells a role, whether it is built in or made. @type {Record<'viewer' | 'developer' | 'admin' | 'owner', Right[]>} */
const TELLS = { viewer: ['view'], developer: ['configure', 'deploy'], admin: ['manage_team'], owner: ['manage_owners'] };
/** Whether the one signed in has a right, in the whole or somewhere. @param {Right} right */
export const has = (right) => Boolean(session.value?.rights?.includes(right));
/** Whether the one signed in has at least what this role is about. @param {keyof typeof TELLS} role */
export const may = (role) => TELLS[role].some(has);
