// What an app is made from, in a word: a repository, an image, a Compose file, or what is uploaded.
import { gitName } from '../lib/format.js';

/** @typedef {import('../lib/api.js').S<'App'>['source']} Source */

/** Whether it is several services. @param {Source} source */
export const hasServices = (source) => source.kind === 'compose' || ((source.kind === 'git' || source.kind === 'upload') && Boolean(source.services));

/** @param {Source} source */
export const sourceText = (source) => (source.kind === 'git' ? gitName(source.url) : source.kind === 'image' ? source.reference : source.kind === 'upload' ? 'uploaded source' : source.template ? templateText(source.template) : 'Compose file');
/** `wordpress 7.1.0-1`, or `postgresql 17 (18.6-4)`. @param {{ name: string, version: string, chosen?: string | null }} template */
export const templateText = ({ name, version, chosen }) => `${name} ${versionText(version, chosen)}`;
/** @param {string} version @param {string | null} [chosen] */
export const versionText = (version, chosen) => (chosen ? `${chosen} (${version})` : version);
/** @param {Source} source */
export const sourceIcon = (source) => ({ git: 'git-branch', image: 'box', compose: 'layers', upload: 'upload' }[source.kind]);
