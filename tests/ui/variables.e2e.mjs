// Shared variables in a real browser against a real panel: where a value comes from, setting it nearer, review, history, restore.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forTests, look, openSignedIn, send } from './browser.mjs';
import { binary } from './panel.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const { panel, page, wrong } = await forTests(skip, () => openSignedIn([/40[139]|422/]));

/** Adds a variable in the grid. @param {string} key @param {string} value */
async function add(key, value) {
  const before = await page.locator('input[data-key]').count();
  await page.getByRole('button', { name: /^Add( a variable)?$/ }).first().click();
  await page.waitForFunction((count) => document.querySelectorAll('input[data-key]').length === count, before + 1);
  await page.locator('input[data-key]').last().fill(key);
  await page.getByLabel(`Value of ${key}`).fill(value);
}
async function save() {
  await page.getByRole('button', { name: 'Review and save' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}

test('shared variables', { skip, timeout: 150_000 }, async () => {
  const created = JSON.parse((await send(page, 'POST', '/apps', { name: 'shop', source: { kind: 'image', reference: 'redis:7' }, deploy: false })).text);
  await page.goto(`${panel.url}/projects`);
  await page.getByRole('link', { name: 'Shared variables' }).click();
  await page.waitForSelector('.env');
  await look(page, 'variables-organization-empty');
  await add('REGION', 'eu-1');
  await add('LEVEL', 'info');
  await page.getByRole('button', { name: 'Review and save' }).click();
  await page.getByRole('dialog').getByText('It reaches shop').waitFor();
  await look(page, 'variables-review');
  await page.getByRole('dialog').getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });

  // In the project, then in the app: inherited, and set nearer.
  await page.goto(`${panel.url}/projects/${created.project.id}/variables`);
  await page.getByText('the organization').first().waitFor();
  await add('LEVEL', 'warn');
  await save();
  await look(page, 'variables-project');
  await page.goto(`${panel.url}/apps/${created.id}/environment`);
  await page.locator('.inherited li', { hasText: 'LEVEL' }).getByText(/^project /).waitFor();
  await page.locator('.inherited li', { hasText: 'REGION' }).getByRole('button', { name: 'Set here' }).click();
  await page.getByLabel('Value of REGION').fill('us-${LEVEL}');
  await save();
  await page.locator('.inherited li', { hasText: 'REGION' }).waitFor({ state: 'detached' });
  await look(page, 'variables-app');

  // A circle is told before anything is saved.
  await add('ROUND', '${REGION} ${AGAIN}');
  await add('AGAIN', '${ROUND}');
  await page.getByRole('button', { name: 'Review and save' }).click();
  await page.getByText(/in a circle/).waitFor();
  await page.getByRole('button', { name: 'Discard' }).click();

  // What it was.
  await page.getByLabel('Value of REGION').fill('asia');
  await save();
  await page.getByRole('button', { name: 'History' }).click();
  await page.getByRole('dialog').locator('li').nth(1).waitFor();
  await look(page, 'variables-history');
  await page.getByRole('dialog').getByRole('button', { name: 'Restore' }).first().click();
  await page.waitForFunction(() => document.querySelectorAll('.history li').length === 3);
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click();
  assert.equal(await page.getByLabel('Value of REGION').inputValue(), 'us-${LEVEL}');
  assert.deepEqual(wrong, []);
});
