// A person reads what a deployment stops first, and looks at the queue, in a real browser.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { before, test } from 'node:test';
import { forTests, look, openSignedIn } from './browser.mjs';
import { binary } from './panel.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const { panel, page } = await forTests(skip, () => openSignedIn([/40[139]|422/]));

before(() => {
  if (skip) return;
  panel.cli('app', 'create', 'site', '--image', 'ghcr.io/ada/site:1', '--no-deploy');
});

const open = (/** @type {string} */ tab) => page.goto(`${panel.url}/apps/${JSON.parse(panel.cli('app', 'show', 'site', '--json')).id}/${tab}`);

test('what stops first is said beforehand', { skip, timeout: 120_000 }, async () => {
  await open('storage');
  const dialog = page.locator('dialog[open]');
  await page.getByRole('button', { name: 'Add volume' }).first().click();
  await dialog.getByText('a deployment stops the old container before the new one starts', { exact: false }).waitFor();
  await look(page, 'volume-stops-first');
  await dialog.getByRole('button', { name: 'Add volume' }).click();
  await page.getByText('it writes to the volume site-data at /data', { exact: false }).first().waitFor();
  await look(page, 'storage-stops-first');
  await open('');
  await page.getByText('stops the old container first', { exact: false }).waitFor();
  await open('settings');
  const form = page.locator('form', { has: page.getByRole('heading', { name: 'Commands around a deployment' }) });
  await form.getByLabel('Before it stops').fill('kill -TTIN 1');
  await form.getByRole('button', { name: 'Save' }).click();
  await form.getByRole('button', { name: 'Save' }).waitFor({ state: 'hidden' });
  assert.equal(JSON.parse(panel.cli('app', 'show', 'site', '--json')).before_stop, 'kill -TTIN 1');
});

test('the queue has an order, says why, and lets one go', { skip, timeout: 180_000 }, async (t) => {
  // A forge that takes connections and says nothing.
  const silent = createServer((line) => { line.on('error', () => {}); });
  await new Promise((done) => { silent.listen(0, '127.0.0.1', () => done(undefined)); });
  t.after(() => silent.close());
  const { port } = /** @type {import('node:net').AddressInfo} */ (silent.address());
  for (const name of ['one', 'two', 'three', 'four']) panel.cli('app', 'create', name, '--git', `http://127.0.0.1:${port}/${name}.git`);
  await page.goto(`${panel.url}/deployments`);
  const queue = page.getByRole('list', { name: 'Queue' });
  await queue.getByText('Place 1: 2 deployments are under way, as many as may be at once', { exact: false }).waitFor();
  await queue.getByText('Place 2: 2 deployments', { exact: false }).waitFor();
  const lines = await queue.locator('li').allInnerTexts();
  assert.deepEqual(lines.map((line) => line.match(/one|two|three|four/)?.[0]), ['one', 'two', 'three', 'four']);
  await look(page, 'queue');
  await queue.getByRole('button', { name: 'Cancel four #1' }).click();
  await queue.getByText('four').waitFor({ state: 'detached' });
  await queue.getByRole('link', { name: /three/ }).click();
  await page.getByText('Number 1 in the', { exact: false }).waitFor();
  await look(page, 'deployment-waits');
});
