// Chromium for the checks: where it is, the flags that keep it quiet, and a network of its own.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPanel } from './panel.mjs';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Starts Chromium so that it reaches `url` and nothing else.
 *
 * Each container that starts or stops gives the machine another address, and Chromium then drops every connection (ERR_NETWORK_CHANGED).
 * So it gets a network namespace of its own, and the panel's port reaches it through a Unix socket. Without the right to do that it runs as it is.
 * @param {string} url @param {string[]} [more] flags */
export async function launch(url, more = []) {
  const args = [...ARGS, ...more];
  if (spawnSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up']).status !== 0) return chromium.launch({ executablePath: EXECUTABLE, args });
  const port = Number(new URL(url).port);
  const folder = mkdtempSync(join(tmpdir(), 'sk-browser-'));
  const path = join(folder, 'panel.sock');
  const couple = (/** @type {net.Socket} */ one, /** @type {net.Socket} */ other) => { one.pipe(other).pipe(one); for (const end of [one, other]) end.on('error', () => { one.destroy(); other.destroy(); }); };
  const outside = net.createServer((line) => couple(line, net.connect(port, new URL(url).hostname))).listen(path);
  const start = join(folder, 'chromium');
  const quoted = (/** @type {string} */ text) => `'${text.replaceAll("'", "'\\''")}'`;
  writeFileSync(start, `#!/bin/sh\nexec unshare --net sh -c 'forward=$1 port=$2 path=$3 browser=$4; shift 4; ip link set lo up; ${process.execPath} "$forward" "$port" "$path" 3>&- 4>&- & exec "$browser" "$@"' sh ${quoted(fileURLToPath(new URL('./forward.mjs', import.meta.url)))} ${port} ${quoted(path)} ${quoted(EXECUTABLE)} "$@"\n`);
  chmodSync(start, 0o755);
  const browser = await chromium.launch({ executablePath: start, args });
  browser.on('disconnected', () => { outside.close(); rmSync(folder, { recursive: true, force: true }); });
  return browser;
}

/** Gathers what a page must not do: console errors, refused by policy, failed requests, answers from 500. @param {import('playwright-core').Page} page @param {{ allow?: RegExp[] }} [how] */
export function watch(page, how = {}) {
  /** @type {string[]} */
  const wrong = [];
  // The panel's own authority is not known to this browser, so it takes no service worker from it.
  const allow = [/SSL certificate error occurred when fetching the script/, ...how.allow ?? []];
  const add = (/** @type {string} */ text) => { if (!allow.some((one) => one.test(text))) wrong.push(text); };
  page.on('console', (message) => { if (message.type() === 'error') add(`console: ${message.text()} ${message.location().url ?? ''}`); });
  page.on('pageerror', (error) => add(`error: ${error.message} ${error.stack?.split('\n')[1] ?? ''}`));
  page.on('requestfailed', (request) => { if (!/ERR_ABORTED/.test(request.failure()?.errorText ?? '')) add(`failed: ${request.url()} ${request.failure()?.errorText}`); });
  page.on('response', (answer) => { if (answer.status() >= 500 || (answer.status() >= 400 && !/\/api\//.test(answer.url()))) add(`${answer.status()}: ${answer.url()}`); });
  return wrong;
}

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** What axe finds, one text each. It is put in through the debugger, which the page's policy does not stop. @param {import('playwright-core').Page} page @returns {Promise<string[]>} */
export async function violations(page) {
  const inspector = await page.context().newCDPSession(page);
  await inspector.send('Runtime.evaluate', { expression: AXE });
  const { result } = await inspector.send('Runtime.evaluate', { awaitPromise: true, returnByValue: true, expression: `axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then((r) => JSON.stringify(r.violations.map((v) => [v.id, v.nodes.slice(0, 4).map((n) => n.html.slice(0, 160) + ' :: ' + n.failureSummary.split('\\n').slice(1).join(' ').slice(0, 180))])))` });
  await inspector.detach();
  return JSON.parse(result.value ?? '[]').map((/** @type {[string, string[]]} */ [id, nodes]) => `axe ${id}:\n      ${nodes.join('\n      ')}`);
}

/** Which panel a browser's pages are of. @type {WeakMap<import('playwright-core').BrowserContext, string>} */
const panels = new WeakMap();

/** A page on a panel. `allow`: what the page may report as an error. `flags` are the browser's, the rest its pages'. @template {{ url: string, stop: () => Promise<void> }} P
 * @param {P} panel @param {RegExp[]} allow @param {import('playwright-core').BrowserContextOptions & { flags?: string[] }} [how] */
export async function openOn(panel, allow, { flags, ...more } = {}) {
  const browser = await launch(panel.url, flags);
  const fresh = async () => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 }, colorScheme: 'dark', reducedMotion: 'reduce', ...more });
    panels.set(context, panel.url);
    const page = await context.newPage();
    return { context, page, wrong: watch(page, { allow }) };
  };
  return { panel, browser, fresh, ...await fresh(), close: async () => { await browser.close(); await panel.stop(); } };
}

/** A panel of its own with a page on it. @param {RegExp[]} allow @param {Parameters<typeof openOn>[2]} [how] */
export const openPanel = async (allow, how) => openOn(await startPanel(), allow, how);

const ADA = { email: 'ada@example.com', name: 'Ada Lovelace', password: 'seven quiet otters swim north' };

/** A panel that Ada has set up, with a page on which she is signed in. @param {RegExp[]} allow @param {{ acceptDownloads?: boolean }} [more] */
export async function openSignedIn(allow, more = {}) {
  const opened = await openPanel(allow, more);
  const { panel, page } = opened;
  const made = await page.request.post(`${panel.url}/api/v1/setup`, { data: { token: panel.link.split('#')[1], ...ADA } });
  assert.equal(made.status(), 201);
  await opened.context.clearCookies();
  await page.goto(`${panel.url}/sign-in`);
  await page.getByLabel('Email').fill(ADA.email);
  await page.getByLabel('Password', { exact: true }).fill(ADA.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForSelector('.rail', { state: 'attached' });
  return opened;
}

/** The page by axe, in both themes, at a desk's and a phone's width; pictures of it go where SERVERKIT_SHOTS says. @param {import('playwright-core').Page} page @param {string} name */
export async function look(page, name) {
  const shots = process.env.SERVERKIT_SHOTS;
  // What the pointer rests on looks otherwise.
  await page.mouse.move(0, 0);
  for (const theme of /** @type {const} */ (['dark', 'light'])) {
    for (const width of [1280, 390]) {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 900 });
      await page.evaluate(() => scrollTo(0, 0));
      await sleep(120);
      assert.deepEqual(await violations(page), [], `${name} ${theme} ${width}`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than ${width}`);
      if (shots) { mkdirSync(shots, { recursive: true }); await page.screenshot({ path: `${shots}/${name}-${theme}-${width}.png`, fullPage: true }); }
    }
  }
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
  await page.setViewportSize({ width: 1280, height: 900 });
}

/** A request of the API as whom the page is signed in. With the page's cookies, but beside it: a page that finds itself in another organization begins
 * anew, and what it had asked for would be lost. @param {import('playwright-core').Page} page @param {string} method @param {string} path @param {unknown} body @returns {Promise<{ status: number, text: string }>} */
export async function send(page, method, path, body) {
  const api = `${panels.get(page.context())}/api/v1`;
  // A line that was kept open may have been closed by now.
  const { csrf } = await (await page.request.get(`${api}/session`, { maxRetries: 2 })).json();
  const answer = await page.request.fetch(`${api}${path}`, { method, headers: { 'x-csrf-token': csrf }, data: body });
  return { status: answer.status(), text: await answer.text() };
}

/** What all tests of a file share, opened before the first and closed after the last one; nothing where they are skipped. @template {{ close: () => Promise<void> }} T @param {string | false} skip @param {() => Promise<T>} open @returns {Promise<T>} */
export async function forTests(skip, open) {
  if (skip) return /** @type {T} */ ({});
  const opened = await open();
  after(() => opened.close());
  return opened;
}
