// A long way through one panel in steps that build on each other: after one that fails, those behind it are skipped.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import test from 'node:test';
import { violations } from './browser.mjs';

const SHOTS = new URL('./shots/', import.meta.url);

/** What makes a step. `way` names its pictures: of each step, or of the one that fails. Where a step ends, axe finds nothing and the page has reported nothing.
 * @param {string} way @param {import('playwright-core').Page} page @param {string[]} wrong what it reported @param {{ skip: string | false, timeout: number, always?: boolean }} how */
export function stepsOf(way, page, wrong, { skip, timeout, always = false }) {
  let lost = '';
  return (/** @type {string} */ name, /** @type {() => Promise<void>} */ run) => test(name, { skip, timeout }, async (context) => {
    if (lost) { context.skip(`after “${lost}”`); return; }
    const seen = wrong.length;
    const picture = () => { mkdirSync(SHOTS, { recursive: true }); return page.screenshot({ path: new URL(`${way}-${name.replace(/\W+/g, '-')}.png`, SHOTS).pathname }); };
    try { await run(); } catch (error) { lost = name; await picture().catch(() => {}); throw error; }
    if (always) await picture();
    assert.deepEqual(wrong.slice(seen), [], 'the page reported errors');
    assert.deepEqual(await violations(page), [], 'axe finds nothing where the step ends');
  });
}

/** @param {import('playwright-core').Page} page @param {() => Promise<boolean>} is */
export async function eventually(page, is, limit = 30_000) {
  for (const begun = Date.now(); ; await page.waitForTimeout(150)) {
    if (await is().catch(() => false)) return;
    if (Date.now() - begun > limit) assert.fail('it did not come about');
  }
}
