// The audit log in a real browser against a real panel: what was done is there, is found, is shown field by field, checked
// and exported. And the pages by axe, in both themes, at a desk's and a phone's width.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { forTests, look, openSignedIn, send } from './browser.mjs';
import { binary } from './panel.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const { panel, page, wrong } = await forTests(skip, () => openSignedIn([/401|422/], { acceptDownloads: true }));

test('what was done is in the log, and is found', { skip, timeout: 90_000 }, async () => {
  const status = [];
  for (const [method, path, body] of /** @type {const} */ ([['PATCH', '/settings', { trash_days: 10 }], ['PATCH', '/settings', { trash_days: 11 }], ['POST', '/projects', { name: 'orchard' }]])) status.push((await send(page, method, path, body)).status);
  assert.deepEqual(status, [200, 200, 201]);
  await page.goto(`${panel.url}/audit`);
  await page.getByText('Created project orchard').waitFor();
  await page.getByText('Claimed this panel').waitFor();
  await look(page, 'audit');
  await page.getByLabel('Words').fill('trash_days 11');
  await page.getByText('Created project orchard').waitFor({ state: 'detached' });
  const found = page.getByRole('button', { name: /Changed setting/ });
  await found.click();
  await page.getByRole('cell', { name: 'trash_days' }).waitFor();
  assert.equal(await page.locator('.diff .to code').innerText(), '11');
  await look(page, 'audit-entry');
  await page.getByRole('button', { name: 'Close' }).click();
  await page.getByLabel('Words').fill('no-such-word');
  await page.getByText('Nothing like this').waitFor();
  await look(page, 'audit-nothing');
  await page.getByRole('button', { name: 'Show everything' }).click();
  await page.getByLabel('What').selectOption('project');
  await page.getByRole('button', { name: /Claimed this panel/ }).waitFor({ state: 'detached' });
  await page.getByText('Created project orchard').waitFor();
});

test('the log is checked and exported', { skip, timeout: 60_000 }, async () => {
  await page.getByRole('button', { name: 'Check' }).click();
  await page.getByText('The log holds').waitFor();
  await look(page, 'audit-check');
  await page.getByRole('button', { name: 'Close' }).click();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export' }).click()]);
  const lines = readFileSync(await download.path(), 'utf8').trimEnd().split('\n');
  assert.ok(lines.some((line) => line.includes('orchard')));
  for (const line of lines) {
    const { hash } = JSON.parse(line);
    assert.equal(createHash('sha256').update(line.replace(`"hash":"${hash}",`, '')).digest('hex'), hash);
  }
  await page.goto(`${panel.url}/security`);
  await page.getByLabel('Kept for').fill('5');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('30 to 3650').waitFor();
  await look(page, 'security-log');
  assert.deepEqual(wrong, []);
});
