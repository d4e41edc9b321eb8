// Chromium for the checks: where it is, and the flags that keep it quiet.
import { chromium } from 'playwright-core';

export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

/** Gathers what a page must not do: console errors, refused by policy, failed requests, answers from 500. @param {import('playwright-core').Page} page @param {{ allow?: RegExp[] }} [how] */
export function watch(page, how = {}) {
  /** @type {string[]} */
  const wrong = [];
  // Containers that come and go on this machine change its network under the browser; the panel tries again by itself.
  const add = (/** @type {string} */ text) => { if (![/ERR_NETWORK_CHANGED/, ...(how.allow ?? [])].some((one) => one.test(text))) wrong.push(text); };
  page.on('console', (message) => { if (message.type() === 'error') add(`console: ${message.text()} ${message.location().url ?? ''}`); });
  page.on('pageerror', (error) => add(`error: ${error.message} ${error.stack?.split('\n')[1] ?? ''}`));
  page.on('requestfailed', (request) => { if (!/ERR_ABORTED/.test(request.failure()?.errorText ?? '')) add(`failed: ${request.url()} ${request.failure()?.errorText}`); });
  page.on('response', (answer) => { if (answer.status() >= 500 || (answer.status() >= 400 && !/\/api\//.test(answer.url()))) add(`${answer.status()}: ${answer.url()}`); });
  return wrong;
}
