// A person has an app built by Nixpacks and by buildpacks, looks at the plan beforehand, and sees what the engine keeps of its builds, in a
// real browser.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { forTests, look, openSignedIn } from './browser.mjs';
import { binary, hasEngine } from './panel.mjs';

const skip = !binary() ? 'SERVERKIT_BIN names no binary' : hasEngine('nginx:1.22') ? false : 'the engine has no nginx:1.22';

const { panel, page, wrong } = await forTests(skip, () => openSignedIn([/40[139]|422/]));
let id = '';

before(() => {
  if (skip) return;
  const tree = join(panel.folder, 'shop');
  mkdirSync(tree);
  writeFileSync(join(tree, 'package.json'), '{"scripts":{"build":"tsc","start":"node server.js"}}');
  writeFileSync(join(tree, 'server.js'), '');
  for (const words of [['init', '-q', '-b', 'main'], ['add', '.'], ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', 'commit', '-qm', 'first version']]) execFileSync('git', ['-C', tree, ...words]);
  panel.cli('app', 'create', 'shop', '--git', tree, '--no-deploy');
  id = JSON.parse(panel.cli('--json', 'app', 'show', 'shop')).id;
});

test('a plan by Nixpacks is seen before it is taken', { skip }, async () => {
  await page.goto(`${panel.url}/apps/${id}/settings`);
  await page.getByText('Build', { exact: true }).first().click();
  await page.getByLabel('Build as').selectOption('nixpacks');
  await page.getByRole('button', { name: 'Look inside' }).click();
  await page.getByText('Nixpacks takes it for node', { exact: true }).waitFor();
  await page.getByText('npm run start').first().waitFor();
  await look(page, 'build-nixpacks');
});

test('buildpacks take a builder and a process', { skip }, async () => {
  await page.getByLabel('Build as').selectOption('buildpacks');
  await page.getByLabel('Builder').fill('example.com/builder:1');
  await page.getByPlaceholder('web', { exact: true }).fill('worker');
  await page.getByRole('button', { name: 'Look inside' }).click();
  await page.getByText('Cloud Native Buildpacks', { exact: true }).last().waitFor();
  await page.locator('code', { hasText: 'example.com/builder:1' }).waitFor();
  await look(page, 'build-buildpacks');
  await page.locator('form').filter({ has: page.getByLabel('Builder') }).getByRole('button', { name: 'Save' }).click();
  await page.reload();
  await page.getByText('Build', { exact: true }).first().click();
  assert.equal(await page.getByLabel('Builder').inputValue(), 'example.com/builder:1');
});

test('what the engine keeps of its builds has a limit', { skip }, async () => {
  await page.getByRole('heading', { name: 'Build cache' }).waitFor();
  const part = page.locator('form, section').filter({ has: page.getByRole('heading', { name: 'Build cache' }) }).last();
  await part.getByText('Nothing was built yet.').waitFor();
  await part.getByLabel('At most').fill('2 GiB');
  await part.getByRole('button', { name: 'Save' }).click();
  await page.reload();
  assert.match(await page.getByLabel('At most').last().inputValue(), /^2(\.0)? GiB$/);
  assert.deepEqual(wrong, []);
});
