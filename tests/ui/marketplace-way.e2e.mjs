// The way through the marketplace on a real engine: a template is found, read, filled in and installed, greets once, is installed a second time, and
// goes again: once with its data and once without.
//
// The template is one whose image tests/images makes under the name that it pins.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after } from 'node:test';
import { forTests, openSignedIn, send } from './browser.mjs';
import { ask, binary, hasEngine } from './panel.mjs';
import { eventually as until, stepsOf } from './steps.mjs';

const file = (/** @type {string} */ name) => readFileSync(new URL(`../../catalog/registry/${name}`, import.meta.url), 'utf8');
const IMAGE = /image: (\S+)/.exec(file('compose.yaml'))?.[1] ?? '';
const VERSION = /^version: "(.*)"$/m.exec(file('template.yaml'))?.[1] ?? '';
const why = !binary() ? 'SERVERKIT_BIN names no binary' : !hasEngine(IMAGE) ? `the engine has no image ${IMAGE}` : false;

const { panel, page, wrong } = await forTests(why, () => openSignedIn([/401|404|409|422/]));

const step = stepsOf('marketplace', page, wrong, { skip: why, timeout: 180_000 });
const button = (/** @type {string} */ name) => page.getByRole('button', { name, exact: true });
const field = (/** @type {string} */ name) => page.getByLabel(name, { exact: true });
const running = () => page.locator('.title-row .state', { hasText: 'Running' }).waitFor({ timeout: 120_000 });
/** A row of a list of facts. @param {string} name */
const fact = (name) => page.locator('.facts > div', { has: page.locator('dt', { hasText: new RegExp(`^${name}$`) }) }).locator('dd');
const cards = () => page.locator('.market-list li');
const found = async () => Number.parseInt(await page.locator('.market [role=status]').textContent() ?? '', 10);
const eventually = (/** @type {() => Promise<boolean>} */ is, /** @type {number} */ limit = 30_000) => until(page, is, limit);

