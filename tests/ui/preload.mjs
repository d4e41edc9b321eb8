// Writes into index.html which modules the first view needs, so that the browser asks for all of them at once instead of finding
// them one import after another. `--check` only compares. Run it when imports changed.
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ui = join(dirname(fileURLToPath(import.meta.url)), '../../ui-dist');
const ENTRIES = ['app.js', 'pages/overview.js'];

/** @type {Set<string>} */
const seen = new Set();
/** @param {string} file */
async function walk(file) {
  if (seen.has(file)) return;
  seen.add(file);
  const code = await readFile(join(ui, file), 'utf8');
  for (const [, path] of code.matchAll(/(?:^|[\s;}])(?:import|export)(?:[\s\w{},*$]+from)?\s*["'](\.[^"']+)["']/g)) await walk(join(dirname(file), path));
}
for (const entry of ENTRIES) await walk(entry);
const links = [...seen].filter((file) => file !== 'app.js').sort().map((file) => `  <link rel="modulepreload" href="/${file}">`).join('\n');
const page = join(ui, 'index.html');
const before = await readFile(page, 'utf8');
const after = before.replace(/(<!--preload-->\n)[\s\S]*?(  <script type="module")/, `$1${links}\n$2`);
if (process.argv.includes('--check')) {
  if (after !== before) { console.error('index.html does not name the modules of the first view: run `npm run preload` in tests/ui'); process.exit(1); }
} else await writeFile(page, after);
