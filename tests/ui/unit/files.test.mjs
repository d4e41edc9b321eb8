// What must hold of the files as they are served.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const ui = join(dirname(fileURLToPath(import.meta.url)), '../../../ui-dist');
const all = readdirSync(ui, { recursive: true }).map(String).filter((file) => statSync(join(ui, file)).isFile());
const read = (/** @type {string} */ file) => readFileSync(join(ui, file), 'utf8');
const ours = all.filter((file) => file.endsWith('.js') && !file.startsWith('vendor'));

test('every import leads to a file', () => {
  for (const file of all.filter((one) => one.endsWith('.js'))) {
    for (const [, path] of read(file).matchAll(/(?:from|import)\s*\(?["'](\.{1,2}\/[^"']+)["']/g)) assert.ok(all.includes(join(dirname(file), path)), `${file} imports ${path}`);
  }
});
test('nothing is inline and nothing comes from elsewhere', () => {
  const page = read('index.html');
  assert.ok(!/<script(?![^>]*\bsrc=)/.test(page) && !/\sstyle=|\son\w+=/.test(page));
  for (const file of [...ours, 'index.html', ...all.filter((one) => one.startsWith('styles/'))]) {
    for (const [address] of read(file).matchAll(/(?:href|src|url\()=?["'(]?(https?:)?\/\/[a-z]/g)) assert.fail(`${file}: ${address}`);
    assert.ok(!/\beval\(|new Function\(|style="|setAttribute\('style'/.test(read(file)), file);
  }
});
test('every icon that is named is in the sprite', () => {
  const have = new Set([...read('vendor/icons.svg').matchAll(/id="([^"]+)"/g)].map((found) => found[1]));
  for (const file of ours) for (const [, name] of read(file).matchAll(/\bicon\('([a-z0-9-]+)'/g)) assert.ok(have.has(name), `${file}: ${name}; run npm run vendor`);
});
test('only api.js and the worker fetch', () => {
  for (const file of ours) if (!['lib/api.js', 'sw.js'].includes(file)) assert.ok(!/\bfetch\(|new WebSocket|EventSource/.test(read(file)), file);
});
test('each file of ours says what it is for', () => { for (const file of ours) assert.match(read(file), /^\/\/ \S/, file); });
test('components are not called as functions: their hooks would become the caller’s', () => {
  const parts = new Set(ours.filter((file) => /^(parts|pages)/.test(file)).flatMap((file) => [...read(file).matchAll(/export (?:default )?(?:function|const) ([A-Z][A-Za-z]+)/g)].map((found) => found[1])));
  for (const file of ours) for (const [, name] of read(file).matchAll(/(?<![\w.$])(?<!function )([A-Z][A-Za-z]+)\(\{/g)) assert.ok(!parts.has(name), `${file}: ${name}({…}); write h(${name}, {…})`);
});
