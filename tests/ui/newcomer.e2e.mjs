// What the panel is for, as someone meets it: from the first link to a guest book in Flask with Redis beside it, live over HTTPS with a certificate of a
// real ACME server (Pebble), signed in the browser; a second push, a push that fails, a rollback, a terminal, and a restart that loses nothing.
//
// It starts the binary that SERVERKIT_BIN names. Pictures of the way are left in shots/newcomer-*.png.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { forTests, launch, openPanel } from './browser.mjs';
import { binary, hasEngine } from './panel.mjs';
import { startPebble } from './pebble.mjs';
import { eventually as until, stepsOf } from './steps.mjs';

const OWNER = { name: 'Grace Hopper', email: 'grace@example.test', password: 'nine calm herons wade south' };
const HOST = 'book.example.com';
const why = !binary() ? 'SERVERKIT_BIN names no binary' : !hasEngine('redis:7') || !hasEngine('python:3.11-slim') ? 'the engine has no images redis:7 and python:3.11-slim' : false;

/** A copy of the sample, as a repository. */
const folder = mkdtempSync(join(tmpdir(), 'sk-book-'));
const git = (/** @type {string[]} */ ...words) => execFileSync('git', ['-C', folder, '-c', 'user.name=Grace', '-c', 'user.email=grace@example.test', '-c', 'init.defaultBranch=main', ...words], { stdio: 'ignore' });
function push(/** @type {string} */ message, /** @type {(app: string) => string} */ change) {
  const app = join(folder, 'app.py');
  writeFileSync(app, change(readFileSync(app, 'utf8')));
  git('add', '.');
  git('commit', '-m', message);
}

