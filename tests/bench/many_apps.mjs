//! The panel with 1,000 apps in headless Chromium: until the lists show, and how many frames typing into the filter drops.
//! Needs `npm ci` in tests/ui (playwright-core) and Debian's chromium.
//!
//!     node tests/bench/many_apps.mjs [APPS]

import { createRequire } from 'node:module';
import { OWNER, Panel, line, quantile } from './panel.mjs';

const { chromium } = createRequire(new URL('../ui/package.json', import.meta.url))('playwright-core');
const apps = Number(process.argv[2] ?? 1000);
const ROUNDS = 5;

const panel = await Panel.start();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
try {
  panel.claim();
  let made = 0;
  const make = async () => { while (made < apps) { made += 1; await panel.post('/api/v1/apps', { name: `app-${made}`, source: { kind: 'git', url: `https://git.example.test/app-${made}.git` }, domains: [`app-${made}.test`], deploy: false }); } };
  await Promise.all([make(), make(), make(), make()]);

  const url = `https://127.0.0.1:${panel.panel}/`;
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 } });
  const signed = await context.request.post(`${url}api/v1/session`, { data: OWNER });
  if (signed.status() !== 201) throw new Error(`sign-in: ${signed.status()}`);

  const opened = [];
  const changed = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const page = await context.newPage();
    await page.goto(`${url}apps`, { waitUntil: 'commit' });
    await page.waitForSelector('tbody tr.linked');
    opened.push(await page.evaluate(() => performance.now()));
    await page.waitForTimeout(1500);
    // From another page of the panel, as a click goes: until the rows are painted.
    for (const [link, sign] of [['/', '.app-line'], ['/apps', 'tbody tr.linked']]) {
      changed.push(await page.evaluate(([href, found]) => new Promise((done) => {
        const begun = performance.now();
        document.querySelector(`.rail-link[href="${href}"]`)?.click();
        const look = () => (document.querySelector(found) ? requestAnimationFrame(() => done(performance.now() - begun)) : requestAnimationFrame(look));
        look();
      }), [link, sign]));
      await page.waitForTimeout(300);
    }
    if (round === ROUNDS - 1) {
      await page.evaluate(() => {
        window.gaps = [];
        let before = performance.now();
        const tick = (now) => { window.gaps.push(now - before); before = now; requestAnimationFrame(tick); };
        requestAnimationFrame(tick);
      });
      await page.locator('[data-search]').pressSequentially('app-77', { delay: 90 });
      await page.waitForTimeout(200);
      const gaps = await page.evaluate(() => window.gaps);
      const rows = await page.locator('tbody tr.linked').count();
      line(`typing into the filter of ${apps} apps (${rows} rows left): longest frame`, Math.max(...gaps), 'ms', 34);
    }
    await page.close();
  }
  line(`list of ${apps} apps: rows shown after opening its address`, quantile(opened, 0.5), 'ms');
  line(`going to the overview and to the list of ${apps} apps: painted after (median)`, quantile(changed, 0.5), 'ms', 100);
  line(`the same, longest of ${changed.length}`, Math.max(...changed), 'ms');
} finally {
  await browser.close();
  await panel.end();
}
