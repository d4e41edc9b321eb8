// A person lets an app sleep, puts it to sleep, and sees a request wake it, in a real browser.
import assert from 'node:assert/strict';
import https from 'node:https';
import { before, test } from 'node:test';
import { forTests, look as lookAt, openSignedIn } from './browser.mjs';
import { binary, hasEngine } from './panel.mjs';

const IMAGE = 'nginx:1.22';
const skip = !binary() ? 'SERVERKIT_BIN names no binary' : hasEngine(IMAGE) ? false : `the engine has no ${IMAGE}`;

const { panel, page, wrong } = await forTests(skip, () => openSignedIn([/40[139]|422/]));

/** What a visitor gets. @returns {Promise<number | undefined>} */
const visit = () => new Promise((done, fail) => {
  https.get({ host: '127.0.0.1', port: panel.https, servername: 'site.test', headers: { host: 'site.test' }, rejectUnauthorized: false }, (answer) => { answer.resume(); done(answer.statusCode); }).on('error', fail);
});

before(() => {
  if (skip) return;
  panel.cli('app', 'create', 'site', '--image', IMAGE, '--port', '80', '--domain', 'site.test', '--wait');
});

const look = (/** @type {string} */ name) => lookAt(page, name);
const place = (tab = '') => `${panel.url}/apps/${JSON.parse(panel.cli('app', 'show', 'site', '--json')).id}${tab}`;

test('an app sleeps and a request wakes it', { skip, timeout: 180_000 }, async () => {
  await page.goto(place('/settings'));
  await page.getByText('Sleep when nobody uses it').click();
  const part = page.locator('form', { has: page.getByRole('heading', { name: 'Sleep', exact: true }) });
  await part.getByLabel('After').fill('0');
  await part.getByRole('button', { name: 'Save' }).click();
  await part.getByText('must be between 1 and 10080').waitFor();
  await part.getByLabel('After').fill('45');
  await look('sleep-settings');
  await part.getByRole('button', { name: 'Save' }).click();
  await part.getByRole('button', { name: 'Save' }).waitFor({ state: 'detached' });
  assert.equal(JSON.parse(panel.cli('app', 'show', 'site', '--json')).sleep_after_minutes, 45);

  await page.goto(place());
  await page.getByRole('button', { name: 'More actions' }).click();
  await page.getByRole('menuitem', { name: 'Put to sleep' }).click();
  await page.getByText('The next request wakes it.', { exact: false }).waitFor({ timeout: 30_000 });
  await look('asleep');
  await page.goto(`${panel.url}/apps`);
  await page.getByText('Asleep', { exact: true }).first().waitFor();
  await page.goto(place());
  assert.equal(await visit(), 200);
  await page.getByRole('button', { name: 'Restart' }).waitFor({ timeout: 30_000 });
  await page.getByText('site is awake: a request', { exact: false }).first().waitFor();

  // By hand.
  await page.getByRole('button', { name: 'More actions' }).click();
  await page.getByRole('menuitem', { name: 'Put to sleep' }).click();
  await page.getByRole('button', { name: 'Wake' }).click();
  await page.getByRole('button', { name: 'Restart' }).waitFor({ timeout: 30_000 });
});

test('nothing went wrong on the way', { skip }, () => assert.deepEqual(wrong, []));
