//! The panel's first view in headless Chromium with a cold cache: until the page shows its content, and what it loads. The marketplace's
//! too, where the templates of the catalog are the content, and how long its search takes.
//! Needs `npm ci` in tests/ui (playwright-core) and Debian's chromium.
//!
//!     node tests/bench/first_view.mjs [ROUNDS]

import { createRequire } from 'node:module';
import { OWNER, Panel, line, quantile } from './panel.mjs';

const { chromium } = createRequire(new URL('../ui/package.json', import.meta.url))('playwright-core');
const rounds = Number(process.argv[2] ?? 9);

/** Runs in the page: notes when the frame with the content is done. A helper that asks from outside, as `waitForSelector`, brings a script of its own
 * that takes longer than the page's. @param {string} content */
function watch(content) {
  const look = () => {
    if (!document.querySelector(content)?.getClientRects().length) { requestAnimationFrame(look); return; }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => { window.shownAt = performance.now(); };
    port2.postMessage(null);
  };
  requestAnimationFrame(look);
}

/** Milliseconds and compressed bytes of one visit in a new browser profile. */
async function visit(browser, url, state, content) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, storageState: state });
  await context.addInitScript(watch, content);
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  let bytes = 0;
  session.on('Network.loadingFinished', (event) => { bytes += event.encodedDataLength; });
  await page.goto(url, { waitUntil: 'commit' });
  // Not so long that the pages that come while nothing else happens count.
  await page.waitForTimeout(900);
  await page.waitForFunction(() => window.shownAt);
  const shown = await page.evaluate(() => window.shownAt);
  const paint = await page.evaluate(() => new Promise((done) => {
    new PerformanceObserver((list) => done(list.getEntries().at(-1).startTime)).observe({ type: 'largest-contentful-paint', buffered: true });
    setTimeout(() => done(Number.NaN), 2000);
  }));
  await context.close();
  return { shown, paint, bytes };
}

/** Milliseconds from the letters to the frame that shows the answer. */
const searched = (page, words) => page.evaluate((text) => new Promise((done) => {
  const box = document.querySelector('.market-search input');
  box.value = text;
  const begun = performance.now();
  box.dispatchEvent(new InputEvent('input', { bubbles: true }));
  // Behind the frame that was asked for in between: its layout and painting are over.
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun), 0));
}), words);

const panel = await Panel.start();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
try {
  panel.claim();
  const url = `https://127.0.0.1:${panel.panel}/`;
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const signed = await context.request.post(`${url}api/v1/session`, { data: OWNER });
  if (signed.status() !== 201) throw new Error(`sign-in: ${signed.status()}`);
  const state = await context.storageState();
  await context.close();
  for (const [what, path, cookies, content] of [['sign-in page', '', undefined, 'h1'], ['overview', '', state, 'h1'], ['marketplace', 'marketplace', state, '.market-list li']]) {
    const visits = [];
    for (let round = 0; round < rounds; round += 1) visits.push(await visit(browser, `${url}${path}`, cookies, content));
    line(`${what}: content visible (median of ${rounds})`, quantile(visits.map((one) => one.shown), 0.5), 'ms', 400);
    line(`${what}: largest contentful paint`, quantile(visits.map((one) => one.paint), 0.5), 'ms');
    line(`${what}: loaded, compressed`, quantile(visits.map((one) => one.bytes), 0.5) / 1024, 'KB', 250);
  }
  const searching = await browser.newContext({ ignoreHTTPSErrors: true, storageState: state });
  const page = await searching.newPage();
  await page.goto(`${url}marketplace`);
  await page.waitForSelector('.market-list li');
  const searches = [];
  for (const words of ['wordpress', 'wordpres', 'databse', 'mail', 'git', 'photo backup', 'nothing at all', 'e']) searches.push(await searched(page, words));
  line(`marketplace: an answer to a search (the slowest of ${searches.length})`, Math.max(...searches), 'ms', 50);
} finally {
  await browser.close();
  await panel.end();
}
