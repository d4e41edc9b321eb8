// What an app is made from, in a word: a repository, an image, a Compose file, or what is uploaded.
import { gitName } from '../lib/format.js';

/** @typedef {import('../lib/api.js').S<'App'>['source']} Source */

/** Whether it is several services. @param {Source} source */
export const hasServices = (source) => source.kind === 'compose' || ((source.kind === 'git' || source.kind === 'upload') && Boolean(source.services));

/** @param {Source} source */
export const sourceText = (source) => (source.kind === 'git' ? gitName(source.url) : source.kind === 'image' ? source.reference : source.kind === 'upload' ? 'uploaded source' : source.template ? `${source.template.name} ${source.template.version}` : 'Compose file');
/** @param {Source} source */
export const sourceIcon = (source) => ({ git: 'git-branch', image: 'box', compose: 'layers', upload: 'upload' }[source.kind]);
