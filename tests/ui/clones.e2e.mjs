// An environment from another one in a real browser: the wishes, the plan with what stands in its way, secrets that are asked for, and how it goes on.
// There is no engine here, so nothing is deployed and no data copied; the plan and the refusals are looked at.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forTests, look as lookAt, openSignedIn } from './browser.mjs';
import { binary } from './panel.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const { panel, page, wrong } = await forTests(skip, () => openSignedIn([/40[1349]|422|503/]));

const look = (/** @type {string} */ name) => lookAt(page, name);

/** As the page itself asks. @param {'post' | 'patch'} verb @param {string} path @param {unknown} body @returns {Promise<any>} */
const ask = (verb, path, body) => page.evaluate(async ([how, to, data]) => { const calls = await import(/** @type {any} */ ('/lib/api.js')); return calls[/** @type {string} */ (how)](to, data); }, /** @type {[string, string, unknown]} */ ([verb, path, body]));

test('from the button to a new environment', { skip, timeout: 120_000 }, async () => {
  await page.goto(panel.url);
  await page.waitForSelector('h1');
  await ask('patch', '/settings', { apps_domain: 'apps.example.test' });
  const image = (/** @type {string} */ name) => ({ name, domains: [`${name}.test`], deploy: false, source: { kind: 'image', reference: 'nginx:1.27' }, mounts: [{ volume: `${name}-data`, path: '/data' }], variables: [{ key: 'COLOR', value: 'red' }, { key: 'TOKEN', value: `of-${name}-alone`, secret: true }] });
  const blog = await ask('post', '/apps', image('blog'));
  await ask('post', '/apps', image('wiki'));
  await page.goto(`${panel.url}/projects/${blog.project.id}`);
  await page.getByRole('button', { name: 'Clone…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('It is made as a whole or not at all').waitFor();
  await dialog.locator('label.switch', { hasText: 'With a copy of the data' }).click();
  await dialog.getByText('Stop what writes while it is copied').waitFor();
  await look('clone-wishes');
  await dialog.locator('label.switch', { hasText: 'With a copy of the data' }).click();
  await dialog.getByLabel('Name', { exact: true }).fill('production');
  await dialog.getByRole('button', { name: 'Show the plan' }).click();
  await dialog.getByText('production is taken', { exact: false }).or(dialog.locator('.problem')).first().waitFor();
  assert.ok(await dialog.getByRole('button', { name: 'Make production' }).isDisabled(), 'what stands in its way is said first');
  await dialog.getByRole('button', { name: 'Back' }).click();
  await dialog.getByLabel('Name', { exact: true }).fill('staging');
  await dialog.locator('label.switch', { hasText: 'Deploy the apps at once' }).click();
  await dialog.getByRole('button', { name: 'Show the plan' }).click();
  await dialog.getByText('blog-staging.apps.example.test', { exact: false }).waitFor();
  await dialog.getByLabel('TOKEN of blog', { exact: false }).first().fill('of staging');
  await dialog.getByText('Not copied').click();
  await look('clone-plan');
  await dialog.getByRole('button', { name: 'Make staging' }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByRole('heading', { name: 'staging', exact: true }).waitFor();
  await page.getByRole('table', { name: 'Apps in staging' }).or(page.getByLabel('Apps in staging')).first().getByText('wiki').first().waitFor();
  await look('clone-made');
  assert.deepEqual(wrong, []);
});
