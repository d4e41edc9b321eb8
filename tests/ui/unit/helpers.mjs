// Modules of the panel, in Node: a few of the browser's names that they read while loading.
globalThis.location ??= /** @type {any} */ ({ pathname: '/', search: '', hash: '', href: 'http://panel.test/', origin: 'http://panel.test', protocol: 'http:', hostname: 'panel.test' });
export const lib = (/** @type {string} */ name) => import(`../../../ui-dist/lib/${name}.js`);
export const part = (/** @type {string} */ name) => import(`../../../ui-dist/${name}.js`);
