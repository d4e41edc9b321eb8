// The way of a new user through a real panel, in a real browser: from the first link to an app live over HTTPS, its logs, a terminal, a change of its
// environment, a rollback, a push that fails, people, tokens, and the end of it all.
//
// It starts the binary that SERVERKIT_BIN names. SERVERKIT_URL, SERVERKIT_SETUP (the whole link) and SERVERKIT_HTTPS (the port of the sites) use a panel that runs already.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { forTests, openOn } from './browser.mjs';
import { ask, binary, hasEngine, startPanel } from './panel.mjs';
import { eventually as until, stepsOf } from './steps.mjs';

const IMAGE = process.env.SERVERKIT_TEST_IMAGE ?? 'tests/http:latest';
const OWNER = { name: 'Ada Lovelace', email: 'ada@example.test', password: 'seven quiet otters swim north' };
const given = process.env.SERVERKIT_URL && process.env.SERVERKIT_SETUP;
const why = !given && !binary() ? 'SERVERKIT_BIN names no binary' : !hasEngine(IMAGE) ? `the engine has no image ${IMAGE}` : false;

/** A repository on this machine; each call commits a page that says `message`. */
const folder = mkdtempSync(join(tmpdir(), 'sk-repository-'));
function repository(/** @type {string} */ message, more = '') {
  const git = (/** @type {string[]} */ ...words) => execFileSync('git', ['-C', folder, '-c', 'user.name=Ada', '-c', 'user.email=ada@example.test', '-c', 'init.defaultBranch=main', ...words], { stdio: 'ignore' });
  if (message === 'one') git('init');
  writeFileSync(join(folder, 'Dockerfile'), `FROM ${IMAGE}\nENV MESSAGE=${message}\n${more}\n`);
  git('add', '.');
  git('commit', '-m', `say ${message}`);
}