const { panel, page, wrong } = await forTests(why, () => openPanel([/status of 4\d\d/, /^4\d\d: .*\/api\//]));
/** @type {Awaited<ReturnType<typeof startPebble>>} */ let pebble;
/** @type {import('playwright-core').Browser} */ let visitor;

before(async () => {
  if (why) return;
  cpSync(new URL('../samples/flask/', import.meta.url), folder, { recursive: true });
  git('init');
  push('a guest book', (app) => app);
  pebble = await startPebble(panel.http);
  visitor = await launch(`https://127.0.0.1:${panel.https}`, ['--host-resolver-rules=MAP * 127.0.0.1']);
});
after(async () => { await visitor?.close(); pebble?.stop(); rmSync(folder, { recursive: true, force: true }); });

const step = stepsOf('newcomer', page, wrong, { skip: why, timeout: 240_000, always: true });
const button = (/** @type {string | RegExp} */ name) => page.getByRole('button', { name, exact: typeof name === 'string' });
const state = (/** @type {string} */ word) => page.locator('.title-row .state', { hasText: word }).waitFor({ timeout: 180_000 });
/** @param {() => Promise<boolean>} is @param {number} [limit] */
const eventually = (is, limit) => until(page, is, limit);

/** Asks the site and takes no certificate but Pebble's. @param {string} [body] @returns {Promise<string>} */
async function ask(body) {
  const ca = await pebble.root();
  return new Promise((done, fail) => {
    const request = https.request({ host: '127.0.0.1', port: panel.https, servername: HOST, headers: { host: HOST }, ca, agent: false, method: body ? 'POST' : 'GET' }, (answer) => {
      let text = '';
      answer.on('data', (part) => { text += part; });
      answer.on('end', () => (answer.statusCode && answer.statusCode < 300 ? done(text) : fail(new Error(`${answer.statusCode}: ${text}`))));
    });
    request.on('error', fail);
    request.end(body);
  });
}

step('the first link makes an owner', async () => {
  await page.goto(panel.link);
  await page.getByLabel('Name', { exact: true }).fill(OWNER.name);
  await page.getByLabel('Email').fill(OWNER.email);
  await page.getByLabel('Password', { exact: true }).fill(OWNER.password);
  await button('Continue').click();
  await button('Skip').click();
  await page.getByRole('heading', { name: 'Put something online' }).waitFor();
});
step('certificates come from the authority of their choice', async () => {
  await page.goto(`${panel.url}/settings`);
  await page.getByLabel('Directory').fill(pebble.directory);
  await page.locator('summary', { hasText: 'A private ACME server' }).click();
  await page.getByLabel('Its authority (PEM)').fill(pebble.ca);
  await button('Save').click();
  await page.locator('.panel-foot').waitFor({ state: 'detached' });
});
step('Redis, from an image', async () => {
  await page.goto(`${panel.url}/apps/new`);
  await page.getByRole('radio', { name: /image/i }).click();
  await page.getByLabel('Image', { exact: true }).fill('redis:7');
  await eventually(async () => (await page.getByLabel('Name', { exact: true }).inputValue()) === 'redis');
  await button('Create and deploy').click();
  await page.waitForURL(/\/apps\/redis$/);
  await state('Running');
});
step('the guest book, from its repository, live with a certificate', async () => {
  await page.goto(`${panel.url}/apps/new`);
  await page.getByLabel('Repository').fill(folder);
  await page.getByLabel('Name', { exact: true }).fill('book');
  await page.getByLabel('Domain').fill(HOST);
  await button('Create and deploy').click();
  await page.waitForURL(/\/apps\/book$/);
  await state('Running');
  await eventually(async () => (await ask()) === 'nobody yet', 90_000);
});
step('somebody signs it, and a browser sees who vouches for the site', async () => {
  await ask('Ada was here');
  const context = await visitor.newContext({ ignoreHTTPSErrors: true });
  const site = await context.newPage();
  const answer = await site.goto(`https://${HOST}:${panel.https}/`);
  assert.equal(await site.locator('body').innerText(), 'Ada was here');
  assert.match((await answer?.securityDetails())?.issuer ?? '', /Pebble/);
  await site.close();
  await page.goto(`${panel.url}/certificates`);
  await page.locator('tr', { hasText: HOST }).filter({ hasText: 'Pebble' }).waitFor();
});
step('a second push', async () => {
  push('greet the empty book', (app) => app.replace('nobody yet', 'be the first').replace('"\\n".join', '"; ".join'));
  await page.goto(`${panel.url}/apps/book`);
  await button('Deploy').click();
  await page.locator('.deploying').waitFor();
  await ask('Grace too');
  await eventually(async () => (await ask()) === 'Ada was here; Grace too', 120_000);
});
step('a push that fails says why, and what was live serves', async () => {
  push('break it', (app) => app.replace('import os', 'import os, nothing_like_this'));
  await page.reload();
  await button('Deploy').click();
  await page.locator('.deploying .notice.bad').waitFor({ timeout: 120_000 });
  await page.locator('.deploying .btn', { hasText: 'Log' }).click();
  await eventually(async () => (await page.locator('.log-line', { hasText: 'nothing_like_this' }).count()) > 0);
  assert.equal(await ask(), 'Ada was here; Grace too');
});
step('a rollback', async () => {
  await page.goto(`${panel.url}/apps/book/deployments`);
  await page.locator('tr', { hasText: 'a guest book' }).getByRole('button', { name: 'Roll back' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
  await page.waitForURL(/\/deployments\//);
  await state('Live');
  await eventually(async () => (await ask()) === 'Ada was here\nGrace too');
});
step('a terminal in the container', async () => {
  await page.goto(`${panel.url}/apps/book/terminal`);
  await page.locator('.state', { hasText: 'Connected' }).waitFor();
  await page.locator('sk-terminal').click();
  await page.keyboard.type('python3 -c "import flask; print(6*7, flask.__name__)"\n');
  await page.locator('.xterm-rows', { hasText: '42 flask' }).waitFor();
});
step('the panel restarts; the site serves on, and so does the session', async () => {
  await page.goto(`${panel.url}/apps/book`);
  await panel.restart();
  assert.equal(await ask(), 'Ada was here\nGrace too');
  // While it was gone the page's requests failed, and it says so.
  wrong.length = 0;
  await page.goto(`${panel.url}/`);
  await page.locator('.app-line', { hasText: 'book' }).waitFor();
  await page.goto(`${panel.url}/apps/book`);
  await state('Running');
});
