// Chromium for the checks: where it is, the flags that keep it quiet, and a network of its own.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

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
