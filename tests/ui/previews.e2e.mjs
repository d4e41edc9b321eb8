// Previews of pull requests in a real browser: switched on by the form, filled by signed deliveries, a fork's commit allowed, one removed.
// There is no engine here, so nothing is deployed; what the page shows of that is looked at too.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { forTests, look as lookAt, openSignedIn } from './browser.mjs';
import { binary } from './panel.mjs';
import { startPeer } from './peer.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const { panel, page, wrong } = await forTests(skip, () => openSignedIn([/40[1349]|422|503/]));
/** @type {Awaited<ReturnType<typeof startPeer>>} */
let peer;
let forge = '';

before(async () => {
  if (skip) return;
  peer = await startPeer('forges.mjs');
  forge = peer.url;
}, { timeout: 30_000 });
after(() => { peer?.stop(); });

const look = (/** @type {string} */ name) => lookAt(page, name);

/** As the page itself asks. @param {'post' | 'patch'} verb @param {string} path @param {unknown} body @returns {Promise<any>} */
const ask = (verb, path, body) => page.evaluate(async ([how, to, data]) => { const calls = await import(/** @type {any} */ ('/lib/api.js')); return calls[/** @type {string} */ (how)](to, data); }, /** @type {[string, string, unknown]} */ ([verb, path, body]));

let deliveries = 0;
/** @param {{ url: string, secret: string }} hook @param {number} number @param {Record<string, unknown>} [more] */
async function send(hook, number, more = {}) {
  const { fork = false, title = 'A change', action = 'opened' } = more;
  const request = { number, title, html_url: `https://forge.test/ada/blog/pulls/${number}`, state: action === 'closed' ? 'closed' : 'open', merged: false, user: { login: 'ada' }, labels: [],
    head: { ref: `change-${number}`, sha: String(number).padStart(40, 'a'), repo: { full_name: fork ? 'eve/blog' : 'ada/blog' } }, base: { ref: 'main', repo: { full_name: 'ada/blog' } } };
  const data = JSON.stringify({ action, number, pull_request: request });
  const signature = createHmac('sha256', hook.secret).update(data).digest('hex');
  deliveries += 1;
  const answer = await page.request.post(`${panel.url}${new URL(hook.url).pathname}`, { data, headers: { 'content-type': 'application/json', 'x-github-event': 'pull_request', 'x-github-delivery': String(deliveries), 'x-hub-signature-256': `sha256=${signature}` } });
  return answer.json();
}

test('from the switch to a list of previews', { skip, timeout: 120_000 }, async () => {
  await page.goto(panel.url);
  await page.waitForSelector('h1');
  await ask('patch', '/settings', { apps_domain: 'apps.example.test' });
  const { id: forgeId } = await ask('post', '/forges', { name: 'Gitea', kind: 'gitea', url: `${forge}/gitea`, token: 'forge-token-0123456789' });
  const app = await ask('post', '/apps', { name: 'blog', domains: [], deploy: false, source: { kind: 'git', forge: forgeId, repository: 'ada/blog', branch: 'main' } });
  await page.goto(`${panel.url}/apps/${app.id}/previews`);
  await page.getByText('Which are made').waitFor();
  await look('app-previews-off');
  await page.locator('label.switch', { hasText: 'Preview pull requests' }).click();
  await page.getByLabel('Address', { exact: true }).fill('pr.example.test');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('must have {number} in it').waitFor();
  await page.getByLabel('Address', { exact: true }).fill('pr-{number}.{app}.{domain}');
  await page.getByLabel('At most').fill('2');
  await page.getByLabel('Variables of previews', { exact: false }).first().fill('DEBUG=1\n');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('No previews').waitFor();
  await page.getByText('pr-42.blog.apps.example.test').first().waitFor();
  await look('app-previews-none');

  const hook = await ask('post', `/apps/${app.id}/webhook/rotate`, {});
  assert.equal((await send(hook, 7, { title: 'Rewrite the checkout so that it keeps the cart when somebody signs in half way through' })).decision, 'preview_made');
  assert.equal((await send(hook, 8, { title: 'A colour', fork: true })).decision, 'preview_waits');
  assert.equal((await send(hook, 9, { title: 'Typos' })).decision, 'preview_made');
  assert.equal((await send(hook, 10, { title: 'One more' })).decision, 'preview_full');
  await page.getByText('One more').waitFor();
  await page.getByText('No room').waitFor();
  await look('app-previews');
  await page.getByRole('button', { name: 'Allow…' }).click();
  await page.getByRole('dialog').getByText('is built and run on this server').waitFor();
  await look('app-previews-allow');
  await page.getByRole('dialog').getByRole('button', { name: 'Allow this commit' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Allow…' }).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'More for #9' }).click();
  await page.getByRole('menuitem', { name: 'Remove…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.goto(`${panel.url}/apps/${app.id}/webhook`);
  await page.getByText('at most 2; it follows when one goes').waitFor();
  await look('app-previews-inbox');
});

test('nothing went wrong unseen', { skip }, () => assert.deepEqual(wrong, []));
