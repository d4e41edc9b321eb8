// A person writes a configuration file, compares two releases, pins one, promotes one and goes back, in a real browser.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch, look as looked, watch } from './browser.mjs';
import { binary, hasEngine, startPanel } from './panel.mjs';

const IMAGE = 'nginx:1.22';
const skip = !binary() ? 'SERVERKIT_BIN names no binary' : hasEngine(IMAGE) ? false : `the engine has no ${IMAGE}`;

/** @type {Awaited<ReturnType<typeof startPanel>>} */
let panel;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').Page} */
let page;
/** @type {string[]} */
let wrong = [];

/** @param {string[]} words */
function cli(...words) {
  const done = spawnSync(/** @type {string} */ (binary()), ['--data', join(panel.folder, 'data'), ...words], { encoding: 'utf8' });
  assert.equal(done.status, 0, `${words.join(' ')}: ${done.stderr}`);
  return done.stdout;
}

before(async () => {
  if (skip) return;
  panel = await startPanel();
  browser = await launch(panel.url);
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 }, colorScheme: 'dark', reducedMotion: 'reduce' });
  page = await context.newPage();
  wrong = watch(page, { allow: [/40[139]|422/] });
  const password = 'seven quiet otters swim north';
  const made = await page.request.post(`${panel.url}/api/v1/setup`, { data: { token: panel.link.split('#')[1], email: 'ada@example.com', name: 'Ada Lovelace', password } });
  assert.equal(made.status(), 201);
  cli('app', 'create', 'site', '--image', IMAGE, '--port', '80', '--domain', 'site.test', '--env', 'PLACE=here', '--wait');
  await context.clearCookies();
  await page.goto(`${panel.url}/sign-in`);
  await page.getByLabel('Email').fill('ada@example.com');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForSelector('.rail');
}, { timeout: 120_000 });
after(async () => { await browser?.close(); await panel?.stop(); });

const look = (/** @type {string} */ name) => looked(page, name);

/** Where an app of this name is. @param {string} name @param {string} [tab] */
const place = (name, tab = '') => `${panel.url}/apps/${JSON.parse(cli('app', 'show', name, '--json')).id}${tab}`;

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
  cli('file', 'set', 'site', '/run/key', '/etc/hostname', '--secret', '--mode', '600');
  await page.getByText('/run/key').waitFor();
  await look('files');
  await page.getByRole('button', { name: 'Edit' }).first().click();
  assert.equal(await dialog.getByRole('textbox', { name: 'Content' }).inputValue(), '[main]\nname = "žluť" # $HOME\n');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
});

test('two releases are compared, one is pinned, promoted and gone back to', { skip, timeout: 240_000 }, async () => {
  cli('env', 'set', 'site', 'PLACE=there', 'NEW=1');
  cli('app', 'update', 'site', '--memory', '256m', '--wait');
  await page.goto(place('site', '/releases'));
  const compare = page.getByRole('table', { name: /Changes from Release #1 to Release #2/ });
  await compare.waitFor();
  for (const what of ['variable NEW', 'variable PLACE', 'memory', 'file /etc/site/app.ini', 'file /run/key']) await compare.getByText(what, { exact: true }).waitFor();
  await look('releases');
  await page.getByRole('button', { name: 'More for release 1' }).click();
  await page.getByRole('menuitem', { name: 'Pin: keep it' }).click();
  await page.getByText('pinned', { exact: true }).waitFor();
  assert.ok(JSON.parse(cli('release', 'list', 'site', '--json')).items.find((/** @type {any} */ one) => one.number === 1).pinned);

  const project = JSON.parse(cli('project', 'list', '--json')).items[0];
  cli('project', 'add-environment', project.name, 'staging');
  cli('app', 'create', 'site-staging', '--image', IMAGE, '--port', '80', '--environment', 'staging', '--env', 'PLACE=staging', '--wait');
  await page.goto(place('site', '/releases'));
  await page.getByRole('button', { name: 'More for release 1' }).click();
  await page.getByRole('menuitem', { name: 'Promote…' }).click();
  const dialog = page.locator('dialog[open]');
  await dialog.getByRole('table', { name: /Changes from Here/ }).getByText('variable PLACE', { exact: true }).waitFor();
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
  assert.equal(JSON.parse(cli('app', 'show', 'site', '--json')).release.number, 1);
  await page.goto(place('site', '/settings'));
  await page.getByLabel('Give up after').waitFor();
  await look('app-settings');
  assert.deepEqual(wrong, []);
});
