// The marketplace in a real browser against a real panel: a catalog of one's own, an import, an app from it, a newer version
// with a place to settle, and the way back. And the pages by axe, in both themes, at a desk's and a phone's width.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launch, violations, watch } from './browser.mjs';
import { binary, startPanel } from './panel.mjs';

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
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 }, colorScheme: 'dark', reducedMotion: 'reduce' });
  page = await context.newPage();
  wrong = watch(page, { allow: [/401|404|409|422/] });
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

/** @param {string} method @param {string} path @param {unknown} body */
const send = (method, path, body) => page.evaluate(async ([method, path, body]) => {
  const csrf = (await (await fetch('/api/v1/session')).json()).csrf;
  const answer = await fetch(`/api/v1${path}`, { method, headers: { 'content-type': 'application/json', 'x-csrf-token': csrf }, body: JSON.stringify(body) });
  return { status: answer.status, text: await answer.text() };
}, /** @type {[string, string, unknown]} */ ([method, path, body]));

/** @param {string} version @param {string} memory */
const files = (version, memory) => ({
  template: `schema: 1
name: wiki
title: Team wiki
version: "${version}"
description: Pages that a team writes together.
details: A site of one service.
icon: { text: W, color: "#336699" }
categories: [notes]
links: { website: "https://example.com" }
licence: MIT
needs: { memory_mb: 32, disk_mb: 64 }
main: { service: web, port: 80, health: { kind: http, path: / } }
upgrade_notes: Version 2 keeps its pages in another way.
variables:
  - { name: domain, type: domain, title: Domain }
`,
  compose: `services:
  web:
    image: nginx:1.22
    restart: unless-stopped
    deploy:
      resources:
        limits:
          memory: ${memory}
`,
});

test('a catalog of one’s own, filled by an import', { skip, timeout: 120_000 }, async () => {
  await page.goto(panel.link);
  await page.getByLabel('Name', { exact: true }).fill('Ada');
  await page.getByLabel('Email').fill('ada@example.com');
  await page.getByLabel('Password', { exact: true }).fill('seven quiet otters swim north');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByLabel('Panel domain').waitFor();
  await page.goto(`${panel.url}/marketplace`);
  await page.getByRole('link', { name: 'Catalogs' }).click();
  await page.getByText('No catalogs but the program’s own').waitFor();
  await look('catalogs-none');
  await page.getByRole('button', { name: 'Add catalog' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('ours');
  await look('catalog-add');
  await dialog.getByLabel('From').selectOption('own');
  await dialog.getByRole('button', { name: 'Add catalog' }).click();
  await page.getByText('filled by hand').waitFor();
  await page.getByRole('button', { name: 'Import' }).click();
  const hello = { type: 1, title: 'Hello', name: 'hello', description: 'Says hello.', image: 'nginx:1.22', ports: ['8080:80/tcp'] };
  await dialog.getByLabel('Template').fill(JSON.stringify({ version: '2', templates: [hello] }));
  await dialog.getByRole('button', { name: 'Convert' }).click();
  await dialog.getByText('ours:hello').waitFor();
  await look('catalog-import');
  await dialog.getByRole('button', { name: 'Keep 1' }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.goto(`${panel.url}/marketplace/ours:hello`);
  await page.getByRole('heading', { name: 'Hello' }).waitFor();
  assert.deepEqual(wrong, []);
});

test('a newer version, with a place to settle, and back', { skip, timeout: 120_000 }, async () => {
  assert.equal((await send('PUT', '/catalogs/ours/templates/wiki', files('1.0-1', '64m'))).status, 204);
  const made = await send('POST', '/catalog/ours:wiki/install', { values: { domain: 'wiki.example.test' } });
  assert.equal(made.status, 201, made.text);
  const changed = await send('PATCH', '/apps/wiki', { source: { kind: 'compose', compose: files('', '96m').compose, main_service: 'web' } });
  assert.equal(changed.status, 200, changed.text);
  assert.equal((await send('PUT', '/catalogs/ours/templates/wiki', files('2.0-1', '128m'))).status, 204);
  await page.goto(`${panel.url}/marketplace`);
  await page.getByText('2.0-1 is out').waitFor();
  await look('marketplace');
  await page.goto(`${panel.url}/apps/wiki/services`);
  await page.getByRole('link', { name: 'See the update' }).click();
  await page.getByText('One place was changed both here and in the template').waitFor();
  await look('app-update');
  const update = page.getByRole('button', { name: 'Update to 2.0-1' });
  assert.ok(await update.isDisabled(), 'nothing is taken over while a place is not settled');
  await page.getByLabel('Compose file').fill(files('', '128m').compose);
  await update.click();
  await page.waitForURL(/\/apps\/[^/]+$/);
  await page.goto(`${panel.url}/apps/wiki/services`);
  await page.getByText('Updated from 1.0-1 to 2.0-1.').waitFor();
  await look('app-updated');
  await page.getByRole('button', { name: 'Take the update back' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Go back' }).click();
  await page.getByRole('link', { name: 'See the update' }).waitFor();
  assert.deepEqual(wrong, []);
});
