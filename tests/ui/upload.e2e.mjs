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
  await look(page, 'upload-full');
  await page.getByRole('button', { name: 'Create and deploy' }).click();
  await page.waitForURL(/\/apps\/(?!new)/);
  const uploads = await page.evaluate(async () => (await (await fetch('/api/v1/apps/my-site/uploads')).json()).items);
  assert.equal(uploads.length, 1);
  assert.equal(uploads[0].files, 2);
  await page.getByRole('button', { name: 'Deploy', exact: true }).first().click();
  await page.waitForSelector('dialog .drop-zone');
  await look(page, 'upload-dialog');
  // What is no archive is told at once, and by the panel when only it can know.
  writeFileSync(join(folder, 'photo.jpg'), 'x');
  await page.setInputFiles('dialog .drop-zone input[accept]', join(folder, 'photo.jpg'));
  await page.getByText('Choose a folder, or an archive').waitFor();
  writeFileSync(join(folder, 'broken.zip'), 'PK nonsense');
  await page.setInputFiles('dialog .drop-zone input[accept]', join(folder, 'broken.zip'));
  await page.getByRole('button', { name: 'Upload and deploy' }).click();
  await page.getByText(/is no tar/i).waitFor();
  assert.equal(await page.getByRole('link', { name: 'Webhook' }).count(), 0);
  assert.deepEqual(wrong, []);
});
