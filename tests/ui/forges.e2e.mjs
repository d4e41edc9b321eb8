// Forges in a real browser: connected by the form, by OAuth and by a GitHub App, and an app made from a repository that is
// picked from the list. The forges are `tests/peers/forges.mjs`; the browser goes through them as a person would.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { forTests, look as lookAt, openPanel } from './browser.mjs';
import { binary } from './panel.mjs';
import { startPeer } from './peer.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';
const TOKEN = 'forge-token-0123456789';

const { panel, page, wrong } = await forTests(skip, () => openPanel([/40[1349]|422|503/]));
/** @type {Awaited<ReturnType<typeof startPeer>>} */
let peer;
let forge = '';

before(async () => {
  if (skip) return;
  peer = await startPeer('forges.mjs');
  forge = peer.url;
  // What a person does at the forge: they agree, and are sent back.
  await page.route(`${forge}/**`, async (route) => {
    const to = new URL(route.request().url());
    const fields = new URLSearchParams(route.request().postData() ?? '');
    const back = fields.has('manifest') ? JSON.parse(fields.get('manifest') ?? '{}').redirect_url : to.searchParams.get('redirect_uri');
    await route.fulfill({ status: 303, headers: { location: `${back}?code=c0de&state=${to.searchParams.get('state')}` } });
  });
}, { timeout: 30_000 });
after(() => { peer?.stop(); });

const look = (/** @type {string} */ name) => lookAt(page, name);

/** @param {string} path */
const go = async (path) => { await page.goto(`${panel.url}${path}`); await page.waitForSelector('h1'); };

