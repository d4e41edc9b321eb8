// A person has an app built by Nixpacks and by buildpacks, looks at the plan beforehand, and sees what the engine keeps of its builds, in a
// real browser.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch, look, watch } from './browser.mjs';
import { binary, hasEngine, startPanel } from './panel.mjs';

const skip = !binary() ? 'SERVERKIT_BIN names no binary' : hasEngine('nginx:1.22') ? false : 'the engine has no nginx:1.22';

/** @type {Awaited<ReturnType<typeof startPanel>>} */
let panel;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').Page} */
let page;
/** @type {string[]} */
let wrong = [];
let id = '';

before(async () => {
  if (skip) return;
  panel = await startPanel();
  browser = await launch(panel.url);
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 }, colorScheme: 'dark', reducedMotion: 'reduce' });
  page = await context.newPage();
  wrong = watch(page, { allow: [/40[139]|422/] });
  const password = 'seven quiet otters swim north';
  const made = await page.request.post(`${panel.url}/api/v1/setup`, { data: { token: panel.link.split('#')[1], email: 'ada@example.com', name: 'Ada Lovelace', password } });
  assert.equal(made.status(), 201);
  const tree = join(panel.folder, 'shop');
  mkdirSync(tree);
  writeFileSync(join(tree, 'package.json'), '{"scripts":{"build":"tsc","start":"node server.js"}}');
  writeFileSync(join(tree, 'server.js'), '');
  for (const words of [['init', '-q', '-b', 'main'], ['add', '.'], ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', 'commit', '-qm', 'first version']]) execFileSync('git', ['-C', tree, ...words]);
  const done = spawnSync(/** @type {string} */ (binary()), ['--data', join(panel.folder, 'data'), 'app', 'create', 'shop', '--git', tree, '--no-deploy'], { encoding: 'utf8' });
  assert.equal(done.status, 0, done.stderr);
  id = JSON.parse(spawnSync(/** @type {string} */ (binary()), ['--data', join(panel.folder, 'data'), '--json', 'app', 'show', 'shop'], { encoding: 'utf8' }).stdout).id;
  await context.clearCookies();
  await page.goto(`${panel.url}/sign-in`);
  await page.fill('input[name=email]', 'ada@example.com');
  await page.fill('input[name=password]', password);
  await page.click('button[type=submit]');
  await page.waitForSelector('.rail', { state: 'attached' });
});

after(async () => { await browser?.close(); await panel?.stop(); });

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
  // The engine may have built for others.
  await part.getByText(/in \d+ parts?:/).first().waitFor();
  await part.getByLabel('At most').fill('2 GiB');
  await part.getByRole('button', { name: 'Save' }).click();
  await page.reload();
  assert.match(await page.getByLabel('At most').last().inputValue(), /^2(\.0)? GiB$/);
  assert.deepEqual(wrong, []);
});
