// What the panel is for, as someone meets it: from the first link to a guest book in Flask with Redis beside it, live over HTTPS with a certificate of a
// real ACME server (Pebble), signed in the browser; a second push, a push that fails, a rollback, a terminal, and a restart that loses nothing.
//
// It starts the binary that SERVERKIT_BIN names. Pictures of the way are left in shots/newcomer-*.png.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { launch, violations, watch } from './browser.mjs';
import { binary, hasEngine, startPanel } from './panel.mjs';
import { startPebble } from './pebble.mjs';

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

/** @type {import('playwright-core').Browser} */ let browser;
/** @type {import('playwright-core').Page} */ let page;
/** @type {Awaited<ReturnType<typeof startPanel>>} */ let panel;
/** @type {Awaited<ReturnType<typeof startPebble>>} */ let pebble;
/** @type {import('playwright-core').Browser} */ let visitor;
/** @type {string[]} */ let wrong = [];
/** The step that failed: those behind it build on it. */ let lost = '';

before(async () => {
  if (why) return;
  mkdirSync(new URL('./shots/', import.meta.url), { recursive: true });
  cpSync(new URL('../samples/flask/', import.meta.url), folder, { recursive: true });
  git('init');
  push('a guest book', (app) => app);
  panel = await startPanel();
  pebble = await startPebble(panel.http);
  browser = await launch(panel.url);
  visitor = await launch(`https://127.0.0.1:${panel.https}`, ['--host-resolver-rules=MAP * 127.0.0.1']);
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ignoreHTTPSErrors: true, reducedMotion: 'reduce' });
  page = await context.newPage();
  page.setDefaultTimeout(20_000);
  wrong = watch(page, { allow: [/status of 4\d\d/, /^4\d\d: .*\/api\//] });
});
after(async () => { await visitor?.close(); await browser?.close(); await panel?.stop(); pebble?.stop(); rmSync(folder, { recursive: true, force: true }); });

const step = (/** @type {string} */ name, /** @type {() => Promise<void>} */ run) => test(name, { skip: why, timeout: 240_000 }, async (context) => {
  if (lost) { context.skip(`after “${lost}”`); return; }
  const seen = wrong.length;
  const picture = () => page.screenshot({ path: new URL(`./shots/newcomer-${name.replace(/\W+/g, '-')}.png`, import.meta.url).pathname });
  try { await run(); await picture(); } catch (error) { lost = name; await picture().catch(() => {}); throw error; }
  assert.deepEqual(wrong.slice(seen), [], 'the page reported errors');
  assert.deepEqual(await violations(page), [], 'axe finds nothing where the step ends');
});
const button = (/** @type {string | RegExp} */ name) => page.getByRole('button', { name, exact: typeof name === 'string' });
const state = (/** @type {string} */ word) => page.locator('.title-row .state', { hasText: word }).waitFor({ timeout: 180_000 });
/** @param {() => Promise<boolean>} is */
async function eventually(is, limit = 30_000) { for (const begun = Date.now(); ; await page.waitForTimeout(150)) { if (await is().catch(() => false)) return; if (Date.now() - begun > limit) assert.fail('it did not come about'); } }

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
