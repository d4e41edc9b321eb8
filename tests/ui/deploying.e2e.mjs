// A person has newer images deployed at times, trusts a repository's CI and looks at the workflow for it, and changes a freeze window, in a real browser.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { forTests, look, openSignedIn } from './browser.mjs';
import { binary } from './panel.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const { panel, page, wrong } = await forTests(skip, () => openSignedIn([/40[139]|422/]));

before(() => {
  if (skip) return;
  panel.cli('app', 'create', 'site', '--image', 'ghcr.io/ada/site:1', '--no-deploy');
});

const open = (/** @type {string} */ tab) => page.goto(`${panel.url}/apps/${JSON.parse(panel.cli('app', 'show', 'site', '--json')).id}/${tab}`);

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
  assert.match(panel.cli('image-watch', 'show', 'site'), /are deployed[^]*0 3 \* \* SAT,SUN/);
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
  const issuer = await dialog.getByLabel('Issuer').inputValue();
  await dialog.getByLabel('Issuer').fill('https://git.example.com');
  await dialog.getByLabel('Certificates of its authority').waitFor();
  await look(page, 'ci-trust-own-issuer');
  await dialog.getByLabel('Issuer').fill(issuer);
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
  panel.cli('freeze', 'add', 'weekend', '--everywhere', '--at', '0 16 * * FRI', '--for', '64h', '--zone', 'Europe/Berlin');
  await page.goto(`${panel.url}/freezes`);
  await page.getByRole('button', { name: 'Change the freeze weekend' }).click();
  const dialog = page.locator('dialog[open]');
  await dialog.getByLabel('Lasts').fill('60');
  await look(page, 'freeze-change');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.waitFor({ state: 'detached' });
  const [window] = JSON.parse(panel.cli('freeze', 'list', '--json')).items;
  assert.deepEqual([window.minutes, window.zone, window.cron], [3600, 'Europe/Berlin', '0 16 * * FRI']);
  assert.deepEqual(wrong, []);
});
