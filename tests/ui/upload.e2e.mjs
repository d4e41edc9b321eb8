// A folder picked in a real browser becomes an app of a real panel: what is packed, what is refused, and how the pages look.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { forTests, look, openSignedIn } from './browser.mjs';
import { binary } from './panel.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';
const folder = mkdtempSync(join(tmpdir(), 'sk-upload-'));

const { panel, page, wrong } = await forTests(skip, () => openSignedIn([/40[139]|422/]));

after(() => { rmSync(folder, { recursive: true, force: true }); });

test('a folder becomes an app', { skip, timeout: 120_000 }, async () => {
  const site = join(folder, 'my-site');
  mkdirSync(join(site, 'node_modules'), { recursive: true });
  for (const [path, text] of [['index.html', '<h1>hello</h1>'], ['.gitignore', 'node_modules\n'], ['node_modules/x.js', 'x']]) writeFileSync(join(site, path), text);
  await page.goto(`${panel.url}/apps/new?from=upload`);
  await page.waitForSelector('.drop-zone');
  await look(page, 'upload-empty');
  await page.setInputFiles('.drop-zone input[webkitdirectory]', site);
  await page.waitForSelector('.drop-zone.full');
  assert.match(await page.locator('.drop-zone').innerText(), /2\sfiles, .* packed; 1\sfile left out by \.gitignore/);
  assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'my-site');
  // The plan is there before the app is.
  await page.locator('.inside b', { hasText: 'static site' }).waitFor();
  assert.match(await page.getByLabel('Folder in the upload').innerText(), /the top/);
  await page.locator('summary', { hasText: /^Dockerfile$/ }).click();
  assert.match(await page.getByLabel('Dockerfile', { exact: true }).last().innerText(), /FROM nginx/);
  assert.deepEqual(await page.evaluate(async () => (await (await fetch('/api/v1/apps')).json()).items), []);
  await look(page, 'upload-full');
  await page.getByRole('button', { name: 'Take it over' }).click();
  await page.getByLabel('Own Dockerfile').fill('FROM nginx:1.22\nCOPY . /usr/share/nginx/html\n');
  await page.getByRole('button', { name: 'Create and deploy' }).click();
  await page.waitForURL(/\/apps\/(?!new)/);
  const uploads = await page.evaluate(async () => (await (await fetch('/api/v1/apps/my-site/uploads')).json()).items);
  assert.equal(uploads.length, 1);
  assert.equal(uploads[0].files, 2);
  const kept = await page.evaluate(async () => (await (await fetch('/api/v1/apps/my-site')).json()).source);
  assert.match(kept.build.dockerfile_text, /FROM nginx:1\.22/);
  await page.getByRole('button', { name: 'Deploy', exact: true }).first().click();
  await page.waitForSelector('dialog .drop-zone');
  await look(page, 'upload-dialog');
  // For an app that is there too: shown as the app builds it, and changed with it.
  mkdirSync(join(site, 'docs'));
  writeFileSync(join(site, 'docs', 'index.html'), '<h1>docs</h1>');
  await page.setInputFiles('dialog .drop-zone input[webkitdirectory]', site);
  await page.locator('dialog').getByLabel('Folder in the upload').selectOption('docs');
  await look(page, 'upload-dialog-plan');
  await page.locator('dialog').getByRole('button', { name: 'Deploy', exact: true }).click();
  await page.waitForURL(/\/deployments\//);
  assert.equal(await page.evaluate(async () => (await (await fetch('/api/v1/apps/my-site')).json()).source.folder), 'docs');
  await page.goto(`${panel.url}/apps/my-site`);
  await page.getByRole('button', { name: 'Deploy', exact: true }).first().click();
  await page.waitForSelector('dialog .drop-zone');
  // What is no archive is told at once, and by the panel when only it can know.
  writeFileSync(join(folder, 'photo.jpg'), 'x');
  await page.setInputFiles('dialog .drop-zone input[accept]', join(folder, 'photo.jpg'));
  await page.getByText('Choose a folder, or an archive').waitFor();
  writeFileSync(join(folder, 'broken.zip'), 'PK nonsense');
  await page.setInputFiles('dialog .drop-zone input[accept]', join(folder, 'broken.zip'));
  await page.getByText(/is no tar/i).waitFor();
  assert.equal(await page.locator('dialog').getByRole('button', { name: 'Deploy', exact: true }).isDisabled(), true);
  assert.equal(await page.getByRole('link', { name: 'Webhook' }).count(), 0);
  assert.deepEqual(wrong, []);
});
