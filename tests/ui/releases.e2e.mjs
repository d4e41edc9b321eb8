// A person writes a configuration file, compares two releases, pins one, promotes one, goes back and has the next one tried first, in a real
// browser.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { forTests, look as looked, openSignedIn, send } from './browser.mjs';
import { binary, hasEngine } from './panel.mjs';

const IMAGE = 'nginx:1.22';
const skip = !binary() ? 'SERVERKIT_BIN names no binary' : hasEngine(IMAGE) ? false : `the engine has no ${IMAGE}`;

const { panel, page, wrong } = await forTests(skip, () => openSignedIn([/40[139]|422/]));

before(() => {
  if (skip) return;
  panel.cli('app', 'create', 'site', '--image', IMAGE, '--port', '80', '--domain', 'site.test', '--env', 'PLACE=here', '--wait');
});

const look = (/** @type {string} */ name) => looked(page, name);

/** Where an app of this name is. @param {string} name @param {string} [tab] */
const place = (name, tab = '') => `${panel.url}/apps/${JSON.parse(panel.cli('app', 'show', name, '--json')).id}${tab}`;

test('a file is written and edited', { skip, timeout: 120_000 }, async () => {
  await page.goto(place('site', '/storage'));
  await page.getByText('No files').waitFor();
  await page.getByRole('button', { name: 'Add file' }).first().click();
  const dialog = page.locator('dialog[open]');
  await dialog.getByLabel('Path in the container').fill('/etc/site/app.ini');
  await dialog.getByRole('textbox', { name: 'Content' }).fill('[main]\nname = "žluť" # $HOME\n');
  await look('files-new');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByText('/etc/site/app.ini').waitFor();
  panel.cli('file', 'set', 'site', '/run/key', '/etc/hostname', '--secret', '--mode', '600');
  await page.getByText('/run/key').waitFor();
  await look('files');
  await page.getByRole('button', { name: 'Edit' }).first().click();
  assert.equal(await dialog.getByRole('textbox', { name: 'Content' }).inputValue(), '[main]\nname = "žluť" # $HOME\n');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
});

test('two releases are compared, one is pinned, promoted and gone back to', { skip, timeout: 240_000 }, async () => {
  panel.cli('env', 'set', 'site', 'PLACE=there', 'NEW=1');
  panel.cli('app', 'update', 'site', '--memory', '256m', '--wait');
  await page.goto(place('site', '/releases'));
  const compare = page.getByRole('table', { name: /Changes from Release #1 to Release #2/ });
  await compare.waitFor();
  for (const what of ['variable NEW', 'variable PLACE', 'memory', 'file /etc/site/app.ini', 'file /run/key']) await compare.getByText(what, { exact: true }).waitFor();
  await look('releases');
  await page.getByRole('button', { name: 'More for release 1' }).click();
  await page.getByRole('menuitem', { name: 'Pin: keep it' }).click();
  await page.getByText('pinned', { exact: true }).waitFor();
  assert.ok(JSON.parse(panel.cli('release', 'list', 'site', '--json')).items.find((/** @type {any} */ one) => one.number === 1).pinned);

  const project = JSON.parse(panel.cli('project', 'list', '--json')).items[0];
  panel.cli('project', 'add-environment', project.name, 'staging');
  panel.cli('app', 'create', 'site-staging', '--image', IMAGE, '--port', '80', '--environment', 'staging', '--env', 'PLACE=staging', '--wait');
  await page.goto(place('site', '/releases'));
  await page.getByRole('button', { name: 'More for release 1' }).click();
  await page.getByRole('menuitem', { name: 'Promote…' }).click();
  const dialog = page.locator('dialog[open]');
  await dialog.getByText('is another app than').waitFor();
  await dialog.getByText('The same image is live there.').waitFor();
  await look('promote');
  await dialog.getByRole('button', { name: 'Promote', exact: true }).click();
  await page.waitForURL(/\/deployments\/dep_/);
  await page.getByText('Promoted from another environment').waitFor();
  await page.locator('.page-head').getByText('Live', { exact: true }).waitFor({ timeout: 60_000 });

  await page.goto(place('site', '/releases'));
  await page.getByRole('button', { name: 'Roll back' }).first().click();
  await dialog.getByText('site.test').waitFor();
  await look('roll-back');
  await dialog.getByRole('button', { name: 'Roll back' }).click();
  await page.waitForURL(/\/deployments\/dep_/);
  await page.locator('.page-head').getByText('Live', { exact: true }).waitFor({ timeout: 60_000 });
  assert.equal(JSON.parse(panel.cli('app', 'show', 'site', '--json')).release.number, 1);
  await page.goto(place('site', '/settings'));
  await page.getByLabel('Give up after').waitFor();
  await look('app-settings');
});

test('the next release is tried on a share of the requests, and no more after that', { skip, timeout: 240_000 }, async () => {
  const canary = () => JSON.parse(panel.cli('app', 'show', 'site', '--json')).canary ?? null;
  const part = page.locator('form', { has: page.getByRole('heading', { name: 'Canary', exact: true }) });
  const save = part.getByRole('button', { name: 'Save' });
  const [share, time] = [part.getByLabel('Share', { exact: true }), part.getByLabel('For', { exact: true })];
  await page.goto(place('site', '/settings'));
  await part.getByText('Try new releases on some requests first').click();
  await share.fill('a few');
  await save.click();
  await part.getByText('Use a whole number').first().waitFor();
  await share.fill('25');
  await time.fill('3');
  await look('canary-settings');
  await save.click();
  await save.waitFor({ state: 'detached' });
  assert.deepEqual([canary().percent, canary().seconds], [25, 180]);
  await page.reload();
  await share.waitFor();
  assert.deepEqual([await share.inputValue(), await time.inputValue()], ['25', '3']);

  const { id } = JSON.parse(panel.cli('app', 'show', 'site', '--json'));
  const asked = await send(page, 'POST', `/apps/${id}/deployments`, {});
  assert.equal(asked.status, 202, asked.text);
  await page.goto(`${panel.url}/deployments/${JSON.parse(asked.text).id}`);
  const head = page.locator('.page-head');
  await head.getByText('Trying', { exact: true }).waitFor({ timeout: 60_000 });
  await look('release-tried');
  await head.getByRole('button', { name: 'Cancel', exact: true }).click();
  await head.getByText('Cancelled', { exact: true }).waitFor({ timeout: 60_000 });

  await page.goto(place('site', '/settings'));
  await part.getByText('Try new releases on some requests first').click();
  await share.waitFor({ state: 'detached' });
  await save.click();
  await save.waitFor({ state: 'detached' });
  assert.equal(canary(), null);
  assert.deepEqual(wrong, []);
});
