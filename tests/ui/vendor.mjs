// Fills ui-dist/vendor from the npm packages pinned in package.json. Run by hand after `npm ci` when a version
// or the set of icons changes, and commit what it writes: the panel itself never needs npm or a network.
import { build } from 'esbuild';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const ui = join(here, '../../ui-dist');
const out = join(ui, 'vendor');
const pkg = (/** @type {string} */ path) => join(here, 'node_modules', path);

const { devDependencies: versions } = JSON.parse(await readFile(join(here, 'package.json'), 'utf8'));
/** Names carry the version, so that browsers may keep them for good: 'preact.js' of preact → 'preact-11.2.0.js'. @param {string} name @param {string} from a path in its package */
const named = (name, from) => {
  const own = from.startsWith('@') ? from.split('/').slice(0, 2).join('/') : from.split('/')[0];
  return name.replace(/(\.\w+)$/, `-${versions[own]}$1`);
};

/** Bare imports become the files beside: an import map would be an inline script, which the policy forbids. */
const rewrite = (/** @type {string} */ code) => code
  .replace(/\/\/# sourceMappingURL=.*/g, '')
  .replace(/from\s*"preact\/hooks"/g, `from"./${named('preact-hooks.js', 'preact')}"`)
  .replace(/from\s*"@preact\/signals-core"/g, `from"./${named('signals-core.js', '@preact/signals-core')}"`)
  .replace(/from\s*"preact"/g, `from"./${named('preact.js', 'preact')}"`);

/** xterm writes style elements and style attributes; both are refused by `style-src 'self'`.
 *  Its style elements become <sk-style>, which adopts a constructed sheet (elements/sk-terminal.js). */
const xtermForPolicy = (/** @type {string} */ code) => {
  const styled = code.replaceAll('createElement("style")', 'createElement("sk-style")')
    .replace(/setAttribute\("style",/g, 'style.cssText=(');
  if (styled === code || styled.includes('createElement("style")')) throw new Error('xterm changed: look at how it makes styles');
  return styled;
};

const modules = [
  ['preact/dist/preact.mjs', 'preact.js', rewrite],
  ['preact/hooks/dist/hooks.mjs', 'preact-hooks.js', rewrite],
  ['@preact/signals-core/dist/signals-core.mjs', 'signals-core.js', rewrite],
  ['@preact/signals/dist/signals.mjs', 'signals.js', rewrite],
  ['htm/dist/htm.mjs', 'htm.js', rewrite],
  ['@xterm/xterm/lib/xterm.mjs', 'xterm.js', (/** @type {string} */ code) => rewrite(xtermForPolicy(code))],
  ['@xterm/addon-fit/lib/addon-fit.mjs', 'xterm-fit.js', rewrite],
];

const fonts = [
  ['inter', 'inter-latin-wght-normal.woff2', 'inter-latin.woff2'],
  ['inter', 'inter-latin-ext-wght-normal.woff2', 'inter-latin-ext.woff2'],
  ['inter', 'inter-cyrillic-wght-normal.woff2', 'inter-cyrillic.woff2'],
  ['inter', 'inter-greek-wght-normal.woff2', 'inter-greek.woff2'],
  ['jetbrains-mono', 'jetbrains-mono-latin-wght-normal.woff2', 'jetbrains-mono-latin.woff2'],
  ['jetbrains-mono', 'jetbrains-mono-latin-ext-wght-normal.woff2', 'jetbrains-mono-latin-ext.woff2'],
];

/** Every icon that the sources name: icon('name'), icon: 'name'. */
async function iconsUsed() {
  const names = new Set();
  for (const folder of ['.', 'lib', 'parts', 'pages', 'elements']) {
    for (const file of await readdir(join(ui, folder))) {
      if (!file.endsWith('.js')) continue;
      const code = await readFile(join(ui, folder, file), 'utf8');
      for (const [, name] of code.matchAll(/\b(?:icon|ICON)(?:\(|:\s*|\s*=\s*)'([a-z0-9-]+)'/g)) names.add(name);
      for (const [, one, other] of code.matchAll(/\bicon:[^,}\n]*? \? '([a-z0-9-]+)' : '([a-z0-9-]+)'/g)) names.add(one).add(other);
    }
  }
  return [...names].sort();
}

async function sprite() {
  const symbols = [];
  for (const name of await iconsUsed()) {
    const svg = await readFile(pkg(`lucide-static/icons/${name}.svg`), 'utf8').catch(() => { throw new Error(`Lucide has no icon ${name}`); });
    const inner = svg.slice(svg.indexOf('>', svg.indexOf('<svg')) + 1, svg.lastIndexOf('</svg>')).replace(/\s*\n\s*/g, '');
    symbols.push(`<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">${inner}</symbol>`);
  }
  await writeFile(join(out, 'icons.svg'), `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join('\n')}\n</svg>\n`);
  return symbols.length;
}

async function licences() {
  const shipped = ['preact', '@preact/signals', '@preact/signals-core', 'htm', 'uplot', '@xterm/xterm', '@xterm/addon-fit', '@fontsource-variable/inter', '@fontsource-variable/jetbrains-mono', 'lucide-static'];
  let text = '# Third-party files in this folder\n\nCopied by `tests/ui/vendor.mjs`; versions are pinned in `tests/ui/package.json`.\n';
  for (const name of shipped) {
    const { license } = JSON.parse(await readFile(pkg(`${name}/package.json`), 'utf8'));
    const files = await readdir(pkg(name));
    const file = files.find((entry) => /^licen[cs]e/i.test(entry));
    const words = file ? (await readFile(pkg(`${name}/${file}`), 'utf8')).trim() : '';
    text += `\n## ${name} ${versions[name]} (${license})\n\n${words ? '```\n' + words + '\n```' : ''}\n`;
  }
  await writeFile(join(out, 'THIRD-PARTY.md'), text);
}

for (const file of await readdir(out)) if (/\.(js|css|woff2|svg)$|\.d\.ts$/.test(file)) await rm(join(out, file));
await mkdir(out, { recursive: true });
/** Every name in this folder by the one without its version. @type {Map<string, string>} */
const names = new Map();
/** @param {string} to @param {string} from @param {string | Buffer} content */
const put = async (to, from, content) => { names.set(to, named(to, from)); await writeFile(join(out, named(to, from)), content); };
for (const [from, to, change] of /** @type {[string, string, (code: string) => string][]} */ (modules)) {
  await put(to, from, change(await readFile(pkg(from), 'utf8')));
  // The types of the package, for those who check; they are not served.
  const bare = from.split('/').slice(0, from.startsWith('@') ? 2 : 1).join('/') + (to === 'preact-hooks.js' ? '/hooks' : '');
  await writeFile(join(out, named(to, from).replace(/js$/, 'd.ts')), to === 'htm.js' ? "export { default } from 'htm';\n" : `export * from '${bare}';\n`);
}
const bundled = async (/** @type {string} */ from, /** @type {import('esbuild').BuildOptions} */ how = {}) => (await build({ entryPoints: [pkg(from)], minify: true, write: false, logLevel: 'error', ...how })).outputFiles?.[0].text ?? '';
await put('uplot.js', 'uplot', await bundled('uplot/dist/uPlot.esm.js', { format: 'esm', legalComments: 'inline' }));
await writeFile(join(out, named('uplot.d.ts', 'uplot').replace(/^uplot\.d-(.*)\.ts$/, 'uplot-$1.d.ts')), "export { default } from 'uplot';\n");
await put('uplot.css', 'uplot', await readFile(pkg('uplot/dist/uPlot.min.css')));
await put('xterm.css', '@xterm/xterm', await bundled('@xterm/xterm/css/xterm.css'));
for (const [family, from, to] of fonts) await put(to, `@fontsource-variable/${family}`, await readFile(pkg(`@fontsource-variable/${family}/files/${from}`)));

// What names them follows.
for (const file of (await readdir(ui, { recursive: true })).map(String)) {
  if (!/\.(js|css|html)$/.test(file) || file.startsWith('vendor')) continue;
  const before = await readFile(join(ui, file), 'utf8');
  const after = before.replace(/(vendor\/)([a-z-]+?)(?:-\d+\.\d+\.\d+)?(\.(?:js|css|woff2))/g, (all, folder, name, ending) => (names.has(name + ending) ? folder + names.get(name + ending) : all));
  if (after !== before) await writeFile(join(ui, file), after);
}
await licences();
console.log(`vendor: ${modules.length + 1} modules, ${fonts.length} fonts, ${await sprite()} icons`);
