// What a dropped folder becomes: which files stay at home, and whether tar reads the archive.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ignores, packed, chosen } from '../../../ui-dist/lib/parcel.js';

const file = (/** @type {string} */ path, text = 'x') => ({ path, file: new File([text], path.split('/').at(-1) ?? '') });

test('.gitignore decides as Git does', async () => {
  const rules = '*.log\n!keep.log\nnode_modules/\n/build\ndocs/*.md\n**/cache/**\n# words\n\\#odd\nname with space \n[ab].txt\n';
  const ignored = await ignores([file('.gitignore', rules), file('web/.gitignore', 'local\n!a.log\n')]);
  for (const [path, expected] of /** @type {const} */ ([
    ['a.log', true], ['deep/b.log', true], ['keep.log', false], ['node_modules/x/y.js', true], ['deep/node_modules/z', true], ['node_modules', false],
    ['build', true], ['build/x', true], ['src/build', false], ['docs/a.md', true], ['docs/deep/a.md', false], ['a/cache/b', true], ['#odd', true],
    ['name with space', true], ['a.txt', true], ['c.txt', false], ['web/local', true], ['local', false], ['web/a.log', false], ['web/b.log', true], ['axlog', false],
  ])) assert.equal(ignored(path), expected, path);
});

test('a folder becomes an archive that tar reads', async () => {
  const long = `${'d'.repeat(80)}/${'ä'.repeat(60)}.txt`;
  const parcel = await packed([file('.gitignore', 'secret\n'), file('secret'), file('.git/HEAD'), file('run.sh', '#!/bin/sh\n'), file('sub/a', 'hello'), file(long, 'long'), file('empty', '')], 'site');
  assert.equal(parcel.files, 5);
  assert.equal(parcel.left, 1);
  const folder = mkdtempSync(join(tmpdir(), 'parcel-'));
  try {
    writeFileSync(join(folder, 'site.tar.gz'), Buffer.from(await parcel.body.arrayBuffer()));
    execFileSync('tar', ['-xzf', 'site.tar.gz'], { cwd: folder });
    assert.equal(readFileSync(join(folder, 'sub/a'), 'utf8'), 'hello');
    assert.equal(readFileSync(join(folder, long), 'utf8'), 'long');
    assert.ok(statSync(join(folder, 'run.sh')).mode & 0o100);
    assert.ok(!(statSync(join(folder, 'sub/a')).mode & 0o100));
    assert.throws(() => statSync(join(folder, 'secret')));
  } finally { rmSync(folder, { recursive: true }); }
});

test('archives go as they are, other files not at all', async () => {
  const list = (/** @type {string} */ name) => /** @type {any} */ ([Object.assign(new File(['x'], name), { webkitRelativePath: '' })]);
  const parcel = await chosen(list('site.zip'));
  assert.equal(parcel.strip, true);
  await assert.rejects(chosen(list('photo.jpg')), /Choose a folder/);
  await assert.rejects(packed([file('.git/HEAD')], 'x'), /nothing to upload/);
});