/** @typedef {{ id: string, name: string, apps: { name: string }[] }} Volume */
/** All that the panel knows. @returns {Promise<Volume[]>} */
const volumes = () => page.evaluate(async () => (await (await fetch('/api/v1/volumes')).json()).items);
/** @param {string} app @returns {Promise<Volume>} */
async function volumeOf(app) {
  const own = (await volumes()).filter((one) => one.apps.some((use) => use.name === app));
  assert.equal(own.length, 1, `${app} has one volume`);
  return own[0];
}
/** Those of the engine. @param {Volume} volume @returns {string[]} */
const onEngine = (volume) => spawnSync('docker', ['volume', 'ls', '-q', '--filter', `label=serverkit.volume=${volume.id}`], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
// What is kept on purpose is nobody's when the panel is gone.
const kept = /** @type {string[]} */ ([]);
after(() => { if (kept.length) spawnSync('docker', ['volume', 'rm', ...kept]); });

step('a category narrows the list, and a word with mistakes finds the app', async () => {
  await page.goto(`${panel.url}/marketplace`);
  await cards().first().waitFor();
  const all = await found();
  const category = page.getByRole('navigation', { name: 'Categories' }).getByRole('button', { name: /^Development/ });
  await category.click();
  await eventually(async () => (await category.getAttribute('aria-pressed')) === 'true');
  const some = await found();
  assert.ok(some > 1 && some < all, `${some} of ${all}`);
  await eventually(async () => (await cards().count()) === some);
  for (const words of await cards().allInnerTexts()) assert.match(words, /Development/);
  await page.getByLabel('Search the marketplace').fill('dokcer registry');
  await cards().first().getByRole('link', { name: 'Docker Registry', exact: true }).waitFor();
  assert.ok((await found()) < some);
  await cards().first().getByRole('link', { name: 'Docker Registry', exact: true }).click();
  await page.waitForURL(/\/marketplace\/registry$/);
  await page.getByRole('heading', { name: 'Docker Registry', level: 1 }).waitFor();
});
step('its page says what it is, what it needs and how it stands', async () => {
  assert.equal(await fact('Template').innerText(), VERSION);
  assert.match(await fact('Needs').innerText(), /64\sMiB of memory, 2\sGiB of disk/);
  assert.match(await fact('Images').innerText(), new RegExp(IMAGE));
  for (const name of ['Website', 'Documentation', 'Source']) assert.match(await fact('Links').getByRole('link', { name }).getAttribute('href') ?? '', /^https:\/\//);
  assert.match(await page.locator('.sketch').innerText(), /Visitors[\s\S]*Edge[\s\S]*registry/);
  await page.locator('summary', { hasText: 'Compose file' }).click();
  assert.match(await page.locator('.compose-shown pre').innerText(), new RegExp(`image: ${IMAGE}`));
});
step('what is filled in shows in the plan, and what does not fit is told', async () => {
  const plan = page.locator('.panel', { has: page.getByRole('heading', { name: 'What will be made' }) });
  assert.equal(await field('Name').inputValue(), 'registry');
  await field('Domain').fill('registry.localhost');
  await field('User').fill('Not A Name');
  await page.locator('form .notice.bad').waitFor();
  assert.ok(await button('Install').isDisabled(), 'what does not fit is not installed');
  await field('User').fill('otter');
  await plan.getByText('https://registry.localhost').waitFor();
  assert.match(await plan.innerText(), /registry-data/);
  assert.match(await plan.innerText(), /Password, Upload secret/);
  await plan.getByText(/at most 256\sMiB/).waitFor();
  await field('Size').selectOption('large');
  await plan.getByText(/at most 512\sMiB/).waitFor();
  await field('Size').selectOption('own');
  await field('Memory').fill('192 MiB');
  await plan.getByText(/at most 192\sMiB/).waitFor();
});
step('one click installs it, and its steps are seen until it is live', async () => {
  // What the steps say while they run: the page stays the same document on its way to the app.
  const seen = page.evaluate(() => new Promise((/** @type {(words: string[]) => void} */ done) => {
    const words = new Set();
    const look = setInterval(() => {
      for (const one of document.querySelectorAll('.deploying .timeline .now .step-word')) words.add(one.firstChild?.textContent ?? '');
      if (!words.size || document.querySelector('.deploying')) return;
      clearInterval(look);
      done([...words]);
    }, 20);
  }));
  // Told where it is waited for.
  seen.catch(() => {});
  await button('Install').click();
  await page.waitForURL(/\/apps\/registry$/);
  await running();
  // At least one; the others may be over between two looks.
  for (const word of await seen) assert.match(word, /^(Queued|Fetching|Starting|Checking|Live)$/);
  await eventually(async () => (await ask(panel.https, 'registry.localhost', '/v2/')).status === 401);
});
step('what to know for the first sign-in is shown once', async () => {
  const waiting = page.getByText('What to know for the first sign-in is shown once');
  await waiting.waitFor();
  await button('Show').click();
  const hint = page.locator('.first-login');
  const [, password] = /docker login registry\.localhost` as otter with (\S{24})\./.exec(await hint.innerText()) ?? [];
  assert.ok(password, await hint.innerText());
  const authorization = `Basic ${Buffer.from(`otter:${password}`).toString('base64')}`;
  assert.equal((await ask(panel.https, 'registry.localhost', '/v2/', { authorization })).status, 200, 'the password is the one that it has');
  await button('Done').click();
  await hint.waitFor({ state: 'detached' });
  await page.reload();
  await running();
  assert.equal(await hint.count() + await waiting.count(), 0, 'it is not told again');
  assert.equal((await send(page, 'POST', '/apps/registry/first-login', {})).status, 409);
});
step('the same is installed once more under another name', async () => {
  await page.goto(`${panel.url}/marketplace/registry`);
  await page.getByText('Another one beside it works.').waitFor();
  assert.equal(await field('Name').inputValue(), 'registry-2');
  await field('Name').fill('mirror');
  await field('Domain').fill('mirror.localhost');
  await button('Install').click();
  await page.waitForURL(/\/apps\/mirror$/);
  await running();
  await eventually(async () => (await ask(panel.https, 'mirror.localhost', '/v2/')).status === 401);
  await page.goto(`${panel.url}/marketplace`);
  const installed = page.getByRole('region', { name: 'Installed' });
  for (const name of ['registry', 'mirror']) await installed.getByText(name, { exact: true }).waitFor();
});

/** From the app's menu into the trash, and out of it for good. @param {string} app @param {boolean} withData */
async function uninstall(app, withData) {
  await page.goto(`${panel.url}/apps/${app}`);
  await running();
  await button('More actions').click();
  await page.getByRole('menuitem', { name: 'Delete…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.locator('.targets li', { hasText: 'data' }).getByText('kept', { exact: true }).waitFor();
  await dialog.getByLabel(/to confirm/).fill(app);
  await dialog.getByRole('button', { name: 'Move to the trash' }).click();
  await page.waitForURL(/\/apps$/);
  await page.goto(`${panel.url}/trash`);
  await page.locator('tr', { hasText: app }).getByRole('button', { name: 'For good…' }).click();
  await dialog.getByLabel(/to confirm/).fill(app);
  if (withData) await dialog.getByLabel('Also delete its volumes and the data in them').check();
  await dialog.getByRole('button', { name: 'Delete for good' }).click();
  await page.getByText('The trash is empty').waitFor({ timeout: 60_000 });
}

step('one goes with its data', async () => {
  const volume = await volumeOf('mirror');
  assert.equal(onEngine(volume).length, 1);
  await uninstall('mirror', true);
  assert.deepEqual(onEngine(volume), []);
  assert.ok(!(await volumes()).some((one) => one.id === volume.id));
  assert.notEqual(await ask(panel.https, 'mirror.localhost', '/v2/').then(({ status }) => status, () => 0), 401);
  assert.equal((await ask(panel.https, 'registry.localhost', '/v2/')).status, 401, 'the other one stays');
});
step('the other goes, and its data stays', async () => {
  const volume = await volumeOf('registry');
  kept.push(...onEngine(volume));
  assert.equal(kept.length, 1);
  await uninstall('registry', false);
  assert.deepEqual(onEngine(volume), kept);
  const still = (await volumes()).find((one) => one.id === volume.id);
  assert.deepEqual(still?.apps, [], 'it is listed, and no app has it');
  await page.goto(`${panel.url}/marketplace`);
  await cards().first().waitFor();
  assert.equal(await page.getByRole('region', { name: 'Installed' }).count(), 0);
});
