// A person has newer images deployed at times, trusts a repository's CI and looks at the workflow for it, and changes a freeze window, in a real browser.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
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

test('newer images are deployed at times', { skip, timeout: 120_000 }, async () => {
  await open('settings');
  const form = page.locator('form', { has: page.getByRole('heading', { name: 'Newer images' }) });
  await form.getByLabel('When there is a newer one').selectOption('deploy');
  await form.getByLabel('Only at some times').click();
  await form.getByLabel('From').fill('nonsense');
  await form.getByRole('button', { name: 'Save' }).click();
  await form.getByText('cron line', { exact: false }).waitFor();
  await form.getByLabel('From').fill('0 3 * * SAT,SUN');
  await look(page, 'newer-images-form');
  await form.getByRole('button', { name: 'Save' }).click();
  await form.getByRole('button', { name: 'Check now' }).waitFor();
  assert.match(cli('image-watch', 'show', 'site'), /are deployed[^]*0 3 \* \* SAT,SUN/);
  await look(page, 'newer-images');
});

test('a repository is trusted', { skip, timeout: 120_000 }, async () => {
  await open('webhook');
  await page.getByRole('button', { name: 'Trust a repository' }).first().click();
  const dialog = page.locator('dialog[open]');
  await dialog.getByLabel('Repository').fill('site');
  await dialog.getByRole('button', { name: 'Trust it' }).click();
  await dialog.getByText('owner/name', { exact: false }).first().waitFor();
  await dialog.getByLabel('Repository').fill('ada/site');
  await dialog.getByLabel('Tags').fill('v*');
  await look(page, 'ci-trust-form');
  await dialog.getByRole('button', { name: 'Trust it' }).click();
  await page.getByText('ada/site', { exact: true }).waitFor();
  await look(page, 'ci-trusts');
  await page.getByRole('button', { name: 'Workflow' }).click();
  await dialog.getByText('id-token: write', { exact: false }).waitFor();
  await look(page, 'ci-workflow');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Trust ada/site no more' }).click();
  await dialog.getByRole('button', { name: 'Remove' }).click();
  await page.getByText('No repository is trusted').waitFor();
});

test('a freeze window is changed', { skip, timeout: 120_000 }, async () => {
  cli('freeze', 'add', 'weekend', '--everywhere', '--at', '0 16 * * FRI', '--for', '64h', '--zone', 'Europe/Berlin');
  await page.goto(`${opened.panel.url}/freezes`);
  await page.getByRole('button', { name: 'Change the freeze weekend' }).click();
  const dialog = page.locator('dialog[open]');
  await dialog.getByLabel('Lasts').fill('60');
  await look(page, 'freeze-change');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.waitFor({ state: 'detached' });
  const [window] = JSON.parse(cli('freeze', 'list', '--json')).items;
  assert.deepEqual([window.minutes, window.zone, window.cron], [3600, 'Europe/Berlin', '0 16 * * FRI']);
  assert.deepEqual(opened.wrong, []);
});
