// The audit log in a real browser against a real panel: what was done is there, is found, is shown field by field, checked
// and exported. And the pages by axe, in both themes, at a desk's and a phone's width.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launch, violations, watch } from './browser.mjs';
import { binary, startPanel } from './panel.mjs';

const PASSWORD = 'seven quiet otters swim north';
const EMAIL = 'ada@example.com';
const skip = binary() ? false : 'SERVERKIT_BIN names no binary';
const shots = process.env.SERVERKIT_SHOTS;

/** @type {Awaited<ReturnType<typeof startPanel>>} */
let panel;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').Page} */
let page;
/** @type {string[]} */
let wrong = [];

before(async () => {
  if (skip) return;
  panel = await startPanel();
  browser = await launch(panel.url);
  const context = await browser.newContext({ ignoreHTTPSErrors: true, acceptDownloads: true, viewport: { width: 1280, height: 900 }, colorScheme: 'dark', reducedMotion: 'reduce' });
  page = await context.newPage();
  wrong = watch(page, { allow: [/401|422/] });
}, { timeout: 90_000 });
after(async () => { await browser?.close(); await panel?.stop(); });

/** @param {string} name */
async function look(name) {
  for (const theme of /** @type {const} */ (['dark', 'light'])) {
    for (const width of [1280, 390]) {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 900 });
      await sleep(120);
      assert.deepEqual(await violations(page), [], `${name} ${theme} ${width}`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than ${width}`);
      if (shots) { mkdirSync(shots, { recursive: true }); await page.screenshot({ path: `${shots}/${name}-${theme}-${width}.png` }); }
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

test('what was done is in the log, and is found', { skip, timeout: 90_000 }, async () => {
  await page.goto(panel.link);
  await page.getByLabel('Name', { exact: true }).fill('Ada');
  await page.getByLabel('Email').fill(EMAIL);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByLabel('Panel domain').waitFor();
  const status = await page.evaluate(async () => {
    const csrf = (await (await fetch('/api/v1/session')).json()).csrf;
    const send = (/** @type {string} */ method, /** @type {string} */ path, /** @type {unknown} */ body) => fetch(`/api/v1${path}`, { method, headers: { 'content-type': 'application/json', 'x-csrf-token': csrf }, body: JSON.stringify(body) });
    return [(await send('PATCH', '/settings', { trash_days: 10 })).status, (await send('PATCH', '/settings', { trash_days: 11 })).status, (await send('POST', '/projects', { name: 'orchard' })).status];
  });
  assert.deepEqual(status, [200, 200, 201]);
  await page.goto(`${panel.url}/audit`);
  await page.getByText('Created project orchard').waitFor();
  await page.getByText('Claimed this panel').waitFor();
  await look('audit');
  await page.getByLabel('Words').fill('trash_days 11');
  await page.getByText('Created project orchard').waitFor({ state: 'detached' });
  const found = page.getByRole('button', { name: /Changed setting/ });
  await found.click();
  await page.getByRole('cell', { name: 'trash_days' }).waitFor();
  assert.equal(await page.locator('.diff .to code').innerText(), '11');
  await look('audit-entry');
  await page.getByRole('button', { name: 'Close' }).click();
  await page.getByLabel('Words').fill('no-such-word');
  await page.getByText('Nothing like this').waitFor();
  await look('audit-nothing');
  await page.getByRole('button', { name: 'Show everything' }).click();
  await page.getByLabel('What').selectOption('project');
  await page.getByRole('button', { name: /Claimed this panel/ }).waitFor({ state: 'detached' });
  await page.getByText('Created project orchard').waitFor();
});

test('the log is checked and exported', { skip, timeout: 60_000 }, async () => {
  await page.getByRole('button', { name: 'Check' }).click();
  await page.getByText('The log holds').waitFor();
  await look('audit-check');
  await page.getByRole('button', { name: 'Close' }).click();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export' }).click()]);
  const lines = readFileSync(await download.path(), 'utf8').trimEnd().split('\n');
  assert.ok(lines.some((line) => line.includes('orchard')));
  for (const line of lines) {
    const { hash } = JSON.parse(line);
    assert.equal(createHash('sha256').update(line.replace(`"hash":"${hash}",`, '')).digest('hex'), hash);
  }
  await page.goto(`${panel.url}/security`);
  await page.getByLabel('Kept for').fill('5');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('30 to 3650').waitFor();
  await look('security-log');
  assert.deepEqual(wrong, []);
});