// A wrong password, a name that is taken, an image that is missing: the browser reports these answers as errors.
const ALLOW = [/status of 4\d\d/, /^4\d\d: .*\/api\//];
const start = async () => (given ? { url: String(process.env.SERVERKIT_URL), link: String(process.env.SERVERKIT_SETUP), https: Number(process.env.SERVERKIT_HTTPS), stop: async () => {} } : startPanel());
const { panel, page, wrong } = await forTests(why, async () => openOn(await start(), ALLOW, { permissions: ['clipboard-read', 'clipboard-write'] }));
after(() => { rmSync(folder, { recursive: true, force: true }); });

const step = stepsOf('flow', page, wrong, { skip: why, timeout: 180_000 });
const button = (/** @type {string | RegExp} */ name) => page.getByRole('button', { name, exact: typeof name === 'string' });
const state = (/** @type {string} */ word) => page.locator('.title-row .state', { hasText: word }).waitFor({ timeout: 90_000 });
const tab = async (/** @type {string} */ name) => { await page.locator('.tabs a', { hasText: name }).first().click(); await page.locator('.tabs a[aria-current=page]', { hasText: name }).waitFor(); };
/** @param {() => Promise<boolean>} is @param {number} [limit] */
const eventually = (is, limit) => until(page, is, limit);

step('the first link makes an owner', async () => {
  await page.goto(panel.link);
  await page.getByLabel('Name', { exact: true }).fill(OWNER.name);
  await page.getByLabel('Email').fill(OWNER.email);
  await page.getByLabel('Password', { exact: true }).fill('short');
  await button('Continue').click();
  await page.locator('.field-error, .problem').first().waitFor();
  await page.getByLabel('Password', { exact: true }).fill(OWNER.password);
  await button('Continue').click();
  await page.getByRole('heading', { name: 'Where to reach the panel' }).waitFor();
  assert.ok(!page.url().includes('#'), 'the word of the link stays in the address');
  await button('Skip').click();
  await page.getByRole('heading', { name: 'Put something online' }).waitFor();
});
step('an image becomes an app that is live over HTTPS', async () => {
  await page.getByRole('link', { name: /From an image/ }).click();
  await page.getByLabel('Image', { exact: true }).fill(IMAGE);
  await eventually(async () => (await page.getByLabel('Name', { exact: true }).inputValue()) === 'http');
  await page.getByLabel('Name', { exact: true }).fill('Bad Name');
  await page.getByLabel('Domain').fill('hello.localhost');
  await button('Create and deploy').click();
  await page.locator('.field-error').first().waitFor();
  await page.getByLabel('Name', { exact: true }).fill('hello');
  await button('Create and deploy').click();
  await page.waitForURL(/\/apps\/hello$/);
  await state('Running');
  await eventually(async () => (await ask(panel.https, 'hello.localhost')).text.trim() === 'hello', 5000);
});
step('its overview shows what is live', async () => {
  await page.getByText('Live release').waitFor();
  await page.locator('.run', { hasText: '#1' }).first().waitFor();
  await page.locator('.app-link a', { hasText: 'hello.localhost' }).waitFor();
});
step('the deployment has steps and a log', async () => {
  await page.locator('.run-number', { hasText: '#1' }).click();
  await page.locator('.timeline .done', { hasText: 'Live' }).waitFor();
  await eventually(async () => (await page.locator('.log-line').count()) > 2);
  await page.goBack();
});
step('logs come live', async () => {
  await tab('Logs');
  await page.locator('.log-status', { hasText: 'live' }).waitFor();
});
step('a terminal runs commands in the container', async () => {
  await tab('Terminal');
  await page.locator('.state', { hasText: 'Connected' }).waitFor();
  await page.locator('sk-terminal').click();
  await page.keyboard.type('echo $((6*7))-otters\n');
  await page.locator('.xterm-rows', { hasText: '42-otters' }).waitFor();
});
step('a variable is saved, sealed, and live after the next deployment', async () => {
  await tab('Environment');
  await button('Add a variable').click();
  await page.getByLabel('Name', { exact: true }).fill('MESSAGE');
  await page.getByLabel('Value of MESSAGE').fill('changed & "quoted" $HOME ünï');
  await page.getByRole('switch', { name: 'MESSAGE is secret' }).check();
  await button('Review and save').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.locator('.masked').waitFor();
  assert.ok(!(await page.locator('.env').innerText()).includes('quoted'));
  await button('Reveal').click();
  await eventually(async () => (await page.getByLabel('Value of MESSAGE').inputValue()) === 'changed & "quoted" $HOME ünï');
  await button('Deploy now').click();
  await page.locator('.deploying').waitFor();
  await eventually(async () => (await ask(panel.https, 'hello.localhost')).text.trim() === 'changed & "quoted" $HOME ünï', 90_000);
  await state('Running');
});
step('a rollback brings the first release back', async () => {
  await tab('Deployments');
  await page.locator('tr', { hasText: '#1' }).getByRole('button', { name: 'Roll back' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
  await page.waitForURL(/\/deployments\//);
  await state('Live');
  await eventually(async () => (await ask(panel.https, 'hello.localhost')).text.trim() === 'hello');
});
step('a deployment that fails says why, and the old release still serves', async () => {
  await page.goto(`${panel.url}/apps/hello/settings`);
  await page.getByLabel('Image', { exact: true }).fill('tests/nothing-here:1');
  await button('Save').click();
  await button('Deploy').click();
  await page.locator('.deploying .notice.bad').waitFor({ timeout: 90_000 });
  assert.match(await page.locator('.deploying .notice.bad').innerText(), /still serves/);
  assert.equal((await ask(panel.https, 'hello.localhost')).status, 200);
  await page.getByLabel('Image', { exact: true }).fill(IMAGE);
  await button('Save').click();
  await page.locator('.panel-foot', { hasText: 'Not saved' }).waitFor({ state: 'detached' });
});
step('a domain is added and has a certificate', async () => {
  await tab('Domains');
  await button('Add domain').click();
  await page.getByRole('dialog').getByLabel('Domain').fill('two.localhost');
  await page.getByRole('dialog').getByRole('button', { name: 'Add domain' }).click();
  await page.locator('tr', { hasText: 'two.localhost' }).locator('.state.ok').waitFor();
  await eventually(async () => (await ask(panel.https, 'two.localhost')).status === 200);
  await page.goto(`${panel.url}/certificates`);
  await page.locator('tr', { hasText: 'two.localhost' }).waitFor();
});
step('a repository is built, pushed to again, and a push that breaks leaves the good one', async () => {
  repository('one');
  await page.goto(`${panel.url}/apps/new`);
  await page.getByLabel('Repository').fill(folder);
  await page.getByLabel('Name', { exact: true }).fill('built');
  await page.getByLabel('Domain').fill('built.localhost');
  await button('Create and deploy').click();
  await page.waitForURL(/\/apps\/built$/);
  await state('Running');
  await eventually(async () => (await ask(panel.https, 'built.localhost')).text.trim() === 'one', 5000);
  await page.locator('.run', { hasText: 'say one' }).waitFor();
  repository('two');
  await button('Deploy').click();
  await page.locator('.deploying').waitFor();
  await eventually(async () => (await ask(panel.https, 'built.localhost')).text.trim() === 'two', 90_000);
  repository('three', 'RUN false');
  await button('Deploy').click();
  await page.locator('.deploying .notice.bad').waitFor({ timeout: 90_000 });
  await page.locator('.deploying .btn', { hasText: 'Log' }).click();
  await page.locator('.timeline .bad', { hasText: 'Building' }).waitFor();
  await eventually(async () => (await page.locator('.log-line.note').count()) > 0);
  await page.locator('sk-log input').fill('false');
  await page.locator('mark').first().waitFor();
  assert.equal((await ask(panel.https, 'built.localhost')).text.trim(), 'two');
});
step('stop and start', async () => {
  await page.goto(`${panel.url}/apps/hello`);
  await button('More actions').click();
  await page.getByRole('menuitem', { name: 'Stop' }).click();
  await state('Stopped');
  await button('Start').click();
  await state('Running');
  await eventually(async () => (await ask(panel.https, 'hello.localhost')).status === 200);
});
step('the palette reaches an app by the keyboard', async () => {
  await page.goto(panel.url);
  await page.locator('.app-line', { hasText: 'hello' }).waitFor();
  await page.keyboard.press('Control+k');
  await page.keyboard.type('logs hello');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/apps\/hello\/logs$/);
});
step('a token is shown once, a person is added', async () => {
  await page.goto(`${panel.url}/account`);
  await button('New token').first().click();
  await page.getByRole('dialog').getByLabel('Name').fill('ci');
  await button('Create token').click();
  const secret = await page.locator('.secret code').innerText();
  assert.match(secret, /^sk_/);
  await button('I have stored it').click();
  const answer = await page.evaluate(async (token) => (await fetch('/api/v1/apps', { headers: { authorization: `Bearer ${token}` }, credentials: 'omit' })).status, secret);
  assert.equal(answer, 200);
  await page.goto(`${panel.url}/team`);
  await button('Add person').click();
  await page.getByRole('dialog').getByLabel('Email').fill('grace@example.test');
  await page.getByRole('dialog').getByLabel('Name').fill('Grace Hopper');
  await page.getByRole('dialog').getByRole('button', { name: 'Add person' }).click();
  await button('I have stored it').click();
  await page.locator('tr', { hasText: 'grace@example.test' }).waitFor();
});
step('settings keep, and say what is wrong', async () => {
  await page.goto(`${panel.url}/settings`);
  await page.getByLabel('Directory').fill('not an address');
  await button('Save').click();
  await page.locator('.field-error').waitFor();
  await button('Discard').click();
  await page.getByLabel('Trash').fill('9');
  await button('Save').click();
  await page.locator('.panel-foot').waitFor({ state: 'detached' });
  await page.reload();
  await eventually(async () => (await page.getByLabel('Trash').inputValue()) === '9');
});
step('what happened is recorded', async () => {
  await page.goto(`${panel.url}/activity`);
  await page.getByText('Added the domain two.localhost').waitFor();
});
step('signing out ends the session; signing in opens the page that was asked for', async () => {
  await button(/Account of/).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.waitForURL(/\/sign-in/);
  await page.goto(`${panel.url}/servers`);
  await page.waitForURL(/\/sign-in\?next=/);
  await page.getByLabel('Email').fill(OWNER.email);
  await page.getByLabel('Password', { exact: true }).fill('wrong wrong wrong');
  await button('Sign in').click();
  await page.locator('.problem', { hasText: 'do not belong together' }).waitFor();
  await page.getByLabel('Password', { exact: true }).fill(OWNER.password);
  await button('Sign in').click();
  await page.waitForURL(/\/servers/);
  await page.locator('.chart-panel canvas').first().waitFor();
  await page.locator('.finding').first().waitFor();
});
step('an app goes to the trash, comes back, and goes for good', async () => {
  await page.goto(`${panel.url}/apps/hello/settings`);
  await button('Delete…').click();
  const dialog = page.getByRole('dialog');
  await dialog.locator('.targets', { hasText: 'hello.localhost' }).waitFor();
  assert.ok(await dialog.getByRole('button', { name: 'Move to the trash' }).isDisabled());
  await dialog.getByLabel(/to confirm/).fill('hello');
  await dialog.getByRole('button', { name: 'Move to the trash' }).click();
  await page.waitForURL(/\/apps$/);
  await page.goto(`${panel.url}/trash`);
  await page.locator('tr', { hasText: 'hello' }).getByRole('button', { name: 'Restore' }).click();
  await page.waitForURL(/\/apps\/hello/);
  await page.goto(`${panel.url}/apps/hello/settings`);
  await button('Delete…').click();
  await dialog.getByLabel(/to confirm/).fill('hello');
  await dialog.getByRole('button', { name: 'Move to the trash' }).click();
  await page.waitForURL(/\/apps$/);
  await page.goto(`${panel.url}/trash`);
  await button('For good…').click();
  await dialog.getByLabel(/to confirm/).fill('hello');
  await dialog.getByRole('button', { name: 'Delete for good' }).click();
  await page.getByText('The trash is empty').waitFor();
});
