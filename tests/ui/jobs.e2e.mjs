// A person runs a command, makes a job, has an app run in two containers and by the clock, and makes a freeze window, in a real browser.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { forTests, look as lookAt, openSignedIn } from './browser.mjs';
import { binary, hasEngine } from './panel.mjs';

const IMAGE = 'nginx:1.22';
const skip = !binary() ? 'SERVERKIT_BIN names no binary' : hasEngine(IMAGE) ? false : `the engine has no ${IMAGE}`;

const { panel, page, wrong } = await forTests(skip, () => openSignedIn([/40[139]|422/]));

before(() => {
  if (skip) return;
  panel.cli('app', 'create', 'site', '--image', IMAGE, '--port', '80', '--domain', 'site.test', '--env', 'PLACE=here', '--wait');
});

const look = (/** @type {string} */ name) => lookAt(page, name);

/** Where an app of this name is. @param {string} name @param {string} [tab] */
const place = (name, tab = '') => `${panel.url}/apps/${JSON.parse(panel.cli('app', 'show', name, '--json')).id}${tab}`;

test('a command is run and a job is made', { skip, timeout: 180_000 }, async () => {
  await page.goto(place('site', '/jobs'));
  await page.getByText('No jobs').waitFor();
  const dialog = page.locator('dialog[open]');
  await page.getByRole('button', { name: 'Run a command' }).click();
  await dialog.getByLabel('Command').fill('sh -c "echo one two; nginx -v; exit 4"');
  await look('run-new');
  await dialog.getByRole('button', { name: 'Run', exact: true }).click();
  await dialog.getByText('exited with code 4').first().waitFor({ timeout: 30_000 });
  await dialog.locator('sk-log').getByText('one two').first().waitFor();
  await look('run');
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await page.getByText('exited with code 4').waitFor();

  await page.getByRole('button', { name: 'Add job' }).first().click();
  await dialog.getByLabel('Name').fill('tidy-up');
  await dialog.getByLabel('Command').fill('sleep 1');
  await dialog.getByLabel('At', { exact: true }).fill('nonsense');
  await dialog.getByLabel('Time zone').fill('Europe/Berlin');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.getByText(/five fields/).first().waitFor();
  await dialog.getByLabel('At', { exact: true }).fill('0 3 * * *');
  await look('job-new');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Europe/Berlin').waitFor();
  await page.getByRole('button', { name: 'Run now' }).click();
  await dialog.getByText('Done', { exact: true }).waitFor({ timeout: 30_000 });
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await look('jobs');
});

test('an app runs in two containers, and by the clock', { skip, timeout: 120_000 }, async () => {
  await page.goto(place('site', '/settings'));
  await page.getByRole('textbox', { name: 'Containers' }).fill('2');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('2 of 2 run now', { exact: false }).waitFor({ timeout: 30_000 });
  await page.getByText('Only at some hours').click();
  await page.getByLabel('Starts at').fill('0 7 1 1 *');
  await page.getByLabel('Stops at').fill('0 19 31 12 *');
  await look('settings');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Started next on', { exact: false }).waitFor();
  await page.goto(place('site'));
  await page.getByText('2 of 2 run', { exact: true }).waitFor();
});

test('nothing is deployed in a freeze', { skip, timeout: 120_000 }, async () => {
  await page.goto(`${panel.url}/freezes`);
  await page.getByText('No freeze windows').waitFor();
  await page.getByRole('button', { name: 'Add window' }).first().click();
  const dialog = page.locator('dialog[open]');
  await dialog.getByLabel('Why').fill('weekend');
  await dialog.getByRole('button', { name: 'Nights' }).click();
  await dialog.getByLabel('Begins at').fill('* * * * *');
  await look('freeze-new');
  await dialog.getByRole('button', { name: 'Add window' }).click();
  await page.getByText('Holds', { exact: true }).waitFor();
  await look('freezes');
  await page.goto(place('site'));
  await page.getByText('Deployments are frozen for', { exact: false }).waitFor();
  assert.ok(await page.getByRole('button', { name: 'Deploy', exact: true }).isDisabled());
  await look('app-frozen');
  await page.getByRole('button', { name: 'Deploy anyway…' }).click();
  await dialog.getByLabel('Why').fill('mend the checkout');
  await dialog.getByRole('button', { name: 'Deploy anyway' }).click();
  await page.waitForURL(/deployments/);
  await page.goto(`${panel.url}/freezes`);
  await page.getByRole('button', { name: 'Delete the freeze weekend' }).click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await page.getByText('No freeze windows').waitFor();
  assert.deepEqual(wrong, []);
});
