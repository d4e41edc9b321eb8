// A person reads what a deployment stops first, and looks at the queue, in a real browser.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { look, openPanel } from './browser.mjs';
import { binary } from './panel.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

/** @type {Awaited<ReturnType<typeof openPanel>>} */
let opened;
/** @type {import('playwright-core').Page} */
let page;

/** @param {string[]} words */
function cli(...words) {
  const done = spawnSync(/** @type {string} */ (binary()), ['--data', join(opened.panel.folder, 'data'), ...words], { encoding: 'utf8' });
  assert.equal(done.status, 0, `${words.join(' ')}: ${done.stderr}`);
  return done.stdout;
}

before(async () => {
  if (skip) return;
  opened = await openPanel([/40[139]|422/]);
  page = opened.page;
  const password = 'seven quiet otters swim north';
  const made = await page.request.post(`${opened.panel.url}/api/v1/setup`, { data: { token: opened.panel.link.split('#')[1], email: 'ada@example.com', name: 'Ada Lovelace', password } });
  assert.equal(made.status(), 201);
  cli('app', 'create', 'site', '--image', 'ghcr.io/ada/site:1', '--no-deploy');
  await page.context().clearCookies();
  await page.goto(`${opened.panel.url}/sign-in`);
  await page.getByLabel('Email').fill('ada@example.com');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForSelector('.rail');
}, { timeout: 120_000 });
after(async () => { await opened?.close(); });

const open = (/** @type {string} */ tab) => page.goto(`${opened.panel.url}/apps/${JSON.parse(cli('app', 'show', 'site', '--json')).id}/${tab}`);

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
  assert.equal(JSON.parse(cli('app', 'show', 'site', '--json')).before_stop, 'kill -TTIN 1');
});

test('the queue has an order, says why, and lets one go', { skip, timeout: 180_000 }, async (t) => {
  // A forge that takes connections and says nothing.
  const silent = createServer((line) => { line.on('error', () => {}); });
  await new Promise((done) => { silent.listen(0, '127.0.0.1', () => done(undefined)); });
  t.after(() => silent.close());
  const { port } = /** @type {import('node:net').AddressInfo} */ (silent.address());
  for (const name of ['one', 'two', 'three', 'four']) cli('app', 'create', name, '--git', `http://127.0.0.1:${port}/${name}.git`);
  await page.goto(`${opened.panel.url}/deployments`);
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