test('by an access token', { skip, timeout: 90_000 }, async () => {
  const made = await page.request.post(`${panel.url}/api/v1/setup`, { data: { token: panel.link.split('#')[1], email: 'ada@example.com', name: 'Ada Lovelace', password: 'seven quiet otters swim north' } });
  assert.equal(made.status(), 201);
  await go('/forges');
  await page.getByText('No forge is connected').waitFor();
  await look('forges-none');
  await page.getByRole('button', { name: 'Connect' }).click();
  await page.getByLabel('Kind').selectOption('gitea');
  await page.getByLabel('Name', { exact: true }).fill('Gitea');
  await page.getByLabel('Address', { exact: true }).fill(`${forge}/gitea`);
  await page.getByLabel('Access token', { exact: true }).fill('wrong');
  await page.getByRole('dialog').getByRole('button', { name: 'Connect' }).click();
  await page.getByText(/does not know who asks/).waitFor();
  await look('forges-form');
  await page.getByLabel('Access token', { exact: true }).fill(TOKEN);
  await page.getByRole('dialog').getByRole('button', { name: 'Connect' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByText('127.0.0.1').first().waitFor();
  await page.getByRole('button', { name: 'Test' }).click();
  await page.getByText('Gitea knows the panel as ada').waitFor();
});

test('by OAuth', { skip, timeout: 90_000 }, async () => {
  await peer.tell('/test/code', { code: 'c0de' });
  await page.getByRole('button', { name: 'Connect' }).click();
  await page.getByLabel('Kind').selectOption('gitlab');
  await page.getByLabel('Name', { exact: true }).fill('GitLab');
  await page.getByRole('textbox', { name: /^Address/ }).fill(`${forge}/gitlab`);
  await page.getByRole('radio', { name: 'OAuth' }).click();
  await page.getByText('/forges/back').waitFor();
  await page.getByLabel('Client id').fill('client');
  await page.getByLabel('Client secret').fill('client-secret');
  await page.getByRole('button', { name: 'Save and allow it there' }).click();
  await page.getByRole('heading', { name: 'GitLab is connected' }).waitFor();
  assert.equal(new URL(page.url()).search, '', 'the code does not stay in the address');
  await look('forges-back');
});

test('by a GitHub App of its own', { skip, timeout: 90_000 }, async () => {
  await peer.tell('/test/code', { code: 'c0de' });
  await page.getByRole('link', { name: 'To the forges' }).click();
  await page.getByRole('link', { name: 'GitHub App' }).click();
  await page.getByRole('heading', { name: 'Make a GitHub App' }).waitFor();
  await look('forges-app');
  await page.getByText('GitHub Enterprise Server').click();
  await page.getByLabel('Address').fill(`${forge}/github`);
  await page.getByLabel('Name').fill('GitHub');
  await page.getByRole('button', { name: 'Go on at GitHub' }).click();
  await page.getByRole('heading', { name: 'GitHub is connected' }).waitFor();
  await page.getByRole('link', { name: 'Install it' }).waitFor();
  await page.getByRole('link', { name: 'To the forges' }).click();
  await page.getByText('panel-of-ada').waitFor();
  await look('forges-list');
});

test('an app from a repository that is picked', { skip, timeout: 90_000 }, async () => {
  await go('/apps/new');
  await page.getByLabel('Where it is').selectOption({ label: `Gitea (${forge.replace('http://', '')}/gitea)` });
  await page.getByRole('button', { name: /ada\/site-001/ }).waitFor();
  await page.getByText('There are more: search for them.').waitFor();
  await look('new-app-repositories');
  await page.getByLabel('Repository').fill('blo');
  await page.getByRole('button', { name: /ada\/site-001/ }).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /ada\/blog/ }).click();
  await page.getByLabel('Branch').selectOption('dev');
  assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'blog');
  await look('new-app-picked');
  await page.getByRole('button', { name: 'Create and deploy' }).click();
  await page.waitForURL((url) => /^\/apps\/(?!new)/.test(url.pathname));
  const apps = (await (await page.request.get(`${panel.url}/api/v1/apps`)).json()).items;
  assert.deepEqual([apps[0].source.repository, apps[0].source.branch], ['ada/blog', 'dev']);
  const { hooks } = await (await fetch(`${forge}/test/seen`)).json();
  assert.equal(hooks['gitea ada/blog'].length, 1, 'the webhook was made at the forge');
  await page.getByRole('link', { name: 'Webhook' }).or(page.getByRole('tab', { name: 'Webhook' })).first().click();
  await page.getByText('The panel has made it in ada/blog itself.').waitFor();
  await look('app-webhook-registered');
});

test('one webhook for the environments of an app', { skip, timeout: 90_000 }, async () => {
  const [{ id: project }] = (await (await page.request.get(`${panel.url}/api/v1/projects`)).json()).items;
  // As the page itself asks.
  const ask = (/** @type {string} */ path, /** @type {unknown} */ body) => page.evaluate(async ([to, data]) => { const { post } = await import(/** @type {any} */ ('/lib/api.js')); return post(to, data); }, /** @type {[string, unknown]} */ ([path, body]));
  await ask(`/projects/${project}/environments`, { name: 'staging' });
  const [{ id: forgeId }] = (await (await page.request.get(`${panel.url}/api/v1/forges`)).json()).items.filter((/** @type {any} */ one) => one.name === 'Gitea');
  await ask('/apps', { name: 'blog', environment: 'staging', domains: [], deploy: false, source: { kind: 'git', forge: forgeId, repository: 'ada/blog', branch: 'main' } });
  const all = (await (await page.request.get(`${panel.url}/api/v1/apps`)).json()).items;
  await go(`/apps/${all.find((/** @type {any} */ one) => one.environment.name === 'production').id}/webhook`);
  await page.locator('label.switch', { hasText: 'staging' }).click();
  await look('app-webhook-environments');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('Not saved').waitFor({ state: 'detached' });
  await page.reload();
  await page.locator('label.switch', { hasText: 'staging' }).locator('input:checked').waitFor({ state: 'attached' });
});

test('nothing went wrong unseen', { skip }, () => assert.deepEqual(wrong, []));
